//! SQLite: one writer thread with group commit, and readers beside it.

mod audits;
mod connection;
mod events;
mod inbox;
mod insert;
mod keys;
mod read;
mod readers;
mod row;
mod write;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use rusqlite::Connection;
use slarouter_core::{DecisionId, Receipt, Timestamp};
use tokio::sync::{Mutex, oneshot, watch};

use crate::{
    Counts, Entry, Event, FeedbackRecord, KeyChange, KeyRecord, OutcomeRecord, PendingAudit, Snapshot, Spending, Store,
    StoreError, StoredDecision,
};
pub(crate) use connection::{Options, newest_migration};
use inbox::Inbox;
pub(crate) use read::snapshots;
use readers::Readers;
use write::{Command, Writer};

#[cfg(test)]
mod tests;

pub(crate) struct SqliteStore {
    inbox: Arc<Inbox>,
    committed: watch::Receiver<u64>,
    dropped: Arc<AtomicU64>,
    failing: Arc<AtomicBool>,
    readers: Readers,
    /// Answers when the writer has ended; `None` once somebody waits for that.
    ended: Mutex<Option<oneshot::Receiver<()>>>,
}

/// The writer's end of the inbox, which is abandoned however the writer ends, a panic included.
struct Abandoning(Arc<Inbox>);

impl Drop for Abandoning {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

impl SqliteStore {
    pub(crate) async fn open(path: &str, queue: usize) -> Result<Self, StoreError> {
        Self::with(Options::new(path), queue).await
    }

