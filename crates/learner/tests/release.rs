//! A database that release 0.1.0 wrote is opened, brought up to date, and learnt from.

use rusqlite::Connection;
use slarouter_core::{Context, DecisionId, decision_rng};
use slarouter_learner::Learning;
use slarouter_store::{Event, open};
use tempfile::TempDir;

/// Sixteen requests of `slarouter serve` 0.1.0, one of them pinned, with ratings of eight; without a saved state.
const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/release-0.1.sql");

#[tokio::test]
async fn a_log_of_release_0_1_is_learnt_from() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("log.db");
    Connection::open(&path).unwrap().execute_batch(&std::fs::read_to_string(FIXTURE).unwrap()).unwrap();
    let store = open(&format!("sqlite://{}", path.display())).await.unwrap();
    let mut learning = Learning::load(store.as_ref()).await.unwrap();
    assert_eq!(learning.catch_up(store.as_ref()).await.unwrap(), 1 + 16 + 16 + 8);
    assert_eq!(learning.refused(), 0);
    let learner = &learning.learners()["default"];
    assert_eq!(learner.router().features(), (128, 2));
    let account = learner.account();
    assert_eq!((account.requests, account.labels), (15, 8));

    // Its decisions can be made again from the features that it logged.
    let decided = store.events_after(0, 100).await.unwrap().into_iter().find_map(|event| match event {
        Event::Decided { id, .. } => Some(id),
        _ => None,
    });
    let first = store.decision(decided.unwrap()).await.unwrap().unwrap();
    let mut begun = Learning::empty();
    begun.catch_up_to(store.as_ref(), first.record.state_seq).await.unwrap();
    let (features, input_tokens) = (&first.record.features[..], first.record.input_tokens);
    assert!(features.len() == 128 && features.iter().any(|x| *x != 0.0));
    let context = Context { features, input_tokens, excluded: &[] };
    let router = begun.learners()["default"].router();
    let again = router.decide(&context, &mut decision_rng(0, DecisionId(first.record.id.0))).unwrap();
    let judged = |decision: &slarouter_core::Decision| -> Vec<_> {
        decision.candidates.iter().map(|c| (c.model.clone(), c.satisfaction.to_bits(), c.cost.to_bits())).collect()
    };
    assert_eq!(judged(&again), judged(&first.record.decision));
}
