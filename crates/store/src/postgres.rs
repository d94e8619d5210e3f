//! PostgreSQL: one writer with group commit, as SQLite's, and a few connections that read.
//!
//! No statement is prepared and nothing is set on a connection beyond a transaction, so that a pooler may stand in between.

mod apply;
mod archive;
mod audits;
mod batch;
mod decisions;
mod events;
mod fingerprint;
mod forget;
mod insert;
mod inspect;
mod item;
mod keys;
mod lease;
mod limits;
mod params;
mod rate;
mod read;
mod readers;
mod rollups;
mod row;
mod rows;
mod send;
mod server;
mod shorten;
mod spooling;
mod stream;
mod tables;
mod terms;
mod tls;
mod traces;
mod transfer;
mod views;
mod write;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use slarouter_core::{DecisionId, Rater, Receipt, Source, Timestamp};
use tokio::sync::{Mutex, oneshot, watch};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::check::check;
use crate::command::Command;
use crate::fingerprint::stretches;
use crate::health::{Abandoning, Health};
use crate::inbox::Inbox;
use crate::replica::Role;
use crate::retention::Pass;
use crate::spool::Spool;
use crate::{
    Added, By, Calendar, Configured, Counts, DecisionHistory, DecisionPage, DecisionQuery, Entry, Event,
    FeedbackRecord, Following, Forgotten, Held, Kept, KeyChange, KeyRecord, LimitUsage, LogRow, OutcomeRecord,
    PendingAudits, Point, Retention, RouteCertificate, Row, RowQuery, Selection, Shortened, Snapshot, SpanCertificate,
    Spending, Step, Store, StoreError, StoredDecision, TENTHS, Tenth, Term, Together, Totals, TraceQuery,
};
pub(crate) use inspect::inspect;
use readers::{KnownZoos, Readers, View};
pub(crate) use server::Server;
pub(crate) use transfer::Transferring;
use write::{Told, Writer};

/// How long one who follows waits for the holder to forget somebody, and how often it looks.
const FORGETTING: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(100);

/// Whether other processes may write to the same log.
pub(crate) enum Share {
    Alone,
    /// With a file for the time without a server, and how many bytes it may have.
    WithOthers {
        spool: Option<(PathBuf, u64)>,
    },
}

pub(crate) struct PostgresStore {
    inbox: Arc<Inbox>,
    committed: watch::Receiver<u64>,
    role: watch::Receiver<Role>,
    /// What this process is known by.
    boot: Uuid,
    health: Arc<Health>,
    readers: Readers,
    /// How far the shortening has come; held while a step is made.
    pass: Mutex<Pass>,
    /// Answers when the writer has ended; `None` once somebody waits for that.
    ended: Mutex<Option<oneshot::Receiver<()>>>,
}

/// Reads with a view, which is given back if nothing failed: one that did may be at fault itself.
macro_rules! read {
    ($store:expr, $view:ident => $work:expr) => {{
        let $view = $store.readers.view().await?;
        let found = $work.await?;
        $view.end();
        Ok(found)
    }};
}