    async fn with(options: Options, queue: usize) -> Result<Self, StoreError> {
        let lock = lock(&options.path)?;
        let readers = Readers::new(options.clone());
        let opening = tokio::task::spawn_blocking(move || {
            let mut connection = options.writer()?;
            connection::migrate(&mut connection)?;
            let last = read::last_seq(&connection)?;
            Ok::<_, StoreError>((options, connection, last))
        });
        // It ends early only by a panic, or with the runtime.
        let (options, connection, last) = opening.await.map_err(|_| StoreError::Closed)??;
        let inbox = Arc::new(Inbox::new(queue));
        let (commit, committed) = watch::channel(last);
        let dropped = Arc::new(AtomicU64::new(0));
        let failing = Arc::new(AtomicBool::new(false));
        let writer = Writer::new(options, connection, lock, last, commit, dropped.clone(), failing.clone());
        let (end, ended) = oneshot::channel();
        let commands = Abandoning(inbox.clone());
        let work = move || {
            writer.run(&commands.0);
            drop(commands);
            // Nobody may be waiting for it.
            let _ = end.send(());
        };
        std::thread::Builder::new().name("log-writer".to_owned()).spawn(work).map_err(StoreError::Thread)?;
        Ok(Self { inbox, committed, dropped, failing, readers, ended: Mutex::new(Some(ended)) })
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Command,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.inbox.ask(command(reply))?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

impl Drop for SqliteStore {
    /// The writer ends by itself.
    fn drop(&mut self) {
        self.inbox.close();
    }
}

#[async_trait]
impl Store for SqliteStore {
    fn log(&self, entry: Entry) -> Result<(), StoreError> {
        check(&entry)?;
        self.inbox.log(entry)
    }

    async fn configure(&self, time: Timestamp, route: &str, spec: &str) -> Result<(), StoreError> {
        let (route, spec) = (route.to_owned(), spec.to_owned());
        self.ask(|reply| Command::Configure { time, route, spec, reply }).await
    }

    async fn rate(&self, feedback: FeedbackRecord, window_ms: u64) -> Result<Receipt, StoreError> {
        self.ask(|reply| Command::Rate { feedback, window_ms, reply }).await
    }

    async fn report(&self, outcome: OutcomeRecord, rerouted: bool) -> Result<Receipt, StoreError> {
        let entry = Entry::Outcome(outcome);
        check(&entry)?;
        let Entry::Outcome(outcome) = entry else { return Err(StoreError::Entry) };
        self.ask(|reply| Command::Report { outcome: Box::new(outcome), rerouted, reply }).await
    }

    async fn events_after(&self, seq: u64, limit: usize) -> Result<Vec<Event>, StoreError> {
        self.readers.read(move |connection| events::after(connection, seq, limit)).await
    }

    fn committed(&self) -> watch::Receiver<u64> {
        self.committed.clone()
    }

    fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    async fn save_snapshots(
        &self,
        seq: u64,
        time: Timestamp,
        states: Vec<(Arc<str>, Vec<u8>)>,
    ) -> Result<(), StoreError> {
        self.ask(|reply| Command::Save { seq, time, states, reply }).await
    }

    async fn load_snapshots(&self) -> Result<Vec<Snapshot>, StoreError> {
        self.readers.read(|connection| read::snapshots(connection)).await
    }

    async fn decision(&self, id: DecisionId) -> Result<Option<StoredDecision>, StoreError> {
        self.readers.read(move |connection| read::decision(connection, id)).await
    }

    async fn pending_audits(
        &self,
        after: Option<DecisionId>,
        since: Timestamp,
        limit: usize,
    ) -> Result<Vec<PendingAudit>, StoreError> {
        self.readers.read(move |connection| audits::pending(connection, after, since, limit)).await
    }

    async fn keys(&self) -> Result<Vec<KeyRecord>, StoreError> {
        self.readers.read(|connection| keys::list(connection)).await
    }

    async fn change_keys(&self, changes: Vec<KeyChange>) -> Result<(), StoreError> {
        self.ask(|reply| Command::ChangeKeys { changes, reply }).await
    }

    async fn spending(&self, since: u64) -> Result<Vec<Spending>, StoreError> {
        self.readers.read(move |connection| keys::spending(connection, since)).await
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        self.readers.read(|connection| read::counts(connection)).await
    }

    async fn flush(&self) -> Result<(), StoreError> {
        self.ask(|reply| Command::Flush { reply }).await
    }

    async fn close(&self) {
        self.inbox.close();
        // The writer must be the last to go: only it can empty and remove the write-ahead log.
        self.readers.close().await;
        if let Some(ended) = self.ended.lock().await.take()
            && ended.await.is_err()
        {
            tracing::error!("the writer of the log ended badly");
        }
    }
}

/// Claims the database for this process, as long as the file returned stays open: the system takes the claim back however
/// the process ends. It lies on a file of its own, `<database>.lock`, which stays: opening and closing the database itself
/// once more would lose SQLite its own locks on it.
fn lock(database: &Path) -> Result<File, StoreError> {
    let path = lock_path(database);
    let refuse = |source| StoreError::Lock { path: path.display().to_string(), source };
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(refuse)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse(database.display().to_string())),
        Err(TryLockError::Error(source)) => Err(refuse(source)),
    }
}

/// The file that says who uses the database.
pub(crate) fn lock_path(database: &Path) -> PathBuf {
    let resolved = database.canonicalize().unwrap_or_else(|_| database.to_owned());
    let mut path = resolved.into_os_string();
    path.push(".lock");
    PathBuf::from(path)
}

/// Refuses what could not be written or read back: one such entry would fail every batch that it is in.
fn check(entry: &Entry) -> Result<(), StoreError> {
    let sound = match entry {
        Entry::Decision(record) => {
            let candidates = &record.decision.candidates;
            record.decision.chosen < candidates.len()
                && record.input_tokens.is_finite()
                && record.audit.rate.is_finite()
                && candidates
                    .iter()
                    .all(|c| [c.probability, c.satisfaction, c.cost, c.score].into_iter().all(f64::is_finite))
        }
        Entry::Outcome(record) => {
            let input = [record.input_tokens, record.cached_tokens, record.cache_write_tokens];
            let known = input.into_iter().chain([record.output_tokens, record.reasoning_tokens, record.ttft_ms]);
            record.cost.is_finite() && record.latency_ms.is_finite() && known.flatten().all(f64::is_finite)
        }
        Entry::Reroute { .. } | Entry::Spend(_) => true,
    };
    if sound { Ok(()) } else { Err(StoreError::Entry) }
}

/// Closes a connection whose work is done; nothing can be done about a failure any more.
fn close(connection: Connection) {
    // Readers may take a moment longer to go than this call: what counts is that the file alone holds everything.
    if let Err(error) = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())) {
        tracing::warn!(%error, "moving the write-ahead log into the database");
    }
    if let Err((_, error)) = connection.close() {
        tracing::warn!(%error, "closing the database");
    }
}
