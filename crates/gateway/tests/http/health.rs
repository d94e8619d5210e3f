//! Circuits, budgets, places: what the gateway does about an upstream that keeps failing.

use reqwest::header::RETRY_AFTER;
use serde_json::{Value, json};
use slarouter_store::Event;
use slarouter_testkit::{Script, until};

use crate::setup::{Rig, Settings, chunk, error, question};

fn down() -> Script {
    Script::json(503, &json!({ "error": { "message": "down", "type": "server_error", "param": null, "code": null } }))
}

async fn model(rig: &Rig) -> String {
    let answer = rig.ask(false).await;
    assert_eq!(answer.status(), 200);
    let model = answer.headers()["x-slarouter-model"].to_str().unwrap().to_owned();
    answer.bytes().await.unwrap();
    model
}

#[tokio::test]
async fn an_open_circuit_takes_the_model_out_of_the_decision() {
    let upstream = "retries = 0\nbreaker_failures = 3\nbreaker_open_s = 1000";
    let rig = Rig::start(&Settings { upstream, ..Settings::default() }).await;
    for _ in 0..3 {
        rig.upstream.script(down());
        assert_eq!(model(&rig).await, "large");
    }
    assert!(rig.metrics().await.contains("slarouter_circuit_state{model=\"small\"} 2"));
    let called = rig.called().len();
    assert_eq!(model(&rig).await, "large");
    assert_eq!(&rig.called()[called..], ["b/ok"], "the model that is down is not asked");
    // Who names it gets it all the same.
    let named = json!({ "model": "small", "messages": [{ "role": "user", "content": "one" }] });
    assert_eq!(rig.post(&named).send().await.unwrap().headers()["x-slarouter-model"], "small");
    assert!(
        rig.metrics().await.contains("slarouter_circuit_state{model=\"small\"} 0"),
        "its success closes the circuit"
    );
    let left = rig.stop().await;
    let decisions: Vec<_> = left
        .events
        .iter()
        .filter_map(|event| if let Event::Decided { decision, .. } = event { Some(decision) } else { None })
        .collect();
    assert_eq!(&*decisions[0].choice().model, "small");
    let excluded = decisions[3];
    assert_eq!((&*excluded.choice().model, excluded.candidate("small").unwrap().probability), ("large", 0.0));
}

#[tokio::test]
async fn a_probe_closes_the_circuit_again() {
    let upstream = "retries = 0\nbreaker_failures = 1\nbreaker_open_s = 0.001";
    let rig = Rig::start(&Settings { upstream, ..Settings::default() }).await;
    rig.upstream.script(down());
    assert_eq!(model(&rig).await, "large");
    until("small is asked again", async || model(&rig).await == "small").await;
    assert!(rig.metrics().await.contains("slarouter_circuit_state{model=\"small\"} 0"));
    rig.stop().await;
}

#[tokio::test]
async fn when_every_circuit_is_open_the_chosen_model_is_tried() {
    let upstream = "retries = 0\nbreaker_failures = 1\nbreaker_open_s = 1000";
    let rig = Rig::start(&Settings { upstream, ..Settings::default() }).await;
    rig.upstream.script(down());
    rig.upstream.script(down());
    assert_eq!(rig.ask(false).await.status(), 503);
    assert_eq!(model(&rig).await, "small", "trying beats refusing");
    rig.stop().await;
}

#[tokio::test]
async fn retry_after_is_obeyed() {
    let rig = Rig::start(&Settings::default()).await;
    rig.upstream.script(down().header("retry-after", "30"));
    assert_eq!(model(&rig).await, "large");
    assert_eq!(model(&rig).await, "large");
    assert_eq!(rig.called(), ["a/ok", "b/ok", "b/ok"], "it is neither retried nor chosen");
    rig.stop().await;

    let rig = Rig::start(&Settings { upstream: "retry_after_max_s = 0.001", ..Settings::default() }).await;
    rig.upstream.script(down().header("retry-after", "30"));
    assert_eq!(model(&rig).await, "large");
    until("small is asked again", async || model(&rig).await == "small").await;
    rig.stop().await;
}

