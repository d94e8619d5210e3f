//! Decisions found by ids of the applications' own.
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
use slarouter_core::{DecisionId, Rater, Reason, Source, Timestamp};
use slarouter_store::{DecisionQuery, Entry, Store, StoreError, TraceId, TraceQuery, open};
use stores::{Place, on_both_stores};
use tempfile::TempDir;

/// A database of version 5, without a table of such ids, and the hash of its log by that version.
const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/v5.sql");
const FINGERPRINT: &str = "d769aa38c58e2385436c702b4427183544506a8af5144db80fcd49acd062d008";

fn url(folder: &TempDir) -> String {
    format!("sqlite://{}", folder.path().join("log.db").display())
}

fn trace(id: &str) -> Option<TraceId> {
    Some(TraceId::new(id).unwrap())
}

/// A decision with an id of the application's own.
fn traced(id: u128, trace_id: &str, tenant: Option<&str>, reason: Reason) -> Entry {
    let Entry::Decision(mut record) = decision(id, None) else { panic!("no decision") };
    record.trace = trace(trace_id);
    record.payer.tenant = tenant.map(Arc::from);
    record.decision.reason = reason;
    Entry::Decision(record)
}

fn query(trace_id: &str) -> TraceQuery {
    TraceQuery { trace: TraceId::new(trace_id).unwrap(), tenant: None, rated_by: None }
}

async fn found(store: &dyn Store, query: TraceQuery) -> Option<u128> {
    store.flush().await.unwrap();
    store.traced(query).await.unwrap().map(|id| id.0)
}

async fn the_last_answer_of_a_trace_is_the_one_that_was_read(place: &Place) {
    let store = open(&place.url()).await.unwrap();
    assert_eq!(found(store.as_ref(), query("t")).await, None);
    store.log(traced(1, "t", None, Reason::Exploit)).unwrap();
    store.log(traced(2, "t", None, Reason::Exploit)).unwrap();
    store.log(traced(3, "t-2", None, Reason::Exploit)).unwrap();
    assert_eq!(found(store.as_ref(), query("t")).await, Some(2));
    // A title for the conversation, by a model that the application named.
    store.log(traced(4, "t", None, Reason::Pinned)).unwrap();
    // A call that failed, and was made again or not.
    store.log(traced(5, "t", None, Reason::Explore)).unwrap();
    store.log(Entry::Outcome(outcome(5, 1, 502))).unwrap();
    assert_eq!(found(store.as_ref(), query("t")).await, Some(2));
    // One that the reader stopped was read.
    store.log(traced(6, "t", None, Reason::Explore)).unwrap();
    store.log(Entry::Outcome(outcome(6, 1, 499))).unwrap();
    assert_eq!(found(store.as_ref(), query("t")).await, Some(6));
    store.log(traced(7, "pinned", None, Reason::Pinned)).unwrap();
    assert_eq!(found(store.as_ref(), query("pinned")).await, Some(7), "where there is no other");
}

async fn a_word_is_taken_back_where_it_was_given(place: &Place) {
    let store = open(&place.url()).await.unwrap();
    store.log(traced(1, "t", None, Reason::Exploit)).unwrap();
    store.rate(rating(1, 7, Some(1.0), 5), 1_000).await.unwrap();
    store.log(traced(2, "t", None, Reason::Exploit)).unwrap();
    let rated_by = |source, rater| TraceQuery { rated_by: Some((source, Rater(rater))), ..query("t") };
    assert_eq!(found(store.as_ref(), rated_by(Source::User, 7)).await, Some(1));
    assert_eq!(found(store.as_ref(), rated_by(Source::Audit, 7)).await, Some(2), "an audit is another word");
    assert_eq!(found(store.as_ref(), rated_by(Source::User, 8)).await, Some(2));
    store.rate(rating(1, 7, None, 6), 1_000).await.unwrap();
    assert_eq!(found(store.as_ref(), rated_by(Source::User, 7)).await, Some(2), "it is taken back already");
}

