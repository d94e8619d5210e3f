//! What came of each decision of a route.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

use slarouter_core::{DecisionId, Ledger, Reason, RouteSpec, Source, Timestamp};
use slarouter_learner::LoggedRoute;
use slarouter_store::{Event, OutcomeRecord, Rated};

use super::prices::Repricing;
use crate::events::feedback;

/// What came of one decision.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fate {
    /// The label in force, by users and by auditors.
    pub(super) rating: Option<f64>,
    pub(super) audit: Option<f64>,
    /// It got no whole answer.
    pub(super) failed: bool,
    /// USD, as they are asked for.
    pub(super) cost: Option<f64>,
}

/// What came of the decisions of one route and period, by the whole log.
pub(super) struct Fates {
    route: Arc<str>,
    period: Range<Timestamp>,
    repricing: Option<Repricing>,
    ledger: Ledger,
    /// The newest configuration of the route.
    pub(super) spec: Option<RouteSpec>,
    /// All routes that the log knows.
    pub(super) routes: BTreeSet<Arc<str>>,
    pub(super) found: HashMap<DecisionId, Fate>,
    /// Decisions of the period that were not drawn: whose clients named the model, and that stayed with their conversation's.
    pub(super) pinned: u64,
    pub(super) stayed: u64,
    /// When the first and the last one that was drawn was made.
    pub(super) drawn: Option<Range<Timestamp>>,
    /// Events that cannot be read or make no sense.
    pub(super) unreadable: u64,
}

impl Fates {
    pub(super) fn new(route: &str, period: Range<Timestamp>, repricing: Option<Repricing>) -> Self {
        Self {
            route: route.into(),
            period,
            repricing,
            ledger: Ledger::new(u64::MAX),
            spec: None,
            routes: BTreeSet::new(),
            found: HashMap::new(),
            pinned: 0,
            stayed: 0,
            drawn: None,
            unreadable: 0,
        }
    }

    pub(super) fn take(&mut self, event: &Event) {
        match event {
            Event::Unreadable { .. } => self.unreadable += 1,
            Event::Configured { route, spec, .. } => self.configured(route, spec),
            Event::Decided { time, id, route, decision, .. } if *route == self.route && self.period.contains(time) => {
                self.decided(*time, *id, decision.reason);
            }
            Event::Finished { route, outcome, failed, .. } if *route == self.route => {
                self.finished(outcome, failed.is_some());
            }
            Event::Rated { seq, time, route, rated } if *route == self.route && !rated.failed => {
                self.rated(*seq, *time, rated);
            }
            _ => {}
        }
    }

    fn configured(&mut self, route: &Arc<str>, logged: &str) {
        self.routes.insert(route.clone());
        if *route != self.route {
            return;
        }
        let Ok(LoggedRoute { spec, .. }) = serde_json::from_str(logged) else {
            self.unreadable += 1;
            return;
        };
        self.ledger.set_window(spec.feedback_window_ms);
        self.ledger.set_rater_limit(spec.rater_limit, spec.rater_share);
        if let Some(repricing) = &mut self.repricing {
            repricing.configured(&spec);
        }
        self.spec = Some(spec);
    }

    fn decided(&mut self, time: Timestamp, id: DecisionId, reason: Reason) {
        match reason {
            Reason::Pinned => self.pinned += 1,
            Reason::Affinity => self.stayed += 1,
            Reason::Exploit | Reason::Explore | Reason::Fallback => {
                self.found.insert(id, Fate::default());
                self.drawn.get_or_insert(time..time).end = time;
            }
        }
    }

    fn finished(&mut self, outcome: &OutcomeRecord, failed: bool) {
        let cost = match &mut self.repricing {
            Some(repricing) => repricing.cost(outcome),
            None => outcome.cost,
        };
        if let Some(fate) = self.found.get_mut(&outcome.decision) {
            fate.failed |= failed;
            fate.cost.get_or_insert(cost);
        }
    }

    /// Of what raters say, what is in force is what the learner counts: the same limits on raters, the same window.
    fn rated(&mut self, seq: u64, time: Timestamp, rated: &Rated) {
        if let ((_, Some(change)), Some(fate)) =
            (self.ledger.apply(&feedback(rated, seq), time), self.found.get_mut(&rated.decision))
        {
            *(if rated.source == Source::Audit { &mut fate.audit } else { &mut fate.rating }) = change.new;
        }
    }
}
