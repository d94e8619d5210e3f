//! The version of the tables.

use rusqlite::Connection;
use sha2::{Digest, Sha384};

use crate::StoreError;

/// Changes of the tables in the order of their versions. What was released is never edited.
const MIGRATIONS: [(i64, &str, &str); 5] = [
    (1, "log", include_str!("../../migrations/sqlite/0001_log.sql")),
    (2, "audits", include_str!("../../migrations/sqlite/0002_audits.sql")),
    (3, "reported outcomes", include_str!("../../migrations/sqlite/0003_reported_outcomes.sql")),
    (4, "keys", include_str!("../../migrations/sqlite/0004_keys.sql")),
    (5, "token counts", include_str!("../../migrations/sqlite/0005_token_counts.sql")),
];

/// The newest version of the tables.
pub(crate) fn newest_migration() -> i64 {
    MIGRATIONS.iter().map(|(version, ..)| *version).max().unwrap_or_default()
}

/// Brings the tables to the newest version. The record of it is in the form of sqlx, which wrote it in earlier releases.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL, \
         installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, success BOOLEAN NOT NULL, checksum BLOB NOT NULL, \
         execution_time BIGINT NOT NULL)",
    )?;
    let applied: Vec<(i64, bool, Vec<u8>)> = connection
        .prepare("SELECT version, success, checksum FROM _sqlx_migrations ORDER BY version")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    for (version, success, checksum) in &applied {
        let Some((.., sql)) = MIGRATIONS.iter().find(|(known, ..)| known == version) else {
            return Err(StoreError::Newer(format!("it has migration {version}, which this release does not know")));
        };
        if !success || *checksum != Sha384::digest(sql).as_slice() {
            return Err(StoreError::Migration(*version));
        }
    }
    for (version, description, sql) in MIGRATIONS {
        if applied.iter().any(|(done, ..)| *done == version) {
            continue;
        }
        let transaction = connection.transaction()?;
        transaction.execute_batch(sql)?;
        transaction.execute(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (?1, ?2, TRUE, ?3, -1)",
            (version, description, Sha384::digest(sql).as_slice()),
        )?;
        transaction.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_migration_is_listed_in_order() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/sqlite");
        let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        let listed =
            MIGRATIONS.map(|(version, name, sql)| (format!("{version:04}_{}.sql", name.replace(' ', "_")), sql));
        let found: Vec<_> = files.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
        let names: Vec<_> = files.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(listed.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), names);
        assert_eq!(listed.iter().map(|(_, sql)| *sql).collect::<Vec<_>>(), found);
    }

    #[test]
    fn a_migration_that_was_another_is_refused() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        migrate(&mut connection).unwrap();
        connection.execute("UPDATE _sqlx_migrations SET checksum = x'00' WHERE version = 2", []).unwrap();
        assert!(matches!(migrate(&mut connection), Err(StoreError::Migration(2))));
    }
}
