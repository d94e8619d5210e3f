//! Earlier releases kept the record of migrations with sqlx.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use slarouter_store::open;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};
use tempfile::TempDir;

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

async fn migrated(folder: &TempDir) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(folder.path().join("log.db")).create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    MIGRATIONS.run(&mut connection).await.unwrap();
    connection
}

async fn record(connection: &mut SqliteConnection) -> Vec<(i64, String, bool, Vec<u8>)> {
    let query = "SELECT version, description, success, checksum FROM _sqlx_migrations ORDER BY version";
    sqlx::query_as(query).fetch_all(connection).await.unwrap()
}

#[tokio::test]
async fn this_release_and_those_with_sqlx_open_each_others_databases() {
    let (theirs, ours) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let url = |folder: &TempDir| format!("sqlite://{}", folder.path().join("log.db").display());
    let mut connection = migrated(&theirs).await;
    let expected = record(&mut connection).await;
    connection.close().await.unwrap();
    open(&url(&theirs)).await.unwrap().close().await;
    open(&url(&ours)).await.unwrap().close().await;
    assert_eq!(record(&mut migrated(&ours).await).await, expected);
}