impl PostgresStore {
    /// Opens the log to append to it, and makes the tables if they are not there. One that is shared sends what it has to append to another
    /// process, for as long as that holds the log.
    pub(crate) async fn open(url: &str, queue: usize, share: Share) -> Result<Self, StoreError> {
        let server = Server::new(url)?;
        let (is_shared, boot) = (matches!(share, Share::WithOthers { .. }), Uuid::now_v7());
        let spool = match share {
            Share::WithOthers { spool: Some((path, room)) } => {
                let opened = Spool::open(&path, &server.shown(), boot, room);
                Some(opened.map_err(|source| StoreError::Spool { path: path.display().to_string(), source })?)
            }
            _ => None,
        };
        let boot = spool.as_ref().map_or(boot, Spool::boot);
        let zoos = KnownZoos::default();
        let readers = Readers::new(server.clone(), zoos.clone());
        let inbox = Arc::new(Inbox::new(queue));
        let (commit, committed) = watch::channel(0);
        let (held, role) = watch::channel(Role::Follower);
        let health = Arc::new(Health::default());
        let (end, ended) = oneshot::channel();
        let (begin, begun) = oneshot::channel();
        let commands = Abandoning::new(inbox.clone(), health.clone());
        let told = Told { commit, role: held, zoos, health: health.clone() };
        let work = move || {
            let made = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let mut writer = match made {
                Ok(runtime) => Writer::new(server, boot, is_shared, spool, runtime, told),
                Err(error) => return drop(begin.send(Err(StoreError::Thread(error)))),
            };
            let opened = writer.begin();
            let is_open = opened.is_ok();
            // Nobody may be waiting for it any more; then nobody is to be waited for either.
            if begin.send(opened).is_ok() && is_open {
                writer.run(commands.inbox());
            }
            drop(commands);
            // Nobody may be waiting for it.
            let _ = end.send(());
        };
        std::thread::Builder::new().name("log-writer".to_owned()).spawn(work).map_err(StoreError::Thread)?;
        // It ends early only by a panic.
        begun.await.map_err(|_| StoreError::Closed)??;
        let ended = Mutex::new(Some(ended));
        Ok(Self { inbox, committed, role, boot, health, readers, pass: Mutex::default(), ended })
    }

    /// For reading alone: there is no writer.
    pub(crate) async fn read(url: &str) -> Result<Self, StoreError> {
        let server = Server::new(url)?.or_standby();
        let client = server.connect().await?;
        let (found, newest) = (tables::version(&client, &server.shown()).await?, tables::newest());
        match found {
            0 => return Err(StoreError::Missing(server.shown())),
            found if found < newest => return Err(StoreError::Older { found, newest }),
            found if found > newest => return Err(StoreError::Newer { found, newest }),
            _ => {}
        }
        drop(client);
        let readers = Readers::new(server, KnownZoos::default());
        let view = readers.view().await?;
        let last = read::last_seq(&view).await?;
        view.end();
        let inbox = Arc::new(Inbox::new(0));
        inbox.close();
        let ((_, committed), (_, role)) = (watch::channel(last), watch::channel(Role::Follower));
        let (boot, health, pass, ended) = (Uuid::nil(), Arc::default(), Mutex::default(), Mutex::default());
        Ok(Self { inbox, committed, role, boot, health, readers, pass, ended })
    }

    /// As the holder of the log.
    async fn forget_all(&self, rater: Rater, until: Timestamp) -> Result<(), StoreError> {
        let mut after = Some(0);
        while let Some(last) = after {
            after = self.ask(|reply| Command::Forget { rater, until, after: last, reply }).await?;
        }
        Ok(())
    }

