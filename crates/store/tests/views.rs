//! What the page of a route needs beside sums.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

#[path = "common/outcomes.rs"]
mod outcomes;
#[path = "common/stores.rs"]
mod stores;

use std::sync::Arc;

use outcomes::outcome;
use slarouter_core::{AuditDraw, Candidate, Decision, DecisionId, Rater, Rating, Reason, Source, Timestamp};
use slarouter_store::{Calendar, Configured, DecisionRecord, Entry, FeedbackRecord, Payer, Store, TENTHS, Tenth, open};
use stores::{Place, on_both_stores};

const MINUTE: u64 = 60_000;

async fn store(place: &Place) -> Arc<dyn Store> {
    open(&place.url()).await.unwrap()
}

/// A decision of route `r` for model `m`, of which this satisfaction is predicted.
fn decision(id: u128, minute: u64, satisfaction: f64) -> DecisionRecord {
    let only = Candidate { model: "m".into(), probability: 1.0, satisfaction, ..Candidate::default() };
    DecisionRecord {
        id: DecisionId(id),
        time: Timestamp(minute * MINUTE),
        route: "r".into(),
        decision: Decision { candidates: vec![only], chosen: 0, reason: Reason::Exploit },
        features: vec![],
        feature_version: 1,
        input_tokens: 1.0,
        state_seq: 0,
        prompt: None,
        audit: AuditDraw { rate: 1.0, drawn: true },
        payer: Payer::default(),
        fallback: None,
        trace: None,
    }
}

async fn rate(store: &dyn Store, id: u128, source: Source, rater: u64, rating: Option<f64>, time: u64) {
    let rating = rating.map(|value| Rating::new(value).unwrap());
    let (decision, time, rater) = (DecisionId(id), Timestamp(time * MINUTE), Rater(rater));
    let said = FeedbackRecord { decision, time, source, rater, rating, comment: None };
    store.rate(said, 1_000 * MINUTE).await.unwrap();
}

async fn a_route_begins_with_the_minute_of_its_first_decision(place: &Place) {
    let store = store(place).await;
    assert_eq!(store.first("r", Timestamp(0)).await.unwrap(), None);
    for (id, minute, route) in [(1, 500, "r"), (2, 507, "r"), (3, 20, "other")] {
        store.log(Entry::Decision(DecisionRecord { route: route.into(), ..decision(id, minute, 0.5) })).unwrap();
        store.log(Entry::Outcome(outcome(id, minute * MINUTE, 200))).unwrap();
    }
    store.flush().await.unwrap();
    while store.roll_up(&Calendar::default(), vec![]).await.unwrap().more {}
    for (from, first) in [(0, Some(500)), (500, Some(500)), (501, Some(507)), (508, None)] {
        let found = store.first("r", Timestamp(from * MINUTE)).await.unwrap();
        assert_eq!(found, first.map(|minute: u64| Timestamp(minute * MINUTE)), "{from}");
    }
    assert_eq!(store.first("none", Timestamp(0)).await.unwrap(), None);
    // Two months later the minutes are no longer kept.
    let late = 60 * 1_440;
    store.log(Entry::Decision(decision(4, late, 0.5))).unwrap();
    store.log(Entry::Outcome(outcome(4, late * MINUTE, 200))).unwrap();
    store.flush().await.unwrap();
    while store.roll_up(&Calendar::default(), vec![]).await.unwrap().more {}
    assert_eq!(store.first("r", Timestamp(0)).await.unwrap(), Some(Timestamp(495 * MINUTE)), "the quarter of an hour");
    store.close().await;
}

async fn configurations_come_with_the_one_that_was_in_force_before(place: &Place) {
    let store = store(place).await;
    for (time, route, spec) in [(10, "r", "a"), (20, "r", "b"), (25, "other", "x"), (30, "r", "c"), (40, "r", "d")] {
        store.configure(Timestamp(time), route, spec).await.unwrap();
    }
    let found = async |from, to| {
        let found = store.configured("r", (Timestamp(from), Timestamp(to))).await.unwrap();
        found.into_iter().map(|Configured { time, spec }| format!("{}{spec}", time.0)).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(found(0, 100).await, "10a 20b 30c 40d");
    assert_eq!(found(21, 40).await, "20b 30c");
    assert_eq!(found(20, 30).await, "10a 20b");
    assert_eq!(found(50, 60).await, "40d");
    assert_eq!(found(0, 5).await, "");
    store.close().await;
}

async fn predictions_are_compared_with_the_ratings_in_force_of_the_same_answers(place: &Place) {
    let store = store(place).await;
    // In the tenths 2, 9, 9 (as 1 is no tenth of its own), and three that do not count: pinned, another route's, rerouted.
    let pinned = Decision { reason: Reason::Pinned, ..decision(4, 1, 0.5).decision };
    for record in [
        decision(1, 1, 0.25),
        decision(2, 1, 0.9375),
        decision(3, 1, 1.0),
        DecisionRecord { decision: pinned, ..decision(4, 1, 0.5) },
        DecisionRecord { route: "other".into(), ..decision(5, 1, 0.5) },
        decision(6, 1, 0.5),
    ] {
        store.log(Entry::Decision(record)).unwrap();
    }
    store.log(Entry::Reroute { decision: DecisionId(6), model: "n".into() }).unwrap();
    store.flush().await.unwrap();
    for (id, rater, rating, time) in [
        (1, 1, Some(1.0), 2),
        // The same rater thinks otherwise, another agrees with the first word, and a third takes it back.
        (1, 1, Some(0.0), 3),
        (1, 2, Some(1.0), 4),
        (1, 3, Some(1.0), 4),
        (1, 3, None, 5),
        (2, 1, Some(0.5), 2),
        (3, 1, Some(1.0), 2),
        // Too late.
        (3, 2, Some(0.0), 5_000),
        (4, 1, Some(1.0), 2),
        (5, 1, Some(1.0), 2),
        (6, 1, Some(1.0), 2),
    ] {
        rate(store.as_ref(), id, Source::User, rater, rating, time).await;
    }
    rate(store.as_ref(), 2, Source::Audit, 0, Some(1.0), 2).await;
    let mut expected = [Tenth::default(); TENTHS];
    expected[2] = Tenth { ratings: 2, predicted: 0.5, rated: 1.0 };
    expected[9] = Tenth { ratings: 2, predicted: 1.9375, rated: 1.5 };
    assert_eq!(store.calibration("r", Source::User).await.unwrap(), expected);
    let mut expected = [Tenth::default(); TENTHS];
    expected[9] = Tenth { ratings: 1, predicted: 0.9375, rated: 1.0 };
    assert_eq!(store.calibration("r", Source::Audit).await.unwrap(), expected);
    assert_eq!(store.calibration("none", Source::User).await.unwrap(), [Tenth::default(); TENTHS]);
    store.close().await;
}

on_both_stores! {
    a_route_begins_with_the_minute_of_its_first_decision,
    configurations_come_with_the_one_that_was_in_force_before,
    predictions_are_compared_with_the_ratings_in_force_of_the_same_answers,
}
