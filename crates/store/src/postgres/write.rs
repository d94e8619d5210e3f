//! The writer: drains what waits, applies it in one transaction, then answers.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_postgres::Client;
use uuid::Uuid;

use super::apply::Work;
use super::insert::ZooNumbers;
use super::lease::{self, Claim, RENEW};
use super::rate::rate;
use super::rollups::GroupNumbers;
use super::server::Server;
use crate::command::{Answer, Command, Reply};
use crate::health::Health;
use crate::inbox::{BACKLOG, Inbox, RETRY, shed};
use crate::{Entry, FeedbackRecord, StoreError};

/// With the transaction, as a pooler may give the next one to another connection of the server. A process that is stopped in the middle of
/// one holds nobody up for longer than this.
const BEGIN: &str = "BEGIN; SET LOCAL statement_timeout = '15s'; SET LOCAL lock_timeout = '10s'; \
     SET LOCAL idle_in_transaction_session_timeout = '10s'";
/// How long the statements of a transaction may take together, longer than the server lets one of them: after that it is the network that is
/// gone.
const UNANSWERED: Duration = Duration::from_secs(30);
/// Pause before the server is tried again, at first and at most.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A connection that may append, and what it knows of the tables.
struct Session {
    client: Client,
    epoch: i64,
    zoos: ZooNumbers,
    groups: GroupNumbers,
}

/// A transaction of which it is not known whether it was committed.
struct Doubt {
    written: i64,
    /// How many of the first entries that wait were in it.
    entries: usize,
}

/// What a transaction came to.
enum Failed {
    /// Nothing of it is in the log.
    Before(StoreError),
    /// It may be in the log.
    AtCommit(StoreError),
}

pub(super) struct Writer {
    server: Server,
    /// What this process is known by.
    boot: Uuid,
    runtime: Runtime,
    /// `None` after a failure: the next batch connects anew.
    session: Option<Session>,
    /// The last number given out and committed.
    seq: u64,
    /// The last transaction that was begun to be committed.
    written: i64,
    doubt: Option<Doubt>,
    commit: watch::Sender<u64>,
    health: Arc<Health>,
    backlog: Vec<Entry>,
    /// Pause before the server is tried again.
    pause: Duration,
    /// When it was last found to be away, and why.
    away: Option<(Instant, String)>,
    /// When it was last told that the log cannot be written.
    told: Option<Instant>,
}

impl Writer {
    pub(super) fn new(
        server: Server,
        boot: Uuid,
        runtime: Runtime,
        commit: watch::Sender<u64>,
        health: Arc<Health>,
    ) -> Self {
        let seq = *commit.borrow();
        Self {
            server,
            boot,
            runtime,
            session: None,
            seq,
            written: 0,
            doubt: None,
            commit,
            health,
            backlog: Vec::new(),
            pause: SHORTEST_PAUSE,
            away: None,
            told: None,
        }
    }

    /// Runs until the inbox is closed and all that it held is written.
    pub(super) fn run(mut self, inbox: &Inbox) {
        loop {
            // Readers and the learner wait for what is logged even when nothing else comes, and others for this process to go.
            let patience = if self.backlog.is_empty() { RENEW } else { self.pause };
            let Some(batch) = inbox.take(Some(patience)) else { break };
            self.write(batch);
        }
        if !self.backlog.is_empty() {
            self.away = None;
            self.write(Vec::new());
            self.drop_entries(self.backlog.len());
        }
        if let Some(session) = self.session.take() {
            let releasing = lease::release(&session.client, self.boot, session.epoch);
            // Whoever comes then waits for the end of the term.
            if let Err(error) = self.runtime.block_on(releasing) {
                tracing::warn!(%error, "leaving the log");
            }
        }
    }

    fn write(&mut self, commands: Vec<Command>) {
        // What could not be written before goes first: the order of the log is the order of the calls.
        let mut entries = std::mem::take(&mut self.backlog);
        let mut answers = Vec::new();
        let (mut steps, mut logged) = (Vec::new(), Vec::new());
        for command in commands {
            match command {
                Command::Log(entry) => logged.push(entry),
                command => steps.push((std::mem::take(&mut logged), command)),
            }
        }
        let written = self.transaction(&mut entries, steps, logged, &mut answers);
        match written {
            Ok(seq) => {
                self.seq = seq;
                (self.pause, self.away, self.told) = (SHORTEST_PAUSE, None, None);
                if self.health.failing.swap(false, Ordering::Relaxed) {
                    tracing::info!("the log can be written again");
                }
                // Whoever has an answer finds the log as far as that.
                self.commit.send_if_modified(|held| std::mem::replace(held, seq) != seq);
                answers.into_iter().for_each(Answer::give);
            }
            Err(failed) => self.failed(failed, entries, answers),
        }
    }

