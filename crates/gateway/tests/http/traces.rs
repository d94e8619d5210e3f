//! Ids of the applications' own, from the question to the feedback.

use reqwest::RequestBuilder;
use serde_json::{Value, json};
use slarouter_testkit::Script;

use crate::setup::{Rig, Settings, question};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const NAMED: &str = "x-slarouter-trace-id";

/// Asks, and gives the id of the answer and the id of the application's own that is kept.
async fn asked(request: RequestBuilder) -> (String, Option<String>) {
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let kept = answer.headers().get(NAMED).map(|kept| kept.to_str().unwrap().to_owned());
    let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    answer.bytes().await.unwrap();
    (id, kept)
}

async fn rate(rig: &Rig, key: &str, body: Value) -> (u16, Value) {
    let answer = rig.client.post(rig.url("/v1/feedback")).bearer_auth(key).json(&body).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn feedback_finds_its_answer_by_an_id_that_its_giver_knows() {
    let rig = Rig::start(&Settings::default()).await;
    let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let (named, kept) =
        asked(rig.post(&question(true)).header(NAMED, "message-1").header("traceparent", &parent)).await;
    assert_eq!(kept.as_deref(), Some("message-1"));
    let mut body = question(false);
    body["metadata"] = json!({ "trace_id": "run-7" });
    let (_, kept) = asked(rig.post(&body)).await;
    assert_eq!(kept.as_deref(), Some("run-7"));
    assert_eq!(rig.upstream.requests()[1].json()["metadata"], body["metadata"], "it goes on as it came");
    let (_, kept) = asked(rig.post(&question(false)).header("traceparent", &parent)).await;
    assert_eq!(kept.as_deref(), Some(TRACE));
    // What is no id keeps nobody from an answer, and the answer says that none is kept.
    assert_eq!(asked(rig.post(&question(false)).header(NAMED, "a b")).await.1, None);
    let route = rig.client.post(rig.url("/v1/route")).json(&body);
    let alone: Value = route.send().await.unwrap().json().await.unwrap();
    assert_eq!(alone["trace_id"], "run-7");

    let (status, receipt) = rate(&rig, "", json!({ "trace_id": "message-1", "rating": "up" })).await;
    assert_eq!(status, 202, "{receipt}");
    assert_eq!(receipt, json!({ "id": named, "trace_id": "message-1", "status": "recorded" }));
    // The one is the other.
    assert_eq!(rate(&rig, "", json!({ "id": named, "rating": "up" })).await.1["status"], "duplicate");
    let last = rate(&rig, "", json!({ "trace_id": "run-7", "score": -1 })).await.1;
    let uuid = alone["id"].as_str().unwrap().strip_prefix("route-").unwrap();
    assert_eq!(last["id"].as_str().unwrap().strip_prefix("chatcmpl-"), Some(uuid));
    assert_eq!(rate(&rig, "", json!({ "trace_id": TRACE, "rating": null })).await.1["status"], "duplicate");
    let (status, refusal) = rate(&rig, "", json!({ "trace_id": "run-8", "rating": "up" })).await;
    assert_eq!((status, &refusal["error"]["param"]), (404, &json!("trace_id")), "{refusal}");

    let get =
        async |path: String| -> Value { rig.client.get(rig.url(&path)).send().await.unwrap().json().await.unwrap() };
    assert_eq!(get(format!("/admin/decisions/{named}")).await["trace_id"], "message-1");
    let list = get("/admin/decisions".to_owned()).await;
    let kept: Vec<&Value> = list["data"].as_array().unwrap().iter().map(|line| &line["trace_id"]).collect();
    assert_eq!(kept, [&json!("run-7"), &Value::Null, &json!(TRACE), &json!("run-7"), &json!("message-1")]);
    rig.stop().await;
}

/// Who answers quickly may be rated before the decision is on disk, and in the middle of the answer.
#[tokio::test]
async fn feedback_that_comes_at_once_is_not_lost() {
    let rig = Rig::start(&Settings::default()).await;
    for number in 0..50 {
        let trace = format!("message-{number}");
        let answer = rig.post(&question(true)).header(NAMED, &trace).send().await.unwrap();
        let (status, receipt) = rate(&rig, "", json!({ "trace_id": trace, "rating": "thumbsUp" })).await;
        assert_eq!((status, &receipt["id"]), (202, &json!(answer.headers()["x-request-id"].to_str().unwrap())));
    }
    // A second call of the same trace that failed is not the one that was read.
    let (id, _) = asked(rig.post(&question(false)).header(NAMED, "again")).await;
    rig.upstream.script(Script::json(400, &json!({ "error": { "message": "no" } })));
    let failed = rig.post(&question(false)).header(NAMED, "again").send().await.unwrap();
    assert_eq!(failed.status(), 400);
    assert_eq!(rate(&rig, "", json!({ "trace_id": "again", "rating": "down" })).await.1["id"], json!(id));
    rig.stop().await;
}

const TENANTS: Settings = Settings {
    server: "[[keys]]\nname = \"a\"\nkey = \"sixteen-letters-a\"\nscopes = [\"inference\", \"feedback\"]\ntenant = \"acme\"\n\
        [[keys]]\nname = \"b\"\nkey = \"sixteen-letters-b\"\nscopes = [\"inference\", \"feedback\"]\ntenant = \"other\"\n\
        [[keys]]\nname = \"c\"\nkey = \"sixteen-letters-c\"\nscopes = [\"inference\", \"feedback\"]\n",
    upstream: "",
    store: "",
    feedback: "token_secret = \"thirty-two-letters-thirty-two-12\"",
    features: String::new(),
    small: "",
    small_url: None,
    route: None,
};

#[tokio::test]
async fn an_id_is_looked_up_among_those_of_ones_own_tenant() {
    let rig = Rig::start(&TENANTS).await;
    let [a, b, c] = ["sixteen-letters-a", "sixteen-letters-b", "sixteen-letters-c"];
    let ask = |key, trace: &str| rig.post(&question(false)).bearer_auth(key).header(NAMED, trace);
    let (first, _) = asked(ask(a, "1")).await;
    asked(ask(a, "2")).await;
    let up = |trace: &str| json!({ "trace_id": trace, "rating": "up" });
    assert_eq!(rate(&rig, b, up("1")).await.0, 404, "both use one route, and the id may be guessed");
    let (second, _) = asked(ask(b, "1")).await;
    assert_eq!(rate(&rig, a, up("1")).await.1["id"], json!(first));
    assert_eq!(rate(&rig, b, up("1")).await.1["id"], json!(second));
    assert_eq!(rate(&rig, c, up("2")).await.0, 202, "a key without a tenant serves all");
    let (status, refusal) = rate(&rig, c, up("1")).await;
    assert_eq!((status, &refusal["error"]["code"]), (400, &json!("ambiguous_trace_id")), "{refusal}");

    let answer = ask(a, "3").send().await.unwrap();
    let token = answer.headers()["x-slarouter-feedback-token"].to_str().unwrap().to_owned();
    let (status, refusal) = rate(&rig, &token, up("3")).await;
    assert_eq!((status, &refusal["error"]["code"]), (403, &json!("token_mismatch")), "{refusal}");
    rig.stop().await;
}
