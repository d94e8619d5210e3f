//! The questions of `docs/log.md`, asked of a log of which the answers are known.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

#[path = "common/outcomes.rs"]
mod outcomes;
#[path = "common/stores.rs"]
mod stores;

use outcomes::outcome;
use rusqlite::Connection;
use slarouter_core::{AuditDraw, Candidate, Decision, DecisionId, Rater, Rating, Reason, Source, Timestamp};
use slarouter_store::{Calendar, DecisionRecord, Entry, FeedbackRecord, OutcomeRecord, Payer, Store, migrate, open};
use stores::{Place, on_both_stores};
use tempfile::TempDir;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/log.md");
/// Its section for analysts has the questions whose words differ in PostgreSQL, in this order.
const POSTGRESQL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/postgresql.md");
const DIFFER: [usize; 5] = [3, 4, 7, 10, 11];
const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/v1.sql");
const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;

/// 1 January 2026.
const BEGAN: u64 = 1_767_225_600_000;

on_both_stores!(every_question_of_the_page_has_its_answer, rows_of_release_0_1_are_shown_alike);

/// A request: what was drawn with which probability, and how it ended.
struct Case {
    day: u64,
    key: Option<&'static str>,
    tenant: Option<&'static str>,
    chosen: usize,
    reason: Reason,
    propensity: f64,
    answered: &'static str,
    error: Option<&'static str>,
    cost: f64,
    latency_ms: f64,
    ratings: &'static [f64],
}

const GOOD: Case = Case {
    day: 0,
    key: Some("ci"),
    tenant: None,
    chosen: 0,
    reason: Reason::Exploit,
    propensity: 0.75,
    answered: "small",
    error: None,
    cost: 1.0,
    latency_ms: 100.0,
    ratings: &[],
};

/// Of the models `small` and `large`, for which 0.625 and 0.875 is predicted, at 1 and 8 USD.
const CASES: &[Case] = &[
    Case { ratings: &[1.0, 0.0], ..GOOD },
    Case { ratings: &[0.0], latency_ms: 200.0, ..GOOD },
    Case {
        chosen: 1,
        reason: Reason::Explore,
        propensity: 0.25,
        answered: "large",
        cost: 8.0,
        ratings: &[1.0],
        ..GOOD
    },
    Case { day: 1, chosen: 1, propensity: 0.5, answered: "large", cost: 4.0, ratings: &[0.5], ..GOOD },
    Case { day: 1, key: None, tenant: Some("acme"), answered: "large", cost: 8.0, latency_ms: 300.0, ..GOOD },
    Case { day: 1, error: Some("gone"), cost: 0.0, ..GOOD },
    Case { day: 1, key: None, reason: Reason::Pinned, propensity: 1.0, ..GOOD },
];

async fn log(store: &dyn Store, number: usize, case: &Case) {
    let (id, time) = (DecisionId(number as u128), Timestamp(BEGAN + case.day * DAY + 1_500));
    let candidate = |model: &str, probability, satisfaction, cost| Candidate {
        model: model.into(),
        probability,
        satisfaction,
        cost,
        ..Candidate::default()
    };
    let mut candidates = vec![candidate("small", 0.0, 0.625, 1.0), candidate("large", 0.0, 0.875, 8.0)];
    candidates[case.chosen].probability = case.propensity;
    let record = DecisionRecord {
        id,
        time,
        route: "default".into(),
        decision: Decision { candidates, chosen: case.chosen, reason: case.reason },
        features: vec![0.5; 8],
        feature_version: 1,
        input_tokens: 10.0,
        state_seq: 0,
        prompt: None,
        audit: AuditDraw::default(),
        payer: Payer { key: case.key.map(Into::into), tenant: case.tenant.map(Into::into) },
        fallback: (case.reason != Reason::Pinned).then_some(1),
        trace: None,
    };
    let chosen = record.decision.choice().model.clone();
    store.log(Entry::Decision(record)).unwrap();
    if *chosen != *case.answered {
        store.log(Entry::Reroute { decision: id, model: case.answered.into() }).unwrap();
    }
    let outcome = OutcomeRecord {
        model: case.answered.into(),
        input_tokens: Some(10.0),
        output_tokens: Some(1.0),
        cost: case.cost,
        latency_ms: case.latency_ms,
        error: case.error.map(str::to_owned),
        ..outcome(id.0, time.0, if case.error.is_none() { 200 } else { 502 })
    };
    store.log(Entry::Outcome(outcome)).unwrap();
    for (rater, rating) in (0..).zip(case.ratings) {
        // Only what is said last is in force, and what comes too late is not.
        for (value, late) in [(0.125, 0), (*rating, 1), (0.25, HOUR)] {
            let (time, rating) = (Timestamp(time.0 + late), Some(Rating::new(value).unwrap()));
            let said =
                FeedbackRecord { decision: id, time, source: Source::User, rater: Rater(rater), rating, comment: None };
            store.rate(said, 1_000).await.unwrap();
        }
    }
}

