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
        let expected = (1.0 - share) * candidates[best.0].cost + share * candidates[best.1].cost;
        let explored = self.explore(view, candidates, best, high, expected);
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

    /// Gives the models other than the two best a probability, as much as they promise to save for what trying them costs. Returns
    /// the sum.
    fn explore(
        &self,
        view: &View<'_>,
        candidates: &mut [Candidate],
        best: (usize, usize),
        price: f64,
        expected: f64,
    ) -> f64 {
        let budget = self.params.exploration * self.steering.spend();
        if budget <= 0.0 || price <= 0.0 {
            return 0.0;
        }
        let least = view.allowed.iter().map(|&i| candidates[i].score).fold(f64::INFINITY, f64::min);
        let floor = LEAST_PROBABILITY / candidates.len() as f64;
        let mut total = 0.0;
        for &i in view.allowed.iter().filter(|&&i| i != best.0 && i != best.1) {
            let doubt = price * self.predictor.doubt()[i];
            let regret = ((candidates[i].score - least) / doubt.max(f64::MIN_POSITIVE)).max(0.05);
            let wanted = CURIOSITY * expected_improvement(regret) / regret;
            let extra = candidates[i].cost - expected;
            let affordable = if extra > 0.0 { budget / extra } else { 1.0 };
            candidates[i].probability = wanted.min(affordable).max(floor.min(affordable));
            total += candidates[i].probability;
        }
        let extra: f64 =
            view.allowed.iter().map(|&i| candidates[i].probability * (candidates[i].cost - expected).max(0.0)).sum();
        let scale = (MOST_EXPLORATION / total).min(budget / extra).min(1.0);
        if scale < 1.0 {
            for &i in view.allowed {
                candidates[i].probability *= scale;
            }
        }
        total * scale
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
