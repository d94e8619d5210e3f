//! While the database is away: what is logged and said is kept in a file, and goes to the database in its order once that is back.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use slarouter_core::Receipt;
use tokio::sync::oneshot;

use super::batch::{Steps, steps_of};
use super::item::Item;
use crate::command::{Answer, Command, Reply};
use crate::health::Health;
use crate::replica::may_come;
use crate::spool::{Begun, Spool};
use crate::{Entry, StoreError};

/// A word in a transaction that may fail.
pub(super) struct Spare {
    /// Entries of the batch before it.
    before: usize,
    item: Item,
    reply: Reply<Receipt>,
    /// What the transaction answers in its place.
    answered: oneshot::Receiver<Result<Receipt, StoreError>>,
}

/// What is kept, and what is said of it.
#[derive(Default)]
struct Sorted {
    records: Vec<Vec<u8>>,
    entries: usize,
    /// Words that are among the records, and those that need not be.
    kept: Vec<Reply<Receipt>>,
    told: Vec<(Reply<Receipt>, Result<Receipt, StoreError>)>,
    /// What is not kept: it says nothing of the past, and whoever asks may ask again.
    rest: Vec<Command>,
}

/// Takes the replies to words out, so that the words can still be kept if the transaction fails.
pub(super) fn spares(commands: Vec<Command>) -> (Vec<Command>, Vec<Spare>) {
    let (mut before, mut spares) = (0, Vec::new());
    let mut spare = |before, item: Item, reply| {
        let (instead, answered) = oneshot::channel();
        spares.push(Spare { before, item, reply, answered });
        instead
    };
    let taken = commands.into_iter().map(|command| match command {
        Command::Log(entry) => {
            before += 1;
            Command::Log(entry)
        }
        Command::Rate { feedback, window_ms, reply } => {
            let reply = spare(before, Item::Rate { feedback: feedback.clone(), window_ms }, reply);
            Command::Rate { feedback, window_ms, reply }
        }
        Command::Report { outcome, rerouted, reply } => {
            let reply = spare(before, Item::Report { outcome: (*outcome).clone(), rerouted }, reply);
            Command::Report { outcome, rerouted, reply }
        }
        other => other,
    });
    let taken = taken.collect();
    (taken, spares)
}

/// Passes the answers on.
pub(super) fn pass_on(spares: Vec<Spare>) {
    for Spare { reply, mut answered, .. } in spares {
        drop(reply.send(answered.try_recv().unwrap_or(Err(StoreError::Closed))));
    }
}

/// What is to be kept of a transaction that failed, in order: all entries, and words but for those that the database has refused already.
fn again(entries: Vec<Entry>, spares: Vec<Spare>) -> Vec<Command> {
    let mut spares = spares.into_iter().peekable();
    let mut commands = Vec::new();
    let count = entries.len();
    for (place, entry) in entries.into_iter().map(Some).chain([None]).enumerate() {
        while let Some(Spare { item, reply, mut answered, .. }) =
            spares.next_if(|spare| spare.before <= place || place == count)
        {
            match (answered.try_recv(), item) {
                (Ok(Err(known @ (StoreError::UnknownDecision | StoreError::NotDrawn | StoreError::Rated))), _) => {
                    drop(reply.send(Err(known)));
                }
                (_, Item::Rate { feedback, window_ms }) => commands.push(Command::Rate { feedback, window_ms, reply }),
                (_, Item::Report { outcome, rerouted }) => {
                    commands.push(Command::Report { outcome: Box::new(outcome), rerouted, reply });
                }
                (_, Item::Log(_)) => {}
            }
        }
        commands.extend(entry.map(Command::Log));
    }
    commands
}

impl Sorted {
    fn of(commands: Vec<Command>) -> Self {
        let mut sorted = Self::default();
        for command in commands {
            match command {
                Command::Log(entry) => {
                    sorted.entries += 1;
                    // It was checked when it was logged.
                    sorted.records.extend(Item::Log(entry).pack());
                }
                Command::Rate { feedback, window_ms, reply } => {
                    let (decision, now) = (feedback.decision, feedback.time);
                    if may_come(decision, now, window_ms) {
                        sorted.word(&Item::Rate { feedback, window_ms }, reply);
                    } else if (decision.0 >> 80) as u64 <= now.0 {
                        sorted.told.push((reply, Ok(Receipt::Expired)));
                    } else {
                        sorted.told.push((reply, Err(StoreError::UnknownDecision)));
                    }
                }
                Command::Report { outcome, rerouted, reply } => {
                    sorted.word(&Item::Report { outcome: *outcome, rerouted }, reply);
                }
                other => sorted.rest.push(other),
            }
        }
        sorted
    }

