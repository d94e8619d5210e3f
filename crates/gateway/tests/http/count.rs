//! `POST /v1/messages/count_tokens`.

use serde_json::{Value, json};
use slarouter_testkit::Script;

use crate::setup::{Rig, Settings};

const ANTHROPIC: Settings = Settings {
    small: "protocol = \"anthropic\"",
    server: "",
    upstream: "",
    store: "",
    feedback: "",
    features: String::new(),
    small_url: None,
    route: None,
};

async fn count(rig: &Rig, body: &Value) -> (u16, String, Value) {
    let request = rig.client.post(rig.url("/v1/messages/count_tokens")).header("anthropic-version", "2023-06-02");
    let answer = request.json(body).send().await.unwrap();
    let whose = answer.headers().get("x-slarouter-token-count").map(|value| value.to_str().unwrap().to_owned());
    (answer.status().as_u16(), whose.unwrap_or_default(), answer.json().await.unwrap())
}

fn question(model: &str) -> Value {
    json!({ "model": model, "system": "Be brief.", "messages": [{ "role": "user", "content": "one two three" }] })
}

#[tokio::test]
async fn the_provider_counts_where_it_can_and_else_it_is_an_estimate() {
    let rig = Rig::start(&ANTHROPIC).await;
    for (model, asked) in [("small", 1), ("auto", 2)] {
        assert_eq!(count(&rig, &question(model)).await, (200, "provider".to_owned(), json!({ "input_tokens": 12 })));
        let requests = rig.upstream.requests();
        assert_eq!(requests.len(), asked);
        let request = &requests[asked - 1];
        assert_eq!(
            (&*request.path, request.header("anthropic-version")),
            ("/v1/messages/count_tokens", Some("2023-06-02"))
        );
        let body = request.json();
        assert_eq!((&body["model"], &body["system"]), (&json!("a/ok"), &json!("Be brief.")));
    }
    let (status, whose, body) = count(&rig, &question("large")).await;
    let tokens = body["input_tokens"].as_u64().unwrap();
    assert_eq!((status, &*whose), (200, "estimate"));
    assert!((5..30).contains(&tokens), "{tokens}");
    assert_eq!(rig.upstream.requests().len(), 2);
    let left = rig.stop().await;
    assert!(left.outcomes.is_empty() && left.events.len() == 1, "nothing is decided: {:?}", left.events);

    let rig = Rig::start(&Settings::default()).await;
    assert_eq!(count(&rig, &question("auto")).await, (200, "estimate".to_owned(), body));
    assert!(rig.called().is_empty());
    rig.stop().await;
}

#[tokio::test]
async fn errors_have_the_protocols_shape() {
    let rig = Rig::start(&ANTHROPIC).await;
    for (body, status, kind) in [
        (question("none"), 404, "not_found_error"),
        (json!({ "model": "small" }), 400, "invalid_request_error"),
        (json!({ "model": "small", "messages": [] }), 400, "invalid_request_error"),
        (json!([]), 400, "invalid_request_error"),
    ] {
        let (got, _, answer) = count(&rig, &body).await;
        assert_eq!(
            (got, &answer["type"], &answer["error"]["type"]),
            (status, &json!("error"), &json!(kind)),
            "{answer}"
        );
    }
    assert!(rig.called().is_empty());
    let overloaded = json!({ "type": "error", "error": { "type": "overloaded_error", "message": "not now" } });
    rig.upstream.script(Script::json(529, &overloaded).header("retry-after", "3"));
    let answer = rig.client.post(rig.url("/v1/messages/count_tokens")).json(&question("small")).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["retry-after"]), (529, &"3".parse().unwrap()));
    assert!(!answer.headers().contains_key("x-should-retry"));
    let body: Value = answer.json().await.unwrap();
    assert_eq!((&body["error"]["type"], &body["error"]["message"]), (&json!("overloaded_error"), &json!("not now")));
    rig.upstream.script(Script::bare().cut());
    let (status, _, body) = count(&rig, &question("small")).await;
    assert_eq!((status, &body["type"]), (502, &json!("error")), "{body}");
    rig.stop().await;
}
