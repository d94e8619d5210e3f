//! What is possible: yardsticks that know more than any policy may.

mod frontier;
pub(crate) mod logistic;
mod mixture;

use serde::Serialize;

use crate::Dataset;

pub use frontier::Frontier;
pub use mixture::Mixture;

/// From here on an answer satisfies, for the oracle on graded scores.
const SATISFIES: f64 = 0.5;

/// The yardsticks of a data set at one α.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct References {
    /// USD per request of the cheapest fixed mixture that reaches α.
    pub mixture_cost: f64,
    /// Whether any mixture reaches α.
    pub feasible: bool,
    /// USD per request of taking, prompt by prompt, the cheapest model that satisfies, else the cheapest.
    pub oracle_cost: f64,
    /// Its mean satisfaction. No policy can reach it: it profits from every lucky guess.
    pub oracle_satisfaction: f64,
}

impl References {
    /// The yardsticks of `data` at `alpha`.
    #[must_use]
    pub fn of(data: &Dataset, alpha: f64) -> Self {
        let means: Vec<_> = (0..data.models()).map(|model| data.means(model)).collect();
        let mixture = Mixture::cheapest(&means, alpha);
        let (mut cost, mut satisfaction) = (0.0, 0.0);
        for row in 0..data.rows() {
            let cheaper = |a: &usize, b: &usize| data.cost(row, *a).total_cmp(&data.cost(row, *b));
            let satisfying = (0..data.models()).filter(|&model| data.score(row, model) >= SATISFIES).min_by(cheaper);
            let chosen = satisfying.or_else(|| (0..data.models()).min_by(cheaper)).unwrap_or(0);
            cost += data.cost(row, chosen);
            satisfaction += data.score(row, chosen);
        }
        let n = data.rows() as f64;
        Self {
            mixture_cost: mixture.cost,
            feasible: mixture.feasible,
            oracle_cost: cost / n,
            oracle_satisfaction: satisfaction / n,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_worked_example() {
        let models = [(0.5, 1.0), (0.6, 5.0), (0.9, 9.0)];
        let found = Mixture::cheapest(&models, 0.7);
        assert!((found.cost - 5.0).abs() < 1e-12 && found.satisfaction == 0.7, "half of each end: {found:?}");
        assert_eq!(Mixture::cheapest(&models, 0.95), Mixture { satisfaction: 0.9, cost: 9.0, feasible: false });
        assert_eq!(Mixture::cheapest(&models, 0.0).cost, 1.0);
    }

    proptest! {
        #[test]
        fn no_mixture_of_three_is_cheaper(
            models in prop::collection::vec((0.0..1.0_f64, 0.0..10.0_f64), 3),
            alpha in 0.0..1.0_f64,
        ) {
            let found = Mixture::cheapest(&models, alpha);
            for i in 0..=40 {
                for j in 0..=40 - i {
                    let shares = [f64::from(i) / 40.0, f64::from(j) / 40.0, f64::from(40 - i - j) / 40.0];
                    let mean = |value: &dyn Fn(&(f64, f64)) -> f64| {
                        models.iter().zip(shares).map(|(model, share)| share * value(model)).sum::<f64>()
                    };
                    if mean(&|m| m.0) >= alpha {
                        prop_assert!(found.feasible);
                        prop_assert!(found.cost <= mean(&|m| m.1) + 1e-9);
                    }
                }
            }
        }
    }
}
