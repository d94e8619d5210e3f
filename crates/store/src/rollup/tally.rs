//! What events add to the sums.

use std::collections::BTreeMap;

use slarouter_core::{Decision, Reason, Timestamp};

use super::group::Group;
use super::{Added, Calendar, Minute, RouteCertificate, Span, Totals, micro, nano};
use crate::columns::Columns;
use crate::{Payer, StoreError};

/// Events counted in one go, so that the writer is not held up for long.
pub(crate) const COUNTED_AT_ONCE: i64 = 8_192;

/// What reads off a row which sums it adds to, and what.
pub(crate) type ParseCounted = fn(&mut Columns<'_>) -> Result<(Timestamp, Group, Totals), StoreError>;

/// What is to be added to the sums, and from which event to which it was counted.
pub(crate) struct Tally {
    /// Under which the log was held when it was read, where that changes.
    pub(crate) epoch: i64,
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) calendar: Calendar,
    pub(crate) sums: BTreeMap<(Group, Span, Timestamp), Totals>,
    pub(crate) certificates: Vec<RouteCertificate>,
    /// There is more to count.
    more: bool,
}

impl Tally {
    pub(crate) fn new(
        (from, to): (u64, u64),
        calendar: Calendar,
        certificates: Vec<RouteCertificate>,
        more: bool,
    ) -> Self {
        Self { epoch: 0, from, to, calendar, sums: BTreeMap::new(), certificates, more }
    }

    pub(crate) fn add(&mut self, time: Timestamp, group: Group, totals: Totals) {
        for span in Span::ALL {
            let start = span.start(time, &self.calendar);
            *self.sums.entry((group.clone(), span, start)).or_default() += totals;
        }
    }

    /// What is to be added, for who keeps sums of late beside the database.
    pub(crate) fn added(&self) -> Added {
        let minutes = self.sums.iter().filter(|((_, span, _), _)| *span == Span::Minute);
        let minute = |((group, _, start), totals): (&(Group, Span, Timestamp), &Totals)| Minute {
            start: *start,
            route: group.route.clone(),
            model: group.model.clone(),
            totals: *totals,
        };
        Added { minutes: minutes.map(minute).collect(), more: self.more }
    }

    /// The start of the latest minute of a decision.
    pub(crate) fn newest(&self) -> Option<Timestamp> {
        self.sums.keys().filter(|(_, span, _)| *span == Span::Minute).map(|(.., start)| *start).max()
    }
}

/// The columns `time`, `route`, `key`, `tenant` and the model.
fn group(row: &mut Columns<'_>) -> Result<(Timestamp, Group), StoreError> {
    let (time, route, Payer { key, tenant }) = (row.time()?, row.text()?, row.payer()?);
    // Of a tenant's own route it is known also where no payer was logged yet.
    let tenant = tenant.or_else(|| Some(route.split_once('/')?.1.into()));
    let group = Group { model: row.text()?, key: key.unwrap_or_default(), tenant: tenant.unwrap_or_default(), route };
    Ok((time, group))
}

/// What a request that has ended adds.
pub(crate) fn ended(row: &mut Columns<'_>) -> Result<(Timestamp, Group, Totals), StoreError> {
    let (time, group) = group(row)?;
    let (ok, status): (bool, u16) = (row.next()?, row.next()?);
    let mut tokens = || row.next::<Option<f64>>().map(|count| count.unwrap_or(0.0).round() as i64);
    let (input_tokens, cached_tokens, output_tokens) = (tokens()?, tokens()?, tokens()?);
    let cost: f64 = row.next()?;
    let chosen = row.text()?;
    let (fallback, reason) = (row.place()?, row.reason()?);
    let mut totals = Totals {
        requests: 1,
        pinned: (reason == Reason::Pinned).into(),
        errors: (!ok && status != 499).into(),
        cancelled: (!ok && status == 499).into(),
        rerouted: (chosen != group.model).into(),
        explored: (reason == Reason::Explore).into(),
        fallbacks: (reason == Reason::Fallback).into(),
        input_tokens,
        cached_tokens,
        output_tokens,
        cost_nano: nano(cost),
        baseline_nano: nano(cost),
        ..Totals::default()
    };
    if reason != Reason::Pinned
        && let Ok(decision) = row.decision()
    {
        totals.compare(&decision, fallback, &group.model, ok.then_some(cost));
    }
    Ok((time, group, totals))
}

