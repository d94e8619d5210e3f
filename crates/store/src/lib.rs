//! The durable log: decisions, outcomes, feedback, and snapshots of what was learnt from them.
//!
//! Everything in the log has one number, `seq`, given by one writer; reading the events in that order and applying them gives
//! the learner's state. Ids and times are made by the caller and stored as they are given.

mod inspect;
mod keys;
mod records;
mod sqlite;

// The tests outside and inside share helpers, which name the crate as the outside does.
#[cfg(test)]
extern crate self as slarouter_store;

use std::sync::Arc;

use async_trait::async_trait;
use slarouter_core::{DecisionId, Receipt, Timestamp};
use tokio::sync::watch;

pub use inspect::{Content, Inspection, inspect};
pub use keys::{KeyChange, KeyRecord, Spending};
pub use records::{
    Counts, DecisionRecord, Entry, Event, Failed, FeedbackRecord, OutcomeRecord, PendingAudit, Rated, Snapshot,
    StoredDecision,
};

/// A durable log.
#[async_trait]
pub trait Store: Send + Sync {
    /// Appends; never waits. A second decision with the same id is ignored. Entries become durable in the order of the calls, some milliseconds later.
    ///
    /// # Errors
    /// [`StoreError::Full`] if the writer cannot keep up, [`StoreError::Entry`] for what cannot be stored,
    /// [`StoreError::Closed`] after [`Store::close`].
    fn log(&self, entry: Entry) -> Result<(), StoreError>;

    /// Appends a route's configuration if it differs from its newest one. Durable on return.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be written.
    async fn configure(&self, time: Timestamp, route: &str, spec: &str) -> Result<(), StoreError>;

    /// Appends a rating or an audit, if it says anything new. Durable on return. Sees all entries logged before the call.
    ///
    /// # Errors
    /// [`StoreError::UnknownDecision`] for an id that is not in the log, [`StoreError::NotDrawn`] for an audit of a decision
    /// that was not drawn; others if it could not be written.
    async fn rate(&self, feedback: FeedbackRecord, window_ms: u64) -> Result<Receipt, StoreError>;

    /// Appends the outcome of a call that the caller of a decision made by himself, and before it a reroute if another model
    /// than the chosen one answered. Durable on return. The first report counts; [`Receipt::Duplicate`] for a later one.
    ///
    /// # Errors
    /// [`StoreError::Entry`] for what cannot be stored; others if it could not be written.
    async fn report(&self, outcome: OutcomeRecord, rerouted: bool) -> Result<Receipt, StoreError>;

    /// The next events after `seq`, at most `limit`, in order and without gaps in what is committed.
    ///
    /// # Errors
    /// [`StoreError`] if the log cannot be read.
    async fn events_after(&self, seq: u64, limit: usize) -> Result<Vec<Event>, StoreError>;

    /// The number of the last committed event; changes with every commit.
    fn committed(&self) -> watch::Receiver<u64>;

    /// Whether the last try to write failed: what is logged waits for the next.
    fn is_failing(&self) -> bool;

    /// Entries lost because the log could not be written for long.
    fn dropped(&self) -> u64;

    /// Saves every route's state as of `seq`, and forgets all but the newest three.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be written.
    async fn save_snapshots(
        &self,
        seq: u64,
        time: Timestamp,
        states: Vec<(Arc<str>, Vec<u8>)>,
    ) -> Result<(), StoreError>;

    /// The newest saved state of every route, all as of one `seq`.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    async fn load_snapshots(&self) -> Result<Vec<Snapshot>, StoreError>;

    /// One decision.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    async fn decision(&self, id: DecisionId) -> Result<Option<StoredDecision>, StoreError>;

    /// Decisions made at `since` or later that were drawn for audit, have ended, and have no audit in force: those that come
    /// in the log after the decision `after`, oldest first, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError::UnknownDecision`] if `after` is not in the log; others if the log cannot be read.
    async fn pending_audits(
        &self,
        after: Option<DecisionId>,
        since: Timestamp,
        limit: usize,
    ) -> Result<Vec<PendingAudit>, StoreError>;

    /// All keys that there ever were, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    async fn keys(&self) -> Result<Vec<KeyRecord>, StoreError>;

    /// Makes these changes to the keys, all or none. Durable on return.
    ///
    /// # Errors
    /// [`StoreError`] if they could not be written.
    async fn change_keys(&self, changes: Vec<KeyChange>) -> Result<(), StoreError>;

    /// What each account has spent per day, from the day `since` (days since 1970, UTC).
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    async fn spending(&self, since: u64) -> Result<Vec<Spending>, StoreError>;

    /// How much there is.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    async fn counts(&self) -> Result<Counts, StoreError>;

    /// Waits until all that was logged so far is durable.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be written.
    async fn flush(&self) -> Result<(), StoreError>;

    /// Writes what is waiting and closes. Later calls fail.
    async fn close(&self);
}

/// Why the store failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The URL names no store of ours. The configuration is at fault.
    #[error("{0:?} is no store: write sqlite://<path>")]
    Url(String),
    /// The database was written by a newer release. Use that release, or another file.
    #[error("the database is of a newer release: {0}")]
    Newer(String),
    /// Another process has the database open; its log has one writer only. Stop it, or use another file.
    #[error("another process uses the database {0}: stop it, or set store.url to another file")]
    InUse(String),
    /// The file that says who uses the database cannot be made or locked. The folder or its file system is at fault.
    #[error("cannot lock {path}: {source}: the folder must be writable, on a file system that has locks")]
    Lock {
        /// The lock file.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// A change of the tables was cut short, or was not the one that this release knows. Restore a copy of the database.
    #[error(
        "the tables of the database are damaged: migration {0} is not what this release would have done; restore a copy"
    )]
    Migration(i64),
    /// The system starts no thread to write the log.
    #[error("the thread that writes the log: {0}")]
    Thread(std::io::Error),
    /// The rated decision is not in the log. The client is at fault, or the decision was lost in a crash.
    #[error("the decision is not in the log")]
    UnknownDecision,
    /// An audit of a decision that was not drawn for audit. The client is at fault: counted, it would bias the sample.
    #[error("the decision was not drawn for audit")]
    NotDrawn,
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
    Database(#[from] rusqlite::Error),
    /// A row does not hold what this release writes.
    #[error("row {seq} of the log is unreadable: {what}")]
    Row {
        /// Its number.
        seq: u64,
        /// What is wrong.
        what: String,
    },
}

/// Opens a store: `sqlite://<path>`, made if it is not there. `queue` is how many entries may wait to be written.
///
/// # Errors
/// [`StoreError`] if the URL is unknown, another process uses the database, or it cannot be opened or is of a newer release.
pub async fn open_with_queue(url: &str, queue: usize) -> Result<Arc<dyn Store>, StoreError> {
    match url.strip_prefix("sqlite://") {
        // In memory, every connection would have a database of its own.
        Some(path) if !path.is_empty() && path != ":memory:" => {
            Ok(Arc::new(sqlite::SqliteStore::open(path, queue).await?))
        }
        _ => Err(StoreError::Url(url.to_owned())),
    }
}

/// Opens a store with the default queue of 65,536 entries; see [`open_with_queue`].
///
/// # Errors
/// As [`open_with_queue`].
pub async fn open(url: &str) -> Result<Arc<dyn Store>, StoreError> {
    open_with_queue(url, 65_536).await
}
