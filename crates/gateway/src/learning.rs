//! The learner task: reads the durable log in order, learns, publishes snapshots to decide from.
//!
//! State is a pure function of the log. Starting up is the same code as running: load the last snapshot, apply what the
//! log holds after it. So a crash loses nothing that was acknowledged and counts nothing twice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use slarouter_core::{Feedback, Knowledge, Learner, ObserveError, Outcome, Reason, Router, StateError, Timestamp};
use slarouter_store::{Event, Store, StoreError};
use tokio::sync::watch;

use crate::clock::Clock;
use crate::features::LoggedRoute;
use crate::sla::SlaWatch;

/// Events read from the log at a time.
const BATCH: usize = 4_096;
/// Events learnt from before requests have their turn on this thread: each takes microseconds, a rating tenths of a millisecond.
const STEP: u64 = 16;
/// Least time between two snapshots: batches the reading when much is going on.
const PACE: Duration = Duration::from_millis(20);
/// Pause after the log could not be read.
const PAUSE: Duration = Duration::from_secs(1);

/// Version of features from before the log named them: such states were reset when loaded, of which the log knows nothing.
const RETIRED: u32 = 1;

/// What decisions are made from: immutable, one atomic load away.
#[derive(Default)]
pub(crate) struct Snapshot {
    /// The last event that has gone in.
    pub(crate) seq: u64,
    pub(crate) routes: BTreeMap<Arc<str>, Router>,
    /// Ratings beyond the limit of their rater, by route.
    pub(crate) set_aside: BTreeMap<Arc<str>, u64>,
}

/// Before the name of the route with the newest knowledge: the name under which that is saved, beside the routes. No route's own
/// name begins so.
const SHARED: char = '*';

/// Every route's state as bytes, and what they share.
pub type SavedStates = Vec<(Arc<str>, Vec<u8>)>;

/// The learners of all routes that the log knows.
pub struct Learning {
    seq: u64,
    learners: BTreeMap<Arc<str>, Learner>,
    /// The route that learnt last, of those that share what they know of models. Another takes that over before its next event.
    newest: Option<Arc<str>>,
    refused: u64,
}

impl Learning {
    /// Nothing learnt yet: applying the whole log from here gives the state of any later time.
    #[must_use]
    pub fn empty() -> Self {
        Self { seq: 0, learners: BTreeMap::new(), newest: None, refused: 0 }
    }

    /// The newest saved state. One that is damaged is reported and made again from the log.
    ///
    /// # Errors
    /// If the store cannot be read, or the state was written by a newer release.
    pub async fn load(store: &dyn Store) -> Result<Self, LearningError> {
        match Self::restore(store.load_snapshots().await?) {
            Err(LearningError::State(error @ StateError::Damaged(_))) => {
                tracing::error!(%error, "a saved state is unusable: learning anew from the log");
                Ok(Self::empty())
            }
            restored => restored,
        }
    }

    pub(crate) fn restore(saved: Vec<slarouter_store::Snapshot>) -> Result<Self, LearningError> {
        let mut learning = Self::empty();
        let mut shared = None;
        for saved in saved {
            learning.seq = saved.seq;
            if let Some(newest) = saved.route.strip_prefix(SHARED) {
                shared = Some(Knowledge::from_bytes(&saved.state)?);
                learning.newest = Some(newest.into());
            } else {
                let learner: Learner = Learner::from_bytes(&saved.state)?;
                if learner.router().features().1 == RETIRED {
                    tracing::warn!(route = %saved.route, "the saved state is of retired features: learning anew from the log");
                    return Ok(Self::empty());
                }
                learning.learners.insert(saved.route, learner);
            }
        }
        for (route, learner) in learning.learners.iter_mut().filter(|(_, learner)| learner.shares()) {
            // States of older releases, and of other features, hold their own knowledge.
            if let Some(shared) = &shared {
                learner.adopt(shared);
            }
            if learner.lacks_knowledge() {
                tracing::warn!(%route, "the saved state of what the routes share is missing: learning anew from the log");
                return Ok(Self::empty());
            }
            learning.newest.get_or_insert_with(|| route.clone());
        }
        Ok(learning)
    }

