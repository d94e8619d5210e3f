//! Answers that are none, and reports that cannot be true.

use serde_json::{Value, json};
use slarouter_gateway::{Gateway, StartError};
use slarouter_testkit::Script;

use crate::setup::{Rig, Settings, error};

fn busy(code: Value, stream: bool) -> Script {
    let error = json!({ "message": "all engines are busy", "type": "server_error", "param": null, "code": code });
    let body = json!({ "error": error });
    if stream { Script::sse(&[&body.to_string()]) } else { Script::json(200, &body) }
}

#[tokio::test]
async fn an_error_under_status_200_is_tried_again() {
    for stream in [false, true] {
        let rig = Rig::start(&Settings::default()).await;
        rig.upstream.script(busy(503.into(), stream));
        let answer = rig.ask(stream).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["x-slarouter-model"], "small");
        let text = answer.text().await.unwrap();
        assert!(text.contains("two") && !text.contains("busy"), "{text}");
        assert_eq!(rig.called(), ["a/ok", "a/ok"]);
        let left = rig.stop().await;
        assert_eq!((left.outcomes[0].ok, left.outcomes[0].attempts), (true, 2));
    }
}

#[tokio::test]
async fn an_error_under_status_200_from_all_is_a_failure_with_the_upstreams_words() {
    for (code, status, kind, stream) in [
        (json!(503), 503, "server_error", false),
        (json!(503), 503, "server_error", true),
        (json!("overloaded"), 502, "server_error", false),
        (json!(429), 429, "rate_limited", false),
    ] {
        let rig = Rig::start(&Settings::default()).await;
        for _ in 0..3 {
            rig.upstream.script(busy(code.clone(), stream));
        }
        let answer = rig.ask(stream).await;
        assert_eq!(answer.status(), status, "{code}");
        assert_eq!(answer.headers()["content-type"], "application/json");
        assert_eq!(answer.headers()["x-should-retry"], "false");
        let body: Value = answer.json().await.unwrap();
        assert_eq!((&error(&body)["message"], &error(&body)["code"]), (&json!("all engines are busy"), &code));
        assert_eq!(rig.called(), ["a/ok", "a/ok", "b/ok"]);
        let failures = format!("slarouter_upstream_failures_total{{model=\"small\",kind=\"{kind}\"}} 2");
        assert!(rig.metrics().await.contains(&failures), "{code}");
        let left = rig.stop().await;
        let [outcome] = &left.outcomes[..] else { panic!("{:?}", left.outcomes) };
        assert_eq!((outcome.status, outcome.ok, outcome.cost), (status, false, 0.0), "{code}");
        assert!(outcome.error.as_deref().is_some_and(|error| error.contains("answered 200")), "{:?}", outcome.error);
    }
}

#[tokio::test]
async fn token_counts_beyond_reason_are_passed_on_but_neither_billed_nor_learnt() {
    let rig = Rig::start(&Settings::default()).await;
    let answer = |usage: Value| {
        let choice =
            json!({ "index": 0, "message": { "role": "assistant", "content": "hi" }, "finish_reason": "stop" });
        Script::json(200, &json!({ "id": "up", "object": "chat.completion", "choices": [choice], "usage": usage }))
    };
    for usage in [
        json!({ "prompt_tokens": 1e300, "completion_tokens": 3 }),
        json!({ "prompt_tokens": 3, "completion_tokens": 9_007_199_254_740_993_u64 }),
    ] {
        rig.upstream.script(answer(usage.clone()));
        let reply = rig.ask(false).await;
        let cost: f64 = reply.headers()["x-slarouter-cost-usd"].to_str().unwrap().parse().unwrap();
        assert!(cost > 0.0 && cost < 0.001, "of the estimated input: {cost}");
        let body: Value = reply.json().await.unwrap();
        assert_eq!(body["usage"]["completion_tokens"], usage["completion_tokens"]);
    }
    let left = rig.stop().await;
    assert_eq!(left.outcomes.len(), 2);
    for outcome in &left.outcomes {
        assert_eq!((outcome.ok, outcome.input_tokens, outcome.output_tokens), (true, None, None));
        assert!(outcome.cost < 0.001, "{}", outcome.cost);
    }
}

#[tokio::test]
async fn a_second_gateway_on_the_same_database_does_not_start() {
    let rig = Rig::start(&Settings::default()).await;
    let Err(error) = Gateway::start(rig.config()).await else { panic!("two gateways write one log") };
    assert!(matches!(error, StartError::Store(_)), "{error}");
    assert!(error.to_string().contains("another process uses the database"), "{error}");
    assert_eq!(rig.ask(false).await.status(), 200, "the first is not disturbed");
    assert_eq!(rig.stop().await.outcomes.len(), 1);
}

#[tokio::test]
async fn the_saved_state_says_when_it_was_saved() {
    let rig = Rig::start(&Settings::default()).await;
    assert_eq!(rig.ask(false).await.status(), 200);
    let left = rig.stop().await;
    let [saved] = &left.saved[..] else { panic!("{:?}", left.saved) };
    assert!(saved.time >= left.outcomes[0].time, "{:?}, before the last outcome", saved.time);
}
