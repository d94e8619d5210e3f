//! The answer, from the log.

use std::ops::Range;
use std::sync::Arc;

use serde::Serialize;
use slarouter_core::what_if::{Evaluation, Heard, Logged, Target};
use slarouter_core::{Candidate, Decision, DecisionId, PolicySpec, Price, Reason, RouteSpec, Timestamp};
use slarouter_learner::LoggedRoute;
use slarouter_store::{Event, Store, StoreError};

use super::error::WhatIfError;
use super::fates::{Fate, Fates};
use super::frontier::{Point, prices, reaching};
use super::prices::Repricing;
use super::question::{Change, Question};
use crate::events::each;

/// What is assured where the route's policy says nothing of it.
const ASSURANCE: f64 = 0.95;

/// What the log says of the question.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WhatIf {
    /// The route.
    pub route: Arc<str>,
    /// When the first and the last decision that is counted was made, in milliseconds since 1970.
    pub from_ms: u64,
    /// See above.
    pub to_ms: u64,
    /// The last event of the log that is in it.
    pub log_seq: u64,
    /// The target in force.
    pub alpha: f64,
    /// With which probability each interval holds, at all times at once; where there is a frontier, all of its intervals of one kind together.
    pub assurance: f64,
    /// Whose word the labels are: `ratings` or `audits`.
    pub labels_by: &'static str,
    /// Decisions that are counted: drawn in the period, and answered.
    pub requests: u64,
    /// Those that got no answer, and do not count.
    pub unanswered: u64,
    /// Turns that stayed with their conversation's model: nothing was drawn, and they follow from what was.
    pub stayed: u64,
    /// Requests whose clients named the model.
    pub pinned: u64,
    /// Rows that cannot be read or make no sense.
    pub unreadable: u64,
    /// Share of what was charged that no estimate of costs counts, as it is beyond eight times the prediction.
    pub cut_off: f64,
    /// What ran.
    pub ran: Point,
    /// What was asked for; `None` if that was no change, or if no price reaches the target asked for.
    pub asked: Option<Point>,
    /// What choosing by each price of satisfaction comes to, from the lowest up; none where one change alone was asked for.
    pub frontier: Vec<Point>,
    /// What each model alone comes to, likewise.
    pub models: Vec<Point>,
}

/// Reads the log a second time.
struct Pass<'a> {
    fates: &'a Fates,
    period: Range<Timestamp>,
    change: &'a Change,
    repricing: Option<Repricing>,
    spec: Option<RouteSpec>,
    names: Vec<Arc<str>>,
    /// The prices of the frontier, once the first row has said what is typical.
    prices: Vec<f64>,
    evaluation: Evaluation,
    unanswered: u64,
    refused: u64,
}

/// Answers a question by the log up to the event `until`. Reads it twice; memory is some 100 bytes for each decision of the period.
///
/// # Errors
/// [`WhatIfError`]
pub async fn what_if(store: &dyn Store, question: &Question, until: u64) -> Result<WhatIf, WhatIfError> {
    let (change, mut period) = (question.change()?, question.period(&store.calendar().await?)?);
    if question.from.is_none() {
        period.start = store.held().await?.whole_since;
    }
    let repricing = match &change {
        Change::Price(model, new) => Some(Repricing::new(model.clone(), *new)),
        _ => None,
    };
    let mut fates = Fates::new(question.route(), period.clone(), repricing.clone());
    each(store, until, |event| fates.take(event)).await?;
    let Some(spec) = &fates.spec else { return Err(no_route(&fates, question.route())) };
    change.check(spec)?;
    let mut pass = Pass::new(&fates, spec, period, &change, repricing);
    each(store, until, |event| pass.take(question.route(), event)).await?;
    // Looked at last: what went while it was read is missing too.
    let before = store.held().await?.whole_since;
    if pass.period.start < before {
        return Err(StoreError::Gone { what: "details of decisions", before, key: "details" }.into());
    }
    pass.answer(question.route(), spec, until)
}

