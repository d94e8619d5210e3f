//! A hash of the log, by which it is known to be the same.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};
use sha2::{Digest, Sha256};

use crate::StoreError;

const ROLLBACKS: &str = "rollbacks";

const TABLES: [&str; 6] = ["route_configs", "decisions", "reroutes", "outcomes", "feedback", ROLLBACKS];

/// A hash in the making.
#[derive(Default)]
pub(super) struct Fingerprint {
    hash: Sha256,
    /// The last zoo that a decision has.
    last_zoo: i64,
}

impl Fingerprint {
    /// Begins with what is gone: a log that was shortened is another one.
    pub(super) fn begin(connection: &Connection) -> Result<Self, StoreError> {
        let mut fingerprint = Self::default();
        let gone: i64 = connection.query_row("SELECT seq FROM shortened", [], |row| row.get(0))?;
        if gone > 0 {
            fingerprint.hash.update("shortened");
            fingerprint.value(1, &gone.to_be_bytes());
        }
        Ok(fingerprint)
    }

    /// Takes the events after `from` up to `to` in, table after table: with other steps it would be another hash.
    pub(super) fn take(mut self, connection: &Connection, from: u64, to: u64) -> Result<Self, StoreError> {
        for table in TABLES {
            let query = format!("SELECT * FROM {table} WHERE seq > ?1 AND seq <= ?2 ORDER BY seq");
            let mut statement = connection.prepare_cached(&query)?;
            let names: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
            let mut rows = statement.query([from as i64, to as i64])?;
            // The hash of a log without any is what it was before there was this table.
            if table != ROLLBACKS {
                self.hash.update(table);
            }
            while let Some(row) = rows.next()? {
                self.row(row, &names)?;
            }
        }
        Ok(self)
    }

    /// The zoos that the decisions name by their numbers, and the end.
    pub(super) fn finish(mut self, connection: &Connection) -> Result<[u8; 32], StoreError> {
        let mut statement = connection.prepare("SELECT * FROM zoos WHERE number <= ?1 ORDER BY number")?;
        let names: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
        let mut rows = statement.query([self.last_zoo])?;
        while let Some(row) = rows.next()? {
            self.row(row, &names)?;
        }
        Ok(self.hash.finalize().into())
    }

    /// Prompts are left out: they may be erased.
    fn row(&mut self, row: &Row<'_>, names: &[String]) -> Result<(), StoreError> {
        for (place, name) in names.iter().enumerate().filter(|(_, name)| *name != "prompt") {
            match row.get_ref(place)? {
                ValueRef::Null => self.value(0, &[]),
                ValueRef::Integer(number) => {
                    if name == "zoo" {
                        self.last_zoo = self.last_zoo.max(number);
                    }
                    self.value(1, &number.to_be_bytes());
                }
                ValueRef::Real(number) => self.value(2, &number.to_bits().to_be_bytes()),
                ValueRef::Text(text) => self.value(3, text),
                ValueRef::Blob(bytes) => self.value(4, bytes),
            }
        }
        Ok(())
    }

    /// With its type and length, so that no value runs into the next.
    fn value(&mut self, kind: u8, bytes: &[u8]) {
        self.hash.update([kind]);
        self.hash.update((bytes.len() as u64).to_be_bytes());
        self.hash.update(bytes);
    }
}
