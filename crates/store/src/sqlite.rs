//! SQLite: one writer thread with group commit, and readers beside it.

mod apply;
mod archive;
mod audits;
mod backup;
mod checkpoint;
mod compact;
mod connection;
mod decisions;
mod events;
mod fingerprint;
mod forget;
mod insert;
mod keys;
mod lock;
mod read;
mod readers;
mod rollups;
mod row;
mod rows;
mod shorten;
mod tables;
mod traces;
mod transfer;
mod views;
mod write;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use slarouter_core::{DecisionId, Rater, Receipt, Source, Timestamp};
use tokio::sync::{Mutex, oneshot, watch};

use crate::check::check;
use crate::command::Command;
use crate::fingerprint::stretches;
use crate::health::{Abandoning, Health};
use crate::inbox::Inbox;
use crate::retention::Pass;
use crate::{
    Added, By, Calendar, Configured, Counts, DecisionHistory, DecisionPage, DecisionQuery, Entry, Event,
    FeedbackRecord, Forgotten, Held, KeyChange, KeyRecord, LogRow, OutcomeRecord, PendingAudits, Point, Retention,
    RouteCertificate, Row, RowQuery, Selection, Shortened, Snapshot, SpanCertificate, Spending, Step, Store,
    StoreError, StoredDecision, TENTHS, Tenth, Totals, TraceQuery,
};
pub(crate) use backup::backup;
pub(crate) use compact::{compact, restore};
pub(crate) use connection::Options;
use lock::lock;
pub(crate) use lock::{beside, lock_path};
pub(crate) use read::snapshots;
use readers::Readers;
pub(crate) use tables::{newest, version};
pub(crate) use transfer::Transferring;
use write::Writer;

#[cfg(test)]
pub(crate) mod tests;

pub(crate) struct SqliteStore {
    inbox: Arc<Inbox>,
    committed: watch::Receiver<u64>,
    health: Arc<Health>,
    readers: Readers,
    /// How far the shortening has come; held while a step is made.
    pass: Mutex<Pass>,
    /// Answers when the writer has ended; `None` once somebody waits for that.
    ended: Mutex<Option<oneshot::Receiver<()>>>,
}

impl SqliteStore {
    pub(crate) async fn open(path: &str, queue: usize) -> Result<Self, StoreError> {
        Self::with(Options::new(path), queue).await
    }

    async fn with(options: Options, queue: usize) -> Result<Self, StoreError> {
        let lock = lock(&options.path)?;
        let readers = Readers::new(options.clone());
        let opening = tokio::task::spawn_blocking(move || {
            let mut connection = options.first_writer()?;
            tables::migrate(&mut connection)?;
            let last = read::last_seq(&connection)?;
            Ok::<_, StoreError>((options, connection, last))
        });
        // It ends early only by a panic, or with the runtime.
        let (options, connection, last) = opening.await.map_err(|_| StoreError::Closed)??;
        let inbox = Arc::new(Inbox::new(queue));
        let (commit, committed) = watch::channel(last);
        let health = Arc::new(Health::default());
        let writer = Writer::new(options, connection, lock, last, commit, health.clone());
        let (end, ended) = oneshot::channel();
        let commands = Abandoning::new(inbox.clone(), health.clone());
        let work = move || {
            writer.run(commands.inbox());
            drop(commands);
            // Nobody may be waiting for it.
            let _ = end.send(());
        };
        std::thread::Builder::new().name("log-writer".to_owned()).spawn(work).map_err(StoreError::Thread)?;
        Ok(Self { inbox, committed, health, readers, pass: Mutex::default(), ended: Mutex::new(Some(ended)) })
    }

    /// For reading alone: there is no writer.
    pub(crate) async fn read(path: &str) -> Result<Self, StoreError> {
        let options = Options::new(path);
        let readers = Readers::new(options.clone());
        let opening = tokio::task::spawn_blocking(move || {
            let (connection, found) = options.known_reader()?;
            let newest = newest();
            if found < newest { Err(StoreError::Older { found, newest }) } else { Ok(read::last_seq(&connection)?) }
        });
        // It ends early only by a panic, or with the runtime.
        let last = opening.await.map_err(|_| StoreError::Closed)??;
        let inbox = Arc::new(Inbox::new(0));
        inbox.close();
        let (_, committed) = watch::channel(last);
        Ok(Self { inbox, committed, health: Arc::default(), readers, pass: Mutex::default(), ended: Mutex::default() })
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
        self.health.failing.load(Ordering::Relaxed)
    }

    fn dropped(&self) -> u64 {
        self.health.dropped.load(Ordering::Relaxed)
    }

    async fn save_snapshots(
        &self,
        seq: u64,
        time: Timestamp,
        states: Vec<(Arc<str>, Vec<u8>)>,
    ) -> Result<(), StoreError> {
        self.ask(|reply| Command::Save { learnt: (seq, None), time, states, reply }).await
    }

    async fn load_snapshots(&self) -> Result<Vec<Snapshot>, StoreError> {
        self.load_snapshots_until(u64::MAX).await
    }

    async fn load_snapshots_until(&self, seq: u64) -> Result<Vec<Snapshot>, StoreError> {
        self.readers.read(move |connection| read::snapshots(connection, seq)).await
    }

    async fn roll_back(&self, to: u64, time: Timestamp, states: Vec<(Arc<str>, Vec<u8>)>) -> Result<(), StoreError> {
        self.ask(|reply| Command::RollBack { to, time, states, reply }).await
    }

    async fn shorten(&self, retention: &Retention, now: Timestamp) -> Result<Shortened, StoreError> {
        let mut pass = self.pass.lock().await;
        let (retention, begun) = (Box::new(*retention), *pass);
        let (done, reached) = self.ask(|reply| Command::Shorten { retention, now, pass: begun, reply }).await?;
        *pass = reached;
        Ok(done)
    }

