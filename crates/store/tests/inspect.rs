//! Looking at a database from outside.

use rusqlite::Connection;
use slarouter_store::{StoreError, inspect, open};

#[tokio::test]
async fn a_database_is_seen_and_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let url = format!("sqlite://{}", path.display());
    let before = inspect(&url).await.unwrap();
    assert_eq!((before.in_use, before.content), (false, None));
    assert!(!path.exists() && std::fs::read_dir(folder.path()).unwrap().next().is_none(), "nothing was made");

    let store = open(&url).await.unwrap();
    let held = inspect(&url).await.unwrap();
    assert!(held.in_use);
    let content = held.content.unwrap();
    assert_eq!((content.version, content.latest, content.has_keys), (held.newest, None, false));
    store.close().await;
    let bytes = std::fs::read(&path).unwrap();
    assert!(!inspect(&url).await.unwrap().in_use);
    assert!(std::fs::read(&path).unwrap() == bytes, "not a byte has changed");
    // Whoever looked holds nothing.
    open(&url).await.unwrap().close().await;

    let run = |sql| Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    run("PRAGMA user_version = 99999");
    assert_eq!(inspect(&url).await.unwrap().content.unwrap().version, 99_999);
    run("PRAGMA user_version = 0");
    let older = inspect(&url).await.unwrap();
    assert!(older.content.unwrap().version < older.newest);
}

#[tokio::test]
async fn what_is_no_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    std::fs::write(&path, "this is no database, however long one looks at it").unwrap();
    let url = format!("sqlite://{}", path.display());
    assert!(matches!(inspect(&url).await, Err(StoreError::Database(_))));
    for url in ["postgres://h/d", "sqlite://", "sqlite://:memory:"] {
        assert!(matches!(inspect(url).await, Err(StoreError::Url(_))), "{url}");
    }
    // Empty, as `touch` makes it: the gateway makes its tables at the start.
    std::fs::write(&path, "").unwrap();
    assert_eq!(inspect(&url).await.unwrap().content.unwrap().version, 0);
}
