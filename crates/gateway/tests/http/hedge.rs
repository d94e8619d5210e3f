//! Second calls beside slow ones. What is slow never answers, or when the test says so; how fast the rest is decides nothing.

use std::sync::Arc;

use serde_json::Value;
use slarouter_store::Event;
use slarouter_testkit::{Script, until};
use tokio::sync::Semaphore;

use crate::setup::{Rig, Settings, chunk, question, url};

/// Time for the first call to reach the upstream before the second, so that the two get their scripts in this order.
const SAME: &str = "hedge = { quantile = 0.9, min_s = 0.4 }";
const NEXT: &str = "hedge = { quantile = 0.9, to = \"next\", min_s = 0.4 }";

/// A gateway that knows how long its models usually take.
async fn warm(upstream: &'static str) -> Rig {
    let rig = Rig::start(&Settings { upstream, ..Settings::default() }).await;
    for stream in [false, true] {
        for _ in 0..20 {
            let answer = rig.ask(stream).await;
            assert_eq!(answer.status(), 200);
            answer.bytes().await.unwrap();
        }
    }
    rig
}

fn hedges(metrics: &str) -> Vec<&str> {
    metrics.lines().filter_map(|line| line.strip_prefix("slarouter_hedges_total")).collect()
}

#[tokio::test]
async fn the_same_model_is_asked_again_and_the_slow_call_is_dropped_and_paid_for() {
    let rig = warm(SAME).await;
    for stream in [false, true] {
        let before = rig.called().len();
        // Of a stream, the head alone is no answer yet.
        rig.upstream.script(if stream { Script::event_stream().stall() } else { Script::bare().stall() });
        let answer = rig.ask(stream).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["x-slarouter-model"], "small");
        assert_ne!(answer.headers()["x-slarouter-decision"], "rerouted");
        rig.upstream.hung_up(1 + usize::from(stream)).await;
        assert_eq!(&rig.called()[before..], ["a/ok", "a/ok"]);
        let text = answer.text().await.unwrap();
        assert_eq!(text.contains("[DONE]"), stream, "{text}");
    }
    assert_eq!(hedges(&rig.metrics().await), ["{model=\"small\",result=\"won\"} 2"]);
    let left = rig.stop().await;
    assert!(!left.events.iter().any(|event| matches!(event, Event::Rerouted { .. })));
    let (usual, hedged) = left.outcomes.split_at(40);
    // By the usage: 12 tokens in, 4 out.
    let cost = usual[0].cost;
    assert!((cost - 20e-6).abs() < 1e-12, "{cost}");
    for (outcome, streamed) in hedged.iter().zip([false, true]) {
        assert_eq!((outcome.ok, outcome.attempts, &*outcome.model, outcome.streamed), (true, 2, "small", streamed));
        let dropped = outcome.cost - if streamed { usual[39].cost } else { cost };
        assert!((1e-6..30e-6).contains(&dropped), "the question of the dropped call, estimated: {dropped}");
    }
}

#[tokio::test]
async fn what_was_dropped_counts_in_the_budget() {
    let key = "sixteen-letters-1";
    let server = "[[keys]]\nname = \"a\"\nkey = \"sixteen-letters-1\"\nscopes = [\"inference\"]\n\
                  limits = { usd_per_month = 1000.0, tokens_per_minute = 1000000 }\n";
    let rig = Rig::start(&Settings { server, upstream: SAME, ..Settings::default() }).await;
    let ask = async || {
        let answer = rig.post(&question(false)).bearer_auth(key).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.headers()["x-slarouter-cost-usd"].to_str().unwrap().parse::<f64>().unwrap()
    };
    let mut told = 0.0;
    for _ in 0..20 {
        told += ask().await;
    }
    rig.upstream.script(Script::bare().stall());
    let hedged = ask().await;
    assert!(hedged > told / 20.0 + 0.5e-6, "{hedged}");
    let (_upstream, gateway, folder) = rig.into_parts();
    gateway.shutdown().await;
    let store = slarouter_store::open(&url(&folder)).await.unwrap();
    let spent: i64 = store.spending(0).await.unwrap().iter().map(|spent| spent.nano_usd).sum();
    store.close().await;
    // Each is rounded up to 10⁻⁹ USD, and headers are rounded to the nearest.
    assert!((spent as f64 - (told + hedged) * 1e9).abs() <= 42.0, "{spent} of {}", told + hedged);
}

