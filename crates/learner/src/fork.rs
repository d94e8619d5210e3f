//! The log replayed with another configuration, as a dry run: what would be known, and what would be chosen.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use slarouter_core::{Certificate, Context, Decision, Learner, Reason, RouteSpec, decision_rng};
use slarouter_store::{DecisionRecord, Event, Store};

use crate::learning::{Learning, LearningError};
use crate::logged_route::LoggedRoute;

/// Events read from the log at a time.
const BATCH: usize = 512;

/// What another configuration comes to on one route.
///
/// Both sides learn from what ran: from the answers and ratings that there were, of the models that gave them. What the models that were not
/// asked would have answered no log knows; `slarouter what-if` says with intervals how such a change would have done.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ForkedRoute {
    /// Decisions that were made again; those of named models and of later turns of a conversation follow from others.
    pub decisions: u64,
    /// Those of them for which the same model is drawn.
    pub same: u64,
    /// Those that cannot be made again with this configuration, as of other features.
    pub left_out: u64,
    /// What was drawn, by model.
    pub ran: BTreeMap<Arc<str>, u64>,
    /// What is drawn with the other configuration, with the same random numbers.
    pub forked: BTreeMap<Arc<str>, u64>,
    /// USD, as the fork predicts them for the models that ran.
    pub ran_cost_usd: f64,
    /// USD, as the fork predicts them for the models that it draws.
    pub forked_cost_usd: f64,
    /// Mean satisfaction, as the fork predicts it for the models that ran.
    pub ran_satisfaction: f64,
    /// Mean satisfaction, as the fork predicts it for the models that it draws.
    pub forked_satisfaction: f64,
    /// What can be promised at the end of the log, as it ran.
    pub ran_certificate: Option<Certificate>,
    /// The same by the other configuration.
    pub forked_certificate: Option<Certificate>,
}

/// A replay under way.
struct Fork<'a> {
    specs: &'a BTreeMap<Arc<str>, RouteSpec>,
    seed: u64,
    learning: Learning,
    routes: BTreeMap<Arc<str>, ForkedRoute>,
}

/// Replays the log up to the event `until`, from its beginning or from the oldest saved state where it was shortened, with these specifications
/// in the place of those that were in force. Routes without one are replayed as they ran. `seed` is `server.seed`. Nothing is written.
///
/// # Errors
/// If the log cannot be read, or a specification cannot be used.
pub async fn fork(
    store: &dyn Store,
    specs: &BTreeMap<Arc<str>, RouteSpec>,
    seed: u64,
    until: u64,
) -> Result<BTreeMap<Arc<str>, ForkedRoute>, LearningError> {
    let mut ran = Learning::oldest(store).await?;
    let mut fork = Fork { specs, seed, learning: Learning::oldest(store).await?, routes: BTreeMap::new() };
    fork.learning.reconfigure(specs)?;
    loop {
        let events = store.events_after(fork.learning.seq(), BATCH).await?;
        let whole = events.len() == BATCH;
        for event in events.iter().filter(|event| event.seq() <= until) {
            fork.take(store, event).await?;
        }
        if !whole || events.last().is_none_or(|event| event.seq() > until) {
            break;
        }
    }
    ran.catch_up_to(store, until).await?;
    for (route, found) in &mut fork.routes {
        let certificate = |learning: &Learning| learning.learners().get(route)?.router().certificate();
        found.ran_certificate = certificate(&ran);
        found.forked_certificate = certificate(&fork.learning);
        let decisions = found.decisions.max(1) as f64;
        found.ran_satisfaction /= decisions;
        found.forked_satisfaction /= decisions;
    }
    Ok(fork.routes)
}

impl Fork<'_> {
    async fn take(&mut self, store: &dyn Store, event: &Event) -> Result<(), LearningError> {
        match event {
            Event::Configured { seq, time, route, spec } if self.specs.contains_key(route) => {
                let mut logged: LoggedRoute = serde_json::from_str(spec)?;
                logged.spec = self.specs[route].clone();
                let (seq, time, route) = (*seq, *time, route.clone());
                let spec = serde_json::to_string(&logged)?;
                self.learning.apply(&Event::Configured { seq, time, route, spec });
                return Ok(());
            }
            Event::Decided { id, route, decision, .. } if self.specs.contains_key(route) => {
                if matches!(decision.reason, Reason::Exploit | Reason::Explore | Reason::Fallback)
                    && let Some(stored) = store.decision(*id).await?
                {
                    self.decide(route, &stored.record);
                }
            }
            _ => {}
        }
        self.learning.apply(event);
        // What was rolled back was learnt with the configuration of then.
        if matches!(event, Event::RolledBack { .. }) {
            self.learning.reconfigure(self.specs)?;
        }
        Ok(())
    }

    /// Makes a decision with what the fork knows.
    fn decide(&mut self, route: &Arc<str>, record: &DecisionRecord) {
        let found = self.routes.entry(route.clone()).or_default();
        let Some((learner, _)) = self.learning.route(route) else { return };
        let Some(forked) = again(learner, record, self.seed) else {
            found.left_out += 1;
            return;
        };
        let (ran, drawn) = (record.decision.choice(), forked.choice());
        // Of a model that the fork does not have it predicts nothing: what was predicted then stands for it.
        let ran = forked.candidate(&ran.model).unwrap_or(ran);
        found.decisions += 1;
        found.same += u64::from(ran.model == drawn.model);
        *found.ran.entry(ran.model.clone()).or_default() += 1;
        *found.forked.entry(drawn.model.clone()).or_default() += 1;
        found.ran_cost_usd += ran.cost;
        found.forked_cost_usd += drawn.cost;
        found.ran_satisfaction += ran.satisfaction;
        found.forked_satisfaction += drawn.satisfaction;
    }
}

fn again(learner: &Learner, record: &DecisionRecord, seed: u64) -> Option<Decision> {
    let router = learner.router();
    if !record.features.is_empty() && router.features() != (record.features.len(), record.feature_version) {
        return None;
    }
    let logged = &record.decision;
    let excluded: Vec<&str> = logged.candidates.iter().filter(|c| c.excluded).map(|c| &*c.model).collect();
    let context = Context { features: &record.features, input_tokens: record.input_tokens, excluded: &excluded };
    router.decide_with(&context, &logged.savings(), &mut decision_rng(seed, record.id)).ok()
}
