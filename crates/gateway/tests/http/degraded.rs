//! Trouble of the log and of the learner fails no request, loses nothing in silence, and passes.

use rusqlite::Connection;
use serde_json::json;
use slarouter_testkit::until;
use tempfile::TempDir;

use crate::setup::{Rig, Settings, read, url, verified};

/// A policy whose fallback is not the model that the others would choose.
const ROUTE: &str = "policy = \"certified\"\nfallback = \"large\"\nexploration = 0";

/// Another program at the gateway's database.
fn intruder(folder: &TempDir) -> Connection {
    Connection::open(url(folder).strip_prefix("sqlite://").unwrap()).unwrap()
}

fn run(connection: &Connection, statements: &[&str]) {
    statements.iter().for_each(|statement| connection.execute_batch(statement).unwrap());
}

/// The id of an answer, and what it says of the learning.
async fn asked(rig: &Rig, stream: bool) -> (String, Option<String>) {
    let answer = rig.ask(stream).await;
    assert_eq!(answer.status(), 200);
    let header = |name| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let asked = (header("x-request-id").unwrap(), header("x-slarouter-degraded"));
    answer.bytes().await.unwrap();
    asked
}

fn rate(rig: &Rig, id: &str) -> impl Future<Output = reqwest::Response> + Send + use<> {
    let rating = rig.client.post(rig.url("/v1/feedback")).json(&json!({ "id": id, "rating": "up" }));
    async { rating.send().await.unwrap() }
}

#[tokio::test]
async fn while_the_database_is_locked_requests_are_answered_and_say_so() {
    let rig = Rig::start(&Settings::default()).await;
    let other = intruder(rig.folder());
    run(&other, &["BEGIN IMMEDIATE"]);

    let (id, _) = asked(&rig, false).await;
    // A rating is acknowledged only when it is on disk; by its refusal the log has failed.
    let refused = rate(&rig, &id).await;
    assert_eq!((refused.status().as_u16(), refused.headers().contains_key("retry-after")), (503, true));
    for stream in [false, true] {
        assert_eq!(asked(&rig, stream).await.1.as_deref(), Some("store"));
    }
    assert!(rig.metrics().await.contains("slarouter_degraded_total{reason=\"store\"} 2"));
    let state = async || {
        let answer = rig.client.get(rig.url("/readyz")).send().await.unwrap();
        let header = answer.headers().get("x-slarouter-degraded").map(|value| value.to_str().unwrap().to_owned());
        (answer.status().as_u16(), header, answer.text().await.unwrap())
    };
    assert_eq!(state().await, (200, Some("store".to_owned()), "degraded: store".to_owned()));

    run(&other, &["ROLLBACK"]);
    drop(other);
    assert_eq!(rate(&rig, &id).await.status(), 202, "what was logged meanwhile is there");
    assert_eq!(state().await, (200, None, "ready".to_owned()));
    assert_eq!(asked(&rig, false).await.1, None);
    let (_upstream, gateway, folder) = rig.into_parts();
    gateway.shutdown().await;
    assert_eq!(read(&folder).await.outcomes.len(), 4, "nothing was lost");
    assert_eq!(
        verified(&folder).await.learners()["default"].router().account().labels,
        1,
        "what was refused counts for nothing"
    );
}

#[tokio::test]
async fn a_slow_disk_delays_the_acknowledgement_and_no_request() {
    let rig = Rig::start(&Settings::default()).await;
    let (id, _) = asked(&rig, false).await;
    let other = intruder(rig.folder());
    // Shorter than what the gateway waits for a lock, so that to it the disk is slow and not broken.
    run(&other, &["BEGIN IMMEDIATE"]);
    let rated = tokio::spawn(rate(&rig, &id));
    for stream in [false, true, false] {
        assert_eq!(asked(&rig, stream).await.1, None);
    }
    assert!(!rated.is_finished(), "nothing is acknowledged that is not on disk");
    run(&other, &["ROLLBACK"]);
    assert_eq!(rated.await.unwrap().status(), 202);
    let metrics = rig.metrics().await;
    assert!(
        metrics.contains("slarouter_unlogged_total 0") && !metrics.contains("slarouter_degraded_total{"),
        "{metrics}"
    );
    assert_eq!(rig.stop().await.outcomes.len(), 4);
}

