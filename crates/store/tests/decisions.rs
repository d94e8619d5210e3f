//! Decisions as people look at them: page by page, and one with all that came of it.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly")]

#[path = "common/outcomes.rs"]
mod outcomes;
#[path = "common/records.rs"]
mod records;

use std::sync::Arc;

use outcomes::outcome;
use records::{decision, rating};
use slarouter_core::{DecisionId, Reason, Receipt, Timestamp};
use slarouter_store::{DecisionQuery, Entry, Store, StoreError, open, open_to_read};
use tempfile::TempDir;

fn url(folder: &TempDir) -> String {
    format!("sqlite://{}", folder.path().join("log.db").display())
}

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

#[tokio::test]
async fn pages_go_back_to_the_beginning_and_filters_leave_the_rest_out() {
    let folder = TempDir::new().unwrap();
    let store = open(&url(&folder)).await.unwrap();
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
#[tokio::test]
async fn a_page_looks_no_further_than_it_may() {
    let folder = TempDir::new().unwrap();
    let store = open(&url(&folder)).await.unwrap();
    store.log(of(1, "rare", Reason::Exploit)).unwrap();
    store.flush().await.unwrap();
    store.close().await;
    // As if so many other events had followed.
    let connection = rusqlite::Connection::open(folder.path().join("log.db")).unwrap();
    connection.execute("INSERT INTO reroutes VALUES (3000000, x'00', 'm')", []).unwrap();
    drop(connection);
    let store = open(&url(&folder)).await.unwrap();
    let rare = |before| DecisionQuery { route: Some("rare".into()), ..page(before, 10) };
    assert_eq!(ids(store.as_ref(), rare(None)).await, (vec![], Some(1_000_001)));
    assert_eq!(ids(store.as_ref(), rare(Some(1_000_001))).await, (vec![1], None));
    store.close().await;
}

#[tokio::test]
async fn a_decision_comes_with_its_configuration_its_end_and_all_words_on_it() {
    let folder = TempDir::new().unwrap();
    let store = open(&url(&folder)).await.unwrap();
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

#[tokio::test]
async fn saved_states_are_found_as_of_an_earlier_moment() {
    let folder = TempDir::new().unwrap();
    let store = open(&url(&folder)).await.unwrap();
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

#[tokio::test]
async fn what_is_in_use_is_read_beside_and_never_written() {
    let folder = TempDir::new().unwrap();
    assert!(matches!(open_to_read(&url(&folder)).await, Err(StoreError::Missing(_))));
    let writer = open(&url(&folder)).await.unwrap();
    writer.log(decision(1, None)).unwrap();
    writer.flush().await.unwrap();
    let reader = open_to_read(&url(&folder)).await.unwrap();
    assert_eq!(*reader.committed().borrow(), 1);
    assert_eq!(ids(reader.as_ref(), page(None, 2)).await.0, [1]);
    assert!(matches!(reader.log(decision(2, None)), Err(StoreError::Closed)));
    assert!(matches!(reader.configure(Timestamp(0), "r", "x").await, Err(StoreError::Closed)));
    reader.close().await;
    writer.log(decision(2, None)).unwrap();
    writer.close().await;
    let connection = rusqlite::Connection::open(folder.path().join("log.db")).unwrap();
    connection.pragma_update(None, "user_version", 1).unwrap();
    drop(connection);
    assert!(matches!(open_to_read(&url(&folder)).await, Err(StoreError::Older { found: 1, .. })));
}
