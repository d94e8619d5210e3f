//! The writer: drains what waits, applies it in one transaction, then answers.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use slarouter_core::{Rating, Receipt, Source, Timestamp};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};

use super::insert::insert;
use super::read::{blob, last_seq};
use crate::{Entry, FeedbackRecord, KeyChange, OutcomeRecord, StoreError};

/// Commands in one transaction.
const BATCH: usize = 512;
/// Entries kept for another try while the log cannot be written; older ones are dropped and counted.
const BACKLOG: usize = 16_384;
/// How long log entries, for which nobody waits, are collected into one transaction.
const GATHERING: Duration = Duration::from_millis(5);
/// Pause before what could not be written is tried again, if no command comes first.
const RETRY: Duration = Duration::from_secs(1);
/// Saved states kept per route.
const KEPT_SNAPSHOTS: i64 = 3;

type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

pub(super) enum Command {
    Log(Entry),
    Configure { time: Timestamp, route: String, spec: String, reply: Reply<()> },
    Rate { feedback: FeedbackRecord, window_ms: u64, reply: Reply<Receipt> },
    Report { outcome: Box<OutcomeRecord>, rerouted: bool, reply: Reply<Receipt> },
    ChangeKeys { changes: Vec<KeyChange>, reply: Reply<()> },
    Save { seq: u64, time: Timestamp, states: Vec<(Arc<str>, Vec<u8>)>, reply: Reply<()> },
    Flush { reply: Reply<()> },
}

pub(super) struct Writer {
    options: SqliteConnectOptions,
    /// `None` after a failure: the next batch connects anew.
    connection: Option<SqliteConnection>,
    /// The last number given out and committed.
    seq: u64,
    commit: watch::Sender<u64>,
    dropped: Arc<AtomicU64>,
    failing: Arc<AtomicBool>,
    backlog: Vec<Entry>,
    /// Held for as long as anything may be written.
    _lock: File,
}

/// Answers that must wait for the commit.
enum Answer {
    Done(Reply<()>),
    Receipt(Reply<Receipt>, Result<Receipt, StoreError>),
}

impl Writer {
    pub(super) fn new(
        options: SqliteConnectOptions,
        connection: SqliteConnection,
        lock: File,
        seq: u64,
        commit: watch::Sender<u64>,
        dropped: Arc<AtomicU64>,
        failing: Arc<AtomicBool>,
    ) -> Self {
        Self { options, connection: Some(connection), seq, commit, dropped, failing, backlog: Vec::new(), _lock: lock }
    }

    /// Runs until all senders are gone and all that they sent is written.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                received = commands.recv_many(&mut batch, BATCH) => {
                    if received == 0 {
                        break;
                    }
                    gather(&mut batch, &mut commands).await;
                }
                // Readers and the learner wait for what is logged even when nothing else comes.
                () = tokio::time::sleep(RETRY), if !self.backlog.is_empty() => {}
            }
            self.write(std::mem::take(&mut batch)).await;
        }
        if !self.backlog.is_empty() {
            self.write(Vec::new()).await;
            self.drop_entries(self.backlog.len());
        }
        if let Some(connection) = self.connection {
            super::close(connection).await;
        }
    }

    async fn write(&mut self, commands: Vec<Command>) {
        // What could not be written before goes first: the order of the log is the order of the calls.
        let mut entries = std::mem::take(&mut self.backlog);
        let mut answers = Vec::new();
        match self.transaction(&mut entries, commands, &mut answers).await {
            Ok(seq) => {
                self.seq = seq;
                for answer in answers {
                    answer.give();
                }
                if self.failing.swap(false, Ordering::Relaxed) {
                    tracing::info!("the log can be written again");
                }
                self.commit.send_replace(seq);
            }
            Err(error) => {
                self.failing.store(true, Ordering::Relaxed);
                tracing::error!(%error, entries = entries.len(), "the log cannot be written");
                // SQLite may have rolled back by itself, of which sqlx knows nothing: only a new connection is sure
                // to have no transaction open.
                if let Some(broken) = self.connection.take() {
                    super::close(broken).await;
                }
                for answer in answers {
                    answer.refuse(&error.to_string());
                }
                self.backlog = entries;
                if self.backlog.len() > BACKLOG {
                    self.drop_entries(self.backlog.len() - BACKLOG);
                }
            }
        }
    }

    fn drop_entries(&mut self, count: usize) {
        self.backlog.drain(..count.min(self.backlog.len()));
        self.dropped.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// The connection, made anew after a failure. The numbers then go on from what is in the log, in case a commit
    /// that was reported as failed is there after all.
    async fn connect(&mut self) -> Result<(&mut SqliteConnection, u64), sqlx::Error> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let mut connection = self.options.connect().await?;
                self.seq = last_seq(&mut connection).await?;
                connection
            }
        };
        Ok((self.connection.insert(connection), self.seq))
    }

    /// Applies all in one transaction. Log entries are moved to `entries` before anything can fail, so that a failure
    /// loses none; they are inserted in runs, and a run ends where a command needs to see it.
    async fn transaction(
        &mut self,
        entries: &mut Vec<Entry>,
        commands: Vec<Command>,
        answers: &mut Vec<Answer>,
    ) -> Result<u64, sqlx::Error> {
        let mut failure = None;
        let mut inserted = 0;
        let (begun, mut seq) = match self.connect().await {
            // The lock is taken at once: one taken half-way fails without waiting if another process wrote meanwhile.
            Ok((connection, seq)) => (connection.begin_with("BEGIN IMMEDIATE").await, seq),
            Err(error) => (Err(error), 0),
        };
        let mut transaction = match begun {
            Ok(transaction) => Some(transaction),
            Err(error) => {
                failure = Some(error);
                None
            }
        };
        for command in commands {
            if let Command::Log(entry) = command {
                entries.push(entry);
                continue;
            }
            let Some(open) = transaction.as_deref_mut().filter(|_| failure.is_none()) else {
                answers.push(Answer::unwritten(command));
                continue;
            };
            if let Err(error) = insert(open, &entries[inserted..], &mut seq).await {
                failure = Some(error);
                answers.push(Answer::unwritten(command));
                continue;
            }
            inserted = entries.len();
            if let Err(error) = apply(open, command, &mut seq, answers).await {
                failure = Some(error);
            }
        }
        match (transaction, failure) {
            (Some(mut transaction), None) => {
                insert(&mut transaction, &entries[inserted..], &mut seq).await?;
                transaction.commit().await?;
                Ok(seq)
            }
            // Dropping a transaction rolls it back.
            (_, Some(error)) => Err(error),
            (None, None) => Err(sqlx::Error::WorkerCrashed),
        }
    }
}

