//! What waits for the writer. A busy gateway wakes it once per batch and not once per entry.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::write::Command;
use crate::{Entry, StoreError};

/// Commands in one transaction.
const BATCH: usize = 512;
/// How long log entries, for which nobody waits, are collected into one transaction: each commit is a wait for the disk, however
/// little is in it.
const GATHERING: Duration = Duration::from_millis(5);

pub(super) struct Inbox {
    waiting: Mutex<Waiting>,
    /// Told when the writer has a reason to look.
    changed: Condvar,
    /// Commands that may wait before log entries are refused.
    room: usize,
}

#[derive(Default)]
struct Waiting {
    commands: Vec<Command>,
    /// Somebody waits for the answer to one of them.
    urgent: bool,
    closed: bool,
}

impl Inbox {
    pub(super) fn new(room: usize) -> Self {
        Self { waiting: Mutex::default(), changed: Condvar::new(), room: room.max(1) }
    }

    pub(super) fn log(&self, entry: Entry) -> Result<(), StoreError> {
        let mut waiting = self.lock();
        if waiting.closed {
            return Err(StoreError::Closed);
        }
        if waiting.commands.len() >= self.room {
            return Err(StoreError::Full);
        }
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
    pub(super) fn ask(&self, command: Command) -> Result<(), StoreError> {
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
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    /// Waits for commands, but no longer than `patience`, and takes a batch of them; none once that is over. `None` once it is closed
    /// and empty.
    pub(super) fn take(&self, patience: Option<Duration>) -> Option<Vec<Command>> {
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
        Some(std::mem::replace(&mut waiting.commands, rest))
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // A panic cannot leave it half changed: each change is one call.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
