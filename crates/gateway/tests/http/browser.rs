//! Feedback from web pages, with a token for one answer.

use reqwest::{Method, Response};
use serde_json::{Value, json};
use slarouter_testkit::Script;

use crate::setup::{Rig, Settings, error, question};

const KEY: &str = "sixteen-letters-1";
const PAGE: &str = "https://app.example";
const SETTINGS: Settings = Settings {
    server: "api_keys = [\"sixteen-letters-1\"]",
    upstream: "",
    store: "",
    feedback: "token_secret = \"thirty-two-letters-that-no-one-knows\"\ncors_origins = [\"https://app.example\"]",
    features: String::new(),
    small: "",
    small_url: None,
    route: None,
};

fn header<'a>(answer: &'a Response, name: &str) -> &'a str {
    answer.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

async fn rate(rig: &Rig, token: &str, body: Value) -> (u16, String, Value) {
    let request = rig.client.post(rig.url("/v1/feedback")).header("origin", PAGE).bearer_auth(token).json(&body);
    let answer = request.send().await.unwrap();
    let origin = header(&answer, "access-control-allow-origin").to_owned();
    (answer.status().as_u16(), origin, answer.json().await.unwrap())
}

#[tokio::test]
async fn a_token_rates_its_answer_and_does_nothing_else() {
    let rig = Rig::start(&SETTINGS).await;
    let ask = |stream| rig.post(&question(stream)).bearer_auth(KEY).send();
    let (one, two) = (ask(false).await.unwrap(), ask(true).await.unwrap());
    let token = header(&one, "x-slarouter-feedback-token").to_owned();
    let (id, other) = (header(&one, "x-request-id").to_owned(), header(&two, "x-request-id").to_owned());
    assert!(token.starts_with("slrf_") && header(&two, "x-slarouter-feedback-token") != token);
    for answer in [one, two] {
        answer.bytes().await.unwrap();
    }
    let body = json!({ "id": id, "rating": "up" });
    assert_eq!(
        rate(&rig, &token, body.clone()).await,
        (202, PAGE.to_owned(), json!({ "id": id, "status": "recorded" }))
    );
    assert_eq!(rate(&rig, &token, body.clone()).await.2["status"], "duplicate");
    for (body, param) in [
        (json!({ "id": other, "rating": "up" }), "id"),
        (json!({ "id": id, "rating": "up", "source": "audit" }), "source"),
        (json!({ "id": id, "rating": "up", "rater": "somebody-else" }), "rater"),
    ] {
        let (status, origin, answer) = rate(&rig, &token, body).await;
        assert_eq!((status, &*origin, &error(&answer)["param"]), (403, PAGE, &json!(param)));
    }
    let mut forged = token.clone();
    let last = if forged.pop() == Some('0') { '1' } else { '0' };
    forged.push(last);
    for (wrong, origin) in [(forged, PAGE), (String::new(), PAGE), ("slrf_".to_owned(), PAGE)] {
        let (status, allowed, _) = rate(&rig, &wrong, body.clone()).await;
        assert_eq!((status, &*allowed), (401, origin), "the page may read why");
    }
    let elsewhere = rig.post(&question(false)).bearer_auth(&token).send().await.unwrap();
    assert_eq!(elsewhere.status(), 401, "it is no key");
    // After a restart it still works: nothing of it is stored.
    let rig = rig.restart(&SETTINGS).await;
    assert_eq!(rate(&rig, &token, json!({ "id": id, "rating": null })).await.2["status"], "withdrawn");
    rig.stop().await;
}

#[tokio::test]
async fn only_pages_of_known_origins_get_leave_and_only_there() {
    let rig = Rig::start(&SETTINGS).await;
    for (path, origin, status, allowed) in [
        ("/v1/feedback", PAGE, 204, PAGE),
        ("/v1/feedback", "https://evil.example", 204, ""),
        ("/v1/feedback", "https://app.example.evil.example", 204, ""),
        ("/v1/feedback", "null", 204, ""),
        ("/v1/chat/completions", PAGE, 401, ""),
    ] {
        let request = rig.client.request(Method::OPTIONS, rig.url(path)).header("origin", origin);
        let answer = request.header("access-control-request-method", "POST").send().await.unwrap();
        let found = header(&answer, "access-control-allow-origin");
        assert_eq!(found, allowed, "{path} {origin}");
        if status == 204 {
            assert_eq!((answer.status().as_u16(), header(&answer, "vary")), (204, "Origin"));
        }
        assert_eq!(header(&answer, "access-control-allow-credentials"), "");
    }
    rig.stop().await;
}

#[tokio::test]
async fn a_stream_beyond_its_limit_is_cut_and_says_so() {
    let settings = Settings { upstream: "max_stream_bytes = 1000", ..Settings::default() };
    let rig = Rig::start(&settings).await;
    let script =
        (0..20).fold(Script::event_stream(), |script, _| script.chunk(crate::setup::chunk(&"x".repeat(100), None)));
    rig.upstream.script(script.stall());
    let answer = rig.ask(true).await.text().await.unwrap();
    assert!(
        answer.contains("max_stream_bytes") && answer.contains("stream_truncated") && !answer.contains("[DONE]"),
        "{answer}"
    );
    let left = rig.stop().await;
    assert!(!left.outcomes[0].ok);
}

#[tokio::test]
async fn a_head_beyond_its_limit_is_refused() {
    let rig = Rig::start(&Settings { server: "max_header_bytes = 8192", ..Settings::default() }).await;
    let answer = rig.post(&question(false)).header("x-large", "x".repeat(16_384)).send().await.unwrap();
    assert_eq!(answer.status(), 431);
    let many = (0..200).fold(rig.post(&question(false)), |request, n| request.header(format!("x-{n}"), "x"));
    assert_eq!(many.send().await.unwrap().status(), 431);
    assert_eq!(rig.ask(false).await.status(), 200);
    assert_eq!(rig.stop().await.outcomes.len(), 1);
}
