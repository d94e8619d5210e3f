//! What is logged and said while the server is away.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

#[path = "common/outcomes.rs"]
mod outcomes;
#[path = "common/records.rs"]
mod records;

use std::path::Path;
use std::sync::Arc;

use outcomes::outcome;
use records::{decision, rating};
use slarouter_core::{DecisionId, Receipt};
use slarouter_store::{Entry, Event, Kept, OutcomeRecord, Store, StoreError, join};
use slarouter_testkit::{Postgres, until};
use tempfile::TempDir;

const WINDOW: u64 = 1_000;

fn server() -> &'static Postgres {
    // It ends with the process.
    Box::leak(Box::new(Postgres::start()))
}

async fn joined(url: &str, path: &Path, room: u64) -> Arc<dyn Store> {
    join(url, 65_536, Some((path, room))).await.unwrap()
}

async fn until_all_is_in_the_log(store: &dyn Store) {
    until("what was kept is in the log", async || {
        store.kept() == Kept::default() && store.flush().await.is_ok() && !store.is_failing()
    })
    .await;
}

/// What was said of decisions, in the order of the log.
async fn words(store: &dyn Store) -> Vec<(u128, u64, f64)> {
    let events = store.events_after(0, usize::MAX).await.unwrap();
    let words = events.into_iter().filter_map(|event| match event {
        Event::Rated { rated, .. } => Some((rated.decision.0, rated.rater.0, rated.rating.unwrap().get())),
        _ => None,
    });
    words.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_acknowledged_and_comes_into_the_log_in_its_order_once_the_server_is_back() {
    let (server, folder) = (server(), TempDir::new().unwrap());
    let (database, path) = (server.database(), folder.path().join("log.spool"));
    let store = joined(&database.url(), &path, 1 << 20).await;
    store.log(decision(1, None)).unwrap();
    assert_eq!(store.rate(rating(1, 1, Some(1.0), 1), WINDOW).await.unwrap(), Receipt::Recorded);
    assert_eq!(store.kept(), Kept::default(), "with a server nothing waits");

    server.stop();
    for id in 2..1_500 {
        store.log(decision(id, None)).unwrap();
        store.log(Entry::Outcome(outcome(id, 7, 200))).unwrap();
    }
    assert_eq!(store.rate(rating(2, 1, Some(1.0), 1), WINDOW).await.unwrap(), Receipt::Recorded);
    assert_eq!(store.rate(rating(2, 1, Some(0.0), 2), WINDOW).await.unwrap(), Receipt::Recorded, "the log says more");
    assert_eq!(store.rate(rating(1, 1, Some(0.5), 2), WINDOW).await.unwrap(), Receipt::Recorded);
    assert_eq!(store.rate(rating(3, 1, Some(1.0), WINDOW + 1), WINDOW).await.unwrap(), Receipt::Expired);
    let of_tomorrow = store.rate(rating(u128::MAX, 1, Some(1.0), 1), WINDOW).await;
    assert!(matches!(of_tomorrow, Err(StoreError::UnknownDecision)), "{of_tomorrow:?}");
    let reported = OutcomeRecord { attempts: 0, ..outcome(3, 7, 200) };
    assert_eq!(store.report(reported, false).await.unwrap(), Receipt::Recorded);
    let refused = store.configure(slarouter_core::Timestamp(1), "r", "{}").await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "whoever asks asks again: {refused:?}");
    until("all that was logged is on the disk", async || store.kept().records == 2 * 1_498 + 4).await;
    assert!(!store.is_failing() && store.kept().bytes > 100_000);

    server.restart();
    until_all_is_in_the_log(store.as_ref()).await;
    assert_eq!(words(store.as_ref()).await, [(1, 1, 1.0), (2, 1, 1.0), (2, 1, 0.0), (1, 1, 0.5)]);
    let counts = store.counts().await.unwrap();
    assert_eq!((counts.decisions, counts.outcomes, store.dropped()), (1_499, 1_499, 0));
    let mut last = 0;
    for event in store.events_after(0, usize::MAX).await.unwrap() {
        if let Event::Decided { id: DecisionId(id), .. } = event {
            assert_eq!(std::mem::replace(&mut last, id) + 1, id, "in order");
        }
    }
    store.close().await;
    assert!(std::fs::metadata(path).unwrap().len() < 200, "nothing is left in the file");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_process_leaves_is_brought_to_the_log_by_the_next_one() {
    let (server, folder) = (server(), TempDir::new().unwrap());
    let (database, path) = (server.database(), folder.path().join("log.spool"));
    let store = joined(&database.url(), &path, 1 << 20).await;
    store.log(decision(1, None)).unwrap();
    store.flush().await.unwrap();
    server.stop();
    store.log(decision(2, None)).unwrap();
    assert_eq!(store.rate(rating(2, 1, Some(1.0), 1), WINDOW).await.unwrap(), Receipt::Recorded);
    store.close().await;
    server.restart();

    // Another one goes on without it, in a folder of its own.
    let other = joined(&database.url(), &folder.path().join("other.spool"), 1 << 20).await;
    other.log(decision(3, None)).unwrap();
    until("the other one is not kept up", async || other.flush().await.is_ok()).await;
    let next = joined(&database.url(), &path, 1 << 20).await;
    until_all_is_in_the_log(next.as_ref()).await;
    until("all is in the log", async || next.counts().await.unwrap().decisions == 3).await;
    until("the rating is", async || words(next.as_ref()).await == [(2, 1, 1.0)]).await;
    for store in [next, other] {
        store.close().await;
    }
}

/// A transaction of a follower with what was kept fails; the next one, as the holder of the log, is for what it had sent long before. That this one
/// is committed says nothing of the first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_begun_waits_while_what_was_sent_before_is_taken() {
    let (server, folder) = (server(), TempDir::new().unwrap());
    let (database, path) = (server.database(), folder.path().join("log.spool"));
    joined(&database.url(), &folder.path().join("other.spool"), 1 << 20).await.close().await;
    // One that never comes back has the log.
    database.run("UPDATE head SET holder = gen_random_uuid(), host = 'gone', expires = 'infinity'");
    let store = joined(&database.url(), &path, 1 << 20).await;
    store.log(decision(1, None)).unwrap();
    store.flush().await.unwrap();
    assert_eq!(database.run("SELECT count(*) FROM inbox").trim(), "1");
    database.run("ALTER TABLE inbox ADD CONSTRAINT no_more CHECK (n <= 1)");
    server.stop();
    store.log(decision(2, None)).unwrap();
    assert_eq!(store.rate(rating(2, 1, Some(1.0), 1), WINDOW).await.unwrap(), Receipt::Recorded);
    let kept = std::fs::metadata(&path).unwrap().len();
    server.restart();
    until("it tries to send what was kept", async || std::fs::metadata(&path).unwrap().len() > kept).await;

    database.run("UPDATE head SET holder = NULL");
    until("what was sent before is in the log", async || store.counts().await.is_ok_and(|counts| counts.decisions > 0))
        .await;
    until_all_is_in_the_log(store.as_ref()).await;
    assert_eq!(store.counts().await.unwrap().decisions, 2);
    assert_eq!(words(store.as_ref()).await, [(2, 1, 1.0)]);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_no_room_is_refused_and_counted() {
    let (server, folder) = (server(), TempDir::new().unwrap());
    let (database, path) = (server.database(), folder.path().join("log.spool"));
    let store = joined(&database.url(), &path, 2_000).await;
    store.log(decision(1, None)).unwrap();
    store.flush().await.unwrap();
    server.stop();
    let mut acknowledged = Vec::new();
    for rater in 1..200 {
        match store.rate(rating(1, rater, Some(1.0), 1), WINDOW).await {
            Ok(receipt) => {
                assert_eq!(receipt, Receipt::Recorded);
                acknowledged.push((1, rater, 1.0));
            }
            Err(StoreError::Unavailable(why)) => {
                assert!(why.contains("store.spool_bytes") && why.contains("log.spool"), "{why}");
                break;
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert!((10..100).contains(&acknowledged.len()), "{} have room", acknowledged.len());
    assert!(store.is_failing());
    store.log(decision(2, Some("x".repeat(3_000)))).unwrap();
    until("the entry is given up", async || store.dropped() == 1).await;
    server.restart();
    until_all_is_in_the_log(store.as_ref()).await;
    assert_eq!(words(store.as_ref()).await, acknowledged);
    assert_eq!(store.rate(rating(1, 500, Some(1.0), 1), WINDOW).await.unwrap(), Receipt::Recorded);
    store.close().await;

    std::fs::write(&path, "no file of ours").unwrap();
    let refused = join(&database.url(), 65_536, Some((&path, 2_000))).await.err().unwrap().to_string();
    assert!(refused.contains("move it away") && refused.contains("STATE_DIRECTORY"), "{refused}");
}
