//! Who may ask, how much, and clients that go away.

use reqwest::header::AUTHORIZATION;
use serde_json::{Value, json};
use slarouter_testkit::Script;

use crate::setup::{Rig, Settings, chunk, error, question};

#[tokio::test]
async fn a_body_over_the_limit_is_refused_in_the_openai_shape() {
    let rig = Rig::start(&Settings { server: "max_body_bytes = 1000", ..Settings::default() }).await;
    let large = json!({ "model": "auto", "messages": [{ "role": "user", "content": "x".repeat(1_000) }] });
    let declared = rig.post(&large);
    // Without a length the limit shows only as the bytes come.
    let pieces = vec![Ok::<_, std::io::Error>(large.to_string())];
    let streamed = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
    let undeclared = rig.client.post(rig.url("/v1/chat/completions")).body(streamed);
    let feedback = rig.client.post(rig.url("/v1/feedback")).json(&large);
    for (name, request) in [("declared", declared), ("undeclared", undeclared), ("feedback", feedback)] {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 413, "{name}");
        assert_eq!(answer.headers()["content-type"], "application/json", "{name}");
        assert_eq!(answer.headers()["x-should-retry"], "false", "{name}");
        let body: Value = answer.json().await.unwrap();
        let error = error(&body);
        assert_eq!((&error["type"], &error["code"]), (&json!("invalid_request_error"), &json!("request_too_large")));
        assert!(error["message"].as_str().unwrap().contains("1000 bytes"), "{error}");
    }
    assert!(rig.called().is_empty());
    assert_eq!(rig.ask(false).await.status(), 200, "what fits goes through");
    assert_eq!(rig.stop().await.outcomes.len(), 1);
}

#[tokio::test]
async fn only_a_known_key_is_served_and_it_stays_here() {
    let settings = Settings { server: "api_keys = [\"sixteen-letters-1\"]", ..Settings::default() };
    let rig = Rig::start(&settings).await;
    let requests = |rig: &Rig| {
        let get = |path: &str| rig.client.get(rig.url(path));
        let feedback = rig.client.post(rig.url("/v1/feedback")).json(&json!({}));
        [rig.post(&question(false)), rig.post(&question(true)), feedback, get("/v1/models"), get("/v1/models/small")]
    };
    for header in [None, Some("Bearer sixteen-letters-2"), Some("Bearer"), Some("Basic sixteen-letters-1")] {
        for request in requests(&rig) {
            let request = header.into_iter().fold(request, |request, value| request.header(AUTHORIZATION, value));
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), 401, "{header:?}");
            let body: Value = answer.json().await.unwrap();
            let error = error(&body);
            assert_eq!((&error["type"], &error["code"]), (&json!("invalid_request_error"), &json!("invalid_api_key")));
        }
    }
    let anthropic = || rig.client.post(rig.url("/v1/messages")).json(&json!({ "model": "none", "messages": [1] }));
    for (key, status, kind) in [("wrong", 401, "authentication_error"), ("sixteen-letters-1", 404, "not_found_error")] {
        let answer = anthropic().header("x-api-key", key).send().await.unwrap();
        assert_eq!(answer.status(), status, "{key}");
        let body: Value = answer.json().await.unwrap();
        assert_eq!((&body["type"], &body["error"]["type"]), (&json!("error"), &json!(kind)), "{key}");
    }
    for (method, path, status) in [("GET", "/v1/messages", 405), ("POST", "/v1/messages/none", 404)] {
        let answer = rig.client.request(method.parse().unwrap(), rig.url(path)).send().await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
        assert_eq!(answer.json::<Value>().await.unwrap()["type"], "error", "{path}");
    }
    assert!(rig.called().is_empty());
    let answer = rig.post(&question(false)).bearer_auth("sixteen-letters-1").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(rig.upstream.requests()[0].header("authorization"), None, "our key is not the provider's business");
    let models = rig.client.get(rig.url("/v1/models")).bearer_auth("sixteen-letters-1").send().await.unwrap();
    assert_eq!(models.status(), 200);
    // Probes have no key.
    for path in ["/healthz", "/readyz"] {
        assert_eq!(rig.client.get(rig.url(path)).send().await.unwrap().status(), 200, "{path}");
    }
    assert_eq!(rig.stop().await.outcomes.len(), 1);
}

#[tokio::test]
async fn a_client_that_goes_away_takes_the_upstream_call_with_it_and_is_logged_as_499() {
    let rig = Rig::start(&Settings::default()).await;
    rig.upstream.script(Script::event_stream().chunk(chunk("one", None)).stall());
    let mut answer = rig.ask(true).await;
    let first = answer.chunk().await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&first).contains("\"content\":\"one\""));
    drop(answer);
    rig.upstream.hung_up(1).await;

    // Before the first byte as well.
    rig.upstream.script(Script::bare().stall());
    let request = tokio::spawn(rig.post(&question(false)).send());
    rig.upstream.arrived(2).await;
    request.abort();
    rig.upstream.hung_up(2).await;

    let left = rig.stop().await;
    assert_eq!(left.outcomes.len(), 2);
    for (outcome, streamed) in left.outcomes.iter().zip([true, false]) {
        assert_eq!((outcome.status, outcome.ok, outcome.streamed), (499, false, streamed));
    }
}
