//! The state of all routes: learnt from the log, saved, restored.
//!
//! State is a pure function of the log. Starting up is the same code as running: load the last snapshot, apply what the
//! log holds after it. So a crash loses nothing that was acknowledged and counts nothing twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use slarouter_core::{
    Feedback, Knowledge, Learner, ObserveError, Outcome, Reason, Recent, RouteSpec, StateError, Timestamp,
};
use slarouter_store::{Event, Rated, Store, StoreError, Term};

use crate::logged_route::LoggedRoute;
use crate::snapshot::Snapshot;
use crate::unreadable::{Unreadable, UnreadableRow};

/// Events read from the log at a time: some hundred microseconds of a core, so that requests do not wait for the reading.
const BATCH: usize = 512;
/// Events learnt from before requests have their turn on this thread: each takes microseconds, a rating tenths of a millisecond.
const STEP: u64 = 16;
/// Before the name of the route with the newest knowledge: the name under which that is saved, beside the routes. No route's own
/// name begins so.
const SHARED: char = '*';
/// The name under which the rows that could not be read are saved, if there are any. No route's own name is so.
const UNREADABLE: &str = "!unreadable";
/// Before the name of a route: the name under which is saved how it has done of late. No route's own name begins so.
const RECENT: char = '~';

/// Before the name of a route that is only observed: its own state, whose form does not hold that. No route's own name begins so.
const OBSERVED: char = '^';

/// Every route's state as bytes, and what they share.
pub type SavedStates = Vec<(Arc<str>, Vec<u8>)>;

/// The learners of all routes that the log knows.
pub struct Learning {
    seq: u64,
    /// Under whom the last event was appended, where that is known.
    by: Option<Term>,
    learners: BTreeMap<Arc<str>, Learner>,
    /// The route that learnt last, of those that share what they know of models. Another takes that over before its next event.
    newest: Option<Arc<str>>,
    refused: u64,
    unreadable: Arc<Unreadable>,
    /// How the routes have done of late.
    recent: BTreeMap<Arc<str>, Arc<Recent>>,
}

