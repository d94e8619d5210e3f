//! An upstream that stops in the middle.
//!
//! Where a healthy answer has to come in time as well, the limit grows until the machine is fast enough for it.

use std::sync::Arc;

use reqwest::Response;
use serde_json::{Value, json};
use slarouter_testkit::Script;
use tokio::sync::Semaphore;

use crate::setup::{Rig, Settings, chunk, error};

/// A gateway whose first model stalls, and what came of the first request.
async fn stalled(stream: bool) -> (Rig, Response) {
    let limits = ["response_timeout_s = 0.1", "response_timeout_s = 2.0", "response_timeout_s = 20.0"];
    for (place, upstream) in limits.into_iter().enumerate() {
        let rig = Rig::start(&Settings { upstream, ..Settings::default() }).await;
        // Of a stream, the head alone is no answer yet.
        rig.upstream.script(if stream { Script::event_stream().stall() } else { Script::bare().stall() });
        let answer = rig.ask(stream).await;
        if answer.status() != 504 || place == limits.len() - 1 {
            return (rig, answer);
        }
        assert_eq!(rig.called(), ["a/ok", "b/ok"], "the healthy answer did not come in time");
    }
    unreachable!("the last limit returns")
}

#[tokio::test]
async fn a_stall_before_the_first_byte_is_not_asked_for_twice_but_elsewhere() {
    for stream in [false, true] {
        let (rig, answer) = stalled(stream).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["x-slarouter-model"], "large");
        assert_eq!(answer.headers()["x-slarouter-decision"], "rerouted");
        let text = answer.text().await.unwrap();
        assert_eq!(text.contains("[DONE]"), stream, "{text}");
        assert_eq!(rig.called(), ["a/ok", "b/ok"]);
        assert!(rig.metrics().await.contains("slarouter_upstream_failures_total{model=\"small\",kind=\"timeout\"} 1"));
        let left = rig.stop().await;
        let [outcome] = &left.outcomes[..] else { panic!("{:?}", left.outcomes) };
        assert_eq!((outcome.status, outcome.ok, outcome.attempts, &*outcome.model), (200, true, 2, "large"));
    }
}

#[tokio::test]
async fn when_all_stall_the_client_gets_a_504() {
    let rig = Rig::start(&Settings { upstream: "response_timeout_s = 0.05", ..Settings::default() }).await;
    for _ in 0..2 {
        rig.upstream.script(Script::bare().stall());
    }
    let answer = rig.ask(false).await;
    assert_eq!((answer.status().as_u16(), rig.called()), (504, vec!["a/ok".to_owned(), "b/ok".to_owned()]));
    assert_eq!(answer.headers()["x-should-retry"], "false");
    let body: Value = answer.json().await.unwrap();
    assert_eq!(error(&body)["code"], "upstream_timeout");
    let left = rig.stop().await;
    let [outcome] = &left.outcomes[..] else { panic!("{:?}", left.outcomes) };
    assert_eq!((outcome.status, outcome.ok, outcome.attempts, outcome.cost), (504, false, 2, 0.0));
}

#[tokio::test]
async fn a_request_that_takes_too_long_in_all_is_answered_logged_and_counted_as_504() {
    let rig = Rig::start(&Settings { server: "request_timeout_s = 0.1", ..Settings::default() }).await;
    rig.upstream.script(Script::bare().stall());
    let answer = rig.ask(true).await;
    assert_eq!(answer.status(), 504);
    assert_eq!(answer.headers()["x-should-retry"], "false");
    assert_eq!(answer.headers()["x-slarouter-model"], "small");
    assert!(answer.headers()["x-request-id"].to_str().unwrap().starts_with("chatcmpl-"));
    let body: Value = answer.json().await.unwrap();
    assert_eq!(error(&body)["code"], "timeout");
    let metrics = rig.metrics().await;
    let counted: Vec<&str> = metrics.lines().filter(|line| line.starts_with("slarouter_requests_total{")).collect();
    assert!(matches!(counted[..], [only] if only.contains("status=\"504\"} 1")), "{counted:?}");
    let left = rig.stop().await;
    let [outcome] = &left.outcomes[..] else { panic!("{:?}", left.outcomes) };
    assert_eq!((outcome.status, outcome.ok, outcome.cost), (504, false, 0.0));
    assert!(outcome.error.as_deref().is_some_and(|error| error.contains("within 0.1 s")), "{:?}", outcome.error);
}