    /// Applies everything that the log holds after what is known. Returns the number of events.
    ///
    /// # Errors
    /// If the store cannot be read; what was applied stays applied.
    pub async fn catch_up(&mut self, store: &dyn Store) -> Result<u64, LearningError> {
        self.catch_up_to(store, u64::MAX).await
    }

    /// [`Learning::catch_up`] to the event of this number and no further: the state that a decision with this `state_seq` was
    /// made from.
    ///
    /// # Errors
    /// As [`Learning::catch_up`].
    pub async fn catch_up_to(&mut self, store: &dyn Store, last: u64) -> Result<u64, LearningError> {
        let mut applied = 0;
        loop {
            let events = store.events_after(self.seq, BATCH).await?;
            let whole = events.len() == BATCH;
            for event in &events {
                if event.seq() > last {
                    return Ok(applied);
                }
                self.apply(event);
                applied += 1;
                if applied % STEP == 0 {
                    tokio::task::yield_now().await;
                }
            }
            if !whole {
                return Ok(applied);
            }
        }
    }

    /// The last event applied.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Events that could not be learnt from, since the start.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// The learners by route.
    #[must_use]
    pub fn learners(&self) -> &BTreeMap<Arc<str>, Learner> {
        &self.learners
    }

    /// Every route's state, to be saved or compared, and apart from them what they share.
    ///
    /// # Errors
    /// Never for the policies of this release.
    pub fn states(&self) -> Result<SavedStates, LearningError> {
        let shared = self.shared();
        let mut states = SavedStates::new();
        for (route, learner) in &self.learners {
            let mut learner = learner.clone();
            if shared.as_ref().is_some_and(|shared| learner.adopt(shared)) {
                learner = learner.without_knowledge();
            }
            states.push((route.clone(), learner.to_bytes()?));
        }
        if let Some((route, shared)) = self.newest.as_ref().zip(shared) {
            states.push((format!("{SHARED}{route}").into(), shared.to_bytes()?));
        }
        Ok(states)
    }

    /// The newest knowledge of those routes that share it.
    fn shared(&self) -> Option<Knowledge> {
        self.newest.as_ref().and_then(|route| self.learners.get(route)?.router().knowledge())
    }

    /// Where the route with the newest knowledge has another policy now, `shared` goes to one that can use it.
    fn hand_over(&mut self, shared: &Knowledge) {
        if self.shared().is_none() {
            self.newest =
                self.learners.iter_mut().find_map(|(route, learner)| learner.adopt(shared).then(|| route.clone()));
        }
    }

    /// The learner of a route, for an event of it: knows of models what all the others know.
    fn learner(&mut self, route: &Arc<str>) -> Option<&mut Learner> {
        let shared = if self.newest.as_ref() == Some(route) { None } else { self.shared() };
        let learner = self.learners.get_mut(route)?;
        if let Some(shared) = shared {
            learner.adopt(&shared);
        }
        if learner.shares() {
            self.newest = Some(route.clone());
        }
        Some(learner)
    }

    fn apply(&mut self, event: &Event) {
        self.seq = event.seq();
        if let Err(error) = self.learn(event) {
            // One event that makes no sense must not stop the learning from all the others.
            self.refused += 1;
            tracing::warn!(seq = self.seq, %error, "an event of the log cannot be learnt from");
        }
    }

