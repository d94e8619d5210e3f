//! From a price to the probabilities of the models.

use super::Certified;
use super::predictor::clamped;
use crate::policy::View;
use crate::{Candidate, Source};

/// Share of the requests that explores until then.
const FIRST_EXPLORATION: f64 = 0.3;
/// Weight of the expected improvement in the exploration probability, and its highest sum.
const CURIOSITY: f64 = 0.35;
const MOST_EXPLORATION: f64 = 0.3;
/// Least probability of any model that may be chosen, where the exploration budget can pay for it.
const LEAST_PROBABILITY: f64 = 1e-3;

impl Certified {
    /// The cheapest mix that keeps the SLA, and what is tried beside it. Returns the place of the best choice.
    pub(super) fn plan(&self, view: &View<'_>, candidates: &mut [Candidate]) -> usize {
        let prompt = self.predictor.prepare(view.features, Source::Audit);
        let correction = self.correction.mean();
        for (candidate, predicted) in candidates.iter_mut().zip(self.predictor.predict(&prompt)) {
            candidate.satisfaction = clamped(predicted + correction);
            candidate.probability = 0.0;
        }
        if !self.can_plan() {
            return self.start_safely(view, candidates);
        }
        let (low, high, share) = self.steering.prices();
        let mut at = |price: f64| {
            for (candidate, trust) in candidates.iter_mut().zip(self.steering.trust()) {
                candidate.score = candidate.cost - price * (candidate.satisfaction + trust);
            }
            least_score(view, candidates)
        };
        let best = (at(low), at(high));
        let budget = self.params.exploration * self.steering.spend();
        // Half of it at most, so that something is left to learn with.
        let (share, paid) = self.split(candidates, best, share, 0.5 * budget);
        let expected = (1.0 - share) * candidates[best.0].cost + share * candidates[best.1].cost;
        let explored = self.explore(view, candidates, best, (high, expected), budget - paid);
        candidates[best.0].probability += (1.0 - explored) * (1.0 - share);
        candidates[best.1].probability += (1.0 - explored) * share;
        if share >= 0.5 { best.1 } else { best.0 }
    }

    /// Mixes the plan with the fallback alone, by the share that the safeguard leaves it. A fallback that cannot be asked leaves
    /// the plan as it is. Returns the place of the best choice.
    pub(super) fn guard(&self, view: &View<'_>, candidates: &mut [Candidate], best: usize) -> usize {
        let share = self.safeguard.share();
        if share >= 1.0 || !view.allowed.contains(&self.fallback) {
            return best;
        }
        self.leave_to_fallback(candidates, share);
        if share < 0.5 { self.fallback } else { best }
    }

    /// Draws as before with the probability `share`, and the fallback else.
    pub(super) fn leave_to_fallback(&self, candidates: &mut [Candidate], share: f64) {
        for candidate in candidates.iter_mut() {
            candidate.probability *= share;
        }
        candidates[self.fallback].probability += 1.0 - share;
    }

    /// The fallback serves, the others are tried.
    fn start_safely(&self, view: &View<'_>, candidates: &mut [Candidate]) -> usize {
        let most_expensive = candidates.iter().map(|c| c.cost).fold(0.0, f64::max);
        for candidate in candidates.iter_mut() {
            candidate.score = candidate.cost - most_expensive * candidate.satisfaction;
        }
        let best = if view.allowed.contains(&self.fallback) { self.fallback } else { least_score(view, candidates) };
        let others = view.allowed.len() - 1;
        if others > 0 && self.params.exploration > 0.0 {
            for &i in view.allowed {
                candidates[i].probability = FIRST_EXPLORATION / others as f64;
            }
            candidates[best].probability = 1.0 - FIRST_EXPLORATION;
        } else {
            candidates[best].probability = 1.0;
        }
        best
    }