    async fn held(&self) -> Result<Held, StoreError> {
        self.readers.read(shorten::held).await
    }

    async fn forget(&self, rater: Rater, now: Timestamp, delete: bool) -> Result<Forgotten, StoreError> {
        let found = self.readers.read(move |connection| forget::found(connection, rater, now)).await?;
        let mut after = if delete { Some(0) } else { None };
        while let Some(last) = after {
            after = self.ask(|reply| Command::Forget { rater, until: now, after: last, reply }).await?;
        }
        Ok(found)
    }

    async fn decision(&self, id: DecisionId) -> Result<Option<StoredDecision>, StoreError> {
        self.readers.read(move |connection| read::decision(connection, id)).await
    }

    async fn traced(&self, query: TraceQuery) -> Result<Option<DecisionId>, StoreError> {
        self.readers.read(move |connection| traces::find(connection, &query)).await
    }

    async fn decisions(&self, query: DecisionQuery) -> Result<DecisionPage, StoreError> {
        self.readers.read(move |connection| decisions::page(connection, &query)).await
    }

    async fn history(&self, id: DecisionId) -> Result<Option<DecisionHistory>, StoreError> {
        self.readers.read(move |connection| decisions::history(connection, id)).await
    }

    async fn rows(&self, query: RowQuery) -> Result<Vec<LogRow>, StoreError> {
        self.readers.read(move |connection| rows::after(connection, query)).await
    }

    async fn certificates(
        &self,
        after: Option<SpanCertificate>,
        limit: usize,
    ) -> Result<Vec<SpanCertificate>, StoreError> {
        self.readers.read(move |connection| rows::certificates(connection, after.as_ref(), limit)).await
    }

    async fn pending_audits(
        &self,
        after: Option<DecisionId>,
        since: Timestamp,
        tenant: Option<&str>,
        limit: usize,
    ) -> Result<PendingAudits, StoreError> {
        let suffix = tenant.map(|tenant| format!("/{tenant}"));
        self.readers.read(move |connection| audits::pending(connection, after, since, suffix.as_deref(), limit)).await
    }

    async fn keys(&self) -> Result<Vec<KeyRecord>, StoreError> {
        self.readers.read(|connection| keys::list(connection)).await
    }

    async fn change_keys(&self, changes: Vec<KeyChange>) -> Result<(), StoreError> {
        self.ask(|reply| Command::ChangeKeys { changes, as_of: None, reply }).await
    }

    async fn spending(&self, since: u64) -> Result<Vec<Spending>, StoreError> {
        self.readers.read(move |connection| keys::spending(connection, since)).await
    }

    async fn roll_up(&self, calendar: &Calendar, certificates: Vec<RouteCertificate>) -> Result<Added, StoreError> {
        let calendar = calendar.clone();
        let tally = self.readers.read(move |connection| rollups::count(connection, calendar, certificates)).await?;
        let added = tally.added();
        self.ask(|reply| Command::RollUp { tally: Box::new(tally), reply }).await?;
        Ok(added)
    }

    async fn calendar(&self) -> Result<Calendar, StoreError> {
        self.readers.read(|connection| rollups::calendar(connection)).await
    }

    async fn totals(&self, selection: Selection, by: &[By]) -> Result<Vec<Row>, StoreError> {
        let by = by.to_vec();
        self.readers.read(move |connection| rollups::totals(connection, &selection, &by)).await
    }

    async fn series(&self, selection: Selection, step: Step) -> Result<Vec<Point>, StoreError> {
        self.readers.read(move |connection| rollups::series(connection, &selection, step)).await
    }

    async fn first(&self, route: &str, from: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let route = route.to_owned();
        self.readers.read(move |connection| views::first(connection, &route, from)).await
    }

    async fn configured(&self, route: &str, range: (Timestamp, Timestamp)) -> Result<Vec<Configured>, StoreError> {
        let route = route.to_owned();
        self.readers.read(move |connection| views::configured(connection, &route, range)).await
    }

    async fn calibration(&self, route: &str, source: Source) -> Result<[Tenth; TENTHS], StoreError> {
        let route = route.to_owned();
        self.readers.read(move |connection| views::calibration(connection, &route, source)).await
    }

    async fn recount(&self, selection: Selection, until: u64, by: &[By]) -> Result<Vec<Row>, StoreError> {
        let (selection, by) = (Arc::new(selection), Arc::<[By]>::from(by));
        let until = until.min(*self.committed.borrow());
        let mut sums: BTreeMap<Vec<Arc<str>>, Totals> = BTreeMap::new();
        let from = selection.from;
        for range in stretches(until) {
            let (selection, by) = (selection.clone(), by.clone());
            let part =
                self.readers.read(move |connection| rollups::recount(connection, range, &selection, &by)).await?;
            for (names, totals) in part {
                *sums.entry(names).or_default() += totals;
            }
        }
        // Looked at last: what went while it was read is missing too.
        let whole_since = self.held().await?.whole_since;
        if from < whole_since {
            return Err(StoreError::Gone { what: "details of decisions", before: whole_since, key: "details" });
        }
        Ok(sums.into_iter().map(|(names, totals)| Row { names, totals }).collect())
    }

    async fn fingerprint(&self, until: u64) -> Result<[u8; 32], StoreError> {
        let until = until.min(*self.committed.borrow());
        let mut fingerprint = self.readers.read(|connection| fingerprint::begin(connection)).await?;
        for (from, to) in stretches(until) {
            fingerprint =
                self.readers.read(move |connection| fingerprint::take(fingerprint, connection, from, to)).await?;
        }
        self.readers.read(move |connection| fingerprint::finish(fingerprint, connection)).await
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