#[tokio::test]
async fn what_the_queue_cannot_hold_is_counted_and_no_request_fails() {
    let rig = Rig::start(&Settings { store: "queue = 4", ..Settings::default() }).await;
    let (id, _) = asked(&rig, false).await;
    assert_eq!(rate(&rig, &id).await.status(), 202);
    let other = intruder(rig.folder());
    run(&other, &["BEGIN IMMEDIATE"]);
    // As many as it takes: what comes within some milliseconds goes into one transaction.
    let mut requests = 0;
    while unlogged(&rig).await == 0 {
        asked(&rig, requests % 2 == 0).await;
        requests += 1;
    }
    run(&other, &["ROLLBACK"]);
    let lost = unlogged(&rig).await;
    let made = 2 * (requests + 2);
    assert!(lost <= 2 * requests, "{lost}");
    // Ratings are never dropped: they wait for a place.
    assert_eq!(rate(&rig, &id).await.status(), 202);
    let (last, _) = asked(&rig, false).await;
    assert_eq!(rate(&rig, &last).await.status(), 202, "all is well again");
    let left = rig.stop().await;
    let decided = left.events.iter().filter(|event| matches!(event, slarouter_store::Event::Decided { .. })).count();
    let logged = decided + left.outcomes.len();
    // An outcome whose decision was lost is not among the events.
    assert!((logged as u64) < made && logged as u64 + lost <= made, "{logged} of {made} logged, {lost} lost");
}

async fn unlogged(rig: &Rig) -> u64 {
    let metrics = rig.metrics().await;
    metrics.lines().find_map(|line| line.strip_prefix("slarouter_unlogged_total ")?.parse().ok()).unwrap()
}

#[tokio::test]
async fn a_log_that_cannot_be_read_stops_the_learning_alone_and_it_goes_on_where_it_was() {
    let rig = Rig::start(&Settings { route: Some(ROUTE), ..Settings::default() }).await;
    let (id, _) = asked(&rig, false).await;
    let other = intruder(rig.folder());
    // A table that requests do not write to.
    run(&other, &["ALTER TABLE route_configs RENAME TO away"]);
    until("an answer says that it is degraded", async || asked(&rig, false).await.1.is_some()).await;
    for stream in [false, true] {
        assert_eq!(asked(&rig, stream).await.1.as_deref(), Some("learner"));
    }
    assert_eq!(rate(&rig, &id).await.status(), 202, "ratings need the log alone");
    assert!(rig.metrics().await.contains("slarouter_degraded_total{reason=\"learner\"}"));

    run(&other, &["ALTER TABLE away RENAME TO route_configs"]);
    // It looks again by itself.
    learnt_all(&rig).await;
    assert_eq!(asked(&rig, false).await.1, None);
    let (_upstream, gateway, folder) = rig.into_parts();
    gateway.shutdown().await;
    let learning = verified(&folder).await;
    let certificate = learning.learners()["default"].router().certificate().unwrap();
    let answered = read(&folder).await.outcomes.len() as u64;
    assert_eq!((certificate.requests, certificate.labels), (answered, 1), "nothing was passed over");
}

/// Until the learner has read what is in the log.
async fn learnt_all(rig: &Rig) {
    let seq = |metrics: &str, name: &str| {
        metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok()).unwrap()
    };
    until("the learner has read the whole log", async || {
        let metrics = rig.metrics().await;
        seq(&metrics, "slarouter_learner_seq") == seq(&metrics, "slarouter_log_seq")
    })
    .await;
}