fn no_route(fates: &Fates, route: &str) -> WhatIfError {
    let names: Vec<_> = fates.routes.iter().map(|route| &**route).collect();
    let message = match names.is_empty() {
        true => "the log has no route yet: nothing was decided".to_owned(),
        false => format!("the log has no route {route:?}: it has {}", names.join(", ")),
    };
    WhatIfError::question("route", message)
}

impl<'a> Pass<'a> {
    fn new(
        fates: &'a Fates,
        spec: &RouteSpec,
        period: Range<Timestamp>,
        change: &'a Change,
        repricing: Option<Repricing>,
    ) -> Self {
        let names: Vec<_> = match change {
            Change::Nothing | Change::Alpha(_) => spec.zoo.models().iter().map(|model| model.name.clone()).collect(),
            _ => Vec::new(),
        };
        let targets = match change {
            Change::Nothing | Change::Alpha(_) => 1 + prices(1.0).len() + names.len(),
            _ => 2,
        };
        let together = if names.is_empty() { 1 } else { targets };
        Self {
            fates,
            period,
            change,
            repricing,
            spec: None,
            names,
            prices: Vec::new(),
            evaluation: Evaluation::new(assurance(spec), targets, together),
            unanswered: 0,
            refused: 0,
        }
    }

    fn take(&mut self, asked: &str, event: &Event) {
        match event {
            Event::Configured { route, spec, .. } if **route == *asked => {
                // One that cannot be read was counted before.
                let logged: Option<LoggedRoute> = serde_json::from_str(spec).ok();
                if let (Some(logged), Some(repricing)) = (&logged, &mut self.repricing) {
                    repricing.configured(&logged.spec);
                }
                self.spec = logged.map(|logged| logged.spec).or(self.spec.take());
            }
            Event::Decided { time, id, route, decision, .. } if **route == *asked && self.period.contains(time) => {
                self.decided(*id, decision);
            }
            Event::Finished { route, outcome, .. } if **route == *asked => {
                if let Some(repricing) = &mut self.repricing {
                    repricing.cost(outcome);
                }
            }
            _ => {}
        }
    }

    fn decided(&mut self, id: DecisionId, decision: &Decision) {
        if matches!(decision.reason, Reason::Pinned | Reason::Affinity) {
            return;
        }
        let (Some(fate), Some(spec)) = (self.fates.found.get(&id), &self.spec) else { return };
        let audit_rate = Some(spec.audit_rate).filter(|rate| *rate > 0.0);
        let heard = heard(fate, audit_rate.is_some(), spec.failures_count);
        let targets = self.targets(&decision.candidates);
        let repriced = self.repriced(&decision.candidates);
        let probabilities: Vec<_> = targets.iter().map(|target| target.probabilities(&decision.candidates)).collect();
        let logged = Logged { candidates: &repriced, chosen: decision.chosen, audit_rate, heard, cost: fate.cost };
        let taken = self.evaluation.add(&logged, &probabilities);
        self.refused += u64::from(!taken);
        self.unanswered += u64::from(taken && heard == Heard::NoAnswer);
    }

    /// What is evaluated on a row: what ran first.
    fn targets(&mut self, candidates: &[Candidate]) -> Vec<Target> {
        let mut targets = vec![Target::Ran];
        match self.change {
            Change::Nothing | Change::Alpha(_) => {
                if self.prices.is_empty() {
                    let costs = candidates.iter().map(|candidate| candidate.cost);
                    self.prices = prices(costs.sum::<f64>() / candidates.len().max(1) as f64);
                }
                targets.extend(self.prices.iter().copied().map(Target::AtPrice));
                targets.extend(self.names.iter().cloned().map(Target::Always));
            }
            Change::Without(model) => targets.push(Target::Without(model.clone())),
            Change::Price(model, _) => {
                let more = self.repricing.as_ref().map_or(0.0, |repricing| repricing.more(candidates));
                targets.push(Target::Repriced(model.clone(), more));
            }
            Change::Policy(policy) => targets.push(self.policy(policy)),
        }
        targets
    }

