//! Decisions as people look at them: page by page, and one with all that came of it.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly")]

#[path = "common/outcomes.rs"]
mod outcomes;
#[path = "common/records.rs"]
mod records;
#[path = "common/stores.rs"]
mod stores;

use std::sync::Arc;

use outcomes::outcome;
use records::{decision, rating};
use slarouter_core::{DecisionId, Reason, Receipt, Timestamp};
use slarouter_store::{DecisionQuery, Entry, Store, StoreError, open, open_to_read};
use stores::{Place, on_both_stores};

/// A decision of a route for a reason.
fn of(id: u128, route: &str, reason: Reason) -> Entry {
    let Entry::Decision(mut record) = decision(id, None) else { panic!("no decision") };
    (record.route, record.decision.reason) = (route.into(), reason);
    Entry::Decision(record)
}

async fn ids(store: &dyn Store, query: DecisionQuery) -> (Vec<u128>, Option<u64>) {
    let page = store.decisions(query).await.unwrap();
    (page.lines.iter().map(|line| line.id.0).collect(), page.next)
}

fn page(before: Option<u64>, limit: usize) -> DecisionQuery {
    DecisionQuery { before, limit, ..DecisionQuery::default() }
}

async fn pages_go_back_to_the_beginning_and_filters_leave_the_rest_out(place: &Place) {
    let store = open(&place.url()).await.unwrap();
    assert_eq!(ids(store.as_ref(), page(None, 2)).await, (vec![], None));
    for id in 1..=5 {
        let (route, reason) = if id % 2 == 0 { ("even", Reason::Explore) } else { ("odd", Reason::Exploit) };
        store.log(of(id, route, reason)).unwrap();
    }
    store.log(Entry::Reroute { decision: DecisionId(5), model: "other".into() }).unwrap();
    store.log(Entry::Outcome(outcome(5, 7, 200))).unwrap();
    store.rate(rating(5, 1, Some(1.0), 8), 1_000).await.unwrap();
    store.rate(rating(5, 2, Some(0.5), 9), 1_000).await.unwrap();
    let (first, next) = ids(store.as_ref(), page(None, 2)).await;
    let (second, then) = ids(store.as_ref(), page(next, 2)).await;
    let (third, end) = ids(store.as_ref(), page(then, 2)).await;
    assert_eq!((first, second, third, end), (vec![5, 4], vec![3, 2], vec![1], None));

    let even = DecisionQuery { route: Some("even".into()), ..page(None, 10) };
    assert_eq!(ids(store.as_ref(), even).await.0, [4, 2]);
    let drawn = DecisionQuery { reason: Some(Reason::Exploit), ..page(None, 2) };
    assert_eq!(ids(store.as_ref(), drawn).await.0, [5, 3]);
    let other = DecisionQuery { model: Some("other".into()), ..page(None, 10) };
    let other = store.decisions(other).await.unwrap().lines;
    let [line] = &other[..] else { panic!("{other:?}") };
    assert_eq!((&*line.chosen, &*line.model, line.status, line.rating), ("m", "other", Some(200), Some(0.75)));
    assert_eq!((line.satisfaction, line.latency_ms, line.cost), (0.5, Some(1.0), Some(0.0)));
    let open = &store.decisions(page(None, 2)).await.unwrap().lines[1];
    assert_eq!((open.status, open.rating, open.cost), (None, None, None));
    store.close().await;
}

/// A page looks through two million events at most: one without what it looks for says where the next one begins.
async fn a_page_looks_no_further_than_it_may(place: &Place) {
    let store = open(&place.url()).await.unwrap();
    store.log(of(1, "rare", Reason::Exploit)).unwrap();
    store.flush().await.unwrap();
    store.close().await;
    // As if so many other events had followed.
    place.run(place.pick(
        "INSERT INTO reroutes VALUES (3000000, x'00', 'm')",
        "INSERT INTO reroutes VALUES (3000000, '00000000-0000-0000-0000-000000000000', 'm'); UPDATE head SET seq = 3000000",
    ));
    let store = open(&place.url()).await.unwrap();
    let rare = |before| DecisionQuery { route: Some("rare".into()), ..page(before, 10) };
    assert_eq!(ids(store.as_ref(), rare(None)).await, (vec![], Some(1_000_001)));
    assert_eq!(ids(store.as_ref(), rare(Some(1_000_001))).await, (vec![1], None));
    store.close().await;
}

