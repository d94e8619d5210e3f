//! Rows that do not hold what the gateway writes: each is an event by itself, and stops none of the others.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

#[path = "common/outcomes.rs"]
mod outcomes;
#[path = "common/records.rs"]
mod records;
#[path = "common/stores.rs"]
mod stores;

use rusqlite::Connection;
use slarouter_core::{DecisionId, Timestamp};
use slarouter_store::{Entry, Event, open};

use outcomes::outcome;
use records::{decision, rating};
use stores::Place;

/// A configuration, then two decisions with all that can become of them: their events, after this was done to the database.
async fn events_after(place: &Place, damage: &str) -> Vec<Event> {
    let store = open(&place.url()).await.unwrap();
    store.configure(Timestamp(0), "r", "{}").await.unwrap();
    for id in [1, 2] {
        store.log(decision(id, None)).unwrap();
        store.log(Entry::Reroute { decision: DecisionId(id), model: "m".into() }).unwrap();
        store.log(Entry::Outcome(outcome(id, 1, 500))).unwrap();
        store.flush().await.unwrap();
        store.rate(rating(id, 1, Some(1.0), 2), u64::MAX).await.unwrap();
    }
    place.run(damage);
    let events = store.events_after(0, 100).await.unwrap();
    // In pages it is the same.
    let mut paged = Vec::new();
    while let [event] = &store.events_after(paged.len() as u64, 1).await.unwrap()[..] {
        paged.push(event.clone());
    }
    store.close().await;
    assert_eq!(events, paged);
    events
}

#[tokio::test]
async fn each_damage_is_told_of_the_rows_that_it_hits() {
    let all = ["decisions 2", "reroutes 3", "outcomes 4", "feedback 5"];
    for (damage, hit, what) in [
        ("UPDATE decisions SET candidates = x'0100' WHERE seq = 2", &all[..], "candidates: "),
        ("UPDATE decisions SET candidates = x'' WHERE seq = 2", &all, "candidates: "),
        // The chosen one comes after the first byte.
        (
            "UPDATE decisions SET candidates = CAST(x'0101' || substr(candidates, 3) AS BLOB) WHERE seq = 2",
            &all,
            "candidates: no candidates in it",
        ),
        ("UPDATE decisions SET zoo = 99 WHERE seq = 2", &all, "zoo: there is no such zoo"),
        (
            "INSERT INTO zoos VALUES (99, CAST(x'ff' AS TEXT), -1, '', ''); UPDATE decisions SET zoo = 99 WHERE seq = 2",
            &all,
            "zoo: there is no such zoo",
        ),
        (
            "UPDATE decisions SET candidates = CAST(substr(candidates, 1, 3) || x'000000000000f87f' || substr(candidates, 12) AS BLOB) \
             WHERE seq = 2",
            &all,
            "candidates: no candidates in it",
        ),
        // As release 0.1 wrote them.
        ("UPDATE decisions SET zoo = NULL, decision = '{\"cut' WHERE seq = 2", &all, "decision: "),
        (
            "UPDATE decisions SET zoo = NULL, decision = '{\"candidates\":[],\"chosen\":0,\"reason\":\"exploit\"}' WHERE seq = 2",
            &all,
            "decision: it chooses no candidate",
        ),
        ("UPDATE decisions SET route = CAST(x'ff' AS TEXT) WHERE seq = 2", &all, "route: "),
        ("UPDATE decisions SET reason = 'whim' WHERE seq = 2", &all, "reason: unknown reason"),
        ("UPDATE decisions SET features = x'0000' WHERE seq = 2", &all[3..], "features: "),
        ("UPDATE decisions SET feature_version = -1 WHERE seq = 2", &all[3..], "feature_version: "),
        ("UPDATE outcomes SET status = 70000 WHERE seq = 4", &all[2..3], "status: "),
        ("UPDATE feedback SET rating = 1.5 WHERE seq = 5", &all[3..], "rating: "),
        ("UPDATE feedback SET receipt = 'perhaps' WHERE seq = 5", &all[3..], "receipt: unknown receipt"),
        ("UPDATE route_configs SET spec = CAST(x'ff' AS TEXT)", &["route_configs 1"], "spec: "),
    ] {
        told(&Place::file(), damage, hit, what).await;
    }
}

