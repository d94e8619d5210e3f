//! Who tries to get at what is not theirs, or more of it than is.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::setup::{Rig, Settings, error, question};

/// Posts a body as it is written; the status and the error.
async fn post(rig: &Rig, path: &str, body: impl Into<String>) -> (u16, Value) {
    let answer = rig.client.post(rig.url(path)).body(body.into()).send().await.unwrap();
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.unwrap();
    (status, body["error"].clone())
}

/// The gateway would check the one and the provider answer the other: another model than the key may ask, or a longer answer than its
/// budget has. Servers in Go read names in any case.
#[tokio::test]
async fn nobody_says_one_thing_to_the_gateway_and_another_to_the_provider() {
    let rig = Rig::start(&Settings::default()).await;
    for (path, more) in [
        ("/v1/chat/completions", r#""model":"large""#),
        ("/v1/chat/completions", r#""MODEL":"large""#),
        ("/v1/chat/completions", r#""max_tokens":1,"max_tokens":100000"#),
        ("/v1/chat/completions", r#""max_tokens":1,"Max_To\u212aens":100000"#),
        ("/v1/messages", r#""max_tokens":1,"m\u0061x_tokens":100000"#),
        ("/openai/deployments/small/chat/completions", r#""Model":"large""#),
    ] {
        let body = format!(r#"{{"model":"small","messages":[{{"role":"user","content":"x"}}],{more}}}"#);
        let (status, error) = post(&rig, path, body).await;
        let known = error["code"] == "duplicate_member" || path == "/v1/messages";
        assert!(status == 400 && known, "{path} {more}: {status} {error}");
        assert!(error["message"].as_str().unwrap().contains("twice"), "{error}");
    }
    assert!(rig.called().is_empty());
    rig.stop().await;
}

#[tokio::test]
async fn what_takes_more_memory_than_bytes_has_to_find_room() {
    let settings =
        Settings { server: "max_body_bytes = 900000\nmax_body_bytes_at_once = 1048576", ..Settings::default() };
    let rig = Rig::start(&settings).await;
    let many = format!(r#"{{"model":"small","messages":[{}{{}}]}}"#, "{},".repeat(200_000));
    for path in ["/v1/chat/completions", "/v1/messages/count_tokens", "/v1/route"] {
        let (status, error) = post(&rig, path, many.clone()).await;
        assert_eq!(status, 413, "{path}: {error}");
        assert!(error["message"].as_str().unwrap().contains("max_body_bytes_at_once"), "{error}");
    }
    let members: String = (0..300).map(|n| format!(",\"m{n}\":1")).collect();
    let body = format!(r#"{{"model":"small","messages":[{{"role":"user","content":"x"}}]{members}}}"#);
    assert_eq!(post(&rig, "/v1/chat/completions", body).await.1["code"], "too_many_members");
    // As trees these would take sixteen times their bytes.
    let tree = format!(r#"{{"id":"x","usage":[{}1]}}"#, "1,".repeat(40_000));
    for path in ["/v1/feedback", "/v1/outcomes"] {
        let (status, error) = post(&rig, path, tree.clone()).await;
        assert_eq!((status, &error["code"]), (413, &json!("request_too_large")), "{path}");
    }
    assert!(rig.called().is_empty());
    assert_eq!(rig.ask(false).await.status(), 200);
    rig.stop().await;
}

#[tokio::test]
async fn a_rater_who_does_not_stop_is_told_when_to_come_again() {
    let rig = Rig::start(&Settings { feedback: "rater_per_minute = 2", ..Settings::default() }).await;
    let id = rig.ask(false).await.headers()["x-request-id"].to_str().unwrap().to_owned();
    let rate = async |rater: Option<&str>, rating: f64| {
        let body = json!({ "id": id, "rating": rating, "rater": rater });
        rig.client.post(rig.url("/v1/feedback")).json(&body).send().await.unwrap()
    };
    for rating in [0.0, 1.0] {
        assert_eq!(rate(Some("eve"), rating).await.status(), 202);
    }
    let refused = rate(Some("eve"), 0.5).await;
    let wait: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!(refused.status() == 429 && (1..=30).contains(&wait), "{wait}");
    assert!(error(&refused.json().await.unwrap())["message"].as_str().unwrap().contains("feedback.rater_per_minute"));
    assert_eq!(rate(Some("bob"), 1.0).await.status(), 202);
    for rating in [0.1, 0.2, 0.3] {
        assert_eq!(rate(None, rating).await.status(), 202, "without a name it is anybody's");
    }
    rig.stop().await;
}

/// The answer to the first line of a request, its other headers given.
async fn status(rig: &Rig, line: &str) -> String {
    let mut stream = TcpStream::connect(rig.gateway.addr()).await.unwrap();
    let head = format!(
        "{line} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer sixteen-letters-1\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut read = String::new();
    // A reset after the answer says only that not all was read.
    let _ = stream.read_to_string(&mut read).await;
    read.get(9..12).unwrap_or_default().to_owned()
}

#[tokio::test]
async fn no_spelling_of_a_path_leads_from_the_public_listener_to_the_operators() {
    let server =
        "admin_keys = [\"sixteen-letters-1\"]\napi_keys = [\"sixteen-letters-2\"]\nadmin_listen = \"127.0.0.1:0\"";
    let rig = Rig::start(&Settings { server, ..Settings::default() }).await;
    for path in [
        "/admin/keys",
        "/admin/keys/",
        "//admin/keys",
        "/admin//keys",
        "/./admin/keys",
        "/v1/../admin/keys",
        "/v1/..//admin/keys",
        "/%61dmin/keys",
        "/admin%2fkeys",
        "/%2fadmin/keys",
        "/ADMIN/keys",
        "/admin/keys;x=1",
        "/admin/keys%00",
        "\\admin\\keys",
        "/openai/deployments/admin/keys",
        "/openai/deployments/%2e%2e/admin/keys",
        "/metrics",
        "//metrics",
        "/%6detrics",
        "http://localhost/admin/keys",
        "http://127.0.0.1:1/admin/keys",
        "http://localhost//metrics",
    ] {
        for method in ["GET", "POST"] {
            let status = status(&rig, &format!("{method} {path}")).await;
            assert!(matches!(&*status, "404" | "400"), "{method} {path}: {status}");
        }
    }
    assert_eq!(status(&rig, "GET /healthz").await, "200");
    rig.stop().await;
}

/// What is said of a wrong key tells nothing of right ones: not whether one begins so, nor what it may do.
#[tokio::test]
async fn all_wrong_keys_get_the_same_answer() {
    let rig = Rig::start(&Settings {
        server: "api_keys = [\"sixteen-letters-1\"]\nadmin_keys = [\"admin-letters-16\"]",
        ..Settings::default()
    })
    .await;
    let mut told = Vec::new();
    for key in [
        "sixteen-letters-2",
        "sixteen-letters-",
        "sixteen-letters-12",
        "x",
        "admin-letters-1",
        "slar-fb-x.y",
        &"x".repeat(9_000),
    ] {
        let answer = rig.post(&question(false)).bearer_auth(key).send().await.unwrap();
        told.push((answer.status().as_u16(), answer.text().await.unwrap()));
    }
    told.dedup();
    assert!(told.len() == 1 && told[0].0 == 401, "{told:?}");
    rig.stop().await;
}
