//! The writer: drains what waits, applies it in one transaction, then answers.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use slarouter_core::{Rating, Receipt, Source, Timestamp};
use tokio::sync::{oneshot, watch};

use super::connection::Options;
use super::inbox::Inbox;
use super::insert::insert;
use super::read::{blob, last_seq};
use crate::{Entry, FeedbackRecord, KeyChange, OutcomeRecord, StoreError};

/// Entries kept for another try while the log cannot be written; older ones are dropped and counted.
const BACKLOG: usize = 16_384;
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
    options: Options,
    /// `None` after a failure: the next batch connects anew.
    connection: Option<Connection>,
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
        options: Options,
        connection: Connection,
        lock: File,
        seq: u64,
        commit: watch::Sender<u64>,
        dropped: Arc<AtomicU64>,
        failing: Arc<AtomicBool>,
    ) -> Self {
        Self { options, connection: Some(connection), seq, commit, dropped, failing, backlog: Vec::new(), _lock: lock }
    }

    /// Runs until the inbox is closed and all that it held is written.
    pub(super) fn run(mut self, inbox: &Inbox) {
        // Readers and the learner wait for what is logged even when nothing else comes.
        while let Some(batch) = inbox.take((!self.backlog.is_empty()).then_some(RETRY)) {
            self.write(batch);
        }
        if !self.backlog.is_empty() {
            self.write(Vec::new());
            self.drop_entries(self.backlog.len());
        }
        if let Some(connection) = self.connection {
            super::close(connection);
        }
    }

    fn write(&mut self, commands: Vec<Command>) {
        // What could not be written before goes first: the order of the log is the order of the calls.
        let mut entries = std::mem::take(&mut self.backlog);
        let mut answers = Vec::new();
        match self.transaction(&mut entries, commands, &mut answers) {
            Ok(seq) => {
                self.seq = seq;
                if self.failing.swap(false, Ordering::Relaxed) {
                    tracing::info!("the log can be written again");
                }
                // Whoever has an answer finds the log as far as that.
                self.commit.send_replace(seq);
                for answer in answers {
                    answer.give();
                }
            }
            Err(error) => {
                self.failing.store(true, Ordering::Relaxed);
                tracing::error!(%error, entries = entries.len(), "the log cannot be written");
                // Only a new connection is sure to have no transaction open.
                if let Some(broken) = self.connection.take() {
                    super::close(broken);
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
    fn connect(&mut self) -> Result<(&mut Connection, u64), rusqlite::Error> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let connection = self.options.writer()?;
                self.seq = last_seq(&connection)?;
                connection
            }
        };
        Ok((self.connection.insert(connection), self.seq))
    }

    /// Applies all in one transaction. Log entries are moved to `entries` before anything can fail, so that a failure
    /// loses none; they are inserted in runs, and a run ends where a command needs to see it.
    fn transaction(
        &mut self,
        entries: &mut Vec<Entry>,
        commands: Vec<Command>,
        answers: &mut Vec<Answer>,
    ) -> Result<u64, rusqlite::Error> {
        let mut inserted = 0;
        // The lock is taken at once: one taken half-way fails without waiting if another process wrote meanwhile.
        let begun = self.connect().and_then(|(connection, seq)| {
            Ok((connection.transaction_with_behavior(TransactionBehavior::Immediate)?, seq))
        });
        let (mut open, mut seq) = match begun {
            Ok((transaction, seq)) => (Ok(transaction), seq),
            Err(error) => (Err(error), 0),
        };
        for command in commands {
            if let Command::Log(entry) = command {
                entries.push(entry);
                continue;
            }
            let Ok(transaction) = &open else {
                answers.push(Answer::unwritten(command));
                continue;
            };
            if let Err(error) = insert(transaction, &entries[inserted..], &mut seq) {
                open = Err(error);
                answers.push(Answer::unwritten(command));
                continue;
            }
            inserted = entries.len();
            if let Err(error) = apply(transaction, command, &mut seq, answers) {
                open = Err(error);
            }
        }
        // One that is dropped is rolled back.
        let transaction = open?;
        insert(&transaction, &entries[inserted..], &mut seq)?;
        transaction.commit()?;
        Ok(seq)
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

fn apply(
    connection: &Connection,
    command: Command,
    seq: &mut u64,
    answers: &mut Vec<Answer>,
) -> Result<(), rusqlite::Error> {
    match command {
        Command::Log(_) => Ok(()),
        Command::Flush { reply } => {
            answers.push(Answer::Done(reply));
            Ok(())
        }
        Command::Rate { feedback, window_ms, reply } => {
            let result = rate(connection, &feedback, window_ms, seq);
            let (receipt, result) = match result {
                Ok(answer) => (answer, Ok(())),
                Err(error) => (Err(StoreError::Closed), Err(error)),
            };
            answers.push(Answer::Receipt(reply, receipt));
            result
        }
        Command::Report { outcome, rerouted, reply } => {
            let result = report(connection, *outcome, rerouted, seq);
            let (receipt, result) = match result {
                Ok(receipt) => (Ok(receipt), Ok(())),
                Err(error) => (Err(StoreError::Closed), Err(error)),
            };
            answers.push(Answer::Receipt(reply, receipt));
            result
        }
        Command::Configure { time, route, spec, reply } => {
            answers.push(Answer::Done(reply));
            configure(connection, time, &route, &spec, seq)
        }
        Command::ChangeKeys { changes, reply } => {
            answers.push(Answer::Done(reply));
            super::keys::change(connection, &changes)
        }
        Command::Save { seq: at, time, states, reply } => {
            answers.push(Answer::Done(reply));
            save(connection, at, time, &states)
        }
    }
}

/// The receipt, or why the decision cannot be rated.
fn rate(
    connection: &Connection,
    feedback: &FeedbackRecord,
    window_ms: u64,
    seq: &mut u64,
) -> Result<Result<Receipt, StoreError>, rusqlite::Error> {
    let id = blob(feedback.decision);
    let rater = feedback.rater.0.cast_signed();
    let decided: Option<(i64, bool)> = connection
        .prepare_cached("SELECT time, audit_drawn FROM decisions WHERE id = ?1")?
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((decided, drawn)) = decided else { return Ok(Err(StoreError::UnknownDecision)) };
    if feedback.source == Source::Audit && !drawn {
        return Ok(Err(StoreError::NotDrawn));
    }
    let late = feedback.time.0.saturating_sub(decided as u64) > window_ms;
    // Ratings that came too late are not in force, but saying one of them again is still nothing new.
    let held: Option<Option<f64>> = connection
        .prepare_cached(
            "SELECT rating FROM feedback WHERE decision_id = ?1 AND rater = ?2 AND (?3 OR receipt <> 'expired') \
             AND source = ?4 ORDER BY seq DESC LIMIT 1",
        )?
        .query_row(params![id, rater, late, feedback.source.as_str()], |row| row.get(0))
        .optional()?;
    let held = held.flatten().and_then(|value| Rating::new(value).ok());
    let mut receipt = Receipt::of(held, feedback.rating);
    if receipt == Receipt::Duplicate {
        return Ok(Ok(receipt));
    }
    if late {
        receipt = Receipt::Expired;
    }
    *seq += 1;
    let row = params![
        *seq as i64,
        id,
        feedback.time.0 as i64,
        rater,
        feedback.rating.map(Rating::get),
        receipt.as_str(),
        feedback.comment,
        feedback.source.as_str(),
    ];
    connection
        .prepare_cached(
            "INSERT INTO feedback (seq, decision_id, time, rater, rating, receipt, comment, source) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(row)?;
    Ok(Ok(receipt))
}

/// Outcomes that were reported are those without attempts of the gateway's own.
fn report(
    connection: &Connection,
    outcome: OutcomeRecord,
    rerouted: bool,
    seq: &mut u64,
) -> Result<Receipt, rusqlite::Error> {
    let known = connection
        .prepare_cached("SELECT 1 FROM outcomes WHERE decision_id = ?1 AND attempts = 0 LIMIT 1")?
        .exists([blob(outcome.decision)])?;
    if known {
        return Ok(Receipt::Duplicate);
    }
    let reroute = Entry::Reroute { decision: outcome.decision, model: outcome.model.clone() };
    let outcome = Entry::Outcome(OutcomeRecord { attempts: 0, ..outcome });
    let entries = [reroute, outcome];
    insert(connection, if rerouted { &entries } else { &entries[1..] }, seq)?;
    Ok(Receipt::Recorded)
}

fn configure(
    connection: &Connection,
    time: Timestamp,
    route: &str,
    spec: &str,
    seq: &mut u64,
) -> Result<(), rusqlite::Error> {
    let held: Option<String> = connection
        .query_row("SELECT spec FROM route_configs WHERE route = ?1 ORDER BY seq DESC LIMIT 1", [route], |row| {
            row.get(0)
        })
        .optional()?;
    if held.as_deref() == Some(spec) {
        return Ok(());
    }
    *seq += 1;
    connection.execute(
        "INSERT INTO route_configs (seq, time, route, spec) VALUES (?1, ?2, ?3, ?4)",
        params![*seq as i64, time.0 as i64, route, spec],
    )?;
    Ok(())
}

fn save(
    connection: &Connection,
    seq: u64,
    time: Timestamp,
    states: &[(Arc<str>, Vec<u8>)],
) -> Result<(), rusqlite::Error> {
    for (route, state) in states {
        connection.execute(
            "INSERT OR REPLACE INTO snapshots (seq, route, time, state) VALUES (?1, ?2, ?3, ?4)",
            params![seq as i64, route, time.0 as i64, state],
        )?;
        connection.execute(
            "DELETE FROM snapshots WHERE route = ?1 AND seq NOT IN \
             (SELECT seq FROM snapshots WHERE route = ?1 ORDER BY seq DESC LIMIT ?2)",
            params![route, KEPT_SNAPSHOTS],
        )?;
    }
    Ok(())
}
