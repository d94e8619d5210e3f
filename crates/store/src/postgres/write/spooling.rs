//! While the database is away: what is logged and said is kept in a file, and goes to the database in its order once that is back.

use std::time::{Duration, Instant};

use slarouter_core::Receipt;
use tokio::sync::oneshot;

use super::{Failed, ROOM, Writer};
use crate::command::{Answer, Command, Reply};
use crate::postgres::batch::{Steps, steps_of};
use crate::postgres::item::Item;
use crate::replica::may_come;
use crate::spool::{Begun, NotKept};
use crate::{Entry, StoreError};

/// For how long a process that ends brings what was kept to the database; the rest stays for the next one.
const LAST: Duration = Duration::from_secs(5);

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

impl Writer {
    /// Whether what comes has to wait behind what is kept.
    pub(super) fn is_behind(&self) -> bool {
        self.spool.as_ref().is_some_and(|spool| !spool.is_empty())
    }

    /// Keeps what comes, and brings the first of what is kept to the database.
    pub(super) fn catch_up(&mut self, commands: Vec<Command>) {
        let rest = self.keep(commands, None);
        let is_flush = |command: &Command| matches!(command, Command::Flush { .. });
        let (flushes, rest): (Vec<_>, Vec<_>) = rest.into_iter().partition(is_flush);
        self.flushes.extend(flushes.into_iter().map(Answer::unwritten));
        let mut answers = Vec::new();
        match self.pour(rest, &mut answers) {
            Ok(()) => {
                self.is_well();
                self.is_pouring = true;
                answers.into_iter().for_each(told);
                if !self.is_behind() {
                    tracing::info!("what was kept while the database was away is in the log");
                    std::mem::take(&mut self.flushes).into_iter().for_each(Answer::give);
                }
            }
            Err(failed) => {
                self.is_pouring = false;
                let error = self.give_up(failed, None);
                answers.append(&mut self.flushes);
                answers.into_iter().for_each(|answer| answer.refuse(&error.to_string()));
            }
        }
    }

    /// A transaction failed; `number` is its, if it may have been committed. What was in it is kept.
    pub(super) fn keep_again(&mut self, entries: Vec<Entry>, spares: Vec<Spare>, number: Option<i64>) {
        self.is_pouring = false;
        let rest = self.keep(again(entries, spares), number);
        debug_assert!(rest.is_empty(), "there are entries and words alone");
    }

    /// Writes entries and words into the file and answers; returns the rest.
    fn keep(&mut self, commands: Vec<Command>, begun: Option<i64>) -> Vec<Command> {
        let Sorted { records, entries, kept, told, rest } = Sorted::of(commands);
        told.into_iter().for_each(|(reply, told)| drop(reply.send(told)));
        let Some(spool) = &mut self.spool else { return rest };
        let written = if records.is_empty() { Ok(()) } else { spool.keep(&records, begun) };
        self.told.health.keeps(spool.size());
        match written {
            Ok(()) => kept.into_iter().for_each(|reply| drop(reply.send(Ok(Receipt::Recorded)))),
            Err(error) => self.lose(entries, kept, &error),
        }
        rest
    }

    fn lose(&mut self, entries: usize, words: Vec<Reply<Receipt>>, error: &NotKept) {
        let told = error.to_string();
        self.told.health.dropped.fetch_add(entries as u64, std::sync::atomic::Ordering::Relaxed);
        self.told.health.failing.store(true, std::sync::atomic::Ordering::Relaxed);
        self.complain(&format!("{told}; {entries} entries are lost, and {} ratings refused", words.len()));
        words.into_iter().for_each(|reply| drop(reply.send(Err(StoreError::Unavailable(told.clone())))));
    }

    /// One transaction with the first of what is kept, and with what else is asked.
    fn pour(&mut self, rest: Vec<Command>, answers: &mut Vec<Answer>) -> Result<(), Failed> {
        let (mut steps, logged, number) = match self.ready(&mut Vec::new()).and_then(|()| self.first()) {
            Ok(first) => first,
            Err(failed) => {
                answers.extend(rest.into_iter().map(Answer::unwritten));
                return Err(failed);
            }
        };
        let mut logged = logged;
        steps.extend(rest.into_iter().map(|command| (std::mem::take(&mut logged), command)));
        self.deliver(&mut Vec::new(), steps, logged, answers)?;
        self.settle(number)
    }

    /// The first of what is kept, as commands to which nobody waits for an answer, and the number of the transaction that it goes with.
    fn first(&mut self) -> Result<(Steps, Vec<Entry>, i64), Failed> {
        let last = self.member.claim().map_or(0, |claim| claim.written);
        self.settle(last)?;
        let number = self.member.upcoming();
        let Some(spool) = self.spool.as_mut().filter(|spool| !spool.is_empty()) else {
            return Ok((Vec::new(), Vec::new(), number));
        };
        let unreadable = |why: &str| Failed::Before(StoreError::Unavailable(format!("what was kept: {why}")));
        let records = spool.front(ROOM as usize).map_err(|error| unreadable(&error.to_string()))?;
        let items: Result<Vec<_>, _> = records.iter().map(|record| Item::unpack(record)).collect();
        let items = items.map_err(|_| {
            unreadable("it is of a newer release, which has to bring it to the database: start that one, or move the file away")
        })?;
        let begun = Begun { written: number, records: records.len() as u64 };
        spool.begin(begun).map_err(|error| unreadable(&error.to_string()))?;
        let (steps, logged) = steps_of(items);
        Ok((steps, logged, number))
    }

    /// What was begun is committed if the transaction `last` is the last one that was.
    fn settle(&mut self, last: i64) -> Result<(), Failed> {
        let Some(spool) = &mut self.spool else { return Ok(()) };
        let settled = spool.settle(last);
        self.told.health.keeps(spool.size());
        settled.map_err(|error| Failed::Before(StoreError::Unavailable(format!("what was kept: {error}"))))
    }

    /// At the end of the process.
    pub(super) fn bring_last(&mut self) {
        let until = Instant::now() + LAST;
        self.away = None;
        while self.is_behind() && Instant::now() < until {
            self.catch_up(Vec::new());
            if !self.is_pouring {
                break;
            }
        }
        if let Some(spool) = self.spool.as_ref().filter(|spool| !spool.is_empty()) {
            let (records, bytes) = spool.size();
            tracing::warn!(records, bytes, path = %spool.path().display(), "what was kept waits in its file for the next start");
        }
    }
}

/// Gives an answer; if nobody waits for it, as it was acknowledged when it was kept, and it comes to nothing, that is said here.
fn told(answer: Answer) {
    match answer {
        Answer::Receipt(reply, Err(error)) if reply.is_closed() => {
            tracing::warn!(%error, "a rating that was kept while the database was away is not counted");
        }
        answer => answer.give(),
    }
}
