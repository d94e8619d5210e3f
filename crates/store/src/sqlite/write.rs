//! The writer: drains what waits, applies it in one transaction, then answers.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rusqlite::{Connection, MAIN_DB, TransactionBehavior};
use tokio::sync::watch;

use super::apply::apply;
use super::checkpoint::{apart, checkpoint};
use super::connection::{Options, close};
use super::insert::insert;
use super::lock::Lock;
use super::read::last_seq;
use crate::Entry;
use crate::command::{Answer, Command};
use crate::health::Health;
use crate::inbox::{BACKLOG, Inbox, RETRY, shed};

/// Entries inserted in one go. Where requests fill all cores, the writer's turn on one is a wait for some of them.
const SLICE: usize = 32;
/// Pause between two slices.
const BREATH: Duration = Duration::from_micros(100);
pub(super) struct Writer {
    options: Options,
    /// `None` after a failure: the next batch connects anew.
    connection: Option<Connection>,
    /// The last number given out and committed.
    seq: u64,
    commit: watch::Sender<u64>,
    health: Arc<Health>,
    backlog: Vec<Entry>,
    /// Held for as long as anything may be written.
    _lock: Lock,
}

impl Writer {
    pub(super) fn new(
        options: Options,
        connection: Connection,
        lock: Lock,
        seq: u64,
        commit: watch::Sender<u64>,
        health: Arc<Health>,
    ) -> Self {
        let mut writer =
            Self { options, connection: Some(connection), seq, commit, health, backlog: Vec::new(), _lock: lock };
        if let Some(Err(error)) = writer.connection.as_ref().map(apart) {
            tracing::debug!(%error, "commits make the checkpoints");
        }
        if writer.is_read_only() {
            writer.health.failing.store(true, Ordering::Relaxed);
            tracing::error!(
                path = %writer.options.path.display(),
                "the database cannot be written: its file must belong to the user that the gateway runs as"
            );
        }
        writer
    }

    /// Whether SQLite has opened the file for reading alone, as it does without a word where it may not write. A transaction that changes
    /// nothing then succeeds. The connection is dropped, so that the next one may find the file's rights mended.
    fn is_read_only(&mut self) -> bool {
        let read_only =
            self.connection.as_ref().is_some_and(|connection| connection.is_readonly(MAIN_DB).unwrap_or(false));
        if read_only {
            self.connection = None;
        }
        read_only
    }

    /// Runs until the inbox is closed and all that it held is written.
    pub(super) fn run(mut self, inbox: &Inbox) {
        // Readers and the learner wait for what is logged even when nothing else comes.
        while let Some(batch) = inbox.take((!self.backlog.is_empty()).then_some(RETRY)) {
            self.write(batch, inbox);
        }
        if !self.backlog.is_empty() {
            self.write(Vec::new(), inbox);
            self.drop_entries(self.backlog.len());
        }
        if let Some(connection) = self.connection {
            close(connection);
        }
    }

    fn write(&mut self, commands: Vec<Command>, inbox: &Inbox) {
        // What could not be written before goes first: the order of the log is the order of the calls.
        let mut entries = std::mem::take(&mut self.backlog);
        let mut answers = Vec::new();
        let shortens = commands.iter().any(|command| matches!(command, Command::Shorten { .. }));
        match self.transaction(&mut entries, commands, &mut answers, inbox) {
            Ok(seq) => {
                self.seq = seq;
                let read_only = self.is_read_only();
                if self.health.failing.swap(read_only, Ordering::Relaxed) && !read_only {
                    tracing::info!("the log can be written again");
                }
                // Whoever has an answer finds the log as far as that.
                self.commit.send_replace(seq);
                for answer in answers {
                    answer.give();
                }
                if let Some(Err(error)) = self.connection.as_ref().map(|connection| checkpoint(connection, shortens)) {
                    // The log grows until it succeeds; a disk that is full refuses commits as well, and that is told.
                    tracing::debug!(%error, "moving the write-ahead log into the database");
                }
            }
            Err(error) => {
                self.health.failing.store(true, Ordering::Relaxed);
                tracing::error!(%error, entries = entries.len(), "the log cannot be written");
                // Only a new connection is sure to have no transaction open.
                if let Some(broken) = self.connection.take() {
                    close(broken);
                }
                for answer in answers {
                    answer.refuse(&error.to_string());
                }
                self.backlog = entries;
                self.backlog.iter_mut().fold(0, |waiting, entry| shed(entry, waiting));
                if self.backlog.len() > BACKLOG {
                    self.drop_entries(self.backlog.len() - BACKLOG);
                }
            }
        }
    }

    fn drop_entries(&mut self, count: usize) {
        self.backlog.drain(..count.min(self.backlog.len()));
        self.health.dropped.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// The connection, made anew after a failure. The numbers then go on from what is in the log, in case a commit
    /// that was reported as failed is there after all.
    fn connect(&mut self) -> Result<(&mut Connection, u64), rusqlite::Error> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let connection = self.options.writer()?;
                apart(&connection)?;
                self.seq = last_seq(&connection)?;
                connection
            }
        };
        Ok((self.connection.insert(connection), self.seq))
    }

    /// Applies all in one transaction. Log entries are moved to `entries` before anything can fail, so that a failure
    /// loses none; they are inserted in runs, and a run ends where a command needs to see it. The last run, for which nobody waits, is
    /// inserted slice by slice.
    fn transaction(
        &mut self,
        entries: &mut Vec<Entry>,
        commands: Vec<Command>,
        answers: &mut Vec<Answer>,
        inbox: &Inbox,
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
        for (number, slice) in entries[inserted..].chunks(SLICE).enumerate() {
            if number > 0 && answers.is_empty() && !inbox.presses() {
                std::thread::sleep(BREATH);
            }
            insert(&transaction, slice, &mut seq)?;
        }
        transaction.commit()?;
        Ok(seq)
    }
}
