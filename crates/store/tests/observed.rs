//! What would have been on a route that is only observed, counted from its log.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

#[path = "common/outcomes.rs"]
mod outcomes;
#[path = "common/stores.rs"]
mod stores;

use outcomes::outcome;
use rusqlite::Connection;
use slarouter_core::{AuditDraw, Candidate, Decision, DecisionId, Rater, Rating, Reason, Source, Timestamp};
use slarouter_store::{
    Calendar, DecisionRecord, Entry, FeedbackRecord, OutcomeRecord, Payer, Selection, Store, Totals, open,
};
use stores::{Place, on_both_stores};
use tempfile::TempDir;

/// A database of version 5, whose sums knew nothing of observed routes.
const VERSION_5: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/v5.sql");
const SMALL: usize = 0;
const LARGE: usize = 1;
const ROUTE: &str = "watched";

/// A request for which `small` was planned with 0.75 and drawn with 0.25. It is predicted to cost 1 USD and to satisfy at 0.5, `large`, the
/// fallback, to cost 4 and to satisfy at 0.75.
fn decision(id: u128, chosen: usize, audit: AuditDraw) -> DecisionRecord {
    let candidate = |model: &str, satisfaction, cost, probability, planned| Candidate {
        model: model.into(),
        satisfaction,
        cost,
        probability,
        planned,
        ..Candidate::default()
    };
    DecisionRecord {
        id: DecisionId(id),
        time: Timestamp(1),
        route: ROUTE.into(),
        decision: Decision {
            candidates: vec![candidate("small", 0.5, 1.0, 0.25, 0.75), candidate("large", 0.75, 4.0, 0.75, 0.25)],
            chosen,
            reason: if chosen == SMALL { Reason::Explore } else { Reason::Fallback },
        },
        features: vec![],
        feature_version: 1,
        input_tokens: 1.0,
        state_seq: 0,
        prompt: None,
        audit,
        payer: Payer::default(),
        fallback: Some(LARGE),
        trace: None,
    }
}

async fn sums(store: &dyn Store) -> Totals {
    store.flush().await.unwrap();
    while store.roll_up(&Calendar::default(), Vec::new()).await.unwrap().more {}
    let all =
        Selection { from: Timestamp(0), to: Timestamp(60_000), route: Some(ROUTE.into()), ..Selection::default() };
    store.totals(all, &[]).await.unwrap().first().map_or_else(Totals::default, |row| row.totals)
}

/// What a request adds: requests, the fallback's cost, what is predicted to be saved and what corrects it, in USD; predicted satisfaction and
/// the share that could be drawn.
fn plan(sums: &Totals) -> [f64; 6] {
    let usd = |nano: i64| nano as f64 * 1e-9;
    let share = |micro: i64| micro as f64 * 1e-6;
    [
        sums.observed as f64,
        usd(sums.observed_baseline_nano),
        usd(sums.plan_saving_nano),
        usd(sums.plan_correction_nano),
        share(sums.plan_predicted_micro),
        share(sums.plan_supported_micro),
    ]
}

async fn each_request_adds_what_its_plan_would_have_cost_and_satisfied(place: &Place) {
    for (chosen, status, cost, expected) in [
        // Of the 4 USD 2.25 less; small cost 0.5 less than predicted and counts three times.
        (SMALL, 200, 0.5, [1.0, 4.0, 2.25, 1.5, 0.5625, 1.0]),
        // The fallback cost 1 more: a third more by its own propensity, and a third of that is also the plan's.
        (LARGE, 200, 7.0, [1.0, 8.0, 2.25, 3.0, 0.5625, 1.0]),
        // There was no answer that could have been had for less.
        (LARGE, 502, 0.25, [1.0, 0.25, 0.0, 0.0, 0.5625, 1.0]),
    ] {
        let place = place.another();
        let store = open(&place.url()).await.unwrap();
        store.log(Entry::Decision(decision(1, chosen, AuditDraw::default()))).unwrap();
        let model = ["small", "large"][chosen].into();
        store.log(Entry::Outcome(OutcomeRecord { model, cost, ..outcome(1, 2, status) })).unwrap();
        assert_eq!(plan(&sums(store.as_ref()).await), expected, "{chosen} {status}");
        store.close().await;
    }
}

async fn labels_count_by_how_much_likelier_their_answers_were_planned_than_drawn(place: &Place) {
    let store = open(&place.url()).await.unwrap();
    let audited = AuditDraw { rate: 0.5, drawn: true };
    for (id, chosen, audit) in [(1, SMALL, AuditDraw::default()), (2, LARGE, AuditDraw::default()), (3, SMALL, audited)]
    {
        store.log(Entry::Decision(decision(id, chosen, audit))).unwrap();
    }
    store.flush().await.unwrap();
    let mut seen = (0, 0, 0);
    for (id, source, rating, expected) in [
        // 3 · (1 − 0.5)
        (1, Source::User, Some(1.0), (1, 1, 1_500_000)),
        // The same rater thinks otherwise: 3 · (0 − 0.5) in its place.
        (1, Source::User, Some(0.0), (0, 0, -3_000_000)),
        // ⅓ · (0 − 0.75)
        (2, Source::User, Some(0.0), (1, 0, -250_000)),
        // Where there are audits they alone count.
        (3, Source::User, Some(1.0), (0, 0, 0)),
        (3, Source::Audit, Some(1.0), (1, 1, 1_500_000)),
        (1, Source::User, None, (-1, -1, 1_500_000)),
    ] {
        let rating = rating.map(|value| Rating::new(value).unwrap());
        let (decision, time, rater) = (DecisionId(id), Timestamp(3), Rater(7));
        let said = FeedbackRecord { decision, time, source, rater, rating, comment: None };
        store.rate(said, u64::MAX).await.unwrap();
        let sums = sums(store.as_ref()).await;
        let now = (sums.plan_labels, sums.plan_tried, sums.plan_label_micro);
        assert_eq!((now.0 - seen.0, now.1 - seen.1, now.2 - seen.2), expected, "{id} {rating:?}");
        seen = now;
    }
    store.close().await;
}

#[tokio::test]
async fn sums_of_before_stay_and_say_that_nothing_was_observed() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("log.db");
    let old = Connection::open(&path).unwrap();
    old.execute_batch(&std::fs::read_to_string(VERSION_5).unwrap()).unwrap();
    old.execute_batch(
        "INSERT INTO rollup_groups (number, route, model, key, tenant) VALUES (1, 'watched', 'small', '', '')",
    )
    .unwrap();
    let width: i64 = old.query_row("SELECT count(*) FROM pragma_table_info('rollups')", [], |row| row.get(0)).unwrap();
    let sevens = vec!["7"; width as usize - 3].join(", ");
    old.execute_batch(&format!("INSERT INTO rollups VALUES (0, 1, 0, {sevens}); UPDATE rolled SET seq = 5")).unwrap();
    drop(old);
    let store = open(&format!("sqlite://{}", path.display())).await.unwrap();
    let found = sums(store.as_ref()).await;
    assert_eq!(
        (found.requests, found.cost_nano, found.audit_micro, found.observed, found.plan_labels),
        (7, 7, 7, 0, 0)
    );
    assert_eq!(slarouter_store::observed(&[found]), None);
    store.close().await;
}

on_both_stores! {
    each_request_adds_what_its_plan_would_have_cost_and_satisfied,
    labels_count_by_how_much_likelier_their_answers_were_planned_than_drawn,
}
