//! Which answers wait for an auditor, and what becomes of his word.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

#[path = "common/outcomes.rs"]
mod outcomes;
#[path = "common/records.rs"]
mod records;
#[path = "common/stores.rs"]
mod stores;

use std::sync::Arc;

use outcomes::outcome;
use records::{decision, rating};
use slarouter_core::{AuditDraw, DecisionId, Receipt, Source, Timestamp};
use slarouter_store::{Entry, Event, FeedbackRecord, Store, StoreError, open};
use stores::{Place, on_both_stores};

const WINDOW: u64 = 1_000;

async fn reopen(place: &Place) -> Arc<dyn Store> {
    open(&place.url()).await.unwrap()
}

/// Made at `time`; drawn or not.
fn made(id: u128, time: u64, drawn: bool) -> Entry {
    let mut entry = decision(id, Some(format!("[{id}]")));
    if let Entry::Decision(record) = &mut entry {
        (record.time, record.audit) = (Timestamp(time), AuditDraw { rate: 0.25, drawn });
    }
    entry
}

fn audit(id: u128, value: Option<f64>, time: u64) -> FeedbackRecord {
    FeedbackRecord { source: Source::Audit, ..rating(id, 0, value, time) }
}

async fn waiting(store: &dyn Store, after: Option<u128>, limit: usize) -> Vec<u128> {
    let pending = store.pending_audits(after.map(DecisionId), Timestamp(0), None, limit).await.unwrap();
    pending.found.iter().map(|pending| pending.decision.0).collect()
}

async fn drawn_answers_wait_from_their_end_until_they_are_audited(place: &Place) {
    let mut store = reopen(place).await;
    for id in 1..=6 {
        store.log(made(id, id as u64, id != 3)).unwrap();
    }
    store.flush().await.unwrap();
    assert!(waiting(store.as_ref(), None, 10).await.is_empty(), "none has ended");
    for id in [5, 1, 2, 3, 4] {
        store.log(Entry::Outcome(outcome(id, 5, if id == 2 { 502 } else { 200 }))).unwrap();
    }
    store.flush().await.unwrap();
    assert_eq!(waiting(store.as_ref(), None, 10).await, [1, 2, 4, 5], "in the order of the decisions");
    assert_eq!(waiting(store.as_ref(), None, 2).await, [1, 2]);
    assert_eq!(waiting(store.as_ref(), Some(2), 2).await, [4, 5]);
    assert_eq!(waiting(store.as_ref(), Some(3), 9).await, [4, 5], "after any decision");
    let unknown = store.pending_audits(Some(DecisionId(99)), Timestamp(0), None, 1).await;
    assert!(matches!(unknown, Err(StoreError::UnknownDecision)));
    let recent = store.pending_audits(None, Timestamp(4), None, usize::MAX).await.unwrap().found;
    assert_eq!(recent.len(), 2, "older ones could not be learnt from");
    assert_eq!((recent[0].time, recent[0].rate, recent[0].prompt.as_deref()), (Timestamp(4), 0.25, Some("[4]")));
    let failed = &store.pending_audits(None, Timestamp(2), None, 1).await.unwrap().found[0];
    assert_eq!((failed.status, failed.ok, &*failed.model, &*failed.route), (502, false, "m", "r"));

    // A user's rating is no audit; an audit taken back leaves the answer waiting again.
    assert_eq!(store.rate(rating(1, 0, Some(1.0), 9), WINDOW).await.unwrap(), Receipt::Recorded);
    assert_eq!(store.rate(audit(4, Some(0.0), 9), WINDOW).await.unwrap(), Receipt::Recorded);
    assert_eq!(waiting(store.as_ref(), None, 10).await, [1, 2, 5]);
    store.close().await;
    store = reopen(place).await;
    assert_eq!(store.rate(audit(4, None, 10), WINDOW).await.unwrap(), Receipt::Withdrawn);
    assert_eq!(waiting(store.as_ref(), None, 10).await, [1, 2, 4, 5]);
    assert_eq!(store.rate(audit(4, Some(1.0), 11), WINDOW).await.unwrap(), Receipt::Recorded);
    assert_eq!(waiting(store.as_ref(), None, 10).await, [1, 2, 5]);
}

