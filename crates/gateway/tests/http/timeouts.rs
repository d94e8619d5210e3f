//! An upstream that stops in the middle.
//!
//! Where a healthy answer has to come in time as well, the limit grows until the machine is fast enough for it.

use reqwest::Response;
use serde_json::Value;
use slarouter_testkit::Script;

use crate::setup::{Rig, Settings, chunk, error};

/// A gateway whose first model stalls for two calls, and what came of the first request.
async fn stalled_twice(stream: bool) -> (Rig, Response) {
    let limits = ["response_timeout_s = 0.1", "response_timeout_s = 2.0", "response_timeout_s = 20.0"];
    for (place, upstream) in limits.into_iter().enumerate() {
        let rig = Rig::start(&Settings { upstream, ..Settings::default() }).await;
        rig.upstream.script(Script::bare().stall());
        // Of a stream, the head alone is no answer yet.
        rig.upstream.script(if stream { Script::event_stream().stall() } else { Script::bare().stall() });
        let answer = rig.ask(stream).await;
        if answer.status() != 504 || place == limits.len() - 1 {
            return (rig, answer);
        }
        assert_eq!(rig.called(), ["a/ok", "a/ok", "b/ok"], "the healthy answer did not come in time");
    }
    unreachable!("the last limit returns")
}

#[tokio::test]
async fn a_stall_before_the_first_byte_is_tried_again_and_then_elsewhere() {
    for stream in [false, true] {
        let (rig, answer) = stalled_twice(stream).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["x-slarouter-model"], "large");
        assert_eq!(answer.headers()["x-slarouter-decision"], "rerouted");
        let text = answer.text().await.unwrap();
        assert_eq!(text.contains("[DONE]"), stream, "{text}");
        assert_eq!(rig.called(), ["a/ok", "a/ok", "b/ok"]);
        assert!(rig.metrics().await.contains("slarouter_upstream_failures_total{model=\"small\",kind=\"timeout\"} 2"));
        let left = rig.stop().await;
        let [outcome] = &left.outcomes[..] else { panic!("{:?}", left.outcomes) };
        assert_eq!((outcome.status, outcome.ok, outcome.attempts, &*outcome.model), (200, true, 3, "large"));
    }
}

#[tokio::test]
async fn when_all_stall_the_client_gets_a_504() {
    let rig = Rig::start(&Settings { upstream: "response_timeout_s = 0.05", ..Settings::default() }).await;
    for _ in 0..3 {
        rig.upstream.script(Script::bare().stall());
    }
    let answer = rig.ask(false).await;
    assert_eq!(answer.status(), 504);
    assert_eq!(answer.headers()["x-should-retry"], "false");
    let body: Value = answer.json().await.unwrap();
    assert_eq!(error(&body)["code"], "upstream_timeout");
    let left = rig.stop().await;
    let [outcome] = &left.outcomes[..] else { panic!("{:?}", left.outcomes) };
    assert_eq!((outcome.status, outcome.ok, outcome.attempts, outcome.cost), (504, false, 3, 0.0));
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
