//! A bound on a sum of satisfactions over answers that were, for the most part, not given: `docs/what-if.md` has the proof.

use super::rates::Rates;
use crate::assurance::{mixture_root, mixture_weight};

/// λ runs over so many powers of two, from 2^FIRST up.
const TERMS: usize = 26;
const FIRST: i32 = -19;
/// Powers of two between neighbours.
const STEP: f64 = 1.0;
/// Terms on each side of the best one that are summed up. Leaving terms out only lowers the sum.
const BESIDE: usize = 4;
/// A prediction is cut so that no factor falls below one less this, at the lowest rate of labelling there may be.
const REACH: f64 = 0.75;

/// A candidate that could be drawn, as one claim has it: what it weighs if drawn, and what was predicted of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Action {
    /// v, of either sign.
    pub(super) weight: f64,
    /// p v, with the probability p of being drawn.
    pub(super) mass: f64,
    /// In \[0, 1\].
    pub(super) predicted: f64,
}

/// A drawn candidate with its label, where the rate of labelling is not known yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// Where its rate is to be looked up.
    pub(super) stretch: usize,
    /// What the rate was known to be at least.
    pub(super) low: f64,
    pub(super) weight: f64,
    pub(super) predicted: f64,
    pub(super) label: f64,
}

/// What is known of Σ_t Σ_a p v s from below.
#[derive(Clone, Debug)]
pub(super) struct Evidence {
    /// Σ p v r̂.
    predicted: f64,
    /// Σ min(0, p v): the sum is never less.
    least: f64,
    /// By term, what cutting the predictions changes of it.
    cut: [f64; TERMS],
    /// By term, the factors of labels whose rate is known.
    known: [Product; TERMS],
    /// Σ (v y/φ)² of the same labels, and their largest |v|/φ.
    squares: f64,
    largest: f64,
}

/// A product of positive numbers, which is soon out of range.
#[derive(Clone, Copy, Debug)]
struct Product {
    logarithm: f64,
    rest: f64,
}

/// Bounds on the sum from both sides.
#[derive(Clone, Debug, Default)]
pub(super) struct Claim {
    below: Evidence,
    /// The same of the sum with the opposite sign.
    above: Evidence,
}

/// From what bounds are made beside the evidence.
#[derive(Clone, Copy)]
pub(super) struct Grounds<'a> {
    /// Labels whose rate is estimated, in the order of the log.
    pub(super) seen: &'a [Seen],
    pub(super) rates: &'a Rates,
    /// The interval of the first row's rate.
    pub(super) scale: [f64; 2],
    /// ln(1/error) of one bound.
    pub(super) needed: f64,
}

impl Action {
    /// r̃: the prediction, cut so that λ v (s − r̃)/φ stays above −[`REACH`] for every s and every φ from `low` on.
    fn cut(&self, low: f64, lambda: f64) -> f64 {
        let room = REACH * low / (lambda * self.weight.abs());
        if self.weight > 0.0 { self.predicted.min(room) } else { self.predicted.max(1.0 - room) }
    }

    fn mirrored(self) -> Self {
        Self { weight: -self.weight, mass: -self.mass, ..self }
    }
}

impl Seen {
    /// As a claim has it whose weights are the target's less `shift`.
    fn action(&self, shift: f64, sign: f64) -> Action {
        Action { weight: sign * (self.weight - shift), mass: 0.0, predicted: self.predicted }
    }
}

impl Product {
    const ONE: Self = Self { logarithm: 0.0, rest: 1.0 };

    fn times(&mut self, factor: f64) {
        self.rest *= factor;
        if !(1e-200..1e200).contains(&self.rest) {
            *self = Self { logarithm: self.ln(), rest: 1.0 };
        }
    }

    fn ln(&self) -> f64 {
        self.logarithm + libm::log(self.rest)
    }
}

impl Default for Evidence {
    fn default() -> Self {
        Self { predicted: 0.0, least: 0.0, cut: [0.0; TERMS], known: [Product::ONE; TERMS], squares: 0.0, largest: 0.0 }
    }
}

impl Evidence {
    /// Enters what could be drawn, before it is known what was; the rate of labelling is at least `low`.
    fn add(&mut self, actions: &[Action], low: f64) {
        for action in actions.iter().filter(|action| action.weight != 0.0) {
            self.predicted += action.mass * action.predicted;
            self.least += action.mass.min(0.0);
            // The larger λ is, the more is cut.
            for (term, sum) in self.cut.iter_mut().enumerate().rev() {
                let change = action.cut(low, lambda(term)) - action.predicted;
                if change == 0.0 {
                    break;
                }
                *sum += action.mass * change;
            }
        }
    }

    /// Enters a label that comes with probability `rate`.
    fn saw(&mut self, action: &Action, label: f64, low: f64, rate: f64) {
        if action.weight == 0.0 {
            return;
        }
        for (term, product) in self.known.iter_mut().enumerate() {
            product.times(factor(action, label, low, lambda(term), rate));
        }
        let residual = action.weight * (label - action.predicted) / rate;
        self.squares += residual * residual;
        self.largest = self.largest.max(action.weight.abs() / rate);
    }