async fn no_tenant_finds_anothers(place: &Place) {
    let store = open(&place.url()).await.unwrap();
    store.log(traced(1, "7", Some("acme"), Reason::Exploit)).unwrap();
    store.log(traced(2, "7", Some("other"), Reason::Exploit)).unwrap();
    store.log(traced(3, "8", Some("acme"), Reason::Exploit)).unwrap();
    // However many there are of them.
    for id in 100..200 {
        store.log(traced(id, "7", Some("other"), Reason::Exploit)).unwrap();
    }
    let of = |trace_id: &str, tenant: &str| TraceQuery { tenant: Some(tenant.into()), ..query(trace_id) };
    assert_eq!(found(store.as_ref(), of("7", "acme")).await, Some(1));
    assert_eq!(found(store.as_ref(), of("7", "other")).await, Some(199));
    assert_eq!(found(store.as_ref(), of("8", "other")).await, None);
    assert_eq!(found(store.as_ref(), of("7", "")).await, None);
    assert_eq!(found(store.as_ref(), query("8")).await, Some(3), "who belongs to no tenant serves all");
    assert!(matches!(store.traced(query("7")).await, Err(StoreError::Ambiguous)));
}

/// The second of two decisions with one id is not in the log, and so its trace is not either.
async fn what_is_kept_is_shown_and_survives(place: &Place) {
    let store = open(&place.url()).await.unwrap();
    store.log(traced(1, "first", None, Reason::Exploit)).unwrap();
    store.log(traced(1, "second", None, Reason::Exploit)).unwrap();
    store.log(decision(2, None)).unwrap();
    store.flush().await.unwrap();
    store.close().await;
    let store = open(&place.url()).await.unwrap();
    assert_eq!(found(store.as_ref(), query("second")).await, None);
    assert_eq!(found(store.as_ref(), query("first")).await, Some(1));
    assert_eq!(store.decision(DecisionId(1)).await.unwrap().unwrap().record.trace, trace("first"));
    let lines = store.decisions(DecisionQuery { limit: 9, ..DecisionQuery::default() }).await.unwrap().lines;
    assert_eq!(lines.into_iter().map(|line| line.trace).collect::<Vec<_>>(), [None, trace("first")]);
}

/// W3C's ids, of 32 letters, stand in the row and in its index; other decisions pay nothing.
#[tokio::test]
async fn an_id_takes_at_most_120_bytes_and_none_takes_none() {
    const COUNT: u128 = 4_000;
    let mut sizes = Vec::new();
    for traced in [false, true] {
        let folder = TempDir::new().unwrap();
        let store = open(&url(&folder)).await.unwrap();
        for id in 0..COUNT {
            let Entry::Decision(mut record) = decision(id << 80, None) else { panic!("no decision") };
            // Of no order, as ids are drawn at random.
            let drawn = (id + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
            record.trace = traced.then(|| TraceId::new(&format!("{drawn:032x}")).unwrap());
            store.log(Entry::Decision(record)).unwrap();
        }
        store.close().await;
        sizes.push(u128::from(std::fs::metadata(folder.path().join("log.db")).unwrap().len()));
    }
    let each = (sizes[1] - sizes[0]) / COUNT;
    assert!((64..=120).contains(&each), "{each}");
}

#[tokio::test]
async fn a_database_of_version_5_opens_and_has_the_hash_that_it_had() {
    let folder = TempDir::new().unwrap();
    let connection = rusqlite::Connection::open(folder.path().join("log.db")).unwrap();
    connection.execute_batch(&std::fs::read_to_string(FIXTURE).unwrap()).unwrap();
    let store = open(&url(&folder)).await.unwrap();
    let held = store.decision(DecisionId(7)).await.unwrap().unwrap();
    assert_eq!((held.record.trace, held.record.time), (None, Timestamp(1_000)));
    let hash = store.fingerprint(u64::MAX).await.unwrap().map(|byte| format!("{byte:02x}")).concat();
    assert_eq!(hash, FINGERPRINT);
    store.log(traced(8, "t", None, Reason::Exploit)).unwrap();
    assert_eq!(found(store.as_ref(), query("t")).await, Some(8));
}

on_both_stores! {
    the_last_answer_of_a_trace_is_the_one_that_was_read,
    a_word_is_taken_back_where_it_was_given,
    no_tenant_finds_anothers,
    what_is_kept_is_shown_and_survives,
}
