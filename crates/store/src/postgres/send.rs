//! The writer of a process that does not hold the log: all that waits goes to the inbox in one transaction, from where the holder takes it.

use std::collections::HashSet;

use slarouter_core::{DecisionId, Receipt};
use tokio_postgres::Client;

use super::batch::Steps;
use super::item::Item;
use super::keys::change;
use super::rate::Standing;
use super::stream;
use crate::command::{Answer, Command, Reply};
use crate::replica::may_come;
use crate::{Entry, FeedbackRecord, KeyChange, OutcomeRecord, StoreError};

/// Why a holder's business is refused.
const NOT_HERE: &str = "another gateway holds the log, and this is for that one to do: ask it, or ask again";

/// What is sent, in the order of the calls.
enum Piece {
    /// So many of the entries.
    Entries(usize),
    Word(usize),
    Report(usize),
}

/// What a batch of commands comes to.
#[derive(Default)]
pub(super) struct Letter {
    pieces: Vec<Piece>,
    words: Vec<(FeedbackRecord, u64)>,
    word_replies: Vec<Reply<Receipt>>,
    reports: Vec<(OutcomeRecord, bool)>,
    report_replies: Vec<Reply<Receipt>>,
    changes: Vec<(Vec<KeyChange>, Option<u64>)>,
    change_replies: Vec<Reply<()>>,
    done: Vec<Reply<()>>,
}

/// What is to be answered.
pub(super) struct Receipts {
    /// Of words and then of reports.
    receipts: Vec<Result<Receipt, StoreError>>,
    /// Whether each change of keys was made.
    changed: Vec<bool>,
}

impl Letter {
    /// Sorts what is asked. What was logged goes to `entries`, before which it holds what waited.
    pub(super) fn of(entries: &mut Vec<Entry>, steps: Steps, logged: Vec<Entry>) -> Self {
        let mut letter = Self { pieces: vec![Piece::Entries(entries.len())], ..Self::default() };
        for (before, command) in steps {
            letter.pieces.push(Piece::Entries(before.len()));
            entries.extend(before);
            letter.command(command);
        }
        letter.pieces.push(Piece::Entries(logged.len()));
        entries.extend(logged);
        letter
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Rate { feedback, window_ms, reply } => {
                self.pieces.push(Piece::Word(self.words.len()));
                self.words.push((feedback, window_ms));
                self.word_replies.push(reply);
            }
            Command::Report { outcome, rerouted, reply } => {
                self.pieces.push(Piece::Report(self.reports.len()));
                self.reports.push((*outcome, rerouted));
                self.report_replies.push(reply);
            }
            Command::ChangeKeys { changes, as_of, reply } => {
                self.changes.push((changes, as_of));
                self.change_replies.push(reply);
            }
            Command::Flush { reply } => self.done.push(reply),
            // The configuration in force is the holder's; this process puts its own in force when it is that.
            Command::Configure { reply, .. } => drop(reply.send(Ok(()))),
            Command::Log(_) => {}
            // The holder sees to that.
            Command::Shorten { .. } => Answer::unwritten(command).give(),
            other => Answer::unwritten(other).refuse(NOT_HERE),
        }
    }

    /// Whether there is nothing to be sent.
    pub(super) fn is_empty(&self, entries: &[Entry]) -> bool {
        let is_asked = !(self.words.is_empty() && self.reports.is_empty() && self.changes.is_empty());
        entries.is_empty() && !is_asked && self.done.is_empty()
    }

    /// Sends it within a transaction that is open. Returns the last number of the stream, and the receipts of words and reports.
    pub(super) async fn send(
        &self,
        client: &Client,
        (stream, sent): (i64, i64),
        entries: &[Entry],
    ) -> Result<(i64, Receipts), StoreError> {
        let words = receipts(client, &self.words, entries).await?;
        let reports = self.reported(client).await?;
        let mut changed = Vec::new();
        for (changes, as_of) in &self.changes {
            changed.push(change(client, changes, *as_of).await?);
        }
        let mut items = Vec::new();
        let mut rest = entries.iter();
        for piece in &self.pieces {
            match *piece {
                Piece::Entries(count) => items.extend(rest.by_ref().take(count).cloned().map(Item::Log)),
                // A duplicate is sent too: what it repeats may be taken back by a word that is on its way from another process.
                Piece::Word(place) if words[place].is_ok() => {
                    let (feedback, window_ms) = self.words[place].clone();
                    items.push(Item::Rate { feedback, window_ms });
                }
                Piece::Report(place) if reports[place].as_ref().is_ok_and(|receipt| *receipt == Receipt::Recorded) => {
                    let (outcome, rerouted) = self.reports[place].clone();
                    items.push(Item::Report { outcome, rerouted });
                }
                Piece::Word(_) | Piece::Report(_) => {}
            }
        }
        let last = stream::send(client, stream, sent, &items).await?;
        Ok((last, Receipts { receipts: words.into_iter().chain(reports).collect(), changed }))
    }

    async fn reported(&self, client: &Client) -> Result<Told, StoreError> {
        let (mut receipts, mut seen) = (Vec::new(), HashSet::new());
        for (outcome, _) in &self.reports {
            let is_new = seen.insert(outcome.decision) && !stream::is_reported(client, outcome.decision).await?;
            receipts.push(Ok(if is_new { Receipt::Recorded } else { Receipt::Duplicate }));
        }
        Ok(receipts)
    }

    /// The answers, once it is sent; without receipts, those that say that it is not.
    pub(super) fn answers(self, receipts: Option<Receipts>) -> Vec<Answer> {
        let (receipts, changed) = receipts.map_or_else(Default::default, |told| (told.receipts, told.changed));
        let (mut receipts, mut changed) = (receipts.into_iter(), changed.into_iter());
        let replies = self.word_replies.into_iter().chain(self.report_replies);
        let told = replies.map(|reply| {
            let receipt = receipts.next().unwrap_or(Err(StoreError::Closed));
            Answer::Receipt(reply, receipt)
        });
        let mut told: Vec<_> = told.collect();
        told.extend(self.change_replies.into_iter().map(|reply| match changed.next() {
            Some(false) => Answer::failed(reply, StoreError::KeysChanged),
            _ => Answer::Done(reply),
        }));
        told.extend(self.done.into_iter().map(Answer::Done));
        told
    }
}

type Told = Vec<Result<Receipt, StoreError>>;

/// What is to be said of words: by the log, by what is on its way there, and by the entries that go with them. A word on a decision that may come
/// counts.
async fn receipts(client: &Client, words: &[(FeedbackRecord, u64)], entries: &[Entry]) -> Result<Told, StoreError> {
    if words.is_empty() {
        return Ok(Vec::new());
    }
    let ids: HashSet<DecisionId> = words.iter().map(|(word, _)| word.decision).collect();
    // First: what is taken into the log meanwhile is seen there as well, and says nothing new.
    let (made, said) = stream::about(client, ids.into_iter()).await?;
    let mut standing = Standing::load(client, words).await?;
    made.iter().chain(entries).for_each(|entry| standing.decided(entry));
    for (word, window_ms) in &said {
        drop(standing.take(word, *window_ms));
    }
    let receipt = |(word, window_ms): &(FeedbackRecord, u64)| match standing.take(word, *window_ms) {
        Err(StoreError::UnknownDecision) if may_come(word.decision, word.time, *window_ms) => Ok(Receipt::Recorded),
        receipt => receipt,
    };
    Ok(words.iter().map(receipt).collect())
}
