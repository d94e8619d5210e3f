//! A gateway in simulated time, for runs that must come out the same twice.

use std::sync::Arc;

use slarouter_config::Config;
use slarouter_core::Timestamp;
use slarouter_learner::Publisher;
use slarouter_store::{Store, StoreError};
use tokio::sync::watch;

use super::gateway::{Gateway, StartError};
use super::sockets::Inherited;
use crate::aside::Aside;
use crate::clock::Clock;

/// Says what time it is for a gateway, and when it learns.
///
/// Ids count up, and what is learnt comes into force at [`learn`](Self::learn) alone. So the same requests, decided in the
/// same order between the same steps, are decided in the same way, however fast the machine is.
pub struct Simulation {
    clock: Arc<Clock>,
    store: Arc<dyn Store>,
    /// Answers that wait to be judged.
    aside: Arc<Aside>,
    /// Wakes the learner.
    step: watch::Sender<u64>,
    publishers: watch::Receiver<Arc<Publisher>>,
    began: Timestamp,
    /// Decisions of earlier runs that have no outcome in the log, and will get none.
    lost: u64,
}

/// Milliseconds between the last decision in a log and the simulated time that goes on from there.
const BREAK_MS: u64 = 60_000;

impl Gateway {
    /// Starts a gateway whose clock shows `began`, or later where its log goes on from. Otherwise it is what [`Gateway::start`]
    /// makes.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running.
    pub async fn simulated(config: Config, began: Timestamp) -> Result<(Self, Simulation), StartError> {
        let latest = slarouter_store::inspect(&config.store.url).await?.content.and_then(|content| content.latest);
        let began = latest.map_or(began, |latest| began.max(Timestamp(latest.0 + BREAK_MS)));
        let clock = Arc::new(Clock::simulated(began));
        let (step, steps) = watch::channel(0);
        let gateway = Self::start_by(config, Inherited::default(), clock.clone(), Some(steps)).await?;
        let (store, aside, publishers) = (gateway.store(), gateway.aside(), gateway.publishers());
        let mut simulation = Simulation { clock, store, aside, step, publishers, began, lost: 0 };
        simulation.lost = simulation.unfinished();
        Ok((gateway, simulation))
    }
}

impl Simulation {
    /// What the clock showed at the start.
    #[must_use]
    pub fn began(&self) -> Timestamp {
        self.began
    }

    /// Puts the clock forward; never back.
    pub fn set_time(&self, now: Timestamp) {
        self.clock.set(now);
    }

    /// Waits for the outcome of every decision made so far and has the answers judged, where there is a judge; learns all that is in the log, and
    /// puts it into force. A step is over before the next requests are sent.
    ///
    /// # Errors
    /// [`StoreError`] if the log cannot be written.
    pub async fn learn(&self) -> Result<(), StoreError> {
        self.take_in().await?;
        if self.aside.settle().await > 0 {
            self.take_in().await?;
        }
        Ok(())
    }

    async fn take_in(&self) -> Result<(), StoreError> {
        let mut committed = self.store.committed();
        loop {
            self.store.flush().await?;
            let seq = *committed.borrow_and_update();
            let publisher = self.publishers.borrow().clone();
            // Woken for nothing, it would look while the next requests are being decided.
            if publisher.published.load().seq < seq {
                self.step.send_replace(seq);
                publisher.reached(seq).await;
            }
            if self.unfinished() <= self.lost {
                return Ok(());
            }
            // The last byte is with the client a moment before the outcome is logged.
            committed.changed().await.map_err(|_| StoreError::Closed)?;
        }
    }

    fn unfinished(&self) -> u64 {
        let published = self.publishers.borrow().published.load_full();
        let accounts = published.routes.values().map(slarouter_core::Router::account);
        accounts.map(|account| account.requests.saturating_sub(account.finished)).sum()
    }
}
