//! One side of a move of a whole log: a file.

use std::fs::File;
use std::path::PathBuf;

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::connection::{Options, close};
use super::lock::{Lock, beside, lock};
use super::read::last_seq;
use super::tables::{migrate, newest};
use crate::StoreError;
use crate::layout::Table;

/// A file that is read, or one that is made under another name until it is whole.
pub(crate) struct Transferring {
    connection: Option<Connection>,
    /// Where the file will be, and where it is meanwhile.
    grows: Option<(PathBuf, PathBuf)>,
    _lock: Lock,
}

impl Transferring {
    pub(crate) fn source(path: &str) -> Result<Self, StoreError> {
        let options = Options::new(path);
        let (connection, found) = options.known_reader()?;
        let lock = lock(&options.path)?;
        if found < newest() {
            return Err(StoreError::Older { found, newest: newest() });
        }
        connection.execute_batch("BEGIN")?;
        Ok(Self { connection: Some(connection), grows: None, _lock: lock })
    }

    pub(crate) fn target(path: &str) -> Result<Self, StoreError> {
        let path = PathBuf::from(path);
        if path.exists() {
            return Err(StoreError::Exists(path.display().to_string()));
        }
        let lock = lock(&path)?;
        let partial = beside(&path, ".partial");
        // What an earlier try has left.
        drop(std::fs::remove_file(&partial));
        let mut connection = Options::new(&partial).first_writer()?;
        migrate(&mut connection)?;
        connection.execute_batch("BEGIN; DELETE FROM rolled; DELETE FROM shortened")?;
        Ok(Self { connection: Some(connection), grows: Some((path, partial)), _lock: lock })
    }

    pub(crate) fn last_seq(&mut self) -> Result<u64, StoreError> {
        Ok(last_seq(self.connection()?)?)
    }

    fn connection(&self) -> Result<&Connection, StoreError> {
        self.connection.as_ref().ok_or(StoreError::Closed)
    }

    pub(crate) fn page(&mut self, table: &Table, after: i64, most: usize) -> Result<Vec<Vec<Value>>, StoreError> {
        let columns: Vec<&str> = table.columns.iter().map(|(name, _)| *name).collect();
        let page = if table.is_long { format!("WHERE {} > ?1", columns[0]) } else { String::new() };
        let limit = if table.is_long { format!("LIMIT {most}") } else { String::new() };
        let query =
            format!("SELECT {} FROM {} {page} ORDER BY {} {limit}", columns.join(", "), table.name, table.order[0]);
        let mut statement = self.connection()?.prepare_cached(&query)?;
        let mut rows = if table.is_long { statement.query([after])? } else { statement.query([])? };
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let values = (0..columns.len()).map(|place| row.get::<_, Value>(place));
            let values = values.collect::<Result<Vec<_>, _>>();
            // Text that is none cannot be kept elsewhere.
            found.push(values.map_err(|error| StoreError::Row {
                seq: row.get::<_, i64>(0).unwrap_or_default().cast_unsigned(),
                what: format!("{}: {error}", table.name),
            })?);
        }
        Ok(found)
    }

    pub(crate) fn insert(&mut self, table: &Table, rows: &[Vec<Value>]) -> Result<(), StoreError> {
        let columns: Vec<&str> = table.columns.iter().map(|(name, _)| *name).collect();
        let places: Vec<String> = (1..=columns.len()).map(|place| format!("?{place}")).collect();
        let insert = format!("INSERT INTO {} ({}) VALUES ({})", table.name, columns.join(", "), places.join(", "));
        let mut statement = self.connection()?.prepare_cached(&insert)?;
        for row in rows {
            statement.execute(params_from_iter(row))?;
        }
        Ok(())
    }

    /// Gives the file its name.
    pub(crate) fn finish(mut self) -> Result<(), StoreError> {
        let Some(connection) = self.connection.take() else { return Ok(()) };
        connection.execute_batch("COMMIT")?;
        close(connection);
        let Some((path, partial)) = self.grows.take() else { return Ok(()) };
        let file = File::open(&partial);
        let named = file.and_then(|file| file.sync_all()).and_then(|()| std::fs::rename(&partial, &path));
        named.map_err(|reason| StoreError::Copy { path: path.display().to_string(), reason })
    }
}

impl Drop for Transferring {
    fn drop(&mut self) {
        drop(self.connection.take());
        if let Some((_, partial)) = &self.grows {
            for ending in ["", "-wal", "-shm"] {
                let mut path = partial.clone().into_os_string();
                path.push(ending);
                drop(std::fs::remove_file(path));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::layout::TABLES;

    /// A table or a column that is not listed would be left behind.
    #[test]
    fn all_that_there_is_is_moved() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        let columns =
            "SELECT m.name || '.' || c.name FROM sqlite_schema m, pragma_table_info(m.name) c WHERE m.type = 'table'";
        let mut columns = connection.prepare(columns).unwrap();
        let there: BTreeSet<String> = columns.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        let name = |table: &Table| {
            let name = table.name;
            table.columns.iter().map(move |(column, _)| format!("{name}.{column}"))
        };
        assert_eq!(there, TABLES.iter().flat_map(name).collect());
    }
}
