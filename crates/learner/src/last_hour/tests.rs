//! What is held in memory against what the store says.

#[path = "../../../store/tests/common/outcomes.rs"]
mod outcomes;
#[path = "../../../store/tests/common/records.rs"]
mod records;

use outcomes::outcome;
use records::{decision, rating};
use slarouter_store::{Calendar, Entry, OutcomeRecord};
use tempfile::TempDir;

use super::*;

/// Some minute in 2026, not at its start.
const BEGAN: u64 = 1_774_720_823_456;

/// A request at that minute, answered by a model of a route, and a thumb up for it.
async fn serve(store: &dyn Store, id: u128, minute: u64, route: &str, model: &str) {
    let Entry::Decision(mut record) = decision(id, None) else { panic!("no decision") };
    (record.time, record.route) = (Timestamp(BEGAN + minute * MINUTE_MS), route.into());
    let time = record.time.0;
    store.log(Entry::Decision(record)).unwrap();
    if model != "m" {
        store.log(Entry::Reroute { decision: slarouter_core::DecisionId(id), model: model.into() }).unwrap();
    }
    store.log(Entry::Outcome(OutcomeRecord { model: model.into(), ..outcome(id, time, 200) })).unwrap();
    store.rate(rating(id, 1, Some(1.0), time), u64::MAX).await.unwrap();
}

async fn add(last_hour: &LastHour, store: &dyn Store, now: Timestamp) {
    last_hour.add(store.roll_up(&Calendar::default(), Vec::new()).await.unwrap().minutes, now);
}

/// What the store says of the hour that ends at `now`.
async fn asked(store: &dyn Store, now: Timestamp) -> Vec<Row> {
    let hour = Selection { from: Timestamp(now.0 - HOUR_MS), to: now, ..Selection::default() };
    store.totals(hour, &[By::Route, By::Model]).await.unwrap()
}

#[tokio::test]
async fn what_is_held_is_what_the_store_says_also_after_a_start() {
    let folder = TempDir::new().unwrap();
    let store = slarouter_store::open(&format!("sqlite://{}", folder.path().join("log.db").display())).await.unwrap();
    let store = store.as_ref();
    let at = |minute: u64| Timestamp(BEGAN + minute * MINUTE_MS);
    let held = LastHour::default();
    // One that was too old when it came is never in it.
    serve(store, 1, 0, "r", "m").await;
    add(&held, store, at(70)).await;
    assert_eq!(held.rows(at(70)), []);
    for (id, minute, route, model) in [(2, 20, "r", "m"), (3, 20, "r", "other"), (4, 60, "s", "m"), (5, 70, "r", "m")] {
        serve(store, id, minute, route, model).await;
        add(&held, store, at(70)).await;
    }
    // A late word on what was decided long before counts there.
    store.rate(rating(2, 2, Some(0.0), at(70).0), u64::MAX).await.unwrap();
    add(&held, store, at(70)).await;
    let begun = LastHour::default();
    begun.load(store, at(70)).await.unwrap();
    for minute in [70, 80, 81, 125] {
        let rows = asked(store, at(minute)).await;
        assert_eq!(held.rows(at(minute)), rows, "{minute}");
        assert_eq!(begun.rows(at(minute)), rows, "{minute}");
    }
    let ratings: Vec<_> = held.rows(at(70)).iter().map(|row| (row.totals.ratings, row.totals.rating_micro)).collect();
    assert_eq!(ratings, [(3, 2_000_000), (1, 1_000_000), (1, 1_000_000)]);
    assert_eq!(held.rows(at(140)), []);
    add(&held, store, at(140)).await;
    assert!(held.held().is_empty(), "what is older than an hour is not kept");
    store.close().await;
}
