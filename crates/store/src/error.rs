//! Why a store fails.

use slarouter_core::Timestamp;

/// Why the store failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The URL names no store of ours. The configuration is at fault.
    #[error("{0:?} is no store: write sqlite://<path>, or postgres://<user>:<password>@<host>/<database>")]
    Url(String),
    /// The database was written by a newer release. Use that release, or another file.
    #[error("the database is of a newer release: its tables have version {found}, and this one knows {newest}")]
    Newer {
        /// Version of its tables.
        found: i64,
        /// The newest that this release knows.
        newest: i64,
    },
    /// The database was written by an older release, and is only to be read. `slarouter serve` brings its tables up to date.
    #[error(
        "the database is of an older release: its tables have version {found}, and this one reads {newest}: start the gateway on it once"
    )]
    Older {
        /// Version of its tables.
        found: i64,
        /// The one that this release reads.
        newest: i64,
    },
    /// The database has tables that are not SLARouter's. The configuration is at fault.
    #[error("{0} is a database of another program, which is left as it is: set store.url to another one")]
    Foreign(String),
    /// The tables cannot be brought to the version of this release.
    #[error("the tables of the database: {0}")]
    Tables(String),
    /// There is no such database.
    #[error("there is no database {0}: set store.url to the gateway's")]
    Missing(String),
    /// A copy would overwrite a file.
    #[error("{0} is there already: name a file that is not")]
    Exists(String),
    /// A copy cannot be written.
    #[error("{path} cannot be written: {reason}")]
    Copy {
        /// The file of the copy.
        path: String,
        /// What the system says.
        reason: std::io::Error,
    },
    /// Another process has the database open; its log has one writer only. Stop it, or use another database.
    #[error("another process uses the database {0}: stop it, or set store.url to another one")]
    InUse(String),
    /// The file that says who uses the database cannot be made or locked. The folder or its file system is at fault.
    #[error("cannot lock {path}: {source}: the folder must be writable, on a file system that has locks")]
    Lock {
        /// The lock file.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file for what waits while the database's server is away cannot be opened. Its folder is at fault.
    #[error(
        "{path} for what waits while the database is away: {source}: see that the folder can be written (STATE_DIRECTORY), or set store.spool_bytes to 0"
    )]
    Spool {
        /// The file.
        path: String,
        /// What is wrong.
        source: std::io::Error,
    },
    /// The system starts no thread to write the log.
    #[error("the thread that writes the log: {0}")]
    Thread(std::io::Error),
    /// Sums were asked for that there are not. Whoever asks is at fault.
    #[error("{0}")]
    Range(String),
    /// What was asked for is gone, by the operator's will (`store.retention`). Asking for what is later helps.
    #[error("{what} of before {} are gone, as store.retention.{key} says", moment(.before))]
    Gone {
        /// What they are.
        what: &'static str,
        /// From when on there are some.
        before: Timestamp,
        /// The key of `store.retention` that says so.
        key: &'static str,
    },
    /// The rated decision is not in the log. The client is at fault, or the decision was lost in a crash.
    #[error("the decision is not in the log")]
    UnknownDecision,
    /// Decisions of several tenants have the id of the application's own. The client is at fault: any of them might be meant.
    #[error("decisions of several tenants have this id")]
    Ambiguous,
    /// An audit of a decision that was not drawn for audit. The client is at fault: counted, it would bias the sample.
    #[error("the decision was not drawn for audit")]
    NotDrawn,
    /// A decision has been rated, or its ratings changed, as often as one may be. The client is at fault.
    #[error("the decision has been rated too often")]
    Rated,
    /// Another process changed the keys since they were looked at. Looking again helps.
    #[error("the keys were changed meanwhile: try again")]
    KeysChanged,
    /// More is logged than can be written. The disk is too slow or full.
    #[error("the log's queue is full")]
    Full,
    /// A number that is not finite, or a choice outside the candidates. The caller is at fault.
    #[error("the entry has a number that is not finite, or chooses no candidate")]
    Entry,
    /// The store has been closed.
    #[error("the store is closed")]
    Closed,
    /// The transaction failed and was rolled back: full disk, locked database. Trying again may help.
    #[error("the log cannot be written: {0}")]
    Unavailable(String),
    /// The database cannot be read.
    #[error("the database: {0}")]
    Database(rusqlite::Error),
    /// The database's server says no, or nothing any more. Trying again may help.
    #[error("the database: {0}")]
    Server(String),
    /// There is no way to the database's server, or it lets nobody in.
    #[error("the database {server} cannot be reached: {why}: see that the server runs, and what store.url says")]
    Unreachable {
        /// Which, without the password.
        server: String,
        /// What is in the way.
        why: String,
    },
    /// The server's certificate cannot be checked as the URL says.
    #[error("TLS to the database: {0}")]
    Tls(String),
    /// What was moved to another database is not there as it was sent. The database it was sent to is at fault.
    #[error("what arrived is not what was sent: the other database alters values; nothing was moved")]
    Differs,
    /// What was asked for is for files alone.
    #[error("{0}")]
    FilesOnly(&'static str),
    /// A row does not hold what this release writes.
    #[error("row {seq} of the log is unreadable: {what}")]
    Row {
        /// Its number.
        seq: u64,
        /// What is wrong.
        what: String,
    },
}

// Not as a source: what SQLite says comes from rusqlite twice, in its own words and in those of the number of the error.
impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

/// A moment in UTC, for people.
fn moment(time: &Timestamp) -> String {
    let time = i64::try_from(time.0).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    time.map_or_else(String::new, |time| time.to_string())
}

// Not as a source either, whose words are of the client library and leave out what the server advises.
impl From<tokio_postgres::Error> for StoreError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Server(told(&error))
    }
}

impl From<rusqlite_migration::Error> for StoreError {
    fn from(error: rusqlite_migration::Error) -> Self {
        Self::Tables(error.to_string())
    }
}

/// An error of PostgreSQL's with its causes and with what the server advises; the client library's own words leave them out.
pub(crate) fn told(error: &tokio_postgres::Error) -> String {
    if let Some(said) = error.as_db_error() {
        let hint = said.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
        return format!("{}{hint}", said.message());
    }
    let mut told = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        told = format!("{told}: {error}");
        cause = error.source();
    }
    told
}