    /// The share of the second of the two best models, with the operator's floor for either, and what that costs more per request.
    fn split(&self, candidates: &[Candidate], best: (usize, usize), share: f64, budget: f64) -> (f64, f64) {
        // The others leave it so much at least.
        let floor = self.exploration_floor / (1.0 - MOST_EXPLORATION);
        if best.0 == best.1 || floor <= 0.0 || budget <= 0.0 {
            return (share, 0.0);
        }
        let apart = candidates[best.1].cost - candidates[best.0].cost;
        let affordable = if apart == 0.0 { 1.0 } else { budget / apart.abs() };
        // Towards the cheaper one nothing is paid.
        let (more, less) = if apart > 0.0 { (floor.min(affordable), floor) } else { (floor, floor.min(affordable)) };
        let floored = share.clamp(more, 1.0 - less);
        (floored, ((floored - share) * apart).max(0.0))
    }

    /// Gives the models other than the two best a probability: as much as they promise to save for what trying them costs, and the
    /// operator's floor, as far as the budget goes. `terms` are the price of satisfaction and the cost expected of the plan. Returns the sum.
    fn explore(
        &self,
        view: &View<'_>,
        candidates: &mut [Candidate],
        best: (usize, usize),
        terms: (f64, f64),
        budget: f64,
    ) -> f64 {
        let (price, expected) = terms;
        if budget <= 0.0 || (price <= 0.0 && self.exploration_floor <= 0.0) {
            return 0.0;
        }
        let least = view.allowed.iter().map(|&i| candidates[i].score).fold(f64::INFINITY, f64::min);
        let floor = (LEAST_PROBABILITY / candidates.len() as f64).max(self.exploration_floor);
        let affordable = |c: &Candidate| if c.cost > expected { budget / (c.cost - expected) } else { 1.0 };
        let firm = |c: &Candidate| self.exploration_floor.min(affordable(c));
        // Probability and extra cost: of all, and of the operator's floor alone.
        let (mut all, mut floors) = ((0.0, 0.0), (0.0, 0.0));
        for &i in view.allowed.iter().filter(|&&i| i != best.0 && i != best.1) {
            let doubt = price * self.predictor.doubt()[i];
            let regret = ((candidates[i].score - least) / doubt.max(f64::MIN_POSITIVE)).max(0.05);
            let wanted = if price > 0.0 { CURIOSITY * expected_improvement(regret) / regret } else { 0.0 };
            let c = &mut candidates[i];
            let (most, extra) = (affordable(c), (c.cost - expected).max(0.0));
            c.probability = wanted.min(most).max(floor.min(most));
            all = (all.0 + c.probability, all.1 + c.probability * extra);
            floors = (floors.0 + firm(c), floors.1 + firm(c) * extra);
        }
        // What cannot be paid is taken from the floors only where they alone are too much.
        let firm_scale = (MOST_EXPLORATION / floors.0).min(budget / floors.1).min(1.0);
        let left = |of: f64, floor: f64| (of - firm_scale * floor).max(0.0);
        let (share, cost) = (left(MOST_EXPLORATION, floors.0), left(budget, floors.1));
        let scale = (share / (all.0 - floors.0)).min(cost / (all.1 - floors.1)).min(1.0);
        for &i in view.allowed.iter().filter(|&&i| i != best.0 && i != best.1) {
            let firm = firm(&candidates[i]);
            candidates[i].probability = firm_scale * firm + scale * (candidates[i].probability - firm);
        }
        firm_scale * floors.0 + scale * (all.0 - floors.0)
    }
}

fn least_score(view: &View<'_>, candidates: &[Candidate]) -> usize {
    let mut best = view.allowed[0];
    for &i in view.allowed {
        let (a, b) = (&candidates[i], &candidates[best]);
        if (a.score, a.cost) < (b.score, b.cost) {
            best = i;
        }
    }
    best
}

/// E max(0, Z − z) of a standard normal Z, for z ≥ 0. The tail in the logistic approximation, to 1 % where it matters.
fn expected_improvement(z: f64) -> f64 {
    let density = libm::exp(-0.5 * z * z) * 0.398_942_280_401_432_7;
    let tail = 1.0 / (1.0 + libm::exp(1.5976 * z + 0.070_56 * z * z * z));
    (density - z * tail).max(0.0)
}
