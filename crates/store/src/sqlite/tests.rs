//! The writer when the disk or another process is in its way.

#[path = "../../tests/common/records.rs"]
pub(crate) mod records;

use std::time::Duration;

use records::{decision, rating};
use tempfile::TempDir;

use super::*;

fn options(folder: &TempDir) -> Options {
    Options { busy: Duration::from_millis(1), ..Options::new(folder.path().join("log.db")) }
}

fn small_disk(folder: &TempDir) -> Options {
    Options { max_pages: Some(80), ..options(folder) }
}

fn thumb(id: u128) -> FeedbackRecord {
    rating(id, 1, Some(1.0), 1)
}

#[tokio::test]
async fn a_full_disk_refuses_feedback_and_shows_no_half_of_a_batch() {
    let folder = TempDir::new().unwrap();
    let store = SqliteStore::with(small_disk(&folder), 4_096).await.unwrap();
    store.log(decision(0, None)).unwrap();
    assert_eq!(store.rate(thumb(0), 9).await.unwrap(), Receipt::Recorded);
    let before = *store.committed().borrow();
    // 40 × 16 kB do not go into 80 pages of 4 kB.
    (1..=40).for_each(|id| store.log(decision(id, Some("x".repeat(16_384)))).unwrap());
    for _ in 0..3 {
        assert!(matches!(store.rate(thumb(1), 9).await, Err(StoreError::Unavailable(why)) if why.contains("full")));
    }
    assert_eq!(*store.committed().borrow(), before, "half a batch is never visible");
    assert_eq!(store.counts().await.unwrap(), Counts { decisions: 1, outcomes: 0, feedback: 1 });
    assert_eq!(store.dropped(), 0);
    store.close().await;
    assert_eq!(store.dropped(), 40, "what could not be written even on closing is counted");
}