    fn failed(&mut self, failed: Failed, entries: Vec<Entry>, answers: Vec<Answer>) {
        let error = match failed {
            Failed::Before(error) => error,
            Failed::AtCommit(error) => {
                self.doubt = Some(Doubt { written: self.written, entries: entries.len() });
                error
            }
        };
        self.health.failing.store(true, Ordering::Relaxed);
        if self.told.is_none_or(|at| at.elapsed() >= RETRY) {
            tracing::error!(%error, entries = entries.len(), "the log cannot be written");
            self.told = Some(Instant::now());
        }
        // Only a new connection is sure to have no transaction open.
        self.session = None;
        answers.into_iter().for_each(|answer| answer.refuse(&error.to_string()));
        self.backlog = entries;
        self.backlog.iter_mut().fold(0, |waiting, entry| shed(entry, waiting));
        if self.backlog.len() > BACKLOG {
            self.drop_entries(self.backlog.len() - BACKLOG);
        }
    }

    fn drop_entries(&mut self, count: usize) {
        let count = count.min(self.backlog.len());
        self.backlog.drain(..count);
        if let Some(doubt) = &mut self.doubt {
            doubt.entries = doubt.entries.saturating_sub(count);
        }
        self.health.dropped.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Applies all in one transaction: entries that waited, then each command with the entries logged before it, then what was logged last.
    /// All entries are in `entries` when it returns, so that a failure loses none.
    fn transaction(
        &mut self,
        entries: &mut Vec<Entry>,
        steps: Vec<(Vec<Entry>, Command)>,
        logged: Vec<Entry>,
        answers: &mut Vec<Answer>,
    ) -> Result<u64, Failed> {
        if let Err(error) = self.connect(entries) {
            for (before, command) in steps {
                entries.extend(before);
                answers.push(Answer::unwritten(command));
            }
            entries.extend(logged);
            return Err(Failed::Before(error));
        }
        let Some(Session { client, epoch, zoos, groups }) = &mut self.session else {
            return Err(Failed::Before(StoreError::Closed));
        };
        let work = Work { client, epoch: *epoch, seq: self.seq, zoos, groups };
        let (steps, before) = (steps.into_iter(), Vec::new());
        let mut batch = Batch { work, steps, logged, before, entries, answers, inserted: 0 };
        self.written += 1;
        let (boot, written) = (self.boot, self.written);
        let shown = self.server.shown();
        let outcome = self.runtime.block_on(async {
            let all = tokio::time::timeout(UNANSWERED, batch.all()).await;
            all.unwrap_or_else(|_| Err(unanswered())).map_err(Failed::Before)?;
            let Work { client, epoch, seq, .. } = &batch.work;
            let seq = *seq;
            let advancing = lease::advance(client, boot, *epoch, seq, written, &shown);
            let advanced = tokio::time::timeout(UNANSWERED, advancing).await;
            advanced.unwrap_or_else(|_| Err(unanswered())).map_err(Failed::Before)?;
            match tokio::time::timeout(UNANSWERED, client.batch_execute("COMMIT")).await {
                Ok(Ok(())) => Ok(seq),
                Ok(Err(error)) => Err(Failed::AtCommit(error.into())),
                Err(_) => Err(Failed::AtCommit(unanswered())),
            }
        });
        batch.leave();
        outcome
    }

    /// Sees to a connection, made anew after a failure. The numbers then go on from what is in the log, and of a transaction that may
    /// have been committed it is found out.
    fn connect(&mut self, waiting: &mut Vec<Entry>) -> Result<(), StoreError> {
        if self.session.as_ref().is_some_and(|session| !session.client.is_closed()) {
            return Ok(());
        }
        self.session = None;
        if let Some((at, why)) = &self.away
            && at.elapsed() < self.pause
        {
            return Err(StoreError::Server(why.clone()));
        }
        let (server, boot) = (self.server.clone(), self.boot);
        let connecting = async {
            let client = server.connect().await?;
            let claim = lease::take(&client, boot, &server.shown()).await?;
            Ok::<_, StoreError>((Session::new(client, claim.epoch).await?, claim))
        };
        let connecting = self.runtime.block_on(async { tokio::time::timeout(UNANSWERED, connecting).await });
        let connecting = connecting.unwrap_or_else(|_| Err(unanswered()));
        match connecting {
            Ok((session, claim)) => {
                self.resume(&claim, waiting);
                self.session = Some(session);
                Ok(())
            }
            Err(error) => {
                if self.away.replace((Instant::now(), error.to_string())).is_some() {
                    self.pause = self.pause.saturating_mul(2).min(LONGEST_PAUSE);
                }
                Err(error)
            }
        }
    }

    /// Takes up what the log says of this process.
    fn resume(&mut self, claim: &Claim, waiting: &mut Vec<Entry>) {
        self.seq = claim.seq;
        if let Some(doubt) = self.doubt.take()
            && claim.written >= doubt.written
        {
            waiting.drain(..doubt.entries.min(waiting.len()));
        }
        self.written = self.written.max(claim.written);
    }

    /// Takes the log for the first time. Whoever had it and was killed has it for some seconds more.
    pub(super) fn begin(&mut self) -> Result<(), StoreError> {
        let (server, boot) = (self.server.clone(), self.boot);
        let (session, claim) = self.runtime.block_on(async {
            let mut client = server.connect().await?;
            super::tables::migrate(&mut client, &server.shown()).await?;
            let claim = lease::wait(&client, boot, &server.shown()).await?;
            Ok::<_, StoreError>((Session::new(client, claim.epoch).await?, claim))
        })?;
        self.resume(&claim, &mut Vec::new());
        self.commit.send_replace(self.seq);
        self.session = Some(session);
        Ok(())
    }
}

fn unanswered() -> StoreError {
    StoreError::Server("it does not answer".to_owned())
}

impl Session {
    async fn new(client: Client, epoch: i64) -> Result<Self, StoreError> {
        let (zoos, groups) = (ZooNumbers::load(&client).await?, GroupNumbers::load(&client).await?);
        Ok(Self { client, epoch, zoos, groups })
    }
}

/// A transaction under way.
struct Batch<'a> {
    work: Work<'a>,
    /// Commands to come, each with what was logged before it, and what was logged last: a server that does not answer leaves some.
    steps: std::vec::IntoIter<(Vec<Entry>, Command)>,
    logged: Vec<Entry>,
    /// What was logged before the command whose turn it is.
    before: Vec<Entry>,
    /// All that was logged before what is still to come, of which so many are inserted.
    entries: &'a mut Vec<Entry>,
    inserted: usize,
    answers: &'a mut Vec<Answer>,
}