    /// Policies that do not learn choose by list prices, as they do when they run.
    fn policy(&self, policy: &PolicySpec) -> Target {
        let priced = |sign: f64| {
            let models = self.spec.iter().flat_map(|spec| spec.zoo.models());
            let by = |price: &Price| sign * price.blended();
            models.min_by(|a, b| by(&a.price).total_cmp(&by(&b.price))).map(|model| model.name.clone())
        };
        match policy {
            PolicySpec::Fixed(model) => Target::Always(model.as_str().into()),
            PolicySpec::Cheapest => priced(1.0).map_or(Target::Ran, Target::Always),
            PolicySpec::MostExpensive => priced(-1.0).map_or(Target::Ran, Target::Always),
            PolicySpec::Random => Target::Random,
            // Refused before the log is read.
            PolicySpec::Certified(_) | PolicySpec::SlaRouter(_) => Target::Ran,
        }
    }

    /// The candidates with the cost that would have been predicted.
    fn repriced(&self, candidates: &[Candidate]) -> Vec<Candidate> {
        let mut candidates = candidates.to_vec();
        if let Some(repricing) = &self.repricing {
            let more = repricing.more(&candidates);
            let of = |candidate: &&mut Candidate| candidate.model == repricing.model;
            if let Some(candidate) = candidates.iter_mut().find(of) {
                candidate.cost = (candidate.cost + more).max(0.0);
            }
        }
        candidates
    }

    fn answer(self, route: &str, spec: &RouteSpec, until: u64) -> Result<WhatIf, WhatIfError> {
        let mut results = self.evaluation.results().into_iter();
        let (Some(ran), Some(drawn)) = (results.next(), &self.fates.drawn) else {
            let message = "nothing was drawn and answered on this route in this period: there is nothing to go by";
            return Err(WhatIfError::question("from", message));
        };
        let frontier: Vec<_> = (self.prices.iter().zip(results.by_ref()))
            .map(|(&price, evaluated)| Point::new("at a price", Some(price), evaluated))
            .collect();
        let models = self.names.iter().zip(results.by_ref());
        let models: Vec<_> = models.map(|(name, evaluated)| Point::new(&**name, None, evaluated)).collect();
        let asked = match self.change {
            Change::Alpha(alpha) => reaching(&frontier, *alpha),
            change => results.next().map(|evaluated| Point::new(change.name(), None, evaluated)),
        };
        Ok(WhatIf {
            route: route.into(),
            from_ms: drawn.start.0,
            to_ms: drawn.end.0,
            log_seq: until,
            alpha: spec.alpha.get(),
            assurance: assurance(spec),
            labels_by: if spec.audit_rate > 0.0 { "audits" } else { "ratings" },
            requests: self.evaluation.requests(),
            unanswered: self.unanswered,
            stayed: self.fates.stayed,
            pinned: self.fates.pinned,
            unreadable: self.fates.unreadable + self.refused,
            cut_off: self.evaluation.cut_off(),
            ran: Point::new("what ran", None, ran),
            asked,
            frontier,
            models,
        })
    }
}

fn heard(fate: &Fate, audited: bool, failures_count: bool) -> Heard {
    let label = if audited { fate.audit } else { fate.rating };
    match (fate.failed, label) {
        (true, _) if failures_count => Heard::Unsatisfied,
        (true, _) => Heard::NoAnswer,
        (false, Some(label)) => Heard::Label(label),
        (false, None) => Heard::Nothing,
    }
}

fn assurance(spec: &RouteSpec) -> f64 {
    match &spec.policy {
        PolicySpec::Certified(params) => params.assurance,
        _ => ASSURANCE,
    }
}
