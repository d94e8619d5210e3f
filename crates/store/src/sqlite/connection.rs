//! Connections.

use std::path::PathBuf;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::tables::{newest, version};
use crate::StoreError;

/// How long to wait for a lock that another process holds.
const BUSY: Duration = Duration::from_secs(5);

/// How a database is opened.
#[derive(Clone)]
pub(crate) struct Options {
    pub(super) path: PathBuf,
    pub(super) busy: Duration,
    /// The most that it may hold, for tests of a full disk.
    pub(super) max_pages: Option<u32>,
    /// Whether its file may only be read, for tests of that.
    pub(super) read_only: bool,
}

impl Options {
    pub(crate) fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), busy: BUSY, max_pages: None, read_only: false }
    }

    /// To write for the first time; makes the file if there is none.
    ///
    /// # Errors
    /// [`StoreError::Foreign`] for another program's database, to which nothing is done, and what SQLite says.
    pub(super) fn first_writer(&self) -> Result<Connection, StoreError> {
        let connection = self.connect(self.rights())?;
        if version(&connection)? == 0 {
            // So that the file can give back room step by step; nothing is done to one that has tables.
            connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        }
        Ok(self.writing(connection)?)
    }

    /// To write again.
    pub(super) fn writer(&self) -> Result<Connection, rusqlite::Error> {
        self.writing(self.connect(self.rights())?)
    }

    fn rights(&self) -> OpenFlags {
        if self.read_only {
            return OpenFlags::SQLITE_OPEN_READ_ONLY;
        }
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE
    }

    fn writing(&self, connection: Connection) -> Result<Connection, rusqlite::Error> {
        connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
        // A commit is on disk, not only with the operating system, when it returns.
        connection.pragma_update(None, "synchronous", "FULL")?;
        if let Some(pages) = self.max_pages {
            connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))?;
        }
        Ok(connection)
    }

    pub(crate) fn reader(&self) -> Result<Connection, rusqlite::Error> {
        self.connect(OpenFlags::SQLITE_OPEN_READ_ONLY)
    }

    /// To read a database that another process may have made. The version of its tables comes with it.
    ///
    /// # Errors
    /// [`StoreError::Missing`], [`StoreError::Foreign`] and [`StoreError::Newer`] if there is nothing that can be read.
    pub(super) fn known_reader(&self) -> Result<(Connection, i64), StoreError> {
        if !self.path.exists() {
            return Err(StoreError::Missing(self.path.display().to_string()));
        }
        let connection = self.reader()?;
        let (found, newest) = (version(&connection)?, newest());
        if found > newest { Err(StoreError::Newer { found, newest }) } else { Ok((connection, found)) }
    }

    fn connect(&self, flags: OpenFlags) -> Result<Connection, rusqlite::Error> {
        // Each connection is used by one thread at a time.
        let connection = Connection::open_with_flags(&self.path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.busy_timeout(self.busy)?;
        Ok(connection)
    }
}

/// Closes a connection whose work is done; nothing can be done about a failure any more.
pub(super) fn close(connection: Connection) {
    // Readers may take a moment longer to go than this call: what counts is that the file alone holds everything.
    if let Err(error) = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())) {
        tracing::warn!(%error, "moving the write-ahead log into the database");
    }
    if let Err((_, error)) = connection.close() {
        tracing::warn!(%error, "closing the database");
    }
}
