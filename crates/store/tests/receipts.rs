//! What becomes of ratings, in any order and from many raters at once.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

#[path = "common/outcomes.rs"]
mod outcomes;
#[path = "common/records.rs"]
mod records;
#[path = "common/stores.rs"]
mod stores;

use std::collections::HashMap;

use proptest::prelude::*;
use records::{decision, rating};
use slarouter_core::{Rating, Receipt};
use slarouter_store::{Entry, Event, OutcomeRecord, StoreError, open};
use stores::{Place, on_both_stores};

const WINDOW: u64 = 1_000;

async fn each_receipt_says_what_happened(place: &Place) {
    use Receipt::{Duplicate, Expired, Recorded, Replaced, Withdrawn};
    let store = open(&place.url()).await.unwrap();
    store.log(decision(1, None)).unwrap();
    let script = [
        (None, 10, Duplicate),
        (Some(1.0), 20, Recorded),
        (Some(1.0), 30, Duplicate),
        (Some(0.0), 40, Replaced),
        (None, 50, Withdrawn),
        (None, 60, Duplicate),
        (Some(0.0), WINDOW, Recorded),
        (Some(0.0), WINDOW + 1, Duplicate),
        (Some(1.0), WINDOW + 2, Expired),
        (Some(1.0), WINDOW + 3, Duplicate),
        // A clock set back: what expired was never in force.
        (Some(1.0), WINDOW, Replaced),
    ];
    for (step, (value, time, expected)) in script.into_iter().enumerate() {
        assert_eq!(store.rate(rating(1, 3, value, time), WINDOW).await.unwrap(), expected, "step {step}");
    }
    assert_eq!(store.counts().await.unwrap().feedback, 6, "duplicates write nothing");
    assert_eq!(store.rate(rating(1, 4, Some(1.0), 1), WINDOW).await.unwrap(), Recorded, "raters are independent");
    assert!(matches!(store.rate(rating(2, 3, None, 0), WINDOW).await, Err(StoreError::UnknownDecision)));
}

fn outcome(id: u128, model: &str, attempts: u32) -> OutcomeRecord {
    let plain = outcomes::outcome(id, 7, 200);
    OutcomeRecord { model: model.into(), attempts, output_tokens: Some(3.0), cost: 0.5, ..plain }
}

async fn of_reported_outcomes_the_first_counts_and_charges_the_model_that_answered(place: &Place) {
    let store = open(&place.url()).await.unwrap();
    store.log(decision(1, None)).unwrap();
    store.log(decision(2, None)).unwrap();
    // An outcome of the gateway's own is no report.
    store.log(Entry::Outcome(outcome(2, "m", 1))).unwrap();
    assert_eq!(store.report(outcome(1, "other", 5), true).await.unwrap(), Receipt::Recorded);
    assert_eq!(store.report(outcome(1, "m", 0), false).await.unwrap(), Receipt::Duplicate);
    assert_eq!(store.report(outcome(2, "m", 0), false).await.unwrap(), Receipt::Recorded);
    let broken = OutcomeRecord { cost: f64::NAN, ..outcome(2, "m", 0) };
    assert!(matches!(store.report(broken, false).await, Err(StoreError::Entry)));
    store.rate(rating(1, 3, Some(1.0), 9), WINDOW).await.unwrap();
    store.close().await;

    let store = open(&place.url()).await.unwrap();
    assert_eq!(store.report(outcome(1, "m", 0), false).await.unwrap(), Receipt::Duplicate, "after a restart as well");
    let events = store.events_after(0, 100).await.unwrap();
    let finished = events.iter().filter_map(|event| match event {
        Event::Finished { outcome, .. } => Some((outcome.decision.0, &*outcome.model, outcome.attempts)),
        _ => None,
    });
    assert_eq!(finished.collect::<Vec<_>>(), [(2, "m", 1), (1, "other", 0), (2, "m", 0)]);
    let rated = events.iter().find_map(|event| if let Event::Rated { rated, .. } = event { Some(rated) } else { None });
    assert_eq!(&*rated.unwrap().model, "other");
}