async fn ready(rig: &Rig) -> String {
    rig.client.get(rig.url("/readyz")).send().await.unwrap().text().await.unwrap()
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_named_and_stops_nothing() {
    let settings = Settings { route: Some(ROUTE), ..Settings::default() };
    let mut rig = Rig::start(&settings).await;
    let other = intruder(rig.folder());
    run(
        &other,
        &[
            "CREATE TRIGGER spoil AFTER INSERT ON decisions BEGIN UPDATE decisions SET candidates = x'00' WHERE seq = NEW.seq; END",
        ],
    );
    let (spoilt, _) = asked(&rig, false).await;
    assert_eq!(rate(&rig, &spoilt).await.status(), 202, "it is in the log, with the decision that cannot be read");
    run(&other, &["DROP TRIGGER spoil"]);
    let (sound, degraded) = asked(&rig, false).await;
    assert_eq!(degraded, None, "it is decided as ever");
    assert_eq!(rate(&rig, &sound).await.status(), 202);
    learnt_all(&rig).await;
    let decision: i64 = other.query_row("SELECT MIN(seq) FROM decisions", [], |row| row.get(0)).unwrap();
    let feedback: i64 = other.query_row("SELECT MIN(seq) FROM feedback", [], |row| row.get(0)).unwrap();
    let named = format!("decisions {decision}, feedback {feedback}");
    let told = format!("degraded: rows of the log cannot be read: {named}; see slarouter doctor");
    assert_eq!(ready(&rig).await, told);
    assert!(rig.metrics().await.contains("slarouter_unreadable_rows 2"));

    // They are known after a start from the saved state, and without one the log says the same again.
    for forget in [false, true] {
        let (upstream, gateway, folder) = rig.into_parts();
        gateway.shutdown().await;
        let learning = verified(&folder).await;
        assert_eq!(learning.unreadable().to_string(), named);
        assert!(
            learning.unreadable().rows[0].what.starts_with("candidates: no candidates in it"),
            "{:?}",
            learning.unreadable()
        );
        let certificate = learning.learners()["default"].router().certificate().unwrap();
        assert_eq!(
            (certificate.requests, certificate.labels),
            (1, 1),
            "the rest is learnt, and no rating without its decision"
        );
        if forget {
            run(&intruder(&folder), &["DELETE FROM snapshots"]);
        }
        rig = Rig::resume(&settings, upstream, folder).await;
        assert_eq!(ready(&rig).await, told);
    }
    rig.stop().await;
}

#[tokio::test]
async fn where_what_was_learnt_cannot_be_used_the_fallback_serves() {
    let settings = Settings { route: Some(ROUTE), small: "prior = 0.99", ..Settings::default() };
    let rig = Rig::start(&settings).await;
    let (upstream, gateway, folder) = rig.into_parts();
    gateway.shutdown().await;
    let other = intruder(&folder);
    // No route can be learnt from what the log will say of it.
    run(
        &other,
        &[
            "DELETE FROM snapshots",
            "UPDATE route_configs SET spec = '{}'",
            "CREATE TRIGGER spoil AFTER INSERT ON route_configs BEGIN UPDATE route_configs SET spec = '{}' WHERE seq = NEW.seq; END",
        ],
    );
    let rig = Rig::resume(&settings, upstream, folder).await;
    for stream in [false, true] {
        let answer = rig.ask(stream).await;
        assert_eq!(answer.status(), 200);
        for (name, value) in
            [("x-slarouter-degraded", "state"), ("x-slarouter-model", "large"), ("x-slarouter-decision", "fallback")]
        {
            assert_eq!(answer.headers()[name], value);
        }
        let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
        answer.bytes().await.unwrap();
        assert_eq!(rate(&rig, &id).await.status(), 202, "it is in the log for whoever can learn from it");
    }
    assert!(rig.metrics().await.contains("slarouter_degraded_total{reason=\"state\"} 2"));
    let (upstream, gateway, folder) = rig.into_parts();
    gateway.shutdown().await;
    run(&other, &["DROP TRIGGER spoil", "DELETE FROM route_configs"]);
    let rig = Rig::resume(&settings, upstream, folder).await;
    assert_eq!(asked(&rig, false).await.1, None);
    assert_eq!(rig.stop().await.outcomes.len(), 3);
}

#[tokio::test]
async fn a_damaged_saved_state_is_made_again_from_the_log() {
    for damage in [
        "UPDATE snapshots SET state = x'00ff00'",
        "UPDATE snapshots SET state = substr(state, 1, length(state) / 2)",
        "UPDATE snapshots SET state = zeroblob(length(state))",
    ] {
        let settings = Settings { route: Some(ROUTE), ..Settings::default() };
        let rig = Rig::start(&settings).await;
        let (id, _) = asked(&rig, false).await;
        assert_eq!(rate(&rig, &id).await.status(), 202);
        let (upstream, gateway, folder) = rig.into_parts();
        gateway.shutdown().await;
        run(&intruder(&folder), &[damage]);
        let rig = Rig::resume(&settings, upstream, folder).await;
        assert_eq!(rig.gateway.routes()[0].account.labels, 1, "{damage}");
        assert_eq!(asked(&rig, false).await.1, None, "{damage}");
        assert_eq!(rig.stop().await.outcomes.len(), 2);
    }
}
