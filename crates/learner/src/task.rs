//! The learner task: reads the durable log in order, learns, publishes snapshots to decide from.

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use slarouter_core::Timestamp;
use slarouter_store::{Calendar, Role, Store, is_lost};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use crate::last_hour::LastHour;
use crate::learning::{Learning, LearningError};
use crate::publisher::Publisher;
use crate::rollups::Rollups;
use crate::sla::SlaWatch;

/// Least time between two snapshots: batches the reading when much is going on.
const PACE: Duration = Duration::from_millis(20);
/// Pause after the log could not be read.
const PAUSE: Duration = Duration::from_secs(1);

/// The task that learns, with all that it needs.
pub struct LearnerTask {
    /// What is known at its start.
    pub learning: Learning,
    /// The log that it reads, and where it saves what was learnt.
    pub store: Arc<dyn Store>,
    /// Changes when there is something to learn: with every commit.
    pub wake: watch::Receiver<u64>,
    /// Where snapshots go; another one with each configuration.
    pub publisher: watch::Receiver<Arc<Publisher>>,
    /// Set while it cannot go on.
    pub stuck: Arc<AtomicBool>,
    /// When what is known was all that is in the log.
    pub current: Arc<Mutex<Instant>>,
    /// Events between two saved states.
    pub snapshot_every: u64,
    /// Says when an SLA breaks.
    pub sla: SlaWatch,
    /// Whose days are summed.
    pub calendar: Calendar,
    /// The sums of the last hour, which it keeps.
    pub last_hour: Arc<LastHour>,
}

impl LearnerTask {
    /// Runs until `stop` says so, then saves what was learnt and summed. `now` is the time that saved states and certificates carry.
    pub async fn run(self, now: impl Fn() -> Timestamp + Send + Sync, stop: watch::Receiver<bool>) {
        let rollups = Rollups {
            store: self.store.clone(),
            publisher: self.publisher.clone(),
            calendar: self.calendar.clone(),
            last_hour: self.last_hour.clone(),
            loaded: None,
            told: BTreeMap::new(),
        };
        tokio::join!(self.learn(&now, stop.clone()), rollups.run(&now, stop));
    }

    async fn learn(mut self, now: &(impl Fn() -> Timestamp + Sync), mut stop: watch::Receiver<bool>) {
        let mut saved = self.learning.seq();
        let role = self.store.role();
        self.publish();
        while !*stop.borrow() {
            tokio::select! {
                _ = stop.changed() => break,
                changed = self.wake.changed() => if changed.is_err() { break },
                Ok(()) = self.publisher.changed() => {}
            }
            let begun = Instant::now();
            let heard = begun.checked_sub(self.store.unheard()).unwrap_or(begun);
            let caught_up = self.catch_up(&role).await;
            if caught_up.is_ok() {
                *self.current.lock().unwrap_or_else(PoisonError::into_inner) = heard;
            }
            self.stuck.store(caught_up.is_err(), Ordering::Relaxed);
            if let Err(error) = caught_up {
                tracing::error!(%error, "the log cannot be read: routing goes on from the last snapshot");
                tokio::select! { _ = stop.changed() => break, () = tokio::time::sleep(PAUSE) => self.wake.mark_changed() }
            }
            self.publish();
            if self.learning.seq().abs_diff(saved) >= self.snapshot_every {
                saved = self.learning.seq();
                self.save(&role, now()).await;
            }
            tokio::select! { _ = stop.changed() => break, () = tokio::time::sleep(PACE) => {} }
        }
        match self.catch_up(&role).await {
            Ok(()) => self.save(&role, now()).await,
            Err(error) => {
                tracing::error!(%error, "the last events could not be learnt: they will be at the next start")
            }
        }
    }

    /// Learns what the log holds. One that follows another's log and was stopped for very long does not find there any more what comes next, and
    /// begins with the newest saved state; so does everybody once the database has lost commits.
    async fn catch_up(&mut self, role: &watch::Receiver<Role>) -> Result<(), LearningError> {
        let from = self.learning.seq();
        let applied = match self.learning.catch_up(self.store.as_ref()).await {
            Err(LearningError::Another) => {
                tracing::error!(
                    from,
                    "the database has lost commits that were learnt from: learning goes on from the newest saved state"
                );
                return self.begin_again().await;
            }
            applied => applied?,
        };
        let is_alone = role.has_changed().is_err();
        // Asked last: what went while it was read is missing too.
        if applied > 0 && !is_alone && is_lost(from, self.store.held().await?.shortened_to) {
            tracing::warn!(
                from,
                "the log no longer tells what came next: learning goes on from the newest saved state"
            );
            return self.begin_again().await;
        }
        Ok(())
    }

    /// From the newest saved state.
    async fn begin_again(&mut self) -> Result<(), LearningError> {
        self.learning = Learning::load(self.store.as_ref()).await?;
        self.learning.catch_up(self.store.as_ref()).await.map(drop)
    }

    fn publish(&mut self) {
        let mut snapshot = self.learning.snapshot();
        // Looked up after the reading: what was logged since the publisher changed goes to the new one.
        let publisher = self.publisher.borrow_and_update().clone();
        self.sla.watch(&publisher.routes);
        self.sla.look(&mut snapshot);
        publisher.publish(Arc::new(snapshot));
    }

    /// Saves what is known, if that is this gateway's to do: all that share a log know the same of it.
    async fn save(&mut self, role: &watch::Receiver<Role>, now: Timestamp) {
        if !role.borrow().is_holder() {
            return;
        }
        // To write all of it down takes milliseconds, for which the requests in the queue of this thread are not to wait.
        let learning = std::mem::replace(&mut self.learning, Learning::empty());
        let written = spawn_blocking(move || (learning.states(), learning)).await;
        let (states, learning) = written.unwrap_or_else(|panic| resume_unwind(panic.into_panic()));
        self.learning = learning;
        let result = match states {
            Ok(states) => self.store.save_learnt(self.learning.place(), now, states).await.map_err(LearningError::from),
            Err(error) => Err(error),
        };
        if let Err(error) = result {
            tracing::error!(%error, "the state could not be saved: the log still holds all of it");
        }
    }
}

/// Runs `learner` to its end. Should it panic, requests go on from the last snapshot, and say so.
pub async fn watched(learner: impl Future<Output = ()> + Send + 'static, stuck: Arc<AtomicBool>) {
    if let Err(error) = tokio::spawn(learner).await {
        stuck.store(true, Ordering::Relaxed);
        tracing::error!(%error, "the learner has stopped: routing goes on from the last snapshot until the next start");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_learner_that_panics_is_noticed_and_takes_nothing_with_it() {
        let stuck = Arc::new(AtomicBool::new(false));
        watched(async {}, stuck.clone()).await;
        assert!(!stuck.load(Ordering::Relaxed), "it has ended as it should");
        watched(async { panic!("a fault of the learner") }, stuck.clone()).await;
        assert!(stuck.load(Ordering::Relaxed));
    }
}