#[tokio::test]
async fn entries_wait_for_a_locked_database_and_keep_their_order() {
    let folder = TempDir::new().unwrap();
    let store = SqliteStore::with(options(&folder), 4_096).await.unwrap();
    store.log(decision(1, None)).unwrap();
    store.flush().await.unwrap();
    let other = options(&folder).writer().unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    store.log(decision(2, None)).unwrap();
    assert!(matches!(store.rate(thumb(2), 9).await, Err(StoreError::Unavailable(why)) if why.contains("locked")));
    store.log(decision(3, None)).unwrap();
    assert!(matches!(store.configure(Timestamp(0), "r", "{}").await, Err(StoreError::Unavailable(_))));
    assert!(matches!(store.flush().await, Err(StoreError::Unavailable(_))));
    assert_eq!(store.events_after(0, 9).await.unwrap().len(), 1, "readers are not held up");
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(store.rate(thumb(2), 9).await.unwrap(), Receipt::Recorded);
    let events = store.events_after(0, 9).await.unwrap();
    let found: Vec<_> = events
        .iter()
        .map(|event| match event {
            Event::Decided { seq, id, .. } => (*seq, id.0),
            Event::Rated { seq, rated, .. } => (*seq, rated.decision.0 + 100),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(found, [(1, 1), (2, 2), (3, 3), (4, 102)]);
    assert_eq!(store.dropped(), 0);
}

#[tokio::test]
async fn a_full_disk_that_gets_room_again_is_written_on() {
    let folder = TempDir::new().unwrap();
    let store = SqliteStore::with(small_disk(&folder), 4_096).await.unwrap();
    store.log(decision(0, Some("x".repeat(120_000)))).unwrap();
    store.flush().await.unwrap();
    store.log(decision(1, Some("y".repeat(120_000)))).unwrap();
    assert!(matches!(store.flush().await, Err(StoreError::Unavailable(_))));
    let other = options(&folder).writer().unwrap();
    other.execute_batch("UPDATE decisions SET prompt = NULL").unwrap();
    assert_eq!(store.rate(thumb(1), 9).await.unwrap(), Receipt::Recorded);
    assert_eq!((*store.committed().borrow(), store.dropped()), (3, 0));
    store.close().await;
    // Really on disk, not in a transaction that nobody ended.
    let store = SqliteStore::with(options(&folder), 16).await.unwrap();
    assert_eq!(store.counts().await.unwrap(), Counts { decisions: 2, outcomes: 0, feedback: 1 });
}

#[tokio::test]
async fn what_waits_is_written_without_a_further_call() {
    let folder = TempDir::new().unwrap();
    let store = SqliteStore::with(options(&folder), 4_096).await.unwrap();
    store.flush().await.unwrap();
    let mut committed = store.committed();
    committed.mark_unchanged();
    let other = options(&folder).writer().unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    store.log(decision(1, None)).unwrap();
    assert!(matches!(store.flush().await, Err(StoreError::Unavailable(_))));
    other.execute_batch("ROLLBACK").unwrap();
    // Nothing more is asked of the store; the limit only turns a hang into a failure.
    tokio::time::timeout(Duration::from_secs(60), committed.changed()).await.unwrap().unwrap();
    assert_eq!(store.counts().await.unwrap().decisions, 1);
    assert_eq!(store.dropped(), 0);
}

#[tokio::test]
async fn one_store_at_a_time_has_the_file() {
    let folder = TempDir::new().unwrap();
    let store = SqliteStore::with(options(&folder), 16).await.unwrap();
    store.log(decision(1, None)).unwrap();
    // By another name as well.
    std::os::unix::fs::symlink("log.db", folder.path().join("linked.db")).unwrap();
    for path in ["log.db", "linked.db"] {
        let path = folder.path().join(path);
        let second = SqliteStore::with(Options::new(&path), 16).await;
        let Err(error) = second else { panic!("{} was opened twice", path.display()) };
        assert!(matches!(error, StoreError::InUse(_)), "{error}");
        assert!(error.to_string().contains(&*path.to_string_lossy()), "{error}");
    }
    store.close().await;
    let store = SqliteStore::with(options(&folder), 16).await.unwrap();
    assert_eq!(store.counts().await.unwrap().decisions, 1, "closing gives the file back, with everything in it");
}

#[tokio::test]
async fn a_database_that_may_only_be_read_says_so_from_the_start() {
    let folder = TempDir::new().unwrap();
    let store = SqliteStore::with(options(&folder), 4_096).await.unwrap();
    store.configure(Timestamp(0), "r", "{}").await.unwrap();
    assert!(!store.is_failing());
    store.close().await;
    let store = SqliteStore::with(Options { read_only: true, ..options(&folder) }, 4_096).await.unwrap();
    assert!(store.is_failing(), "before anything is asked of it");
    // What changes nothing succeeds, and says nothing of the rest.
    store.configure(Timestamp(0), "r", "{}").await.unwrap();
    assert!(store.is_failing());
    store.log(decision(1, None)).unwrap();
    assert!(matches!(store.flush().await, Err(StoreError::Unavailable(why)) if why.contains("readonly")));
    assert!(store.is_failing());
}

#[tokio::test]
async fn one_decision_takes_so_many_words_and_no_more() {
    let folder = TempDir::new().unwrap();
    let store = SqliteStore::with(options(&folder), 4_096).await.unwrap();
    store.log(decision(1, None)).unwrap();
    store.log(decision(2, None)).unwrap();
    for rater in 1..=1_000 {
        assert_eq!(store.rate(rating(1, rater, Some(1.0), 1), 9).await.unwrap(), Receipt::Recorded);
    }
    assert!(matches!(store.rate(rating(1, 1_001, Some(1.0), 1), 9).await, Err(StoreError::Rated)));
    assert_eq!(store.rate(rating(1, 7, Some(1.0), 1), 9).await.unwrap(), Receipt::Duplicate);
    assert!(
        matches!(store.rate(rating(1, 7, Some(0.0), 1), 9).await, Err(StoreError::Rated)),
        "a change is a word too"
    );
    assert_eq!(store.rate(rating(1, 7, None, 1), 9).await.unwrap(), Receipt::Withdrawn);
    assert_eq!(store.rate(rating(2, 1_001, Some(1.0), 1), 9).await.unwrap(), Receipt::Recorded, "others have theirs");
    store.close().await;
}

/// A view must not take longer with every decision: what it shows is found by keys. Of the tables that are read through there is a row for
/// each combination of names alone.
#[tokio::test]
async fn no_view_reads_through_a_table_that_grows_with_the_log() {
    let folder = TempDir::new().unwrap();
    SqliteStore::with(options(&folder), 8).await.unwrap().close().await;
    let connection = options(&folder).reader().unwrap();
    for (query, small) in
        [(decisions::PAGE, ""), (events::OUTCOME, ""), (rollups::SUMS.as_str(), "g"), (rollups::CERTIFICATES, "")]
    {
        let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {query}")).unwrap();
        let (mut steps, mut told) = (plan.raw_query(), Vec::new());
        while let Some(step) = steps.next().unwrap() {
            told.push(step.get::<_, String>(3).unwrap());
        }
        let read_through: Vec<_> = told.iter().filter_map(|step| step.strip_prefix("SCAN ")).collect();
        assert!(!told.is_empty() && read_through.iter().all(|table| *table == small), "{query}: {told:#?}");
    }
}
