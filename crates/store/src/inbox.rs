//! What waits for the writer. A busy gateway wakes it once per batch and not once per entry.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::command::Command;
use crate::{Entry, StoreError};

/// Commands in one transaction.
const BATCH: usize = 512;
/// How long log entries, for which nobody waits, are collected into one transaction: each commit is a wait for the disk, however
/// little is in it.
const GATHERING: Duration = Duration::from_millis(5);
/// Bytes of prompts that may wait for the disk. Entries are counted by number, and one prompt may have as many bytes as thousands of others:
/// a decision beyond this is logged without its own.
const PROMPTS: usize = 64 << 20;

/// Entries kept for another try while the log cannot be written; older ones are dropped and counted.
pub(crate) const BACKLOG: usize = 16_384;
/// Pause before what could not be written is tried again, if no command comes first.
pub(crate) const RETRY: Duration = Duration::from_secs(1);

pub(crate) struct Inbox {
    waiting: Mutex<Waiting>,
    /// Told when the writer has a reason to look.
    changed: Condvar,
    /// Commands that may wait before log entries are refused.
    room: usize,
}

#[derive(Default)]
struct Waiting {
    commands: Vec<Command>,
    /// Bytes of the prompts in them.
    prompts: usize,
    /// Somebody waits for the answer to one of them.
    urgent: bool,
    closed: bool,
}

impl Inbox {
    pub(crate) fn new(room: usize) -> Self {
        Self { waiting: Mutex::default(), changed: Condvar::new(), room: room.max(1) }
    }

    pub(crate) fn log(&self, mut entry: Entry) -> Result<(), StoreError> {
        let mut waiting = self.lock();
        if waiting.closed {
            return Err(StoreError::Closed);
        }
        if waiting.commands.len() >= self.room {
            return Err(StoreError::Full);
        }
        waiting.prompts = shed(&mut entry, waiting.prompts);
        waiting.commands.push(Command::Log(entry));
        let length = waiting.commands.len();
        drop(waiting);
        // Between the first entry and a whole batch it looks by itself, when the time for gathering is over.
        if length == 1 || length == BATCH {
            self.changed.notify_one();
        }
        Ok(())
    }

    /// Those who wait for an answer are as many as there are requests, and are not refused.
    pub(crate) fn ask(&self, command: Command) -> Result<(), StoreError> {
        let mut waiting = self.lock();
        if waiting.closed {
            return Err(StoreError::Closed);
        }
        waiting.commands.push(command);
        waiting.urgent = true;
        drop(waiting);
        self.changed.notify_one();
        Ok(())
    }

    /// What waits is still written.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    /// The writer is gone: nobody must wait for it.
    pub(crate) fn abandon(&self) {
        let mut waiting = self.lock();
        waiting.closed = true;
        waiting.commands.clear();
    }

    /// Waits for commands, but no longer than `patience`, and takes a batch of them; none once that is over. `None` once it is closed
    /// and empty.
    pub(crate) fn take(&self, patience: Option<Duration>) -> Option<Vec<Command>> {
        let idle = |waiting: &mut Waiting| waiting.commands.is_empty() && !waiting.closed;
        let few = |waiting: &mut Waiting| {
            let length = waiting.commands.len();
            length > 0 && length < BATCH && !waiting.urgent && !waiting.closed
        };
        let waiting = self.lock();
        let waiting = match patience {
            None => self.changed.wait_while(waiting, idle).unwrap_or_else(PoisonError::into_inner),
            Some(limit) => {
                self.changed.wait_timeout_while(waiting, limit, idle).unwrap_or_else(PoisonError::into_inner).0
            }
        };
        let gathered = self.changed.wait_timeout_while(waiting, GATHERING, few);
        let mut waiting = gathered.unwrap_or_else(PoisonError::into_inner).0;
        if waiting.closed && waiting.commands.is_empty() {
            return None;
        }
        let most = waiting.commands.len().min(BATCH);
        let rest = waiting.commands.split_off(most);
        waiting.urgent = rest.iter().any(|command| !matches!(command, Command::Log(_)));
        waiting.prompts =
            rest.iter().map(|command| if let Command::Log(entry) = command { prompt(entry) } else { 0 }).sum();
        Some(std::mem::replace(&mut waiting.commands, rest))
    }

    /// Whether the writer is to make haste: somebody waits for an answer, or a whole batch is there already.
    pub(crate) fn presses(&self) -> bool {
        let waiting = self.lock();
        waiting.urgent || waiting.closed || waiting.commands.len() >= BATCH
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // A panic cannot leave it half changed: each change is one call.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes of the prompt in an entry.
fn prompt(entry: &Entry) -> usize {
    if let Entry::Decision(record) = entry { record.prompt.as_ref().map_or(0, String::len) } else { 0 }
}

/// Takes the prompt out of an entry if those before it leave no room for it; the bytes that wait with this one.
pub(crate) fn shed(entry: &mut Entry, before: usize) -> usize {
    let waiting = before + prompt(entry);
    if waiting <= PROMPTS {
        return waiting;
    }
    if let Entry::Decision(record) = entry {
        tracing::warn!(bytes = waiting - before, "a prompt is not kept: too much waits for the disk");
        record.prompt = None;
    }
    before
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use crate::Spending;
    use crate::sqlite::tests::records::decision;

    fn entry() -> Entry {
        Entry::Spend(Spending { account: "a".into(), day: 1, nano_usd: 1 })
    }

    #[test]
    fn batches_are_bounded_and_what_is_urgent_in_the_rest_stays_so() {
        let inbox = Inbox::new(2 * BATCH);
        let (reply, _answer) = oneshot::channel();
        (0..2 * BATCH).for_each(|_| inbox.log(entry()).unwrap());
        assert!(matches!(inbox.log(entry()), Err(StoreError::Full)));
        inbox.ask(Command::Flush { reply }).unwrap();
        inbox.close();
        let taken = || inbox.take(None).map(|batch| batch.len());
        assert_eq!([taken(), taken()], [Some(BATCH); 2]);
        assert!(inbox.lock().urgent);
        assert_eq!([taken(), taken()], [Some(1), None]);
        assert!(matches!(inbox.log(entry()), Err(StoreError::Closed)));
        assert_eq!(Inbox::new(1).take(Some(Duration::ZERO)).map(|batch| batch.len()), Some(0), "patience ends");
    }

    #[test]
    fn prompts_that_wait_are_bounded_and_their_decisions_are_not() {
        let inbox = Inbox::new(2 * BATCH);
        let size = PROMPTS / 4;
        let log = |id| inbox.log(decision(id, Some("x".repeat(size)))).unwrap();
        (1..=6).for_each(log);
        assert_eq!(inbox.lock().prompts, 4 * size);
        let kept = |batch: Vec<Command>| {
            let entries =
                batch.into_iter().map(|command| if let Command::Log(entry) = command { prompt(&entry) } else { 0 });
            entries.filter(|bytes| *bytes == size).count()
        };
        inbox.close();
        assert_eq!(inbox.take(None).map(|batch| (batch.len(), kept(batch))), Some((6, 4)));
        assert_eq!(inbox.lock().prompts, 0, "what is taken leaves room");
    }

    #[test]
    fn nobody_waits_for_a_writer_that_is_gone() {
        let inbox = Inbox::new(1);
        let (reply, answer) = oneshot::channel();
        inbox.ask(Command::Flush { reply }).unwrap();
        inbox.abandon();
        assert!(answer.blocking_recv().is_err());
        assert!(matches!(inbox.log(entry()), Err(StoreError::Closed)));
    }
}