    fn word(&mut self, item: &Item, reply: Reply<Receipt>) {
        match item.pack() {
            Ok(record) => {
                self.records.push(record);
                self.kept.push(reply);
            }
            Err(error) => self.told.push((reply, Err(error))),
        }
    }
}

/// What is kept.
pub(super) struct Keeper {
    spool: Spool,
    health: Arc<Health>,
}

impl Keeper {
    pub(super) fn new(spool: Spool, health: Arc<Health>) -> Self {
        health.keeps(spool.size());
        Self { spool, health }
    }

    /// Whether what comes has to wait behind what is kept.
    pub(super) fn is_behind(&self) -> bool {
        !self.spool.is_empty()
    }

    /// Writes entries and words into the file and answers; returns the rest, and what is wrong if they are lost. If nothing waits before them, they
    /// may be in the transaction `begun` already.
    pub(super) fn keep(&mut self, commands: Vec<Command>, begun: Option<i64>) -> (Vec<Command>, Option<String>) {
        let Sorted { records, entries, kept, told, rest } = Sorted::of(commands);
        told.into_iter().for_each(|(reply, told)| drop(reply.send(told)));
        let written = if records.is_empty() { Ok(()) } else { self.spool.keep(&records, begun) };
        self.health.keeps(self.spool.size());
        let Err(error) = written else {
            kept.into_iter().for_each(|reply| drop(reply.send(Ok(Receipt::Recorded))));
            return (rest, None);
        };
        let error = error.to_string();
        self.health.dropped.fetch_add(entries as u64, Ordering::Relaxed);
        self.health.failing.store(true, Ordering::Relaxed);
        let told = format!("{error}; {entries} entries are lost, and {} ratings refused", kept.len());
        kept.into_iter().for_each(|reply| drop(reply.send(Err(StoreError::Unavailable(error.clone())))));
        (rest, Some(told))
    }

    /// A transaction failed; `begun` is its number, if it may have been committed. What was in it is kept; what is wrong if it is lost.
    pub(super) fn keep_again(&mut self, entries: Vec<Entry>, spares: Vec<Spare>, begun: Option<i64>) -> Option<String> {
        self.keep(again(entries, spares), begun).1
    }

    /// The first of what is kept, `most` of it, as commands to which nobody waits for an answer. They go with the transaction `upcoming`.
    pub(super) fn first(&mut self, most: usize, upcoming: i64) -> Result<(Steps, Vec<Entry>), StoreError> {
        if self.spool.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        let unreadable = |why: &str| StoreError::Unavailable(format!("what was kept: {why}"));
        let records = self.spool.front(most).map_err(|error| unreadable(&error.to_string()))?;
        let items: Result<Vec<_>, _> = records.iter().map(|record| Item::unpack(record)).collect();
        let newer =
            "it is of a newer release, which has to bring it to the database: start that one, or move the file away";
        let items = items.map_err(|_| unreadable(newer))?;
        let begun = Begun { written: upcoming, records: records.len() as u64 };
        self.spool.begin(begun).map_err(|error| unreadable(&error.to_string()))?;
        Ok(steps_of(items))
    }

    /// What was begun is committed if the transaction `last` is the last one that was, and nothing was written since it was begun.
    pub(super) fn settle(&mut self, last: i64) -> Result<(), StoreError> {
        let settled = self.spool.settle(last);
        self.health.keeps(self.spool.size());
        settled.map_err(|error| StoreError::Unavailable(format!("what was kept: {error}")))
    }

    /// Says at the end of the process what is left.
    pub(super) fn leave(&self) {
        if self.is_behind() {
            let (records, bytes) = self.spool.size();
            tracing::warn!(records, bytes, path = %self.spool.path().display(), "what was kept waits in its file for the next start");
        }
    }
}

/// Gives an answer; if nobody waits for it, as it was acknowledged when it was kept, and it comes to nothing, that is said here.
pub(super) fn told(answer: Answer) {
    match answer {
        Answer::Receipt(reply, Err(error)) if reply.is_closed() => {
            tracing::warn!(%error, "a rating that was kept while the database was away is not counted");
        }
        answer => answer.give(),
    }
}
