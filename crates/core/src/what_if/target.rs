//! Policies that a log can evaluate: what they would have drawn follows from what was logged before anything was drawn.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::Candidate;

/// What is to be evaluated, as a rule on the row of a decision. None of them reads a label: predictions are those that were logged.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// What ran: the probabilities that were drawn by.
    Ran,
    /// The least `cost − λ satisfaction` at this price λ, in USD per satisfied answer, by the predictions of the moment.
    AtPrice(f64),
    /// Always this model.
    Always(Arc<str>),
    /// Any model with the same probability.
    Random,
    /// What ran, with this model's share going to the best of the others in the ranking of the moment.
    Without(Arc<str>),
    /// What ran, if this model had been predicted to cost so many USD more: where another one ranks first then, it takes over the share of the
    /// one that did.
    Repriced(Arc<str>, f64),
}

impl Target {
    /// With which probability each candidate would have been drawn. Models that could not be chosen then (all of them, if none could) are not
    /// chosen here; a model that is not there, or could not be chosen, is replaced by the most expensive one.
    #[must_use]
    pub fn probabilities(&self, candidates: &[Candidate]) -> Vec<f64> {
        let mut probabilities = vec![0.0; candidates.len()];
        let none = candidates.iter().all(|candidate| candidate.excluded);
        let open: Vec<usize> = (0..candidates.len()).filter(|&place| none || !candidates[place].excluded).collect();
        let least = |score: &dyn Fn(usize) -> f64| {
            let rank = |place: usize| (score(place), candidates[place].cost);
            open.iter().copied().min_by(|&a, &b| rank(a).partial_cmp(&rank(b)).unwrap_or(Ordering::Equal))
        };
        let place_of = |model: &str| open.iter().copied().find(|&place| &*candidates[place].model == model);
        let chosen = match self {
            Self::Ran => {
                return candidates.iter().map(|candidate| candidate.probability).collect();
            }
            Self::Random => {
                open.iter().for_each(|&place| probabilities[place] = 1.0 / open.len() as f64);
                return probabilities;
            }
            Self::Without(model) => {
                let first = candidates.iter().position(|candidate| candidate.model == *model);
                let next = least(&|place| if Some(place) == first { f64::INFINITY } else { candidates[place].score });
                return moved(candidates, first, next);
            }
            Self::Repriced(model, more) => {
                let score = |place: usize| {
                    let candidate = &candidates[place];
                    candidate.score + if candidate.model == *model { *more } else { 0.0 }
                };
                return moved(candidates, least(&|place| candidates[place].score), least(&score));
            }
            Self::AtPrice(price) => least(&|place| candidates[place].cost - price * candidates[place].satisfaction),
            Self::Always(model) => place_of(model).or_else(|| least(&|place| -candidates[place].cost)),
        };
        if let Some(chosen) = chosen {
            probabilities[chosen] = 1.0;
        }
        probabilities
    }
}

/// What ran, with the share of `from` going to `to`.
fn moved(candidates: &[Candidate], from: Option<usize>, to: Option<usize>) -> Vec<f64> {
    let mut probabilities: Vec<f64> = candidates.iter().map(|candidate| candidate.probability).collect();
    if let (Some(from), Some(to)) = (from, to) {
        let share = std::mem::take(&mut probabilities[from]);
        probabilities[to] += share;
    }
    probabilities
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates() -> Vec<Candidate> {
        let candidate = |model: &str, probability: f64, satisfaction: f64, cost: f64, score: f64| Candidate {
            model: model.into(),
            probability,
            satisfaction,
            cost,
            score,
            ..Candidate::default()
        };
        vec![
            candidate("small", 0.7, 0.6, 1.0, -2.0),
            candidate("middle", 0.1, 0.75, 2.0, -1.75),
            candidate("large", 0.2, 0.875, 4.0, -0.375),
        ]
    }

    #[test]
    fn each_target_is_a_rule_on_the_row() {
        let rows = candidates();
        for (target, expected) in [
            (Target::Ran, [0.7, 0.1, 0.2]),
            (Target::AtPrice(0.0), [1.0, 0.0, 0.0]),
            // 1 − 0.6 λ meets 2 − 0.75 λ at 6⅔, and that meets 4 − 0.875 λ at 16.
            (Target::AtPrice(10.0), [0.0, 1.0, 0.0]),
            (Target::AtPrice(17.0), [0.0, 0.0, 1.0]),
            (Target::Always("middle".into()), [0.0, 1.0, 0.0]),
            (Target::Always("none".into()), [0.0, 0.0, 1.0]),
            (Target::Without("small".into()), [0.0, 0.1 + 0.7, 0.2]),
            (Target::Without("large".into()), [0.7 + 0.2, 0.1, 0.0]),
            (Target::Without("none".into()), [0.7, 0.1, 0.2]),
            (Target::Repriced("small".into(), 0.1), [0.7, 0.1, 0.2]),
            (Target::Repriced("small".into(), 0.5), [0.0, 0.1 + 0.7, 0.2]),
            (Target::Repriced("large".into(), -2.0), [0.0, 0.1, 0.2 + 0.7]),
        ] {
            assert_eq!(target.probabilities(&rows), expected, "{target:?}");
        }
    }

    #[test]
    fn what_could_not_be_chosen_is_not() {
        let mut rows = candidates();
        rows[0].excluded = true;
        assert_eq!(Target::AtPrice(0.0).probabilities(&rows), [0.0, 1.0, 0.0]);
        assert_eq!(Target::Always("small".into()).probabilities(&rows), [0.0, 0.0, 1.0]);
        assert_eq!(Target::Random.probabilities(&rows), [0.0, 0.5, 0.5]);
        rows.iter_mut().for_each(|candidate| candidate.excluded = true);
        assert_eq!(Target::AtPrice(0.0).probabilities(&rows), [1.0, 0.0, 0.0]);
        assert_eq!(Target::Random.probabilities(&[]), Vec::<f64>::new());
    }
}