#[tokio::test]
async fn a_stream_that_falls_silent_ends_in_an_error_event() {
    let rig = Rig::start(&Settings { upstream: "idle_timeout_s = 0.1", ..Settings::default() }).await;
    rig.upstream.script(Script::event_stream().chunk(chunk("one", None)).stall());
    let answer = rig.ask(true).await;
    assert_eq!(answer.status(), 200);
    let text = answer.text().await.unwrap();
    let events: Vec<&str> = text.split_terminator("\n\n").collect();
    let [first, last] = events[..] else { panic!("{text}") };
    assert!(first.contains("\"content\":\"one\""), "{text}");
    let last: Value = serde_json::from_str(last.strip_prefix("data: ").unwrap()).unwrap();
    assert_eq!(error(&last)["code"], "stream_truncated");
    assert!(!text.contains("[DONE]") && !text.contains("\"finish_reason\":\""), "{text}");
    rig.upstream.hung_up(1).await;
    let left = rig.stop().await;
    let [outcome] = &left.outcomes[..] else { panic!("{:?}", left.outcomes) };
    assert_eq!((outcome.status, outcome.ok, outcome.attempts), (200, false, 1));
    assert!(outcome.error.as_deref().is_some_and(|error| error.contains("nothing came for 0.1 s")));
}

#[tokio::test]
async fn a_client_hears_that_a_silent_stream_is_under_way() {
    let settings =
        Settings { server: "ping_interval_s = 0.05", small: "protocol = \"openai-responses\"", ..Settings::default() };
    let rig = Rig::start(&settings).await;
    for (path, protocol, ping) in [
        ("chat/completions", "chat", ": ping\n\n"),
        ("responses", "responses", ": ping\n\n"),
        ("messages", "messages", "event: ping\ndata: {\"type\": \"ping\"}\n\n"),
    ] {
        let gate = Arc::new(Semaphore::new(0));
        let event = |kind: &str, more: &str| format!("event: {kind}\ndata: {{\"type\":\"{kind}\"{more}}}\n\n");
        let response = r#","response":{"id":"r","model":"x","status":"completed","output":[]}"#;
        let begins = Script::event_stream().chunk(event("response.created", response)).gate(&gate);
        rig.upstream.script(begins.chunk(event("response.completed", response)).end());
        let question = json!({ "role": "user", "content": "one two" });
        let (name, more) = if path == "responses" { ("input", "instructions") } else { ("messages", "user") };
        let mut body = json!({ "model": "small", "stream": true, name: [question], more: "u" });
        if path == "messages" {
            body = json!({ "model": "small", "stream": true, "max_tokens": 9, "messages": [question] });
        }
        let mut answer = rig.client.post(rig.url(&format!("/v1/{path}"))).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{protocol}");
        let mut text = String::new();
        while text.matches(ping).count() < 2 {
            text.push_str(std::str::from_utf8(&answer.chunk().await.unwrap().unwrap()).unwrap());
        }
        gate.add_permits(1);
        text.push_str(&answer.text().await.unwrap());
        let without = text.replace(ping, "");
        assert!(without.contains("stop") || without.contains("response.completed"), "{protocol}: {text}");
        assert!(without.split_terminator("\n\n").all(|event| event.contains("data: ")), "{protocol}: {text}");
    }
    assert!(rig.stop().await.outcomes.iter().all(|outcome| outcome.ok));
}

#[tokio::test]
async fn a_ping_is_no_piece_of_the_answer() {
    let upstream = "idle_timeout_s = 0.3";
    let rig = Rig::start(&Settings { server: "ping_interval_s = 0.05", upstream, ..Settings::default() }).await;
    rig.upstream.script(Script::event_stream().chunk(chunk("one", None)).stall());
    let text = rig.ask(true).await.text().await.unwrap();
    assert!(text.contains(": ping\n\n") && text.contains("stream_truncated"), "{text}");
    let outcome = &rig.stop().await.outcomes[0];
    assert!(outcome.error.as_deref().is_some_and(|error| error.contains("nothing came for 0.3 s")));
}