/// Takes what else comes while there are only log entries: each commit costs a wait for the disk, however little is in it.
async fn gather(batch: &mut Vec<Command>, commands: &mut mpsc::Receiver<Command>) {
    let until = Instant::now() + GATHERING;
    let mut seen = 0;
    while batch.len() < BATCH && batch[seen..].iter().all(|command| matches!(command, Command::Log(_))) {
        seen = batch.len();
        match timeout_at(until, commands.recv_many(batch, BATCH - seen)).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

impl Answer {
    fn give(self) {
        // Nobody may be waiting any more: the client went away, the event is durable all the same.
        match self {
            Self::Done(reply) => drop(reply.send(Ok(()))),
            Self::Receipt(reply, receipt) => drop(reply.send(receipt)),
        }
    }

    fn refuse(self, why: &str) {
        let error = StoreError::Unavailable(why.to_owned());
        match self {
            Self::Done(reply) => drop(reply.send(Err(error))),
            // That a decision is unknown, or was not drawn, stays true, whatever became of the transaction.
            Self::Receipt(reply, Err(known @ (StoreError::UnknownDecision | StoreError::NotDrawn))) => {
                drop(reply.send(Err(known)));
            }
            Self::Receipt(reply, _) => drop(reply.send(Err(error))),
        }
    }

    fn unwritten(command: Command) -> Self {
        match command {
            Command::Rate { reply, .. } | Command::Report { reply, .. } => {
                Self::Receipt(reply, Err(StoreError::Closed))
            }
            Command::Configure { reply, .. }
            | Command::ChangeKeys { reply, .. }
            | Command::Save { reply, .. }
            | Command::Flush { reply } => Self::Done(reply),
            Command::Log(_) => Self::Done(oneshot::channel().0),
        }
    }
}

async fn apply(
    connection: &mut SqliteConnection,
    command: Command,
    seq: &mut u64,
    answers: &mut Vec<Answer>,
) -> Result<(), sqlx::Error> {
    match command {
        Command::Log(_) => Ok(()),
        Command::Flush { reply } => {
            answers.push(Answer::Done(reply));
            Ok(())
        }
        Command::Rate { feedback, window_ms, reply } => {
            let result = rate(connection, &feedback, window_ms, seq).await;
            let (receipt, result) = match result {
                Ok(answer) => (answer, Ok(())),
                Err(error) => (Err(StoreError::Closed), Err(error)),
            };
            answers.push(Answer::Receipt(reply, receipt));
            result
        }
        Command::Report { outcome, rerouted, reply } => {
            let result = report(connection, *outcome, rerouted, seq).await;
            let (receipt, result) = match result {
                Ok(receipt) => (Ok(receipt), Ok(())),
                Err(error) => (Err(StoreError::Closed), Err(error)),
            };
            answers.push(Answer::Receipt(reply, receipt));
            result
        }
        Command::Configure { time, route, spec, reply } => {
            answers.push(Answer::Done(reply));
            configure(connection, time, &route, &spec, seq).await
        }
        Command::ChangeKeys { changes, reply } => {
            answers.push(Answer::Done(reply));
            super::keys::change(connection, &changes).await
        }
        Command::Save { seq: at, time, states, reply } => {
            answers.push(Answer::Done(reply));
            save(connection, at, time, &states).await
        }
    }
}

/// The receipt, or why the decision cannot be rated.
async fn rate(
    connection: &mut SqliteConnection,
    feedback: &FeedbackRecord,
    window_ms: u64,
    seq: &mut u64,
) -> Result<Result<Receipt, StoreError>, sqlx::Error> {
    let id = blob(feedback.decision);
    let rater = feedback.rater.0.cast_signed();
    let decided: Option<(i64, bool)> = sqlx::query_as("SELECT time, audit_drawn FROM decisions WHERE id = $1")
        .bind(&id)
        .fetch_optional(&mut *connection)
        .await?;
    let Some((decided, drawn)) = decided else { return Ok(Err(StoreError::UnknownDecision)) };
    if feedback.source == Source::Audit && !drawn {
        return Ok(Err(StoreError::NotDrawn));
    }
    let late = feedback.time.0.saturating_sub(decided as u64) > window_ms;
    // Ratings that came too late are not in force, but saying one of them again is still nothing new.
    let held: Option<Option<f64>> = sqlx::query_scalar(
        "SELECT rating FROM feedback WHERE decision_id = $1 AND rater = $2 AND ($3 OR receipt <> 'expired') \
         AND source = $4 ORDER BY seq DESC LIMIT 1",
    )
    .bind(&id)
    .bind(rater)
    .bind(late)
    .bind(feedback.source.as_str())
    .fetch_optional(&mut *connection)
    .await?;
    let held = held.flatten().and_then(|value| Rating::new(value).ok());
    let mut receipt = Receipt::of(held, feedback.rating);
    if receipt == Receipt::Duplicate {
        return Ok(Ok(receipt));
    }
    if late {
        receipt = Receipt::Expired;
    }
    *seq += 1;
    sqlx::query(
        "INSERT INTO feedback (seq, decision_id, time, rater, rating, receipt, comment, source) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(*seq as i64)
    .bind(id)
    .bind(feedback.time.0 as i64)
    .bind(rater)
    .bind(feedback.rating.map(Rating::get))
    .bind(receipt.as_str())
    .bind(&feedback.comment)
    .bind(feedback.source.as_str())
    .execute(connection)
    .await?;
    Ok(Ok(receipt))
}

/// Outcomes that were reported are those without attempts of the gateway's own.
async fn report(
    connection: &mut SqliteConnection,
    outcome: OutcomeRecord,
    rerouted: bool,
    seq: &mut u64,
) -> Result<Receipt, sqlx::Error> {
    let known: Option<i64> =
        sqlx::query_scalar("SELECT seq FROM outcomes WHERE decision_id = $1 AND attempts = 0 LIMIT 1")
            .bind(blob(outcome.decision))
            .fetch_optional(&mut *connection)
            .await?;
    if known.is_some() {
        return Ok(Receipt::Duplicate);
    }
    let reroute = Entry::Reroute { decision: outcome.decision, model: outcome.model.clone() };
    let outcome = Entry::Outcome(OutcomeRecord { attempts: 0, ..outcome });
    let entries = [reroute, outcome];
    insert(connection, if rerouted { &entries } else { &entries[1..] }, seq).await?;
    Ok(Receipt::Recorded)
}

async fn configure(
    connection: &mut SqliteConnection,
    time: Timestamp,
    route: &str,
    spec: &str,
    seq: &mut u64,
) -> Result<(), sqlx::Error> {
    let held: Option<String> =
        sqlx::query_scalar("SELECT spec FROM route_configs WHERE route = $1 ORDER BY seq DESC LIMIT 1")
            .bind(route)
            .fetch_optional(&mut *connection)
            .await?;
    if held.as_deref() == Some(spec) {
        return Ok(());
    }
    *seq += 1;
    sqlx::query("INSERT INTO route_configs (seq, time, route, spec) VALUES ($1, $2, $3, $4)")
        .bind(*seq as i64)
        .bind(time.0 as i64)
        .bind(route)
        .bind(spec)
        .execute(connection)
        .await?;
    Ok(())
}

async fn save(
    connection: &mut SqliteConnection,
    seq: u64,
    time: Timestamp,
    states: &[(Arc<str>, Vec<u8>)],
) -> Result<(), sqlx::Error> {
    for (route, state) in states {
        sqlx::query("INSERT OR REPLACE INTO snapshots (seq, route, time, state) VALUES ($1, $2, $3, $4)")
            .bind(seq as i64)
            .bind(&**route)
            .bind(time.0 as i64)
            .bind(state)
            .execute(&mut *connection)
            .await?;
        sqlx::query(
            "DELETE FROM snapshots WHERE route = $1 AND seq NOT IN \
             (SELECT seq FROM snapshots WHERE route = $1 ORDER BY seq DESC LIMIT $2)",
        )
        .bind(&**route)
        .bind(KEPT_SNAPSHOTS)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