    /// The largest Y known to lie below the sum.
    fn bound(&self, grounds: &Grounds<'_>, action: impl Fn(&Seen) -> Action) -> f64 {
        if grounds.scale[0] <= 0.0 {
            return self.least;
        }
        let stretches = || grounds.seen.chunk_by(|a, b| a.stretch == b.stretch);
        let middle = self.middle(grounds, &action);
        let mut terms = Vec::with_capacity(2 * BESIDE + 1);
        for term in middle.saturating_sub(BESIDE)..TERMS.min(middle + BESIDE + 1) {
            let lambda = lambda(term);
            let mut gain = self.known[term].ln() + lambda * (self.predicted + self.cut[term]);
            for seen in stretches() {
                // The logarithm is concave in 1/φ, so its least sum is at an end.
                let [low, high] = grounds.rates.ends(seen[0].stretch);
                gain += logarithm(seen, &action, lambda, low).min(logarithm(seen, &action, lambda, high));
            }
            // So is the least weight, as a function with one peak.
            let [low, high] = grounds.scale;
            let weight = mixture_weight(lambda / low, STEP).min(mixture_weight(lambda / high, STEP));
            if gain.is_finite() {
                terms.push((lambda, gain + libm::log(weight)));
            }
        }
        mixture_root(&terms, grounds.needed).map_or(self.least, |root| root.max(self.least))
    }

    /// The term that is best by a normal law, or that cuts no prediction by much if that is a smaller one.
    fn middle(&self, grounds: &Grounds<'_>, action: impl Fn(&Seen) -> Action) -> usize {
        let (mut squares, mut largest) = (self.squares, self.largest);
        for seen in grounds.seen {
            let (action, inverse) = (action(seen), grounds.rates.inverse(seen.stretch));
            let residual = action.weight * (seen.label - action.predicted) * inverse;
            squares += residual * residual;
            largest = largest.max(action.weight.abs() * inverse);
        }
        let best = libm::sqrt(2.0 * grounds.needed / squares.max(1e-12)).min(1.0 / largest.max(1e-12));
        (libm::log2(best) - f64::from(FIRST)).clamp(0.0, (TERMS - 1) as f64) as usize
    }
}

impl Claim {
    pub(super) fn add(&mut self, actions: &[Action], low: f64) {
        self.below.add(actions, low);
        let mirrored: Vec<_> = actions.iter().map(|action| action.mirrored()).collect();
        self.above.add(&mirrored, low);
    }

    pub(super) fn saw(&mut self, action: &Action, label: f64, low: f64, rate: f64) {
        self.below.saw(action, label, low, rate);
        self.above.saw(&action.mirrored(), label, low, rate);
    }

    /// Bounds on the sum, each right at all times at once. The weights of this claim are those of the labels less `shift`.
    pub(super) fn bounds(&self, grounds: &Grounds<'_>, shift: f64) -> [f64; 2] {
        let lower = self.below.bound(grounds, |seen| seen.action(shift, 1.0));
        let upper = self.above.bound(grounds, |seen| seen.action(shift, -1.0));
        [lower, -upper]
    }
}

fn lambda(term: usize) -> f64 {
    libm::exp2(f64::from(term as i32 + FIRST))
}

/// 1 + λ v (s − r̃)/φ.
fn factor(action: &Action, label: f64, low: f64, lambda: f64, rate: f64) -> f64 {
    1.0 + lambda / rate * action.weight * (label - action.cut(low, lambda))
}

/// Of the product of the factors of one stretch, at this rate.
fn logarithm(seen: &[Seen], action: impl Fn(&Seen) -> Action, lambda: f64, rate: f64) -> f64 {
    let mut product = Product::ONE;
    for seen in seen {
        let action = action(seen);
        if action.weight != 0.0 {
            product.times(factor(&action, seen.label, seen.low, lambda, rate));
        }
    }
    product.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_factor_is_ever_negative() {
        for weight in [-1.0, -0.3, 1e-6, 0.4, 3.0, 3_000.0] {
            for term in 0..TERMS {
                for low in [0.0, 1e-4, 0.05, 1.0] {
                    let action = Action { weight, mass: 0.0, predicted: 0.7 };
                    for label in [0.0, 0.5, 1.0] {
                        let factor = factor(&action, label, low, lambda(term), (0.9 * low).max(1e-6));
                        assert!(factor > 0.1, "{weight} {term} {low} {label}: {factor}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_product_that_leaves_the_range_keeps_its_logarithm() {
        let mut product = Product::ONE;
        (0..1_000).for_each(|n| product.times(if n < 600 { 1e-3 } else { 1e3 }));
        assert!((product.ln() + 200.0 * 1e3_f64.ln()).abs() < 1e-9, "{}", product.ln());
    }
}
