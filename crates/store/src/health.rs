//! How a writer is doing, for others to see, and what becomes of its inbox when it ends.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::{Duration, Instant};

use crate::inbox::Inbox;

/// How a writer is doing.
#[derive(Default)]
pub(crate) struct Health {
    /// Entries lost because the log could not be written for long.
    pub(crate) dropped: AtomicU64,
    /// The last try to write failed.
    pub(crate) failing: AtomicBool,
    /// Records that are kept in a file while the database is away, and their bytes.
    kept: AtomicU64,
    kept_bytes: AtomicU64,
    /// How often the database was found to have lost commits.
    pub(crate) set_back: AtomicU64,
    /// When it last saw how far a log is that it shares with others.
    heard: Mutex<Option<Instant>>,
}

impl Health {
    /// It sees how far the log is.
    pub(crate) fn hears(&self) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// For how long it has not.
    pub(crate) fn unheard(&self) -> Duration {
        let heard = *self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.map(|at| at.elapsed()).unwrap_or_default()
    }

    pub(crate) fn keeps(&self, (records, bytes): (u64, u64)) {
        self.kept.store(records, Ordering::Relaxed);
        self.kept_bytes.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn kept(&self) -> Kept {
        Kept { records: self.kept.load(Ordering::Relaxed), bytes: self.kept_bytes.load(Ordering::Relaxed) }
    }
}

/// What waits in a file for a database that is away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Entries and words.
    pub records: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

/// The writer's end of the inbox, which is abandoned however the writer ends, a panic included: from then on nothing can be written.
pub(crate) struct Abandoning {
    inbox: Arc<Inbox>,
    health: Arc<Health>,
}

impl Drop for Abandoning {
    fn drop(&mut self) {
        self.health.failing.store(true, Ordering::Relaxed);
        self.inbox.abandon();
    }
}

impl Abandoning {
    pub(crate) fn new(inbox: Arc<Inbox>, health: Arc<Health>) -> Self {
        Self { inbox, health }
    }

    pub(crate) fn inbox(&self) -> &Inbox {
        &self.inbox
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Entry, Spending, StoreError};

    #[test]
    fn a_writer_that_is_gone_is_a_failure() {
        let (inbox, health) = (Arc::new(Inbox::new(1)), Arc::new(Health::default()));
        drop(Abandoning::new(inbox.clone(), health.clone()));
        assert!(health.failing.load(Ordering::Relaxed));
        assert!(matches!(
            inbox.log(Entry::Spend(Spending { account: "a".into(), day: 1, nano_usd: 1 })),
            Err(StoreError::Closed)
        ));
    }
}
