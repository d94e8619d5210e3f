//! SQLite: one writer task with group commit, a pool of readers.

mod audits;
mod insert;
mod keys;
mod read;
mod write;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use slarouter_core::{DecisionId, Receipt, Timestamp};
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::{
    Counts, Entry, Event, FeedbackRecord, KeyChange, KeyRecord, OutcomeRecord, PendingAudit, Snapshot, Spending, Store,
    StoreError, StoredDecision,
};
pub(crate) use read::snapshots;
use write::{Command, Writer};

#[cfg(test)]
mod tests;

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// How long to wait for a lock that another process holds.
const BUSY: Duration = Duration::from_secs(5);
/// Readers run beside the writer, as WAL allows.
const READERS: u32 = 4;

pub(crate) struct SqliteStore {
    /// `None` once closed.
    commands: std::sync::Mutex<Option<mpsc::Sender<Command>>>,
    committed: watch::Receiver<u64>,
    dropped: Arc<AtomicU64>,
    failing: Arc<AtomicBool>,
    readers: SqlitePool,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl SqliteStore {
    pub(crate) async fn open(path: &str, queue: usize) -> Result<Self, StoreError> {
        Self::with(SqliteConnectOptions::new().filename(path).busy_timeout(BUSY), queue).await
    }

    async fn with(options: SqliteConnectOptions, queue: usize) -> Result<Self, StoreError> {
        let lock = lock(options.get_filename())?;
        let options = options
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // FULL: a commit is on disk, not only with the operating system, when it returns.
            .synchronous(SqliteSynchronous::Full)
            .disable_statement_logging();
        let mut connection = options.connect().await?;
        MIGRATIONS.run(&mut connection).await.map_err(|error| match error {
            MigrateError::VersionMissing(version) => {
                StoreError::Newer(format!("it has migration {version}, which this release does not know"))
            }
            other => StoreError::Database(other.into()),
        })?;
        let last = read::last_seq(&mut connection).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_with(options.clone().read_only(true).create_if_missing(false))
            .await?;
        let (commands, waiting) = mpsc::channel(queue.max(1));
        let (commit, committed) = watch::channel(last);
        let dropped = Arc::new(AtomicU64::new(0));
        let failing = Arc::new(AtomicBool::new(false));
        let writer = Writer::new(options, connection, lock, last, commit, dropped.clone(), failing.clone());
        let writer = tokio::spawn(writer.run(waiting));
        Ok(Self {
            commands: std::sync::Mutex::new(Some(commands)),
            committed,
            dropped,
            failing,
            readers,
            writer: Mutex::new(Some(writer)),
        })
    }

    fn commands(&self) -> Result<mpsc::Sender<Command>, StoreError> {
        // A panic cannot happen while the lock is held: it only guards a clone.
        let guard = self.commands.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        guard.clone().ok_or(StoreError::Closed)
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Command,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.commands()?.send(command(reply)).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

#[async_trait]
impl Store for SqliteStore {
    fn log(&self, entry: Entry) -> Result<(), StoreError> {
        check(&entry)?;
        self.commands()?.try_send(Command::Log(entry)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => StoreError::Full,
            mpsc::error::TrySendError::Closed(_) => StoreError::Closed,
        })
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
        read::events_after(&self.readers, seq, limit).await
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
        read::snapshots(&self.readers).await
    }

    async fn decision(&self, id: DecisionId) -> Result<Option<StoredDecision>, StoreError> {
        read::decision(&self.readers, id).await
    }

    async fn pending_audits(
        &self,
        after: Option<DecisionId>,
        since: Timestamp,
        limit: usize,
    ) -> Result<Vec<PendingAudit>, StoreError> {
        audits::pending(&self.readers, after, since, limit).await
    }

    async fn keys(&self) -> Result<Vec<KeyRecord>, StoreError> {
        keys::list(&self.readers).await
    }

    async fn change_keys(&self, changes: Vec<KeyChange>) -> Result<(), StoreError> {
        self.ask(|reply| Command::ChangeKeys { changes, reply }).await
    }

    async fn spending(&self, since: u64) -> Result<Vec<Spending>, StoreError> {
        keys::spending(&self.readers, since).await
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        read::counts(&self.readers).await
    }

    async fn flush(&self) -> Result<(), StoreError> {
        self.ask(|reply| Command::Flush { reply }).await
    }

    async fn close(&self) {
        let commands = self.commands.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        drop(commands);
        // The writer must be the last to go: only it can empty and remove the write-ahead log.
        self.readers.close().await;
        if let Some(writer) = self.writer.lock().await.take()
            && let Err(error) = writer.await
        {
            tracing::error!(%error, "the writer of the log ended badly");
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

/// The newest version of the tables.
pub(crate) fn newest_migration() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or_default()
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
async fn close(mut connection: sqlx::SqliteConnection) {
    // Readers' threads may take a moment longer to go than this call: what counts is that the file alone holds everything.
    if let Err(error) = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await {
        tracing::warn!(%error, "moving the write-ahead log into the database");
    }
    if let Err(error) = connection.close().await {
        tracing::warn!(%error, "closing the database");
    }
}
