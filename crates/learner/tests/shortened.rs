//! What is known of a log that was shortened, or rolled back: the same as without, to the last bit.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::Connection;
use slarouter_core::Timestamp;
use slarouter_learner::{Learning, Progress, replay};
use slarouter_store::{Calendar, Retention, Store, open};
use tempfile::TempDir;
use tokio::sync::watch;

/// Sixteen requests of `slarouter serve` 0.1.0, with ratings of eight; without a saved state.
const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/release-0.1.sql");
const LATER: Timestamp = Timestamp(4_000_000_000_000);

fn path(folder: &TempDir) -> PathBuf {
    folder.path().join("log.db")
}

async fn store(folder: &TempDir) -> Arc<dyn Store> {
    open(&format!("sqlite://{}", path(folder).display())).await.unwrap()
}

async fn fixture(folder: &TempDir) -> Arc<dyn Store> {
    Connection::open(path(folder)).unwrap().execute_batch(&std::fs::read_to_string(FIXTURE).unwrap()).unwrap();
    store(folder).await
}

async fn learnt(store: &dyn Store) -> Learning {
    let mut learning = Learning::load(store).await.unwrap();
    learning.catch_up(store).await.unwrap();
    learning
}

async fn save(store: &dyn Store, learning: &Learning) {
    store.save_snapshots(learning.seq(), LATER, learning.states().unwrap()).await.unwrap();
}

/// All that no saved state needs.
async fn shorten(store: &dyn Store) -> u64 {
    while store.roll_up(&Calendar::default(), Vec::new()).await.unwrap().more {}
    let (retention, mut archived) = (Retention { details_ms: Some(0), ..Retention::default() }, 0);
    loop {
        let done = store.shorten(&retention, LATER).await.unwrap();
        archived += done.archived;
        if !done.more {
            return archived;
        }
    }
}

#[tokio::test]
async fn a_log_of_the_last_release_is_shortened_and_known_as_before() {
    let folder = TempDir::new().unwrap();
    let log = fixture(&folder).await;
    let whole = learnt(log.as_ref()).await;
    let mut half = Learning::empty();
    half.catch_up_to(log.as_ref(), 20).await.unwrap();
    save(log.as_ref(), &half).await;
    let some = shorten(log.as_ref()).await;
    assert!(some > 0 && some < 16, "{some}: those that what comes after event 20 speaks of stay");
    assert_eq!(learnt(log.as_ref()).await.states().unwrap(), whole.states().unwrap());
    let mut replayed = Learning::oldest(log.as_ref()).await.unwrap();
    assert_eq!(replayed.seq(), 20);
    replayed.catch_up(log.as_ref()).await.unwrap();
    assert_eq!(replayed.states().unwrap(), whole.states().unwrap());
    assert!(Learning::at(log.as_ref(), 25).await.unwrap().is_some());
    assert!(Learning::at(log.as_ref(), 10).await.unwrap().is_none(), "no saved state of then is kept");

    // A damaged state is made again from the one before it.
    save(log.as_ref(), &whole).await;
    log.close().await;
    let damage = "UPDATE snapshots SET state = x'00' WHERE seq = (SELECT max(seq) FROM snapshots)";
    Connection::open(path(&folder)).unwrap().execute_batch(damage).unwrap();
    let log = store(&folder).await;
    assert_eq!(Learning::load(log.as_ref()).await.unwrap().seq(), 20);
    assert_eq!(learnt(log.as_ref()).await.states().unwrap(), whole.states().unwrap());
    log.close().await;
}

#[tokio::test]
async fn what_was_known_is_known_again_after_a_rollback_and_after_a_replay_of_it() {
    let folder = TempDir::new().unwrap();
    let log = fixture(&folder).await;
    let then = Learning::at(log.as_ref(), 20).await.unwrap().unwrap();
    log.roll_back(20, LATER, then.states().unwrap()).await.unwrap();
    let after = learnt(log.as_ref()).await;
    assert_eq!(after.states().unwrap(), then.states().unwrap());
    assert!(after.seq() > then.seq());
    save(log.as_ref(), &after).await;
    let mut replayed = Learning::empty();
    replayed.catch_up(log.as_ref()).await.unwrap();
    assert_eq!(replayed.states().unwrap(), after.states().unwrap());
    log.close().await;
}

#[tokio::test]
async fn a_replay_says_how_far_it_is() {
    let folder = TempDir::new().unwrap();
    let log = fixture(&folder).await;
    let (progress, seen) = watch::channel(Progress::default());
    let mut learning = Learning::empty();
    let applied = replay(&mut learning, log.as_ref(), || LATER, &progress).await.unwrap();
    let last = *log.committed().borrow();
    assert_eq!((applied, *seen.borrow()), (41, Progress { from: 0, seq: last, last }));
    assert_eq!((seen.borrow().share(), Progress::default().share()), (1.0, 1.0));
    assert_eq!(Progress { from: 10, seq: 15, last: 30 }.share(), 0.25);
    log.close().await;
}
