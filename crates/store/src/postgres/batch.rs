//! A transaction under way: entries, commands and what others sent, in the order in which they came.

use slarouter_core::Receipt;
use tokio::sync::oneshot;

use super::apply::Work;
use super::item::Item;
use super::rate::rate;
use super::stream;
use crate::command::{Answer, Command, Reply};
use crate::replica::{Stretch, may_come};
use crate::{Entry, FeedbackRecord, StoreError};

/// Commands, each with what was logged before it.
pub(super) type Steps = Vec<(Vec<Entry>, Command)>;

/// What a transaction of the holder of the log has to do.
pub(super) struct Batch<'a, 'b> {
    pub(super) work: &'a mut Work<'b>,
    /// Commands to come, and what was logged last: a server that does not answer leaves some.
    steps: std::vec::IntoIter<(Vec<Entry>, Command)>,
    logged: Vec<Entry>,
    /// What was logged before the command whose turn it is.
    before: Vec<Entry>,
    /// All that was logged before what is still to come, of which so many are inserted.
    entries: &'a mut Vec<Entry>,
    inserted: usize,
    answers: &'a mut Vec<Answer>,
    /// Whether its words have their receipts already, of another process.
    is_acknowledged: bool,
}

/// Words on decisions that nothing was logged between: they are looked up and written at once.
type Words = (Vec<(FeedbackRecord, u64)>, Vec<Reply<Receipt>>);

/// What was sent or kept, as commands: nobody waits for their answers, which were given when it was.
pub(super) fn steps_of(items: Vec<Item>) -> (Steps, Vec<Entry>) {
    let (mut steps, mut logged) = (Vec::new(), Vec::new());
    for item in items {
        let reply = oneshot::channel().0;
        let command = match item {
            Item::Log(entry) => {
                logged.push(entry);
                continue;
            }
            Item::Rate { feedback, window_ms } => Command::Rate { feedback, window_ms, reply },
            Item::Report { outcome, rerouted } => Command::Report { outcome: Box::new(outcome), rerouted, reply },
        };
        steps.push((std::mem::take(&mut logged), command));
    }
    (steps, logged)
}

/// What is not written: entries are kept for the next transaction, and commands are refused.
pub(super) fn keep(
    steps: impl IntoIterator<Item = (Vec<Entry>, Command)>,
    mut logged: Vec<Entry>,
    entries: &mut Vec<Entry>,
    answers: &mut Vec<Answer>,
) {
    for (before, command) in steps {
        entries.extend(before);
        answers.push(Answer::unwritten(command));
    }
    entries.append(&mut logged);
}

impl<'a, 'b> Batch<'a, 'b> {
    pub(super) fn new(
        work: &'a mut Work<'b>,
        steps: Steps,
        logged: Vec<Entry>,
        entries: &'a mut Vec<Entry>,
        answers: &'a mut Vec<Answer>,
    ) -> Self {
        let (steps, before) = (steps.into_iter(), Vec::new());
        Self { work, steps, logged, before, entries, inserted: 0, answers, is_acknowledged: false }
    }

    /// The same, of what another process has acknowledged: words whose decisions are still to come wait, whatever is known of others here, and
    /// whatever the clocks say of when these were made.
    fn acknowledged(mut self) -> Self {
        self.is_acknowledged = true;
        self
    }

    /// Does all of it within a transaction that was begun; all is refused if that failed.
    pub(super) async fn all(&mut self, mut result: Result<(), StoreError>) -> Result<(), StoreError> {
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
    pub(super) fn leave(self) {
        let Self { mut before, steps, logged, entries, answers, .. } = self;
        entries.append(&mut before);
        keep(steps, logged, entries, answers);
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
            match self.receipts(words).await {
                Ok(given) => receipts = given,
                Err(error) => *result = Err(error),
            }
        }
        let mut receipts = receipts.into_iter();
        for reply in replies {
            self.answers.push(Answer::Receipt(reply, receipts.next().unwrap_or(Err(StoreError::Closed))));
        }
    }

    /// Where there are other processes, a word on a decision that may come from one of them waits for it.
    async fn receipts(
        &mut self,
        words: Vec<(FeedbackRecord, u64)>,
    ) -> Result<Vec<Result<Receipt, StoreError>>, StoreError> {
        let mut receipts = rate(self.work.client, &words, &mut self.work.seq).await?;
        let is_acknowledged = self.is_acknowledged;
        let may_wait = |receipt: &Result<_, _>, word: &FeedbackRecord, window_ms| {
            matches!(receipt, Err(StoreError::UnknownDecision))
                && (is_acknowledged || may_come(word.decision, word.time, window_ms))
        };
        if !self.work.has_others && !is_acknowledged {
            // One that has begun since this was asked last may have made the decision.
            let mut all = receipts.iter().zip(&words);
            if !all.any(|(receipt, (word, window_ms))| may_wait(receipt, word, *window_ms))
                || !stream::others(self.work.client, self.work.boot).await?
            {
                return Ok(receipts);
            }
            self.work.has_others = true;
        }
        let mut early = Vec::new();
        for (receipt, (word, window_ms)) in receipts.iter_mut().zip(words) {
            if may_wait(receipt, &word, window_ms) {
                *receipt = Ok(Receipt::Recorded);
                early.push((word, window_ms));
            }
        }
        if !early.is_empty() {
            self.work.waiting.add(self.work.client, early).await?;
        }
        Ok(receipts)
    }
}

/// Appends what others sent, as it would be had it been asked here. How far the stream `own` is taken, if it was among them.
pub(super) async fn take(work: &mut Work<'_>, stretches: &[Stretch], own: i64) -> Result<Option<i64>, StoreError> {
    let mut own_taken = None;
    for stretch in stretches {
        let (items, reached) = stream::take(work.client, stretch).await?;
        if stretch.stream == own {
            own_taken = Some(reached);
        }
        let (steps, logged) = steps_of(items);
        let (mut entries, mut answers) = (Vec::new(), Vec::new());
        work.stream = stretch.stream;
        Batch::new(work, steps, logged, &mut entries, &mut answers).acknowledged().all(Ok(())).await?;
        for answer in answers {
            if let Answer::Receipt(_, Err(error)) = answer {
                tracing::warn!(%error, stream = stretch.stream, "a rating that another gateway took is not counted");
            }
        }
    }
    work.stream = own;
    Ok(own_taken)
}