    fn learn(&mut self, event: &Event) -> Result<(), LearningError> {
        match event {
            Event::Configured { route, spec, .. } => {
                let LoggedRoute { spec, features, warm_start, .. } = serde_json::from_str(spec)?;
                let shared = self.shared();
                if let Some(learner) = self.learner(route) {
                    learner.reconfigure(spec)?;
                    if learner.use_features(features.dim, features.version) {
                        tracing::warn!(%route, encoder = features.encoder, "another encoder: the heads start afresh");
                    }
                } else {
                    let learner = Learner::new(spec, features.dim, features.version)?;
                    self.learners.insert(route.clone(), learner);
                    self.learner(route);
                }
                if let Some(warm_start) = warm_start
                    && let Some(learner) = self.learners.get_mut(route)
                    && learner.begin_with(&warm_start.0)
                {
                    tracing::info!(%route, labels = warm_start.0.labels(), "the route begins with a warm start");
                }
                if let Some(shared) = shared {
                    self.hand_over(&shared);
                }
            }
            Event::Decided { time, route, decision, .. } => {
                if let Some(learner) = self.learner(route) {
                    learner.decided(decision, *time);
                }
            }
            Event::Rerouted { route, reason, decided_at, old, new, .. } => {
                if let (Some(learner), true) = (self.learner(route), *reason != Reason::Pinned) {
                    learner.rerouted(*decided_at, *old, *new);
                }
            }
            Event::Finished { route, reason, outcome, failed, .. } => {
                if let Some(learner) = self.learner(route) {
                    if let (Some(failed), true) = (failed, *reason != Reason::Pinned) {
                        learner.failed(failed.decided_at, failed.predicted);
                    }
                    learner.finished(&Outcome {
                        model: &outcome.model,
                        ok: outcome.ok,
                        input_tokens: outcome.input_tokens,
                        output_tokens: outcome.output_tokens,
                        cost: outcome.cost,
                        pinned: *reason == Reason::Pinned,
                    })?;
                }
            }
            // What was no answer cannot satisfy or fail to; what it counts as is settled.
            Event::Rated { rated, .. } if rated.failed => {}
            Event::Rated { seq, time, route, rated } => {
                if let Some(learner) = self.learner(route) {
                    let current = learner.router().features() == (rated.features.len(), rated.feature_version);
                    let feedback = Feedback {
                        decision: rated.decision,
                        decided_at: rated.decided_at,
                        model: &rated.model,
                        reason: rated.reason,
                        features: if current { &rated.features } else { &[] },
                        predicted: rated.predicted,
                        source: rated.source,
                        rater: rated.rater,
                        rating: rated.rating,
                        order: *seq,
                    };
                    learner.observe(&feedback, Timestamp(time.0))?;
                }
            }
        }
        Ok(())
    }

    fn snapshot(&self) -> Snapshot {
        let shared = self.shared();
        let view = |learner: &Learner| {
            let mut router = learner.router().clone();
            if let Some(shared) = &shared {
                router.adopt(shared);
            }
            router
        };
        let routes = self.learners.iter().map(|(route, learner)| (route.clone(), view(learner))).collect();
        let set_aside =
            self.learners.iter().map(|(route, learner)| (route.clone(), learner.ledger().set_aside())).collect();
        Snapshot { seq: self.seq, routes, set_aside }
    }
}