impl Learning {
    /// Nothing learnt yet: applying the whole log from here gives the state of any later time.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            seq: 0,
            by: None,
            learners: BTreeMap::new(),
            newest: None,
            refused: 0,
            unreadable: Arc::default(),
            recent: BTreeMap::new(),
        }
    }

    /// The newest saved state. One that is damaged is reported, and the one before it is taken, or else nothing: what is missing is made
    /// again from the log, as far as that is there.
    ///
    /// # Errors
    /// If the store cannot be read, or the state was written by a newer release.
    pub async fn load(store: &dyn Store) -> Result<Self, LearningError> {
        let mut until = u64::MAX;
        loop {
            let saved = store.load_snapshots_until(until).await?;
            let Some(at) = saved.first().map(|saved| saved.seq) else { break };
            match Self::restore(saved) {
                Err(LearningError::State(error @ StateError::Damaged(_))) => {
                    tracing::error!(%error, seq = at, "a saved state is unusable: learning from the log after the one before it");
                }
                Ok(restored) if restored.seq < at => {}
                restored => return restored,
            }
            let Some(before) = at.checked_sub(1) else { break };
            until = before;
        }
        let lost = store.held().await?.shortened_to;
        if lost > 0 {
            tracing::error!(
                events = lost,
                "no saved state is usable, and the log was shortened: what was learnt from the events that are gone is lost"
            );
        }
        Ok(Self::empty())
    }

    /// The oldest state from which the log can be replayed to its end: nothing learnt yet, or where the log was shortened the oldest saved one.
    ///
    /// # Errors
    /// If the store cannot be read, or the state is damaged or was written by a newer release.
    pub async fn oldest(store: &dyn Store) -> Result<Self, LearningError> {
        let held = store.held().await?;
        match held.saved.first() {
            Some(oldest) if held.shortened_to > 0 => Self::restore(store.load_snapshots_until(*oldest).await?),
            _ => Ok(Self::empty()),
        }
    }

    /// What was known at the event `seq`, from the nearest saved state before it. `None` if the log no longer tells.
    ///
    /// # Errors
    /// As [`Learning::catch_up`].
    pub async fn at(store: &dyn Store, seq: u64) -> Result<Option<Self>, LearningError> {
        let saved = store.load_snapshots_until(seq).await?;
        // One that is damaged or of another release is none.
        let mut learning = Self::restore(saved).unwrap_or_else(|_| Self::empty());
        let from = learning.seq;
        learning.catch_up_to(store, seq).await?;
        // Asked last: what went while it was read is missing too.
        let shortened_to = store.held().await?.shortened_to;
        Ok((from >= shortened_to).then_some(learning))
    }

    /// From saved states, in any order.
    ///
    /// # Errors
    /// If one is damaged, or was written by a newer release.
    pub fn restore(saved: Vec<slarouter_store::Snapshot>) -> Result<Self, LearningError> {
        let mut learning = Self::empty();
        let mut shared = None;
        for saved in saved {
            (learning.seq, learning.by) = (saved.seq, saved.by);
            if let Some(newest) = saved.route.strip_prefix(SHARED) {
                shared = Some(Knowledge::from_bytes(&saved.state)?);
                learning.newest = Some(newest.into());
            } else if let Some(route) = saved.route.strip_prefix(RECENT) {
                learning.recent.insert(route.into(), Arc::new(Recent::from_bytes(&saved.state)?));
            } else if &*saved.route == UNREADABLE {
                let rows = serde_json::from_slice(&saved.state);
                learning.unreadable = rows.map_err(|error| StateError::Damaged(error.to_string()))?;
            } else if let Some(route) = saved.route.strip_prefix(OBSERVED) {
                let mut learner = Learner::from_bytes(&saved.state)?;
                learner.observe_on();
                learning.learners.insert(route.into(), learner);
            } else {
                learning.learners.insert(saved.route, Learner::from_bytes(&saved.state)?);
            }
        }
        for (route, learner) in learning.learners.iter_mut().filter(|(_, learner)| learner.shares()) {
            // A state with other features holds its own knowledge.
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
    /// If the store cannot be read; what was applied stays applied. A single row that cannot be read is no such error: it is
    /// [noted](Learning::unreadable) and passed over.
    pub async fn catch_up(&mut self, store: &dyn Store) -> Result<u64, LearningError> {
        self.catch_up_to(store, u64::MAX).await
    }

    /// [`Learning::catch_up`] to the event of this number and no further: the state that a decision with this `state_seq` was
    /// made from.
    ///
    /// # Errors
    /// As [`Learning::catch_up`].
    pub async fn catch_up_to(&mut self, store: &dyn Store, last: u64) -> Result<u64, LearningError> {
        self.advance(store, last, u64::MAX).await
    }

    /// Applies the events up to this one, at most so many.
    pub(crate) async fn advance(&mut self, store: &dyn Store, last: u64, most: u64) -> Result<u64, LearningError> {
        let mut applied = 0;
        loop {
            let read = store.following(self.seq, self.by, BATCH).await?;
            if read.is_another {
                return Err(LearningError::Another);
            }
            let mut is_end = read.events.len() < BATCH;
            for event in &read.events {
                if event.seq() > last || applied == most {
                    is_end = true;
                    break;
                }
                self.apply(event);
                applied += 1;
                if applied % STEP == 0 {
                    tokio::task::yield_now().await;
                }
            }
            self.by = read.by(self.seq);
            if is_end {
                return Ok(applied);
            }
        }
    }

    /// The number of the last event applied.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// The same, and under whom it was appended, where that is known.
    #[must_use]
    pub fn place(&self) -> (u64, Option<Term>) {
        (self.seq, self.by)
    }

    /// Events that could not be learnt from, since the start.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Rows of the log that could not be read. What is learnt is what the others say.
    #[must_use]
    pub fn unreadable(&self) -> &Unreadable {
        &self.unreadable
    }

    /// How each route has done of late.
    #[must_use]
    pub fn recent(&self) -> &BTreeMap<Arc<str>, Arc<Recent>> {
        &self.recent
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
            let is_observed = learner.router().spec().is_observed();
            let name = if is_observed { format!("{OBSERVED}{route}").into() } else { route.clone() };
            states.push((name, learner.to_bytes()?));
        }
        if let Some((route, shared)) = self.newest.as_ref().zip(shared) {
            states.push((format!("{SHARED}{route}").into(), shared.to_bytes()?));
        }
        for (route, recent) in &self.recent {
            states.push((format!("{RECENT}{route}").into(), recent.to_bytes()?));
        }
        if self.unreadable.count > 0 {
            states.push((UNREADABLE.into(), serde_json::to_vec(&*self.unreadable)?));
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

    /// What is known of a route, for an event of it: of models what all the others know, and how it has done of late.
    pub(crate) fn route(&mut self, route: &Arc<str>) -> Option<(&mut Learner, &mut Recent)> {
        let shared = if self.newest.as_ref() == Some(route) { None } else { self.shared() };
        let learner = self.learners.get_mut(route)?;
        if let Some(shared) = shared {
            learner.adopt(&shared);
        }
        if learner.shares() {
            self.newest = Some(route.clone());
        }
        let recent = self.recent.entry(route.clone());
        let recent = recent.or_insert_with(|| Arc::new(Recent::new(learner.router().spec())));
        Some((learner, Arc::make_mut(recent)))
    }

    pub(crate) fn apply(&mut self, event: &Event) {
        self.seq = event.seq();
        if let Err(error) = self.learn(event) {
            // One event that makes no sense must not stop the learning from all the others.
            self.refused += 1;
            tracing::warn!(seq = self.seq, %error, "an event of the log cannot be learnt from");
        }
    }

    fn learn(&mut self, event: &Event) -> Result<(), LearningError> {
        match event {
            Event::Configured { route, spec, .. } => self.configured(route, spec)?,
            Event::Decided { time, route, decision, .. } => {
                if let Some((learner, recent)) = self.route(route) {
                    learner.decided(decision, *time);
                    recent.decided(decision, *time);
                }
            }
            Event::Rerouted { route, reason, decided_at, old, new, .. } => {
                if let (Some((learner, recent)), true) = (self.route(route), *reason != Reason::Pinned) {
                    learner.rerouted(*decided_at, *old, *new);
                    recent.rerouted(*decided_at, *old, *new);
                }
            }
            Event::Finished { route, reason, outcome, failed, .. } => {
                if let Some((learner, recent)) = self.route(route) {
                    let pinned = *reason == Reason::Pinned;
                    if let (Some(failed), false) = (failed, pinned) {
                        learner.failed(failed.decided_at, failed.predicted);
                        recent.failed(failed.decided_at, failed.predicted, learner.router().spec().failures_count);
                    }
                    learner.finished(&Outcome {
                        model: &outcome.model,
                        ok: outcome.ok,
                        input_tokens: outcome.input_tokens,
                        output_tokens: outcome.output_tokens,
                        cost: outcome.cost,
                        pinned,
                    })?;
                }
            }
            Event::Unreadable { seq, table, what } => {
                let row = UnreadableRow { table: (*table).to_owned(), seq: *seq, what: what.clone() };
                Arc::make_mut(&mut self.unreadable).add(row);
            }
            Event::RolledBack { seq, time, states, .. } => self.roll_back(*seq, *time, states)?,
            // What was no answer cannot satisfy or fail to; what it counts as is settled.
            Event::Rated { rated, .. } if rated.failed => {}
            Event::Rated { seq, time, route, rated } => self.rated(*seq, *time, route, rated)?,
        }
        Ok(())
    }

    /// Puts these specifications in the place of those of the routes that are known.
    pub(crate) fn reconfigure(&mut self, specs: &BTreeMap<Arc<str>, RouteSpec>) -> Result<(), LearningError> {
        for (route, spec) in specs {
            if let Some((learner, recent)) = self.route(route) {
                learner.reconfigure(spec.clone())?;
                recent.reconfigured(learner.router().spec());
            }
        }
        Ok(())
    }

    /// Knows again what was known then. Which rows cannot be read is no matter of learning, and stays.
    fn roll_back(&mut self, seq: u64, time: Timestamp, states: &[(Arc<str>, Vec<u8>)]) -> Result<(), LearningError> {
        let saved = |(route, state): &(Arc<str>, Vec<u8>)| slarouter_store::Snapshot {
            route: route.clone(),
            seq,
            time,
            state: state.clone(),
            by: None,
        };
        let then = Self::restore(states.iter().map(saved).collect())?;
        *self = Self { seq, refused: self.refused, unreadable: self.unreadable.clone(), ..then };
        Ok(())
    }

    fn rated(&mut self, seq: u64, time: Timestamp, route: &Arc<str>, rated: &Rated) -> Result<(), LearningError> {
        let Some((learner, recent)) = self.route(route) else { return Ok(()) };
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
            order: seq,
        };
        if let (_, Some(change)) = learner.observe_change(&feedback, time)? {
            recent.labelled(&feedback, time, change);
        }
        Ok(())
    }

    /// Takes the configuration of a route over, which may be new; `logged` is what the log holds of it.
    fn configured(&mut self, route: &Arc<str>, logged: &str) -> Result<(), LearningError> {
        let LoggedRoute { spec, features, warm_start, .. } = serde_json::from_str(logged)?;
        let shared = self.shared();
        if let Some((learner, recent)) = self.route(route) {
            learner.reconfigure(spec)?;
            recent.reconfigured(learner.router().spec());
            if learner.use_features(features.dim, features.version) {
                tracing::warn!(%route, encoder = features.encoder, "another encoder: the heads start afresh");
            }
        } else {
            let learner = Learner::new(spec, features.dim, features.version)?;
            self.learners.insert(route.clone(), learner);
            self.route(route);
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
        Ok(())
    }

    /// What decisions are to be made from now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
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
        let agreements = self.learners.iter().map(|(route, learner)| (route.clone(), learner.agreement()));
        let agreements = agreements.filter(|(_, agreement)| agreement.compared > 0).collect();
        Snapshot {
            seq: self.seq,
            routes,
            set_aside,
            agreements,
            unreadable: self.unreadable.clone(),
            recent: self.recent.clone(),
            ..Snapshot::default()
        }
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
    /// The database has lost commits, as a standby does that is promoted: what was learnt is not what its log says.
    #[error("the database has lost commits: its log does not hold what was learnt from")]
    Another,
    /// An event with impossible content.
    #[error(transparent)]
    Observe(#[from] ObserveError),
}

#[cfg(test)]
mod tests;
