//! Keeps the sums of the log up to date, beside the learning: from the same log, in transactions of their own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use slarouter_core::{Certificate, Timestamp};
use slarouter_store::{Calendar, RouteCertificate, Store};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::last_hour::LastHour;
use crate::publisher::Publisher;

/// Between two additions, for as long as nothing waits.
const PACE: Duration = Duration::from_secs(1);
/// Between two looks at what the gateway has added that holds the log.
const LOOK: Duration = Duration::from_secs(10);
/// Certificates are kept by the minute.
const MINUTE_MS: u64 = 60_000;

/// The task, with all that it needs.
pub(crate) struct Rollups {
    pub(crate) store: Arc<dyn Store>,
    /// Where the certificates are.
    pub(crate) publisher: watch::Receiver<Arc<Publisher>>,
    /// Whose days are summed.
    pub(crate) calendar: Calendar,
    /// What it adds, kept for an hour.
    pub(crate) last_hour: Arc<LastHour>,
    /// When that was read that another gateway has added; `None` once this one adds itself.
    pub(crate) loaded: Option<Instant>,
    /// What was said of each route last, and in which minute.
    pub(crate) told: BTreeMap<Arc<str>, (u64, Certificate)>,
}

impl Rollups {
    /// Runs until `stop` says so, and then adds what is there. What is not added at the end is at the next start.
    pub(crate) async fn run(mut self, now: &(impl Fn() -> Timestamp + Sync), mut stop: watch::Receiver<bool>) {
        let (mut committed, role) = (self.store.committed(), self.store.role());
        if let Err(error) = self.last_hour.load(self.store.as_ref(), now()).await {
            tracing::error!(%error, "the sums of the last hour cannot be read: what was summed before the start is not in them");
        }
        loop {
            let (stopping, seen) = (*stop.borrow(), *committed.borrow_and_update());
            if role.borrow().is_holder() {
                self.take_over(now()).await;
                self.add(now(), &stop).await;
            } else if self.loaded.is_none_or(|at| at.elapsed() >= LOOK) {
                self.load(now()).await;
                self.loaded = Some(Instant::now());
            }
            if stopping {
                return;
            }
            tokio::select! { _ = stop.changed() => continue, () = tokio::time::sleep(PACE) => {} }
            // The addition itself is a commit too, which changes no number.
            tokio::select! {
                _ = stop.changed() => {}
                ended = committed.wait_for(|seq| *seq != seen) => if ended.is_err() { return },
            }
        }
    }

    /// Before this gateway adds for the first time: what another has added is read once more.
    async fn take_over(&mut self, now: Timestamp) {
        if self.loaded.take().is_some() {
            self.load(now).await;
        }
    }

    async fn load(&self, now: Timestamp) {
        if let Err(error) = self.last_hour.load(self.store.as_ref(), now).await {
            tracing::error!(%error, "the sums of the last hour cannot be read: the metrics of it are those of before");
        }
    }

    async fn add(&mut self, now: Timestamp, stop: &watch::Receiver<bool>) {
        let mut certificates = self.certificates(now);
        loop {
            let added = match self.store.roll_up(&self.calendar, std::mem::take(&mut certificates)).await {
                Ok(added) => added,
                Err(error) => {
                    tracing::error!(%error, "the sums of the log cannot be kept: they will be made up for");
                    return;
                }
            };
            self.last_hour.add(added.minutes, now);
            if !added.more || *stop.borrow() {
                return;
            }
        }
    }

    /// Those that say something new, or in a new minute.
    fn certificates(&mut self, now: Timestamp) -> Vec<RouteCertificate> {
        let published = self.publisher.borrow().published.load_full();
        let mut news = Vec::new();
        for (route, router) in &published.routes {
            let Some(certificate) = router.certificate().filter(|certificate| certificate.requests > 0) else {
                continue;
            };
            let told = (now.0 / MINUTE_MS, certificate);
            if self.told.get(route) != Some(&told) {
                self.told.insert(route.clone(), told);
                news.push(RouteCertificate { route: route.clone(), time: now, alpha: router.alpha(), certificate });
            }
        }
        news
    }
}
