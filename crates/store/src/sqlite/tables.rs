//! Whose tables a database has, and of which version.

use rusqlite::Connection;
use rusqlite_migration::{M, Migrations};

use crate::StoreError;

/// What `PRAGMA application_id` says of a database of SLARouter; the first migration sets it.
const APPLICATION: i64 = 0x534C_4152;

/// Changes of the tables in the order of their versions, from 1 on. What was released is never edited.
const STEPS: &[M<'static>] = &[
    M::up(include_str!("../../migrations/sqlite/0001_log.sql")),
    M::up(include_str!("../../migrations/sqlite/0002_packed.sql")),
    M::up(include_str!("../../migrations/sqlite/0003_feedback_by_decision.sql")),
    M::up(include_str!("../../migrations/sqlite/0004_payers.sql")),
    M::up(include_str!("../../migrations/sqlite/0005_rollups.sql")),
    M::up(include_str!("../../migrations/sqlite/0006_traces.sql")),
    M::up(include_str!("../../migrations/sqlite/0007_observed.sql")),
];

/// The newest version of the tables.
pub(crate) fn newest() -> i64 {
    STEPS.len() as i64
}

/// The version of the tables, 0 where there are none yet.
///
/// # Errors
/// [`StoreError::Foreign`] if the database is another program's.
pub(crate) fn version(connection: &Connection) -> Result<i64, StoreError> {
    let number = |query: &str| connection.query_row(query, [], |row| row.get::<_, i64>(0));
    let (application, version) = (number("PRAGMA application_id")?, number("PRAGMA user_version")?);
    if application != APPLICATION {
        let is_empty = number("SELECT COUNT(*) FROM sqlite_schema")? == 0;
        if application != 0 || version != 0 || !is_empty {
            return Err(StoreError::Foreign(connection.path().unwrap_or_default().to_owned()));
        }
    }
    Ok(version)
}

/// Brings the tables to the newest version, in one transaction.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let (found, newest) = (version(connection)?, newest());
    if found > newest {
        return Err(StoreError::Newer { found, newest });
    }
    Ok(Migrations::from_slice(STEPS).to_latest(connection)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_migration_is_listed_in_order() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/sqlite");
        let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        let numbers: Vec<_> =
            files.iter().map(|path| path.file_name().unwrap().to_str().unwrap()[..4].to_owned()).collect();
        assert_eq!(numbers, (1..=newest()).map(|version| format!("{version:04}")).collect::<Vec<_>>());
        let found: Vec<_> = files.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
        assert_eq!(STEPS, found.iter().map(|sql| M::up(sql)).collect::<Vec<_>>());
    }
}