/// The rows of a query, their cells with bars between them, numbers to four places.
fn rows(place: &Place, query: &str) -> Vec<String> {
    let cell = |cell: &str| match cell.parse::<f64>() {
        _ if cell.is_empty() => "-".to_owned(),
        Ok(number) if cell.contains('.') => {
            format!("{number:.4}").trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        _ => cell.to_owned(),
    };
    place.rows(query).iter().map(|row| row.split('|').map(cell).collect::<Vec<_>>().join("|")).collect()
}

/// The queries of a page.
fn queries(page: &str) -> Vec<String> {
    let query = |rest: &str| rest.split("```").next().unwrap().to_owned();
    page.split("```sql\n").skip(1).map(query).collect()
}

async fn every_question_of_the_page_has_its_answer(place: &Place) {
    let store = open(&place.url()).await.unwrap();
    for (number, case) in (1..).zip(CASES) {
        log(store.as_ref(), number, case).await;
    }
    store.flush().await.unwrap();
    store.roll_up(&Calendar::default(), Vec::new()).await.unwrap();
    store.close().await;
    let mut asked = queries(&std::fs::read_to_string(PAGE).unwrap());
    if matches!(place, Place::Server(_)) {
        let page = std::fs::read_to_string(POSTGRESQL).unwrap();
        let differing = queries(page.split("\n## ").find(|section| section.starts_with("For analysts")).unwrap());
        assert_eq!(differing.len(), DIFFER.len());
        for (place, query) in DIFFER.into_iter().zip(differing) {
            asked[place] = query;
        }
    }
    let mut found: Vec<_> = asked.iter().map(|query| rows(place, query)).collect();
    // Where there is no key or tenant: that comes first in a file, and last on a server.
    found[1].sort();
    let expected: [&[&str]; 12] = [
        &["2026-01-01|large|1|8", "2026-01-01|small|2|2", "2026-01-02|large|2|12", "2026-01-02|small|2|1"],
        &["2026-01|-|-|1|1", "2026-01|-|acme|1|8", "2026-01|ci|-|5|14"],
        // Of the pinned one nothing was to be saved.
        &["2026-01-01|10|24", "2026-01-02|13|17"],
        &["default|0.1667"],
        &["large|large|explore|0.25|0.875"],
        // Four answers of 8 USD and two of 4; ratings 1 and 0.5 with the same weights.
        &["6.6667|0.8333"],
        &["default|large|2|0.75", "default|small|2|0.25"],
        &["0.6|2|0.25", "0.9|2|0.75"],
        &["small|502|gone|1"],
        &["small|large|1"],
        &["large|100|300", "small|100|200"],
        &["2026-01-01|large|1|8", "2026-01-01|small|2|2", "2026-01-02|large|2|12", "2026-01-02|small|2|1"],
    ];
    assert_eq!(found, expected);
}

async fn rows_of_release_0_1_are_shown_alike(place: &Place) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("log.db");
    Connection::open(&path).unwrap().execute_batch(&std::fs::read_to_string(FIXTURE).unwrap()).unwrap();
    let from = format!("sqlite://{}", path.display());
    open(&from).await.unwrap().close().await;
    let to = place.url();
    tokio::task::spawn_blocking(move || migrate(&from, &to, |_| {})).await.unwrap().unwrap();
    let query = "SELECT id, day, chosen, model, propensity, predicted_satisfaction, predicted_cost_usd * 1e8, \
                 most_expensive_cost_usd * 1e8, models, rating FROM decisions_readable";
    let id = format!("{:032x}", 7);
    let expected = format!(r#"{id}|1970-01-01|large|small|0.6667|0.3|3.3333|3.3333|["small","large"]|0.5"#);
    assert_eq!(rows(place, query), [expected]);
}