#[tokio::test]
async fn retry_after_may_be_a_date_by_the_upstreams_own_clock() {
    const NOON: &str = "Thu, 26 Nov 2026 12:00:00 GMT";
    let dated = |until: &str| down().header("date", NOON).header("retry-after", until);
    for (until, waits) in [
        ("Thu, 26 Nov 2026 12:00:30 GMT", true),
        ("Fri, 31 Dec 9999 23:59:59 GMT", true),
        ("99999999999999999999999", true),
        ("Thu, 26 Nov 2026 11:00:00 GMT", false),
        ("0", false),
        ("-5", false),
        ("soon", false),
    ] {
        let rig = Rig::start(&Settings { upstream: "backoff_s = 0.001", ..Settings::default() }).await;
        rig.upstream.script(dated(until));
        assert_eq!(model(&rig).await, if waits { "large" } else { "small" }, "{until}");
        assert_eq!(model(&rig).await, if waits { "large" } else { "small" }, "{until}");
        assert_eq!(rig.called()[..2], if waits { ["a/ok", "b/ok"] } else { ["a/ok", "a/ok"] }, "{until}");
        let circuit = format!("slarouter_circuit_state{{model=\"small\"}} {}", if waits { 2 } else { 0 });
        assert!(rig.metrics().await.contains(&circuit), "{until}");
        rig.stop().await;
    }

    // However far off, it is obeyed no longer than is configured.
    let rig = Rig::start(&Settings { upstream: "retry_after_max_s = 0.001", ..Settings::default() }).await;
    rig.upstream.script(dated("Fri, 31 Dec 9999 23:59:59 GMT"));
    assert_eq!(model(&rig).await, "large");
    until("small is asked again", async || model(&rig).await == "small").await;
    rig.stop().await;
}

#[tokio::test]
async fn retry_after_is_passed_on_in_seconds() {
    for (until, told) in [
        ("7", Some("7")),
        ("1.2", Some("2")),
        ("Thu, 26 Nov 2026 12:00:30 GMT", Some("30")),
        ("Thu, 26 Nov 2026 11:00:00 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", Some("31536000")),
        ("soon", None),
    ] {
        let rig = Rig::start(&Settings { upstream: "max_attempts = 1", ..Settings::default() }).await;
        rig.upstream.script(down().header("date", "Thu, 26 Nov 2026 12:00:00 GMT").header("retry-after", until));
        let answer = rig.ask(false).await;
        let header = answer.headers().get(RETRY_AFTER).map(|value| value.to_str().unwrap());
        assert_eq!((answer.status().as_u16(), header), (503, told), "{until}");
        rig.stop().await;
    }
}

#[tokio::test]
async fn retries_end_with_their_budget() {
    let upstream = "retry_budget = 0\nbreaker_failures = 0\nbackoff_s = 0.001";
    let rig = Rig::start(&Settings { upstream, ..Settings::default() }).await;
    for request in 0..12 {
        rig.upstream.script(down());
        if request < 10 {
            rig.upstream.script(down());
        }
        assert_eq!(model(&rig).await, "large");
    }
    let retried = rig.called().iter().filter(|model| *model == "a/ok").count() - 12;
    assert_eq!(retried, 10, "what was saved up");
    assert!(rig.metrics().await.contains("slarouter_retries_refused_total{model=\"small\"} 2"));
    rig.stop().await;
}

#[tokio::test]
async fn a_full_model_is_passed_over_and_a_named_one_says_when_to_come_again() {
    let settings = Settings { small: "max_concurrency = 1", upstream: "queue_timeout_s = 0.01", ..Settings::default() };
    let rig = Rig::start(&settings).await;
    rig.upstream.script(Script::event_stream().chunk(chunk("one", None)).stall());
    let mut open = rig.ask(true).await;
    assert!(open.chunk().await.unwrap().is_some());
    assert_eq!(model(&rig).await, "large");
    let named = json!({ "model": "small", "messages": [{ "role": "user", "content": "one" }] });
    let refused = rig.post(&named).send().await.unwrap();
    assert_eq!(refused.status(), 503);
    assert_eq!(
        (&refused.headers()[RETRY_AFTER], &refused.headers()["x-should-retry"]),
        (&"1".parse().unwrap(), &"true".parse().unwrap())
    );
    let body: Value = refused.json().await.unwrap();
    assert_eq!(error(&body)["code"], "upstream_busy");
    assert!(rig.metrics().await.contains("slarouter_upstream_failures_total{model=\"small\",kind=\"busy\"} 2"));
    assert_eq!(rig.called(), ["a/ok", "b/ok"]);

    // The place is free again once the client that had it is gone.
    drop(open);
    rig.upstream.hung_up(1).await;
    assert_eq!(model(&rig).await, "small");
    let left = rig.stop().await;
    assert_eq!(left.outcomes.len(), 4);
}

#[tokio::test]
async fn clients_that_go_away_open_no_circuit() {
    let rig = Rig::start(&Settings { upstream: "breaker_failures = 1", ..Settings::default() }).await;
    rig.upstream.script(Script::event_stream().chunk(chunk("one", None)).stall());
    let mut answer = rig.ask(true).await;
    assert!(answer.chunk().await.unwrap().is_some());
    drop(answer);
    rig.upstream.hung_up(1).await;
    rig.upstream.script(Script::bare().stall());
    let request = tokio::spawn(rig.post(&question(false)).send());
    rig.upstream.arrived(2).await;
    request.abort();
    rig.upstream.hung_up(2).await;
    assert_eq!(model(&rig).await, "small");
    rig.stop().await;
}
