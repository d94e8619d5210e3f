//! The rows of the log for its hash.

use rusqlite::Connection;

use crate::StoreError;
use crate::fingerprint::{Fingerprint, TABLES};

/// A hash that begins with what is gone.
pub(super) fn begin(connection: &Connection) -> Result<Fingerprint, StoreError> {
    let gone = connection.query_row("SELECT seq FROM shortened", [], |row| row.get(0))?;
    Ok(Fingerprint::begin(gone))
}

/// Takes the events after `from` up to `to` in, table after table: with other steps it would be another hash.
pub(super) fn take(
    mut fingerprint: Fingerprint,
    connection: &Connection,
    from: u64,
    to: u64,
) -> Result<Fingerprint, StoreError> {
    for table in TABLES {
        fingerprint.table(table);
        let query = format!("SELECT * FROM {table} WHERE seq > ?1 AND seq <= ?2 ORDER BY seq");
        rows(&mut fingerprint, connection, &query, &[from.cast_signed(), to.cast_signed()])?;
    }
    Ok(fingerprint)
}

/// The zoos that the decisions name by their numbers, and the end.
pub(super) fn finish(mut fingerprint: Fingerprint, connection: &Connection) -> Result<[u8; 32], StoreError> {
    let last = fingerprint.last_zoo();
    rows(&mut fingerprint, connection, "SELECT * FROM zoos WHERE number <= ?1 ORDER BY number", &[last])?;
    Ok(fingerprint.finish())
}

fn rows(fingerprint: &mut Fingerprint, connection: &Connection, query: &str, range: &[i64]) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(query)?;
    let names: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
    let mut rows = statement.query(rusqlite::params_from_iter(range))?;
    while let Some(row) = rows.next()? {
        fingerprint.row(row, names.iter().map(String::as_str))?;
    }
    Ok(())
}