/// Who stops an answer and rates it has seen enough of it; what nobody answered whole is no answer.
async fn a_rating_counts_where_the_client_went_away_and_not_where_the_answer_failed(place: &Place) {
    let store = open(&place.url()).await.unwrap();
    // An answer that is whole, one that the client broke off, one whose stream broke, one that never came.
    for (id, status, ok) in [(1, 200, true), (2, 499, false), (3, 200, false), (4, 502, false)] {
        store.log(decision(id, None)).unwrap();
        store.log(Entry::Outcome(OutcomeRecord { status, ok, ..outcome(id, "m", 1) })).unwrap();
        store.rate(rating(id, 3, Some(1.0), 9), WINDOW).await.unwrap();
    }
    let (mut taken_out, mut set_aside) = (Vec::new(), Vec::new());
    for event in store.events_after(0, 100).await.unwrap() {
        match event {
            Event::Finished { outcome, failed, .. } if failed.is_some() => taken_out.push(outcome.decision.0),
            Event::Rated { rated, .. } if rated.failed => set_aside.push(rated.decision.0),
            _ => {}
        }
    }
    assert_eq!((taken_out, set_aside), (vec![3, 4], vec![3, 4]));
}

async fn of_many_equal_ratings_at_once_exactly_one_is_recorded(place: &Place) {
    let store = open(&place.url()).await.unwrap();
    store.log(decision(1, None)).unwrap();
    let tasks: Vec<_> = (0..200)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.rate(rating(1, 9, Some(1.0), 5), WINDOW).await.unwrap() })
        })
        .collect();
    let mut counts: HashMap<Receipt, u32> = HashMap::new();
    for task in tasks {
        *counts.entry(task.await.unwrap()).or_default() += 1;
    }
    assert_eq!(counts, HashMap::from([(Receipt::Recorded, 1), (Receipt::Duplicate, 199)]));
    assert_eq!(store.counts().await.unwrap().feedback, 1);
}

/// What the rater of a word says of a decision, when.
type Said = (u128, u64, Option<u8>, u64);

/// Against a map of the ratings in force, with a reopening in the middle; the log then holds exactly what changed.
async fn receipts_are_those_of_a_map(place: &Place, steps: Vec<Said>, reopened: usize) -> Result<(), TestCaseError> {
    let mut store = open(&place.url()).await.unwrap();
    let mut known: HashMap<(u128, u64), Rating> = HashMap::new();
    let mut written = Vec::new();
    (0..2).for_each(|id| store.log(decision(id, None)).unwrap());
    for (step, (id, rater, value, time)) in steps.into_iter().enumerate() {
        if step == reopened {
            store.close().await;
            store = open(&place.url()).await.unwrap();
        }
        let given = rating(id, rater, value.map(|value| f64::from(value) / 2.0), time);
        let answer = store.rate(given.clone(), WINDOW).await;
        if id == 2 {
            prop_assert!(matches!(answer, Err(StoreError::UnknownDecision)));
            continue;
        }
        let held = known.get(&(id, rater)).copied();
        let expected = match (held, given.rating) {
            (None, None) => Receipt::Duplicate,
            (Some(held), Some(given)) if held == given => Receipt::Duplicate,
            (None, Some(_)) => Receipt::Recorded,
            (Some(_), Some(_)) => Receipt::Replaced,
            (Some(_), None) => Receipt::Withdrawn,
        };
        prop_assert_eq!(answer.unwrap(), expected);
        match given.rating {
            Some(rating) => known.insert((id, rater), rating),
            None => known.remove(&(id, rater)),
        };
        if expected != Receipt::Duplicate {
            written.push((given.decision, given.rater, given.rating, expected));
        }
    }
    let logged: Vec<_> = store
        .events_after(0, 1_000)
        .await
        .unwrap()
        .into_iter()
        .filter_map(|event| match event {
            Event::Rated { rated, .. } => Some((rated.decision, rated.rater, rated.rating, rated.receipt)),
            _ => None,
        })
        .collect();
    prop_assert_eq!(logged, written);
    store.close().await;
    Ok(())
}

fn receipts_are_those_of_a_map_on(place: &Place, steps: Vec<Said>, reopened: usize) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(receipts_are_those_of_a_map(place, steps, reopened))
}

fn steps() -> impl Strategy<Value = Vec<Said>> {
    prop::collection::vec((0..3_u128, 0..2_u64, prop::option::of(0..3_u8), 0..WINDOW), 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn receipts_agree_with_a_map_in_a_file(steps in steps(), reopened in 0..40_usize) {
        receipts_are_those_of_a_map_on(&Place::file(), steps, reopened)?;
    }

    #[test]
    fn receipts_agree_with_a_map_on_a_server(steps in steps(), reopened in 0..40_usize) {
        receipts_are_those_of_a_map_on(&Place::server(), steps, reopened)?;
    }
}

on_both_stores! {
    each_receipt_says_what_happened,
    of_reported_outcomes_the_first_counts_and_charges_the_model_that_answered,
    a_rating_counts_where_the_client_went_away_and_not_where_the_answer_failed,
    of_many_equal_ratings_at_once_exactly_one_is_recorded,
}