impl Totals {
    /// Compares a request with what the fallback was predicted to do, the most expensive model if none was logged. `cost`: what was charged
    /// for a whole answer.
    fn compare(&mut self, decision: &Decision, fallback: Option<usize>, answered: &str, cost: Option<f64>) {
        let most_expensive = || {
            let costs = decision.candidates.iter().enumerate().map(|(place, candidate)| (place, candidate.cost));
            costs.max_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(place, _)| place)
        };
        let place = fallback.filter(|place| *place < decision.candidates.len()).unwrap_or_else(most_expensive);
        self.compare_with(decision, place, answered, cost);
        if decision.is_observed() {
            self.observe(decision, place, cost);
        }
    }

    fn compare_with(&mut self, decision: &Decision, place: usize, answered: &str, cost: Option<f64>) {
        let baseline = &decision.candidates[place];
        let answering = decision.candidate(answered).unwrap_or_else(|| decision.choice());
        self.predicted_micro = micro(answering.satisfaction);
        self.fallback_predicted_micro = micro(baseline.satisfaction);
        self.supported = (baseline.probability > 0.0).into();
        let Some(cost) = cost.filter(|_| !baseline.excluded) else { return };
        self.baseline_nano = nano(baseline.cost);
        if decision.chosen == place && baseline.probability > 0.0 {
            self.checked = 1;
            self.correction_nano = nano((cost - baseline.cost) / baseline.probability);
        }
    }

    /// What would have been, had the plan served: compares it with the fallback at `place`. Nothing is saved where the fallback could not
    /// be asked or no whole answer came.
    fn observe(&mut self, decision: &Decision, place: usize, cost: Option<f64>) {
        let (choice, baseline) = (decision.choice(), &decision.candidates[place]);
        self.observed = 1;
        self.observed_baseline_nano = self.baseline_nano + self.correction_nano;
        self.plan_predicted_micro = micro(decision.planned(|candidate| candidate.satisfaction));
        self.plan_supported_micro =
            micro(decision.planned(|candidate| f64::from(u8::from(candidate.probability > 0.0))));
        let Some(cost) = cost.filter(|_| !baseline.excluded) else { return };
        self.plan_saving_nano = nano(baseline.cost - decision.planned(|candidate| candidate.cost));
        self.plan_correction_nano = self.correction_nano - nano(choice.planned_weight() * (cost - choice.cost));
    }

    /// Counts a label of an answer of an observed route, or no longer.
    fn observe_label(&mut self, rating: Option<f64>, decision: &Decision, is_tried: bool, sign: i64) {
        let Some(rating) = rating else { return };
        let choice = decision.choice();
        self.plan_labels += sign;
        self.plan_tried += sign * i64::from(is_tried);
        self.plan_label_micro += sign * micro(choice.planned_weight() * (rating - choice.satisfaction));
    }

    /// Counts a rating, or no longer.
    fn rate(&mut self, rating: Option<f64>, is_audit: bool, sign: i64) {
        let Some(rating) = rating else { return };
        if is_audit {
            self.audits += sign;
            self.audit_micro += sign * micro(rating);
            return;
        }
        self.ratings += sign;
        self.up += sign * i64::from(rating > 0.5);
        self.down += sign * i64::from(rating < 0.5);
        self.rating_micro += sign * micro(rating);
    }
}

/// What a word on an answer adds.
pub(crate) fn rated(row: &mut Columns<'_>) -> Result<(Timestamp, Group, Totals), StoreError> {
    let (time, group) = group(row)?;
    let (is_audit, said, before): (bool, Option<f64>, Option<f64>) = (row.next()?, row.next()?, row.next()?);
    let mut totals = Totals::default();
    totals.rate(before, is_audit, -1);
    totals.rate(said, is_audit, 1);
    let (audit_rate, fallback): (f64, _) = (row.next()?, row.place()?);
    // Where there are audits they alone say how far off predictions are.
    if is_audit == (audit_rate > 0.0)
        && let Ok(decision) = row.decision()
        && decision.is_observed()
    {
        let is_tried = fallback != Some(decision.chosen);
        totals.observe_label(before, &decision, is_tried, -1);
        totals.observe_label(said, &decision, is_tried, 1);
    }
    Ok((time, group, totals))
}