async fn a_decision_comes_with_its_configuration_its_end_and_all_words_on_it(place: &Place) {
    let store = open(&place.url()).await.unwrap();
    assert_eq!(store.history(DecisionId(1)).await.unwrap(), None);
    store.configure(Timestamp(1), "r", "first").await.unwrap();
    store.configure(Timestamp(2), "r", "second").await.unwrap();
    let Entry::Decision(mut record) = decision(1, None) else { panic!("no decision") };
    record.state_seq = 1;
    store.log(Entry::Decision(record.clone())).unwrap();
    record.id = DecisionId(2);
    record.state_seq = 2;
    store.log(Entry::Decision(record)).unwrap();
    store.rate(rating(1, 7, Some(0.25), 5), 1_000).await.unwrap();
    store.rate(rating(1, 7, None, 6), 1_000).await.unwrap();
    store.log(Entry::Outcome(outcome(1, 9, 502))).unwrap();
    store.flush().await.unwrap();
    let history = store.history(DecisionId(1)).await.unwrap().unwrap();
    assert_eq!(history.configuration.as_deref(), Some("first"), "that of the state, not that of the moment");
    assert_eq!(history.outcome.unwrap().status, 502);
    let words: Vec<_> = history.feedback.iter().map(|word| (word.rater.0, word.rating, word.receipt)).collect();
    assert_eq!(words, [(7, Some(0.25), Receipt::Recorded), (7, None, Receipt::Withdrawn)]);
    let second = store.history(DecisionId(2)).await.unwrap().unwrap();
    assert_eq!((second.configuration.as_deref(), second.outcome, second.feedback), (Some("second"), None, vec![]));
    store.close().await;
}

async fn saved_states_are_found_as_of_an_earlier_moment(place: &Place) {
    let store = open(&place.url()).await.unwrap();
    for seq in [10, 20, 30] {
        let states = vec![(Arc::from("r"), vec![seq as u8])];
        store.save_snapshots(seq, Timestamp(0), states).await.unwrap();
    }
    for (until, found) in [(9, None), (10, Some(10)), (29, Some(20)), (u64::MAX, Some(30))] {
        let saved = store.load_snapshots_until(until).await.unwrap();
        assert_eq!(saved.first().map(|saved| saved.seq), found, "{until}");
    }
    store.close().await;
}

async fn what_is_in_use_is_read_beside_and_never_written(place: &Place) {
    assert!(matches!(open_to_read(&place.url()).await, Err(StoreError::Missing(_))));
    let writer = open(&place.url()).await.unwrap();
    writer.log(decision(1, None)).unwrap();
    writer.flush().await.unwrap();
    let reader = open_to_read(&place.url()).await.unwrap();
    assert_eq!(*reader.committed().borrow(), 1);
    assert_eq!(ids(reader.as_ref(), page(None, 2)).await.0, [1]);
    assert!(matches!(reader.log(decision(2, None)), Err(StoreError::Closed)));
    assert!(matches!(reader.configure(Timestamp(0), "r", "x").await, Err(StoreError::Closed)));
    reader.close().await;
    writer.log(decision(2, None)).unwrap();
    writer.close().await;
    if let Place::File(_) = place {
        place.run("PRAGMA user_version = 1");
        assert!(matches!(open_to_read(&place.url()).await, Err(StoreError::Older { found: 1, .. })));
    }
}

on_both_stores! {
    pages_go_back_to_the_beginning_and_filters_leave_the_rest_out,
    a_page_looks_no_further_than_it_may,
    a_decision_comes_with_its_configuration_its_end_and_all_words_on_it,
    saved_states_are_found_as_of_an_earlier_moment,
    what_is_in_use_is_read_beside_and_never_written,
}
