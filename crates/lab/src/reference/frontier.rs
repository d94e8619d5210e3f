//! The full-information reference: what the features could tell if every score of every model were known.

use serde::{Deserialize, Serialize};

use super::Mixture;
use super::logistic::{Design, Folds};
use crate::Dataset;

/// Weights λ of satisfaction against cost: this many per factor of ten, over `DECADES` around the spread of the costs.
const PER_DECADE: usize = 40;
const DECADES: i32 = 6;

/// Satisfaction and cost of `argmin ĉ_m − λ·p̂_m(x)` for ascending λ.
///
/// p̂ is a logistic regression per model on the policies' own features, standardised, L2-penalised, cross-fitted in five folds
/// on the scores of all models, with the penalty that predicts best; ĉ is what a policy can know: list price times mean answer length. Satisfaction and cost are
/// the true ones of the rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Frontier {
    /// (mean satisfaction, mean USD per request), λ ascending from 0 to infinity.
    points: Vec<(f64, f64)>,
    /// The same of always choosing one model, for an α that no λ reaches.
    singles: Vec<(f64, f64)>,
}

impl Frontier {
    /// Cross-fits and walks along λ. O(models · folds · steps · rows · features).
    #[must_use]
    pub fn of(data: &Dataset) -> Self {
        let predictions = cross_fitted(data);
        let costs = predicted_costs(data);
        let models = data.models();
        let spread = costs.iter().copied().fold(0.0, f64::max).max(f64::MIN_POSITIVE);
        let walk = -DECADES * PER_DECADE as i32..=2 * PER_DECADE as i32;
        let lambdas = walk.map(|step| spread * libm::exp10(f64::from(step) / PER_DECADE as f64));
        let n = data.rows() as f64;
        let mut points = Vec::new();
        for lambda in std::iter::once(0.0).chain(lambdas) {
            let (mut satisfaction, mut cost) = (0.0, 0.0);
            for row in 0..data.rows() {
                let at = |model: usize| row * models + model;
                let mut best = 0;
                for model in 1..models {
                    let value = |model: usize| costs[at(model)] - lambda * predictions[at(model)];
                    if value(model) < value(best) {
                        best = model;
                    }
                }
                satisfaction += data.score(row, best);
                cost += data.cost(row, best);
            }
            points.push((satisfaction / n, cost / n));
        }
        let singles = (0..models).map(|model| data.means(model)).collect();
        Self { points, singles }
    }

    /// Mean USD per request at exactly α: randomised between the two neighbouring λ whose satisfactions enclose α, the cheaper
    /// pair where there are several. Where none do, the cheapest mixture of any λ and any single models; `None` if not even
    /// those reach α.
    #[must_use]
    pub fn cost(&self, alpha: f64) -> Option<f64> {
        let between = |pair: &[(f64, f64)]| {
            let ((s0, c0), (s1, c1)) = (pair[0], pair[1]);
            let (low, high) = (s0.min(s1), s0.max(s1));
            (low < alpha && alpha <= high).then(|| c0 + (c1 - c0) * (alpha - s0) / (s1 - s0))
        };
        let first = self.points.first().filter(|point| point.0 >= alpha).map(|point| point.1);
        let enclosed = self.points.windows(2).filter_map(between).chain(first).reduce(f64::min);
        enclosed.or_else(|| {
            let all: Vec<_> = self.points.iter().chain(&self.singles).copied().collect();
            let mixture = Mixture::cheapest(&all, alpha);
            mixture.feasible.then_some(mixture.cost)
        })
    }
}

/// Out-of-fold predictions, per row, per model.
fn cross_fitted(data: &Dataset) -> Vec<f64> {
    let (rows, models) = (data.rows(), data.models());
    let design = Design::new(data.dim(), (0..rows).map(|row| data.features(row)));
    let folds = Folds::new(&design);
    let mut all = vec![0.0; rows * models];
    for model in 0..models {
        let fitted = folds.cross_fit(|row| data.score(row, model));
        fitted.predictions.iter().enumerate().for_each(|(row, &p)| all[row * models + model] = p);
    }
    all
}

/// List price times mean answer length, per row, per model.
fn predicted_costs(data: &Dataset) -> Vec<f64> {
    let lengths: Vec<f64> = (0..data.models())
        .map(|model| {
            let known: Vec<f64> = (0..data.rows()).filter_map(|row| data.output_tokens(row, model)).collect();
            known.iter().sum::<f64>() / known.len().max(1) as f64
        })
        .collect();
    let cost = |row| {
        let input = data.input_tokens(row);
        data.zoo.models().iter().zip(&lengths).map(move |(model, &length)| model.price.cost(input, length))
    };
    (0..data.rows()).flat_map(cost).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frontier(points: &[(f64, f64)]) -> Frontier {
        Frontier { points: points.to_vec(), singles: vec![(0.5, 1.0), (0.9, 10.0)] }
    }

    #[test]
    fn alpha_is_hit_between_neighbours() {
        let found = frontier(&[(0.5, 1.0), (0.7, 3.0), (0.8, 7.0)]);
        let close = |alpha, wanted: f64| assert!((found.cost(alpha).unwrap() - wanted).abs() < 1e-12);
        close(0.6, 2.0);
        close(0.75, 5.0);
        close(0.8, 7.0);
        close(0.4, 1.0);
        // Beyond the last λ: three quarters of the best single model and a quarter of the λ before the last.
        close(0.85, 8.25);
        assert_eq!(found.cost(0.95), None);
    }

    #[test]
    fn of_two_crossings_the_cheaper_counts() {
        let found = frontier(&[(0.5, 1.0), (0.7, 5.0), (0.55, 2.0), (0.75, 4.0)]);
        assert!((found.cost(0.6).unwrap() - 2.5).abs() < 1e-12);
    }
}
