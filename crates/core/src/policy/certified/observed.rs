//! A route that is only observed: it is seen what would be chosen, and the fallback serves.

use super::{Certified, FIRST_LABELS};
use crate::Candidate;
use crate::policy::View;

impl Certified {
    /// The surplus that the plan of an observed route reckons with, G.
    ///
    /// That of its account is the fallback's, and to spend it would be to plan what no route can keep up. It is taken to be where a route
    /// would have it that has been on for as long: at what it wants, U, so that the plan asks only for what keeps it there as T grows, U/T.
    /// Within the first horizon there is none.
    pub(super) fn observed_surplus(margin: f64, horizon: f64, served: f64) -> f64 {
        margin * (1.0 - horizon / served.max(horizon))
    }

    /// See [`Learner::observe_on`](crate::Learner::observe_on).
    pub(crate) fn observe_on(&mut self) {
        self.params.observe = true;
    }

    /// Whether enough is known to choose by.
    pub(super) fn can_plan(&self) -> bool {
        // With audits there is no price before the first one.
        let priced = self.account.audit_rate().is_none() || !self.slow.is_empty();
        self.predictor.labels() >= FIRST_LABELS && self.steering.is_ready() && priced
    }

    /// Puts the plan aside, and has the fallback serve. Other models are drawn as the plan would draw them, but not more often in all
    /// than `exploration` says. Where the fallback cannot be asked, the most satisfying model serves in its place. Returns the place of
    /// the one that serves.
    pub(super) fn observe(&self, view: &View<'_>, candidates: &mut [Candidate]) -> usize {
        for candidate in candidates.iter_mut() {
            candidate.planned = candidate.probability;
        }
        if !view.allowed.contains(&self.fallback) {
            return most_satisfying(view, candidates);
        }
        let others = 1.0 - candidates[self.fallback].planned;
        if others > 0.0 {
            self.leave_to_fallback(candidates, (self.params.exploration / others).min(1.0));
        }
        self.fallback
    }
}

/// Gives the allowed model that is predicted to satisfy most all of the draw.
fn most_satisfying(view: &View<'_>, candidates: &mut [Candidate]) -> usize {
    let by_satisfaction =
        |a: &&usize, b: &&usize| candidates[**a].satisfaction.total_cmp(&candidates[**b].satisfaction);
    let serves = view.allowed.iter().max_by(by_satisfaction).copied().unwrap_or(view.allowed[0]);
    for (place, candidate) in candidates.iter_mut().enumerate() {
        candidate.probability = if place == serves { 1.0 } else { 0.0 };
    }
    serves
}
