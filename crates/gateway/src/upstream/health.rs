//! How the models' upstreams are doing: circuits, places, retry budgets. Fed by the calls themselves, and by health checks where
//! there are any.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use slarouter_config::{Model, UpstreamConfig};
use slarouter_protocol::dialect::Dialect;
use slarouter_protocol::objection::Objection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Duration, Instant, timeout};

use super::breaker::{Breaker, Circuit};
use super::fit::{Asked, Refusals, misfit};
use super::latency::Latencies;

/// Openings and closings of a circuit that are remembered.
const KEPT_CHANGES: usize = 64;
/// Retries that may be saved up, and that a model starts with.
const SAVED_RETRIES: f64 = 10.0;

/// The health of all models.
pub(crate) struct Health {
    models: BTreeMap<Arc<str>, Arc<ModelHealth>>,
}

/// The health of one model, shared by its calls.
pub(crate) struct ModelHealth {
    model: Model,
    config: UpstreamConfig,
    state: Arc<Mutex<State>>,
    /// `None` without a limit.
    places: Option<Arc<Semaphore>>,
    most_waiting: usize,
    waiting: AtomicUsize,
}

pub(super) struct State {
    pub(super) breaker: Breaker,
    /// Retries that may still be made: a token bucket filled by first calls.
    retries: f64,
    /// How fast answers came, plain and streamed.
    latencies: [Latencies; 2],
    /// Why the last health check failed; `None` if it passed, or there was none.
    pub(super) check_error: Option<String>,
    /// What requests it has refused.
    refusals: Refusals,
    /// When the circuit opened (true) and closed, oldest first.
    changes: VecDeque<(Instant, bool)>,
}

/// A call under way. What became of it is to be said; a call that is dropped without says nothing of the model.
pub(crate) struct Admission {
    model: Arc<ModelHealth>,
    probe: bool,
    _place: Option<OwnedSemaphorePermit>,
}

/// Why a model is not called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Its circuit is open, or it asked to be left alone for a while.
    Circuit,
    /// As many calls as it may have are under way.
    Busy,
}

impl Health {
    pub(crate) fn new(models: &[Model], config: &UpstreamConfig) -> Self {
        let health = |model: &Model| {
            let state = State {
                breaker: Breaker::default(),
                retries: SAVED_RETRIES,
                latencies: Default::default(),
                check_error: None,
                refusals: Refusals::default(),
                changes: VecDeque::new(),
            };
            let places = model.max_concurrency.map(|most| Arc::new(Semaphore::new(most)));
            let health = ModelHealth::new(model, config, Arc::new(Mutex::new(state)), places);
            (model.name.clone(), Arc::new(health))
        };
        Self { models: models.iter().map(health).collect() }
    }

    /// For another configuration: models that are asked as before keep their circuits, places and retries, shared with the calls
    /// that are under way.
    pub(crate) fn reconfigured(&self, models: &[Model], config: &UpstreamConfig) -> Self {
        let mut next = Self::new(models, config);
        for health in next.models.values_mut() {
            if let Some(before) = self.of(&health.model.name)
                && before.model.is_asked_like(&health.model)
            {
                let places = before.places(health.model.max_concurrency);
                *health = Arc::new(ModelHealth::new(&health.model, config, before.state.clone(), places));
            }
        }
        next
    }

    pub(crate) fn of(&self, model: &str) -> Option<&Arc<ModelHealth>> {
        self.models.get(model)
    }

    /// Whether a call to the model makes sense now.
    pub(crate) fn is_available(&self, model: &str, now: Instant) -> bool {
        self.of(model).is_none_or(|model| model.state().breaker.is_available(now))
    }

    /// Every model's circuit.
    pub(crate) fn circuits(&self, now: Instant) -> impl Iterator<Item = (&str, Circuit)> {
        self.models.iter().map(move |(name, model)| (&**name, model.state().breaker.circuit(now)))
    }

    /// Every model's circuit, and why its last health check failed.
    pub(crate) fn view(&self, now: Instant) -> impl Iterator<Item = (&str, Circuit, Option<String>)> {
        self.models.iter().map(move |(name, model)| {
            let state = model.state();
            (&**name, state.breaker.circuit(now), state.check_error.clone())
        })
    }

    /// When a model's circuit last opened (true) and closed, oldest first.
    pub(crate) fn changes(&self, model: &str) -> Vec<(Instant, bool)> {
        self.of(model).map(|model| model.state().changes.iter().copied().collect()).unwrap_or_default()
    }
}

impl State {
    /// Remembers that the circuit opened or closed. One that stays open after a probe has not opened again.
    pub(super) fn note(&mut self, change: Option<Circuit>, now: Instant) {
        let Some(is_open) = change.map(|circuit| circuit != Circuit::Closed) else { return };
        if self.changes.back().is_none_or(|(_, was_open)| *was_open != is_open) {
            if self.changes.len() == KEPT_CHANGES {
                self.changes.pop_front();
            }
            self.changes.push_back((now, is_open));
        }
    }
}

impl ModelHealth {
    fn new(model: &Model, config: &UpstreamConfig, state: Arc<Mutex<State>>, places: Option<Arc<Semaphore>>) -> Self {
        let most_waiting = model.max_concurrency.unwrap_or_default();
        Self { model: model.clone(), config: config.clone(), state, places, most_waiting, waiting: AtomicUsize::new(0) }
    }