async fn a_row_that_cannot_be_read_is_passed_over_and_named(place: &Place) {
    let store = reopen(place).await;
    for id in 1..=4 {
        store.log(made(id, 1, true)).unwrap();
        store.log(Entry::Outcome(outcome(id, 5, 200))).unwrap();
    }
    store.flush().await.unwrap();
    place.run("UPDATE outcomes SET status = 70000 WHERE decision_id = (SELECT id FROM decisions WHERE prompt = '[3]')");
    // PostgreSQL holds no text that is none.
    place.run(place.pick(
        "UPDATE decisions SET prompt = CAST(x'ff' AS TEXT) WHERE prompt = '[2]'",
        "UPDATE outcomes SET status = -1 WHERE decision_id = (SELECT id FROM decisions WHERE prompt = '[2]')",
    ));
    let pending = store.pending_audits(None, Timestamp(0), None, 2).await.unwrap();
    let found: Vec<_> = pending.found.iter().map(|pending| pending.decision.0).collect();
    assert_eq!((found, pending.unreadable), (vec![1, 4], vec![3, 5]), "a page is full all the same");
    store.close().await;
}

async fn audits_have_a_slot_of_their_own_and_need_a_draw(place: &Place) {
    use Receipt::{Duplicate, Expired, Recorded, Replaced, Withdrawn};
    let store = reopen(place).await;
    store.log(made(1, 0, true)).unwrap();
    store.log(made(2, 0, false)).unwrap();
    let script = [
        (rating(1, 0, Some(1.0), 1), Recorded),
        (audit(1, Some(1.0), 2), Recorded),
        (audit(1, Some(1.0), 3), Duplicate),
        (rating(1, 0, Some(1.0), 4), Duplicate),
        (audit(1, Some(0.0), 5), Replaced),
        (rating(1, 0, None, 6), Withdrawn),
        (audit(1, Some(0.0), 7), Duplicate),
        (audit(1, None, 8), Withdrawn),
        (audit(1, Some(0.0), WINDOW + 1), Expired),
    ];
    for (step, (given, receipt)) in script.into_iter().enumerate() {
        assert_eq!(store.rate(given, WINDOW).await.unwrap(), receipt, "step {step}");
    }
    // Drawn or not is looked at before anything else, also where the audit would be late or says nothing.
    for (value, time) in [(Some(1.0), 1), (None, 1), (Some(1.0), WINDOW + 1)] {
        assert!(matches!(store.rate(audit(2, value, time), WINDOW).await, Err(StoreError::NotDrawn)));
    }
    assert!(matches!(store.rate(audit(3, Some(1.0), 1), WINDOW).await, Err(StoreError::UnknownDecision)));
    assert_eq!(store.rate(rating(2, 0, Some(1.0), 1), WINDOW).await.unwrap(), Recorded, "users rate what they like");
    let source = |event| if let Event::Rated { rated, .. } = event { Some(rated.source) } else { None };
    let sources: Vec<_> = store.events_after(0, 100).await.unwrap().into_iter().filter_map(source).collect();
    let (user, auditor) = (Source::User, Source::Audit);
    assert_eq!(sources, [user, auditor, auditor, user, auditor, auditor, user]);
    let held = store.decision(DecisionId(1)).await.unwrap().unwrap().record;
    assert_eq!(held.audit, AuditDraw { rate: 0.25, drawn: true }, "known for ever");
}

on_both_stores! {
    drawn_answers_wait_from_their_end_until_they_are_audited,
    a_row_that_cannot_be_read_is_passed_over_and_named,
    audits_have_a_slot_of_their_own_and_need_a_draw,
}
