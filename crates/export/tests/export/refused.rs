//! What cannot be read, and what cannot be written.

use std::path::Path;

use parquet::record::Field;
use rusqlite::Connection;
use slarouter_export::{ExportError, Order};

use crate::log::{DAY, Log, decision};
use crate::read::{column, table};
use crate::{exported, order, rows};

/// What is in a folder, but for the database.
fn left(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| !name.starts_with("log.db")).collect()
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_named_and_passed_over() {
    let (log, _) = Log::filled().await;
    log.store.flush().await.unwrap();
    let damage = "UPDATE decisions SET candidates = x'0100' WHERE seq = 5; UPDATE outcomes SET status = 70000 WHERE seq = 10; \
         UPDATE feedback SET rating = 1.5 WHERE seq = 12; UPDATE decisions SET time = -1 WHERE seq = 7";
    let database = Connection::open(log.folder.path().join("log.db")).unwrap();
    database.execute_batch(damage).unwrap();
    let folder = log.folder.path().join("export");
    let made = exported(&log, &order(&folder)).await.unwrap();
    let named: Vec<_> = made.unreadable.iter().map(|row| (row.table, row.seq, &row.what[..5])).collect();
    let expected =
        [("decisions", 5, "candi"), ("decisions", 7, "time:"), ("outcomes", 10, "statu"), ("feedback", 12, "ratin")];
    assert_eq!((named.as_slice(), made.unreadable_rows), (&expected[..], 4));
    // The outcome of the decision without a time is in no day, and the others are all there.
    let seqs = |name: &str| {
        let mut seqs = column(&table(&folder, &made, name), "seq");
        seqs.sort_by_key(|seq| if let Field::Long(seq) = seq { *seq } else { 0 });
        seqs
    };
    assert_eq!(seqs("decisions"), [4, 6].map(Field::Long));
    assert_eq!(seqs("outcomes"), [9, 11].map(Field::Long));
    assert_eq!(rows(&made, "feedback"), 5);
}

#[tokio::test]
async fn nothing_is_overwritten() {
    let (log, _) = Log::filled().await;
    let folder = log.folder.path().join("export");
    exported(&log, &order(&folder)).await.unwrap();
    let before = std::fs::read(folder.join("manifest.json")).unwrap();
    let again = exported(&log, &order(&folder)).await.unwrap_err();
    assert!(matches!(&again, ExportError::Exists(path) if *path == folder), "{again}");
    assert_eq!(std::fs::read(folder.join("manifest.json")).unwrap(), before);
    // Nor a folder without files, nor a file.
    let empty = log.folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let error = exported(&log, &order(&empty)).await.unwrap_err().to_string();
    assert!(error.ends_with("empty is there already: name a folder that is not"), "{error}");
    assert!(matches!(exported(&log, &order(&folder.join("manifest.json"))).await, Err(ExportError::Exists(_))));
    let mut left = left(log.folder.path());
    left.sort();
    assert_eq!(left, ["empty", "export"]);
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_said_and_nothing_is_left() {
    let log = Log::new().await;
    log.log(&decision(1, "default", DAY));
    let missing = log.folder.path().join("none/export");
    let error = exported(&log, &order(&missing)).await.unwrap_err().to_string();
    assert!(error.contains("none/export cannot be written: No such file or directory"), "{error}");
    assert!(matches!(exported(&log, &order(Path::new("/"))).await, Err(ExportError::Name(_))));
    let until = Order { until: Some(99), ..order(&log.folder.path().join("export")) };
    let error = exported(&log, &until).await.unwrap_err().to_string();
    assert!(error.contains("the log ends at event 1, before 99"), "{error}");
    assert!(left(log.folder.path()).is_empty(), "{:?}", left(log.folder.path()));
}

#[tokio::test]
async fn an_export_that_is_given_up_leaves_nothing() {
    let (log, _) = Log::filled().await;
    let folder = log.folder.path().join("export");
    let order = order(&folder);
    let mut work = Box::pin(slarouter_export::export(log.store.as_ref(), &order));
    // The first page is under way, and the folder made.
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(work.as_mut().poll(&mut context).is_pending());
    assert_eq!(left(log.folder.path()).len(), 1);
    drop(work);
    assert!(left(log.folder.path()).is_empty());
}

#[tokio::test]
async fn a_log_that_cannot_be_read_leaves_nothing() {
    let (log, _) = Log::filled().await;
    log.store.flush().await.unwrap();
    let database = Connection::open(log.folder.path().join("log.db")).unwrap();
    // The last table that is read.
    database.execute_batch("ALTER TABLE certificates RENAME TO away").unwrap();
    let folder = log.folder.path().join("export");
    let error = exported(&log, &order(&folder)).await.unwrap_err().to_string();
    assert!(error.contains("no such table: certificates"), "{error}");
    assert!(left(log.folder.path()).is_empty());
}
