//! Whether promises were kept, by the log: the certificate of each month by itself.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Range;
use std::sync::Arc;

use slarouter_core::policy::Window;
use slarouter_core::{Agreement, Learner, PolicySpec, Reason, RouteSpec, Timestamp};
use slarouter_learner::{LearningError, LoggedRoute, changes};
use slarouter_store::{Calendar, Event, Rated, Store};

use crate::error::ReportError;
use crate::events::{each, feedback};
use crate::incident::Incident;
use crate::promise::Promise;

/// Hears the log and judges.
///
/// For each month and route there is a learner that hears of the decisions of that month alone, and of what came of them, however late. Its
/// account then speaks of exactly these answers, whatever the window of the SLA is, and its certificate is as valid as any: the predictions
/// that it rests on are those that were logged with the decisions.
pub(crate) struct Judge<'a> {
    calendar: &'a Calendar,
    months: &'a [Range<Timestamp>],
    routes: BTreeMap<Arc<str>, LoggedRoute>,
    learners: BTreeMap<(usize, Arc<str>), Learner>,
    pub(crate) incidents: Vec<Incident>,
    /// Events that cannot be read or make no sense. One of them does not keep the others from being heard.
    pub(crate) refused: u64,
}

impl<'a> Judge<'a> {
    /// Hears the log up to the event `until`.
    pub(crate) async fn hear(
        store: &dyn Store,
        calendar: &'a Calendar,
        months: &'a [Range<Timestamp>],
        until: u64,
    ) -> Result<Self, ReportError> {
        let mut judge = Self {
            calendar,
            months,
            routes: BTreeMap::new(),
            learners: BTreeMap::new(),
            incidents: Vec::new(),
            refused: 0,
        };
        each(store, until, |event| {
            if matches!(event, Event::Unreadable { .. }) || judge.take(event).is_err() {
                judge.refused += 1;
            }
        })
        .await?;
        Ok(judge)
    }

    fn take(&mut self, event: &Event) -> Result<(), LearningError> {
        match event {
            Event::Configured { time, route, spec, .. } => self.configured(*time, route, spec)?,
            Event::Decided { time, route, decision, .. } => {
                if let Some(learner) = self.learner(*time, route)? {
                    learner.decided(decision, *time);
                }
            }
            Event::Rerouted { route, reason, decided_at, old, new, .. } if *reason != Reason::Pinned => {
                if let Some(learner) = self.learner(*decided_at, route)? {
                    learner.rerouted(*decided_at, *old, *new);
                }
            }
            Event::Finished { route, reason, failed: Some(failed), .. } if *reason != Reason::Pinned => {
                if let Some(learner) = self.learner(failed.decided_at, route)? {
                    learner.failed(failed.decided_at, failed.predicted);
                }
            }
            Event::Rated { seq, time, route, rated } if !rated.failed => self.rated(*seq, *time, route, rated)?,
            _ => {}
        }
        Ok(())
    }

    fn configured(&mut self, time: Timestamp, route: &Arc<str>, spec: &str) -> Result<(), LearningError> {
        let new: LoggedRoute = serde_json::from_str(spec)?;
        let month = self.month(time);
        if month.is_some() {
            let what =
                self.routes.get(route).map_or_else(|| vec!["new".to_owned()], |old| changes(&old.spec, &new.spec));
            let date = self.calendar.date(time);
            self.incidents.extend(what.into_iter().map(|what| Incident {
                date: date.clone(),
                route: route.clone(),
                what,
            }));
        }
        if let Some(learner) = month.and_then(|month| self.learners.get_mut(&(month, route.clone()))) {
            learner.reconfigure(over_the_month(new.spec.clone()))?;
        }
        self.routes.insert(route.clone(), new);
        Ok(())
    }

    fn rated(&mut self, seq: u64, time: Timestamp, route: &Arc<str>, rated: &Rated) -> Result<(), LearningError> {
        let Some(learner) = self.learner(rated.decided_at, route)? else { return Ok(()) };
        learner.observe(&feedback(rated, seq), time)?;
        Ok(())
    }

    fn month(&self, time: Timestamp) -> Option<usize> {
        self.months.iter().position(|month| month.contains(&time))
    }

    /// The learner of what was decided at that time; `None` if that is not in the period, or if the log does not know the route.
    fn learner(&mut self, decided_at: Timestamp, route: &Arc<str>) -> Result<Option<&mut Learner>, LearningError> {
        let (Some(month), Some(held)) = (self.month(decided_at), self.routes.get(route)) else { return Ok(None) };
        Ok(Some(match self.learners.entry((month, route.clone())) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(Learner::new(over_the_month(held.spec.clone()), 1, 0)?),
        }))
    }

    /// What was promised of the route in that month, if its policy certifies.
    pub(crate) fn promise(&self, month: usize, route: &Arc<str>) -> Option<Promise> {
        let learner = self.learners.get(&(month, route.clone()))?;
        let router = learner.router();
        let PolicySpec::Certified(params) = &router.spec().policy else { return None };
        let held = router.certificate()?;
        Some(Promise {
            alpha: router.alpha(),
            assurance: params.assurance,
            lower: held.lower,
            estimate: held.estimate,
            upper: held.upper,
            answers: held.requests,
            labels: held.labels,
            set_aside: learner.ledger().set_aside(),
        })
    }

    /// How often the route's model that judges answers and people said the same of one; `None` if nothing was said by both.
    pub(crate) fn agreement(&self, month: usize, route: &Arc<str>) -> Option<Agreement> {
        let agreement = self.learners.get(&(month, route.clone()))?.agreement();
        (agreement.compared > 0).then_some(agreement)
    }

    /// With what the costs of the route are compared.
    pub(crate) fn baseline(&self, route: &Arc<str>) -> Option<Arc<str>> {
        let spec = &self.routes.get(route)?.spec;
        Some(spec.zoo.models()[spec.fallback()].name.clone())
    }
}

/// The same promise of all answers that its learner hears of.
fn over_the_month(mut spec: RouteSpec) -> RouteSpec {
    if let PolicySpec::Certified(params) = &mut spec.policy {
        params.window = Window::Run;
    }
    spec
}