/// What can be damaged on a server: texts there are always texts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_damage_on_a_server_is_told_of_the_rows_that_it_hits() {
    let all = ["decisions 2", "reroutes 3", "outcomes 4", "feedback 5"];
    for (damage, hit, what) in [
        (r"UPDATE decisions SET candidates = '\x0100' WHERE seq = 2", &all[..], "candidates: "),
        (r"UPDATE decisions SET candidates = '\x' WHERE seq = 2", &all, "candidates: "),
        ("UPDATE decisions SET zoo = 99 WHERE seq = 2", &all, "zoo: there is no such zoo"),
        (
            "UPDATE zoos SET models = 'none'; UPDATE decisions SET reason = 'exploit'",
            &ALL_OF_BOTH,
            "zoo: there is no such zoo",
        ),
        (
            r"UPDATE decisions SET candidates = substring(candidates FOR 3) || '\x000000000000f87f' || substring(candidates FROM 12) WHERE seq = 2",
            &all,
            "candidates: no candidates in it",
        ),
        ("UPDATE decisions SET zoo = NULL, decision = '{\"cut' WHERE seq = 2", &all, "decision: "),
        ("UPDATE decisions SET reason = 'whim' WHERE seq = 2", &all, "reason: unknown reason"),
        (r"UPDATE decisions SET features = '\x0000' WHERE seq = 2", &all[3..], "features: "),
        ("UPDATE decisions SET feature_version = -1 WHERE seq = 2", &all[3..], "feature_version: "),
        ("UPDATE outcomes SET status = 70000 WHERE seq = 4", &all[2..3], "status: "),
        ("UPDATE feedback SET rating = 1.5 WHERE seq = 5", &all[3..], "rating: "),
        ("UPDATE feedback SET receipt = 'perhaps' WHERE seq = 5", &all[3..], "receipt: unknown receipt"),
    ] {
        told(&Place::server(), damage, hit, what).await;
    }
}

/// All events of the two decisions.
const ALL_OF_BOTH: [&str; 8] =
    ["decisions 2", "reroutes 3", "outcomes 4", "feedback 5", "decisions 6", "reroutes 7", "outcomes 8", "feedback 9"];

async fn told(place: &Place, damage: &str, hit: &[&str], what: &str) {
    let events = events_after(place, damage).await;
    assert_eq!(events.iter().map(Event::seq).collect::<Vec<_>>(), (1..=9).collect::<Vec<_>>(), "{damage}");
    let mut found = Vec::new();
    for event in &events {
        if let Event::Unreadable { seq, table, what: told } = event {
            assert!(told.starts_with(what), "{damage}: {table} {seq}: {told}");
            found.push(format!("{table} {seq}"));
        }
    }
    assert_eq!(found, hit, "{damage}");
}

#[tokio::test]
async fn a_configuration_that_cannot_be_read_is_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let store = open(&format!("sqlite://{}", path.display())).await.unwrap();
    store.configure(Timestamp(0), "r", "{}").await.unwrap();
    store.configure(Timestamp(0), "r", "{}").await.unwrap();
    Connection::open(&path).unwrap().execute_batch("UPDATE route_configs SET spec = CAST(x'ff' AS TEXT)").unwrap();
    store.configure(Timestamp(0), "r", "{}").await.unwrap();
    let events = store.events_after(0, 100).await.unwrap();
    assert!(
        matches!(&events[..], [Event::Unreadable { seq: 1, .. }, Event::Configured { seq: 2, spec, .. }] if spec == "{}"),
        "{events:?}"
    );
    store.close().await;
}

#[tokio::test]
async fn a_database_that_cannot_be_read_is_an_error_still() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let store = open(&format!("sqlite://{}", path.display())).await.unwrap();
    Connection::open(&path).unwrap().execute_batch("ALTER TABLE feedback RENAME TO away").unwrap();
    let error = store.events_after(0, 100).await.unwrap_err().to_string();
    assert!(error.contains("no such table: feedback"), "{error}");
    store.close().await;
}