#[tokio::test]
async fn another_model_takes_over_as_after_a_failure() {
    let rig = warm(NEXT).await;
    rig.upstream.script_for("a/ok", Script::bare().stall());
    let answer = rig.ask(false).await;
    assert_eq!((answer.status().as_u16(), &answer.headers()["x-slarouter-model"]), (200, &"large".parse().unwrap()));
    assert_eq!(answer.headers()["x-slarouter-decision"], "rerouted");
    let told: f64 = answer.headers()["x-slarouter-cost-usd"].to_str().unwrap().parse().unwrap();
    let body: Value = answer.json().await.unwrap();
    assert!((body["usage"]["cost"].as_f64().unwrap() - told).abs() < 1e-9, "{body}");
    rig.upstream.hung_up(1).await;
    let metrics = rig.metrics().await;
    assert!(metrics.contains("slarouter_rerouted_total{route=\"default\",from=\"small\",to=\"large\"} 1"), "{metrics}");
    assert!(metrics.contains("slarouter_circuit_state{model=\"small\"} 0"), "to be slow is not to fail");
    assert!(!metrics.contains("slarouter_upstream_failures_total{"), "{metrics}");
    let left = rig.stop().await;
    let reroutes = left.events.iter().filter(|event| matches!(event, Event::Rerouted { .. })).count();
    let last = left.outcomes.last().unwrap();
    assert_eq!((reroutes, &*last.model, last.attempts, last.ok), (1, "large", 2, true));
    assert!((last.cost - told).abs() < 1e-9);
}

#[tokio::test]
async fn the_slow_call_may_still_be_the_first_to_answer() {
    let rig = warm(SAME).await;
    let gate = Arc::new(Semaphore::new(0));
    let late = Script::event_stream().gate(&gate).chunk(chunk("late", Some("stop"))).chunk("data: [DONE]\n\n").end();
    rig.upstream.script(late);
    rig.upstream.script(Script::event_stream().stall());
    let client = rig.client.clone();
    let asked = client.post(rig.url("/v1/chat/completions")).json(&question(true)).send();
    let asked = tokio::spawn(asked);
    rig.upstream.arrived(42).await;
    gate.add_permits(1);
    let text = asked.await.unwrap().unwrap().text().await.unwrap();
    assert!(text.contains("late") && text.ends_with("data: [DONE]\n\n"), "{text}");
    rig.upstream.hung_up(1).await;
    assert_eq!(hedges(&rig.metrics().await), ["{model=\"small\",result=\"lost\"} 1"]);
    let left = rig.stop().await;
    let last = left.outcomes.last().unwrap();
    assert_eq!((last.ok, last.attempts), (true, 2));
}

#[tokio::test]
async fn a_second_call_that_fails_leaves_the_first_alone() {
    let rig = warm(NEXT).await;
    let gate = Arc::new(Semaphore::new(0));
    let late = Script::event_stream().gate(&gate).chunk(chunk("late", Some("stop"))).chunk("data: [DONE]\n\n").end();
    rig.upstream.script_for("a/ok", late);
    rig.upstream.script_for("b/ok", Script::bare().cut());
    let asked = tokio::spawn(rig.post(&question(true)).send());
    let failed = "slarouter_upstream_failures_total{model=\"large\",kind=\"broken\"} 1";
    rig.upstream.arrived(42).await;
    while !rig.metrics().await.contains("hedges_total{model=\"small\",result=\"failed\"}") && !asked.is_finished() {
        // The failure is noted when the race is over.
        gate.add_permits(1);
        tokio::task::yield_now().await;
    }
    let answer = asked.await.unwrap().unwrap();
    assert_eq!(answer.headers()["x-slarouter-model"], "small");
    assert!(answer.text().await.unwrap().contains("late"));
    let metrics = rig.metrics().await;
    assert!(metrics.contains(failed), "{metrics}");
    rig.stop().await;
}

#[tokio::test]
async fn second_calls_end_with_the_retry_budget() {
    let rig = warm("retry_budget = 0\nbreaker_failures = 0\nhedge = { quantile = 0.5, min_s = 0.4 }").await;
    // Ten are saved up.
    for _ in 0..10 {
        rig.upstream.script(Script::bare().stall());
        assert_eq!(rig.ask(false).await.headers()["x-slarouter-model"], "small");
    }
    let gate = Arc::new(Semaphore::new(0));
    rig.upstream.script(Script::bare().gate(&gate).cut());
    let before = rig.called().len();
    let asked = tokio::spawn(rig.post(&question(false)).send());
    let refused = "slarouter_retries_refused_total{model=\"small\"} ";
    until("the second call is refused", async || rig.metrics().await.contains(&format!("{refused}1"))).await;
    gate.add_permits(1);
    assert_eq!(asked.await.unwrap().unwrap().headers()["x-slarouter-model"], "large", "the first has failed");
    assert_eq!(&rig.called()[before..], ["a/ok", "b/ok"]);
    let metrics = rig.metrics().await;
    assert_eq!(hedges(&metrics), ["{model=\"small\",result=\"won\"} 10"]);
    // Once for the second call, once for the retry.
    assert!(metrics.contains(&format!("{refused}2")), "{metrics}");
    rig.stop().await;
}

#[tokio::test]
async fn a_client_that_goes_away_takes_both_calls_with_it() {
    let rig = warm(SAME).await;
    rig.upstream.script(Script::bare().stall());
    rig.upstream.script(Script::bare().stall());
    let asked = tokio::spawn(rig.post(&question(false)).send());
    rig.upstream.arrived(42).await;
    asked.abort();
    rig.upstream.hung_up(2).await;
    let left = rig.stop().await;
    let last = left.outcomes.last().unwrap();
    assert_eq!((last.status, last.ok, last.attempts), (499, false, 2));
}