    /// The same places, more or fewer of them. Those too many go as the calls that hold them end.
    fn places(&self, most: Option<usize>) -> Option<Arc<Semaphore>> {
        let most = most?;
        let Some((places, before)) = self.places.clone().zip(self.model.max_concurrency) else {
            return Some(Arc::new(Semaphore::new(most)));
        };
        if most > before {
            places.add_permits(most - before);
        } else if let Some(fewer) = u32::try_from(before - most).ok().filter(|fewer| *fewer > 0) {
            let leaving = places.clone();
            tokio::spawn(async move {
                if let Ok(left) = leaving.acquire_many_owned(fewer).await {
                    left.forget();
                }
            });
        }
        Some(places)
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics, and half a change is no worse than any other state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a call begin. `forced` passes an open circuit, where there is no other model to ask.
    pub(crate) async fn enter(self: &Arc<Self>, now: Instant, forced: bool) -> Result<Admission, Refused> {
        if !forced && !self.state().breaker.is_available(now) {
            return Err(Refused::Circuit);
        }
        let place = self.place().await?;
        let probe = match self.state().breaker.enter(now) {
            Some(probe) => probe,
            None if forced => false,
            None => return Err(Refused::Circuit),
        };
        Ok(Admission { model: self.clone(), probe, _place: place })
    }

    async fn place(&self) -> Result<Option<OwnedSemaphorePermit>, Refused> {
        let Some(places) = &self.places else { return Ok(None) };
        if let Ok(place) = places.clone().try_acquire_owned() {
            return Ok(Some(place));
        }
        let _queued = Queued::join(&self.waiting, self.most_waiting).ok_or(Refused::Busy)?;
        match timeout(self.config.queue_timeout, places.clone().acquire_owned()).await {
            Ok(Ok(place)) => Ok(Some(place)),
            _ => Err(Refused::Busy),
        }
    }

    /// A request makes its first call to the model, which pays for a part of a retry.
    pub(crate) fn first_call(&self) {
        let mut state = self.state();
        state.retries = (state.retries + self.config.retry_budget).min(SAVED_RETRIES);
    }

    /// Whether the model may be called once more for the same request; takes a retry from the budget.
    pub(crate) fn may_retry(&self) -> bool {
        let mut state = self.state();
        let may = state.retries >= 1.0;
        if may {
            state.retries -= 1.0;
        }
        may
    }

    /// An answer, streamed or not, took so long to come, or was given up after so long because another was faster.
    pub(crate) fn took(&self, streamed: bool, time: Duration) {
        self.state().latencies[usize::from(streamed)].add(time);
    }

    /// The quantile of how long answers took lately; `None` where too few are known.
    pub(crate) fn quantile(&self, streamed: bool, quantile: f64) -> Option<Duration> {
        self.state().latencies[usize::from(streamed)].quantile(quantile)
    }

    /// How many of the last calls failed, and of how many.
    pub(crate) fn failed_of_late(&self) -> (u32, u32) {
        self.state().breaker.failed_of_late()
    }

    /// Why the model cannot take the request, in one word, as far as that is known.
    pub(crate) fn misfit(&self, asked: &Asked<'_>, now: Instant) -> Option<&'static str> {
        // A long conversation takes long to count, and nobody is to wait for that at the lock.
        let refusals = self.state().refusals.clone();
        misfit(&self.model.takes, asked).or_else(|| refusals.apply_to(asked, now))
    }

    /// The upstream has refused the request for a reason of its own.
    pub(crate) fn refused(&self, objection: &Objection, asked: &Asked<'_>, now: Instant) {
        asked.prepare();
        self.state().refusals.note(objection, asked, now);
    }

    /// The upstream wants other words; whether they are new, so that the request is worth asking again in them.
    pub(crate) fn reworded(&self, objection: &Objection) -> bool {
        self.state().refusals.reword(objection, self.model.takes.dialect)
    }

    /// In which words the upstream wants a chat request.
    pub(crate) fn dialect(&self) -> Dialect {
        self.state().refusals.dialect(self.model.takes.dialect)
    }

    /// The upstream asked to be left alone for so long.
    pub(crate) fn rest(&self, now: Instant, pause: Duration) {
        self.state().breaker.rest(now + pause.min(self.config.retry_after_max));
    }
}

impl Admission {
    /// The first bytes of an answer are here: the model is reachable again.
    pub(crate) fn answered(&mut self) {
        if std::mem::take(&mut self.probe) {
            let mut state = self.model.state();
            state.breaker.close();
            state.note(Some(Circuit::Closed), Instant::now());
            drop(state);
            tracing::info!(model = %self.model.model.name, "circuit closed: the model answers again");
        }
    }

    /// How the call ended, by the model's doing.
    pub(crate) fn ended(mut self, ok: bool, now: Instant) {
        let probe = std::mem::take(&mut self.probe);
        let config = &self.model.config;
        let change = {
            let mut state = self.model.state();
            let change = state.breaker.ended(ok, probe, now, config);
            state.note(change, now);
            change
        };
        match change {
            Some(Circuit::Closed) => {
                tracing::info!(model = %self.model.model.name, "circuit closed: the model answers again")
            }
            Some(_) => {
                tracing::warn!(model = %self.model.model.name, "circuit open: the model keeps failing and is left alone")
            }
            None => {}
        }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if self.probe {
            self.model.state().breaker.probe_lost();
        }
    }
}

/// A waiter in the queue for a place, for as long as it lives.
struct Queued<'a>(&'a AtomicUsize);

impl<'a> Queued<'a> {
    fn join(waiting: &'a AtomicUsize, most: usize) -> Option<Self> {
        if waiting.fetch_add(1, Ordering::Relaxed) >= most {
            waiting.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Self(waiting))
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