/// Words on decisions that nothing was logged between: they are looked up and written at once.
type Words = (Vec<(FeedbackRecord, u64)>, Vec<Reply<slarouter_core::Receipt>>);

impl Batch<'_> {
    async fn all(&mut self) -> Result<(), StoreError> {
        let mut result = self.work.client.batch_execute(BEGIN).await.map_err(StoreError::from);
        let mut words: Words = (Vec::new(), Vec::new());
        while let Some((before, command)) = self.steps.next() {
            self.before = before;
            // What was logged between two words ends the run of those before it.
            if !self.before.is_empty() || !matches!(command, Command::Rate { .. }) {
                self.rate(&mut result, std::mem::take(&mut words)).await;
            }
            self.entries.append(&mut self.before);
            if result.is_err() {
                self.answers.push(Answer::unwritten(command));
                continue;
            }
            match command {
                Command::Rate { feedback, window_ms, reply } => {
                    words.0.push((feedback, window_ms));
                    words.1.push(reply);
                }
                command => {
                    result = self.insert().await;
                    if result.is_err() {
                        self.answers.push(Answer::unwritten(command));
                    } else {
                        result = self.work.apply(command, self.answers).await;
                    }
                }
            }
        }
        self.rate(&mut result, words).await;
        self.entries.append(&mut self.logged);
        result?;
        self.insert().await
    }

    /// What has not had its turn, as the server did not answer in time: entries are kept, and commands are refused.
    fn leave(self) {
        let Self { mut before, steps, mut logged, entries, answers, .. } = self;
        entries.append(&mut before);
        for (before, command) in steps {
            entries.extend(before);
            answers.push(Answer::unwritten(command));
        }
        entries.append(&mut logged);
    }

    /// Inserts what is not inserted yet.
    async fn insert(&mut self) -> Result<(), StoreError> {
        let inserted = self.work.insert(&self.entries[self.inserted..]).await;
        self.inserted = self.entries.len();
        inserted
    }

    async fn rate(&mut self, result: &mut Result<(), StoreError>, (words, replies): Words) {
        if words.is_empty() {
            return;
        }
        let mut receipts = Vec::new();
        if result.is_ok() {
            *result = self.insert().await;
        }
        if result.is_ok() {
            match rate(self.work.client, &words, &mut self.work.seq).await {
                Ok(given) => receipts = given,
                Err(error) => *result = Err(error),
            }
        }
        let mut receipts = receipts.into_iter();
        for reply in replies {
            self.answers.push(Answer::Receipt(reply, receipts.next().unwrap_or(Err(StoreError::Closed))));
        }
    }
}
