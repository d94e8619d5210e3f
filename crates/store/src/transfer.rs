//! A whole log from one database to another, of either kind: all or nothing, and looked over at the end.

use rusqlite::types::Value;
use sha2::{Digest, Sha256};

use crate::layout::{TABLES, Table};
use crate::open::Place;
use crate::postgres::Transferring as Server;
use crate::sqlite::Transferring as File;
use crate::{Counts, StoreError};

/// Rows that are moved in one go.
const PAGE: usize = 4_096;

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moving {
    /// The table that is being moved or looked over.
    pub table: &'static str,
    /// Rows of it that are done.
    pub rows: u64,
    /// It is looked over.
    pub is_checked: bool,
}

/// What was moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The last event.
    pub log_seq: u64,
    /// What is in the log.
    pub counts: Counts,
    /// Saved states.
    pub snapshots: u64,
    /// Rows of all tables.
    pub rows: u64,
    /// SHA-256 of all that was moved, the same on both sides.
    pub sha256: [u8; 32],
}

/// One side of a move.
enum Side {
    File(File),
    Server(Server),
}

impl Side {
    /// To read from it; nobody writes to it meanwhile.
    fn source(url: &str) -> Result<Self, StoreError> {
        Ok(match Place::of(url)? {
            Place::File(path) => Self::File(File::source(path)?),
            Place::Server(url) => Self::Server(Server::source(url)?),
        })
    }

    /// To write to it: it is empty, and nothing of it is seen before [`Side::finish`].
    fn target(url: &str) -> Result<Self, StoreError> {
        Ok(match Place::of(url)? {
            Place::File(path) => Self::File(File::target(path)?),
            Place::Server(url) => Self::Server(Server::target(url)?),
        })
    }

    fn last_seq(&mut self) -> Result<u64, StoreError> {
        match self {
            Self::File(file) => file.last_seq(),
            Self::Server(server) => server.last_seq(),
        }
    }

    /// The rows after the one with this key, at most so many; all of them where the table is read at once.
    fn page(&mut self, table: &Table, after: i64, most: usize) -> Result<Vec<Vec<Value>>, StoreError> {
        match self {
            Self::File(file) => file.page(table, after, most),
            Self::Server(server) => server.page(table, after, most),
        }
    }

    fn insert(&mut self, table: &Table, rows: &[Vec<Value>]) -> Result<(), StoreError> {
        match self {
            Self::File(file) => file.insert(table, rows),
            Self::Server(server) => server.insert(table, rows),
        }
    }

    /// Makes it all seen at once.
    fn finish(self, last_seq: u64) -> Result<(), StoreError> {
        match self {
            Self::File(file) => file.finish(),
            Self::Server(server) => server.finish(last_seq),
        }
    }

    /// Hands all rows of a table to `take`, page by page; how many there are.
    fn each(
        &mut self,
        table: &Table,
        mut take: impl FnMut(&[Vec<Value>], u64) -> Result<(), StoreError>,
    ) -> Result<u64, StoreError> {
        let (mut after, mut done) = (i64::MIN, 0);
        loop {
            let rows = self.page(table, after, PAGE)?;
            for rows in rows.chunks(PAGE) {
                done += rows.len() as u64;
                take(rows, done)?;
            }
            match rows.last().map(|row| &row[0]) {
                Some(Value::Integer(key)) if table.is_long && rows.len() == PAGE => after = *key,
                _ => return Ok(done),
            }
        }
    }
}

/// Moves the log at `from` to `to`, which must hold none yet, and compares every value of both afterwards. Waits for disk and network; `told`
/// hears how far it is. The log at `from` stays as it is.
///
/// # Errors
/// [`StoreError::InUse`] while a gateway has either, [`StoreError::Exists`] if there is a log at `to`, [`StoreError::Differs`] if what arrived
/// is not what was sent; others if they cannot be read or written. Then there is nothing at `to`.
pub fn migrate(from: &str, to: &str, mut told: impl FnMut(Moving)) -> Result<Moved, StoreError> {
    let mut source = Side::source(from)?;
    let mut target = Side::target(to)?;
    let log_seq = source.last_seq()?;
    let mut sent = Sha256::new();
    let mut moved = Moved {
        log_seq,
        counts: Counts { decisions: 0, outcomes: 0, feedback: 0 },
        snapshots: 0,
        rows: 0,
        sha256: [0; 32],
    };
    for table in TABLES {
        sent.update(table.name);
        let ending = table.columns.iter().position(|(name, _)| *name == "ending");
        let rows = source.each(table, |rows, done| {
            hash(&mut sent, rows);
            let ended = rows.iter().filter(|row| ending.is_some_and(|place| row[place] != Value::Null));
            moved.counts.outcomes += ended.count() as u64;
            told(Moving { table: table.name, rows: done, is_checked: false });
            target.insert(table, rows)
        })?;
        moved.rows += rows;
        match table.name {
            "decisions" | "archive" => moved.counts.decisions += rows,
            "outcomes" => moved.counts.outcomes += rows,
            "feedback" => moved.counts.feedback = rows,
            "snapshots" => moved.snapshots = rows,
            _ => {}
        }
    }
    moved.sha256 = sent.finalize().into();
    let mut arrived = Sha256::new();
    for table in TABLES {
        arrived.update(table.name);
        target.each(table, |rows, done| {
            hash(&mut arrived, rows);
            told(Moving { table: table.name, rows: done, is_checked: true });
            Ok(())
        })?;
    }
    if <[u8; 32]>::from(arrived.finalize()) != moved.sha256 {
        return Err(StoreError::Differs);
    }
    target.finish(log_seq)?;
    Ok(moved)
}

/// Each value with its type and length, so that none runs into the next.
fn hash(hash: &mut Sha256, rows: &[Vec<Value>]) {
    let mut value = |kind: u8, bytes: &[u8]| {
        hash.update([kind]);
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    for cell in rows.iter().flatten() {
        match cell {
            Value::Null => value(0, &[]),
            Value::Integer(number) => value(1, &number.to_be_bytes()),
            Value::Real(number) => value(2, &number.to_bits().to_be_bytes()),
            Value::Text(text) => value(3, text.as_bytes()),
            Value::Blob(bytes) => value(4, bytes),
        }
    }
}