    /// Whether whoever holds the log forgets what was noted, for some seconds.
    async fn is_forgotten(&self, rater: Rater) -> Result<bool, StoreError> {
        let begun = Instant::now();
        loop {
            let noted: Result<_, StoreError> = read!(self, view => forget::noted(&view));
            let is_gone = noted?.iter().all(|(waits, _)| *waits != rater);
            if is_gone || begun.elapsed() > FORGETTING {
                return Ok(is_gone);
            }
            sleep(LOOK).await;
        }
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

impl Drop for PostgresStore {
    /// The writer ends by itself.
    fn drop(&mut self) {
        self.inbox.close();
    }
}

#[async_trait]
impl Store for PostgresStore {
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
        read!(self, view => events::after(&view, seq, limit))
    }

    async fn following(&self, seq: u64, by: Option<Term>, limit: usize) -> Result<Following, StoreError> {
        let read: Result<_, StoreError> = read!(self, view => terms::following(&view, seq, by, limit));
        let following = read?;
        if following.is_another {
            self.readers.forget();
            self.health.set_back.fetch_add(1, Ordering::Relaxed);
        }
        Ok(following)
    }

    fn set_back(&self) -> u64 {
        self.health.set_back.load(Ordering::Relaxed)
    }

    fn committed(&self) -> watch::Receiver<u64> {
        self.committed.clone()
    }

    fn role(&self) -> watch::Receiver<Role> {
        self.role.clone()
    }

    fn unheard(&self) -> Duration {
        self.health.unheard()
    }

    fn is_failing(&self) -> bool {
        self.health.failing.load(Ordering::Relaxed)
    }

    fn kept(&self) -> Kept {
        self.health.kept()
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
        self.save_learnt((seq, None), time, states).await
    }

    async fn save_learnt(
        &self,
        learnt: (u64, Option<Term>),
        time: Timestamp,
        states: Vec<(Arc<str>, Vec<u8>)>,
    ) -> Result<(), StoreError> {
        self.ask(|reply| Command::Save { learnt, time, states, reply }).await
    }

    async fn load_snapshots(&self) -> Result<Vec<Snapshot>, StoreError> {
        self.load_snapshots_until(u64::MAX).await
    }

    async fn load_snapshots_until(&self, seq: u64) -> Result<Vec<Snapshot>, StoreError> {
        read!(self, view => read::snapshots(&view, seq))
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
        read!(self, view => shorten::held(&view))
    }

    async fn forget(&self, rater: Rater, now: Timestamp, delete: bool) -> Result<Forgotten, StoreError> {
        let found: Result<_, StoreError> = read!(self, view => forget::found(&view, rater, now));
        let found = found?;
        if !delete {
            return Ok(found);
        }
        if self.role.borrow().is_holder() {
            self.forget_all(rater, now).await?;
            return Ok(found);
        }
        if self.boot.is_nil() {
            return Err(StoreError::Closed);
        }
        let view = self.readers.change(true).await?;
        forget::note(&view, rater, now).await?;
        view.commit().await?;
        let is_noted = !self.is_forgotten(rater).await?;
        Ok(Forgotten { is_noted, ..found })
    }

    async fn forget_for_others(&self) -> Result<(), StoreError> {
        if !self.role.borrow().is_holder() {
            return Ok(());
        }
        let noted: Result<_, StoreError> = read!(self, view => forget::noted(&view));
        for (rater, until) in noted? {
            self.forget_all(rater, until).await?;
            let view = self.readers.change(true).await?;
            forget::done(&view, rater, until).await?;
            view.commit().await?;
        }
        Ok(())
    }

    async fn decision(&self, id: DecisionId) -> Result<Option<StoredDecision>, StoreError> {
        let found = async |view: &View| match read::decision(view, id).await? {
            None => stream::decision(view, id).await,
            found => Ok(found),
        };
        read!(self, view => found(&view))
    }

    async fn traced(&self, query: TraceQuery) -> Result<Option<DecisionId>, StoreError> {
        read!(self, view => traces::find(&view, &query))
    }

    async fn decisions(&self, query: DecisionQuery) -> Result<DecisionPage, StoreError> {
        read!(self, view => decisions::page(&view, &query))
    }

    async fn history(&self, id: DecisionId) -> Result<Option<DecisionHistory>, StoreError> {
        read!(self, view => decisions::history(&view, id))
    }

    async fn rows(&self, query: RowQuery) -> Result<Vec<LogRow>, StoreError> {
        read!(self, view => rows::after(&view, query))
    }

    async fn certificates(
        &self,
        after: Option<SpanCertificate>,
        limit: usize,
    ) -> Result<Vec<SpanCertificate>, StoreError> {
        read!(self, view => rows::certificates(&view, after.as_ref(), limit))
    }

    async fn pending_audits(
        &self,
        after: Option<DecisionId>,
        since: Timestamp,
        tenant: Option<&str>,
        limit: usize,
    ) -> Result<PendingAudits, StoreError> {
        let suffix = tenant.map(|tenant| format!("/{tenant}"));
        read!(self, view => audits::pending(&view, after, since, suffix.as_deref(), limit))
    }

    async fn keys(&self) -> Result<Vec<KeyRecord>, StoreError> {
        read!(self, view => keys::list(&view))
    }

    async fn key_version(&self) -> Result<Option<u64>, StoreError> {
        read!(self, view => keys::version(&view)).map(Some)
    }

    async fn change_keys(&self, changes: Vec<KeyChange>) -> Result<(), StoreError> {
        self.change_keys_as_of(None, changes).await
    }

    async fn change_keys_as_of(&self, as_of: Option<u64>, changes: Vec<KeyChange>) -> Result<(), StoreError> {
        self.ask(|reply| Command::ChangeKeys { changes, as_of, reply }).await
    }

    async fn spending(&self, since: u64) -> Result<Vec<Spending>, StoreError> {
        read!(self, view => keys::spending(&view, since))
    }

    async fn spent_elsewhere(&self, since: u64) -> Result<Vec<Spending>, StoreError> {
        read!(self, view => keys::spent_elsewhere(&view, self.boot, since))
    }

    async fn share_usage(&self, used: Vec<LimitUsage>) -> Result<Option<Together>, StoreError> {
        let view = self.readers.change(false).await?;
        let together = limits::share(&view, used).await?;
        view.commit().await?;
        Ok(Some(together))
    }

    async fn roll_up(&self, calendar: &Calendar, certificates: Vec<RouteCertificate>) -> Result<Added, StoreError> {
        let calendar = calendar.clone();
        let counted: Result<_, StoreError> = read!(self, view => rollups::count(&view, calendar, certificates));
        let tally = counted?;
        let added = tally.added();
        self.ask(|reply| Command::RollUp { tally: Box::new(tally), reply }).await?;
        Ok(added)
    }

    async fn calendar(&self) -> Result<Calendar, StoreError> {
        read!(self, view => rollups::calendar(&view))
    }

    async fn totals(&self, selection: Selection, by: &[By]) -> Result<Vec<Row>, StoreError> {
        read!(self, view => rollups::totals(&view, &selection, by))
    }

    async fn series(&self, selection: Selection, step: Step) -> Result<Vec<Point>, StoreError> {
        read!(self, view => rollups::series(&view, &selection, step))
    }

    async fn first(&self, route: &str, from: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        read!(self, view => views::first(&view, route, from))
    }

    async fn configured(&self, route: &str, range: (Timestamp, Timestamp)) -> Result<Vec<Configured>, StoreError> {
        read!(self, view => views::configured(&view, route, range))
    }

    async fn calibration(&self, route: &str, source: Source) -> Result<[Tenth; TENTHS], StoreError> {
        read!(self, view => views::calibration(&view, route, source))
    }

    async fn recount(&self, selection: Selection, until: u64, by: &[By]) -> Result<Vec<Row>, StoreError> {
        let until = until.min(*self.committed.borrow());
        let mut sums: BTreeMap<Vec<Arc<str>>, Totals> = BTreeMap::new();
        for range in stretches(until) {
            let part: Result<_, StoreError> = read!(self, view => rollups::recount(&view, range, &selection, by));
            for (names, totals) in part? {
                *sums.entry(names).or_default() += totals;
            }
        }
        // Looked at last: what went while it was read is missing too.
        let whole_since = self.held().await?.whole_since;
        if selection.from < whole_since {
            return Err(StoreError::Gone { what: "details of decisions", before: whole_since, key: "details" });
        }
        Ok(sums.into_iter().map(|(names, totals)| Row { names, totals }).collect())
    }

    async fn fingerprint(&self, until: u64) -> Result<[u8; 32], StoreError> {
        let until = until.min(*self.committed.borrow());
        let begun: Result<_, StoreError> = read!(self, view => fingerprint::begin(&view));
        let mut fingerprint = begun?;
        for (from, to) in stretches(until) {
            let taken: Result<_, StoreError> = read!(self, view => fingerprint::take(fingerprint, &view, from, to));
            fingerprint = taken?;
        }
        read!(self, view => fingerprint::finish(fingerprint, &view))
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        read!(self, view => read::counts(&view))
    }

    async fn flush(&self) -> Result<(), StoreError> {
        self.ask(|reply| Command::Flush { reply }).await
    }

    async fn close(&self) {
        self.inbox.close();
        self.readers.close().await;
        if let Some(ended) = self.ended.lock().await.take()
            && ended.await.is_err()
        {
            tracing::error!("the writer of the log ended badly");
        }
    }
}
