//! Copies of a log that is being written.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

#[path = "common/records.rs"]
mod records;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use records::{decision, rating};
use rusqlite::Connection;
use slarouter_core::Receipt;
use slarouter_store::{Event, Store, StoreError, backup, open};
use tempfile::TempDir;

fn url(path: &Path) -> String {
    format!("sqlite://{}", path.display())
}

async fn all(store: &dyn Store) -> Vec<Event> {
    store.events_after(0, usize::MAX).await.unwrap()
}

/// Logs decisions as fast as the writer takes them, and rates each hundredth, until told to stop. Returns how many it rated.
async fn write(store: Arc<dyn Store>, stop: Arc<AtomicBool>) -> u64 {
    let mut ratings = 0;
    for id in 1_000_000_u128.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        store.log(decision(id, None)).unwrap();
        if id % 100 == 0 {
            assert_eq!(store.rate(rating(id, 1, Some(1.0), 1), 9).await.unwrap(), Receipt::Recorded);
            ratings += 1;
        }
    }
    ratings
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_is_the_log_as_it_was_at_one_moment_while_a_writer_goes_on() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("log.db");
    let store = open(&url(&path)).await.unwrap();
    // Some 20 MB, so that copying takes a while.
    for id in 0..5_000 {
        store.log(decision(id, Some("x".repeat(4_000)))).unwrap();
    }
    store.flush().await.unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let writing = tokio::spawn(write(store.clone(), stop.clone()));
    let mut committed = store.committed();
    committed.changed().await.unwrap();

    let mut kept = None;
    for attempt in 0..100 {
        let copy = folder.path().join(format!("copy-{attempt}.db"));
        let before = *committed.borrow();
        let made = backup(&url(&path), &copy).await.unwrap();
        let after = *committed.borrow();
        assert!((before..=after).contains(&made.log_seq), "{before} {made:?} {after}");
        assert_eq!(std::fs::metadata(&copy).unwrap().len(), made.bytes);
        if after > before {
            kept = Some((copy, made));
            break;
        }
        std::fs::remove_file(copy).unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    let ratings = writing.await.unwrap();
    let (copy, made) = kept.unwrap();

    assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600, "as closed as the database");
    let sound: String =
        Connection::open(&copy).unwrap().query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
    let copied = open(&url(&copy)).await.unwrap();
    let (events, log) = (all(copied.as_ref()).await, all(store.as_ref()).await);
    assert_eq!(events.len() as u64, made.log_seq, "no event is missing");
    assert!(events[..] == log[..events.len()], "the copy begins as the log does");
    assert_eq!(store.counts().await.unwrap().feedback, ratings, "the writer lost nothing");
    assert_eq!(copied.rate(rating(0, 1, Some(1.0), 1), 9).await.unwrap(), Receipt::Recorded, "and goes on by itself");
    copied.close().await;
    store.close().await;
}

#[tokio::test]
async fn nothing_is_overwritten_and_nothing_left_behind() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("log.db");
    let copy = folder.path().join("copy.db");
    assert!(matches!(backup(&url(&path), &copy).await, Err(StoreError::Missing(_))));
    assert!(matches!(backup("mysql://h/d", &copy).await, Err(StoreError::Url(_))));
    assert!(matches!(backup("postgres://me@h/d", &copy).await, Err(StoreError::FilesOnly(_))));
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (id INTEGER)").unwrap();
    assert!(matches!(backup(&url(&path), &copy).await, Err(StoreError::Foreign(_))));
    std::fs::remove_file(&path).unwrap();

    let store = open(&url(&path)).await.unwrap();
    store.log(decision(1, None)).unwrap();
    store.flush().await.unwrap();
    std::fs::write(&copy, "mine").unwrap();
    let error = backup(&url(&path), &copy).await.unwrap_err();
    assert!(matches!(&error, StoreError::Exists(_)) && error.to_string().contains("copy.db"), "{error}");
    assert_eq!(std::fs::read(&copy).unwrap(), b"mine");
    let nowhere = folder.path().join("no/such/folder/copy.db");
    assert!(matches!(backup(&url(&path), &nowhere).await, Err(StoreError::Copy { .. })));
    // A copy that cannot grow: its place is taken by a folder.
    let blocked = folder.path().join("blocked.db");
    std::fs::create_dir(folder.path().join("blocked.db.partial")).unwrap();
    assert!(matches!(backup(&url(&path), &blocked).await, Err(StoreError::Copy { .. })));
    assert!(!blocked.exists());

    std::fs::remove_file(&copy).unwrap();
    assert_eq!(backup(&url(&path), &copy).await.unwrap().log_seq, 1);
    store.close().await;
    let mut left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["blocked.db.partial", "copy.db", "log.db", "log.db.lock"]);
}