/// Why the learner cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LearningError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The saved state was written by a newer release.
    #[error(transparent)]
    State(#[from] slarouter_core::StateError),
    /// A route in the log that this release cannot build.
    #[error(transparent)]
    Spec(#[from] slarouter_core::SpecError),
    /// A route in the log that this release cannot read.
    #[error("unreadable route in the log: {0}")]
    Json(#[from] serde_json::Error),
    /// An event with impossible content.
    #[error(transparent)]
    Observe(#[from] ObserveError),
}

/// Where snapshots go. One per configuration, so that the requests of each see only states that fit it: during a reload those of
/// the old one go on from their last snapshot.
pub(crate) struct Target {
    pub(crate) published: Arc<ArcSwap<Snapshot>>,
    /// The routes of the configuration.
    routes: Vec<Arc<str>>,
    /// The last event that has gone into what was published.
    seq: watch::Sender<u64>,
}

impl Target {
    pub(crate) fn new(published: Arc<ArcSwap<Snapshot>>, routes: Vec<Arc<str>>) -> Arc<Self> {
        Arc::new(Self { published, routes, seq: watch::Sender::new(0) })
    }

    fn publish(&self, snapshot: Arc<Snapshot>) {
        let seq = snapshot.seq;
        self.published.store(snapshot);
        self.seq.send_replace(seq);
    }

    /// Waits until the learner has published what it knew at event `seq` or later.
    pub(crate) async fn reached(&self, seq: u64) {
        // The sender is `self`'s own, so it does not go away.
        let _ = self.seq.subscribe().wait_for(|published| *published >= seq).await;
    }
}

/// What requests see of the learner.
pub(crate) struct Sight {
    pub(crate) target: watch::Receiver<Arc<Target>>,
    /// It cannot go on for now.
    pub(crate) stuck: Arc<AtomicBool>,
}

/// Runs until `stop` says so, then saves what was learnt.
pub(crate) async fn run(
    mut learning: Learning,
    store: Arc<dyn Store>,
    Sight { mut target, stuck }: Sight,
    clock: Arc<Clock>,
    snapshot_every: u64,
    mut sla: SlaWatch,
    mut stop: watch::Receiver<bool>,
) {
    let mut committed = store.committed();
    let mut saved = learning.seq;
    let begun = target.borrow().clone();
    sla.look(&begun.published.load());
    drop(begun);
    while !*stop.borrow() {
        tokio::select! {
            _ = stop.changed() => break,
            changed = committed.changed() => if changed.is_err() { break },
            Ok(()) = target.changed() => {}
        }
        let caught_up = learning.catch_up(store.as_ref()).await;
        stuck.store(caught_up.is_err(), Ordering::Relaxed);
        if let Err(error) = caught_up {
            tracing::error!(%error, "the log cannot be read: routing goes on from the last snapshot");
            tokio::select! { _ = stop.changed() => break, () = tokio::time::sleep(PAUSE) => committed.mark_changed() }
        }
        let snapshot = Arc::new(learning.snapshot());
        // Looked up after the reading: what was logged since the target changed goes to the new one.
        let target = target.borrow_and_update().clone();
        sla.watch(&target.routes);
        sla.look(&snapshot);
        target.publish(snapshot);
        if learning.seq - saved >= snapshot_every {
            saved = learning.seq;
            save(&learning, store.as_ref(), clock.now()).await;
        }
        tokio::select! { _ = stop.changed() => break, () = tokio::time::sleep(PACE) => {} }
    }
    match learning.catch_up(store.as_ref()).await {
        Ok(_) => save(&learning, store.as_ref(), clock.now()).await,
        Err(error) => tracing::error!(%error, "the last events could not be learnt: they will be at the next start"),
    }
}

/// Runs `learner` to its end. Should it panic, requests go on from the last snapshot, and say so.
pub(crate) async fn watched(learner: impl Future<Output = ()> + Send + 'static, stuck: Arc<AtomicBool>) {
    if let Err(error) = tokio::spawn(learner).await {
        stuck.store(true, Ordering::Relaxed);
        tracing::error!(%error, "the learner has stopped: routing goes on from the last snapshot until the next start");
    }
}

pub(crate) fn publish(learning: &Learning) -> Arc<ArcSwap<Snapshot>> {
    Arc::new(ArcSwap::from_pointee(learning.snapshot()))
}

async fn save(learning: &Learning, store: &dyn Store, now: Timestamp) {
    let result = match learning.states() {
        Ok(states) => store.save_snapshots(learning.seq, now, states).await.map_err(LearningError::from),
        Err(error) => Err(error),
    };
    if let Err(error) = result {
        tracing::error!(%error, "the state could not be saved: the log still holds all of it");
    }
}

#[cfg(test)]
mod tests;
