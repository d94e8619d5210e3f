//! The full-information reference: what the features could tell if every score of every model were known.

use serde::{Deserialize, Serialize};
use slarouter_text::DIM;

use super::Mixture;
use super::logistic::{Design, Gram, dot, sigmoid};
use crate::Dataset;

/// Folds of the cross-fit.
const FOLDS: usize = 5;

/// Penalties tried per model, the strongest first; each starts from the one before. The best by out-of-fold loss is taken: a
/// reference may know that.
const PENALTIES: [f64; 4] = [300.0, 50.0, 8.0, 1.0];

/// Weights λ of satisfaction against cost: this many per factor of ten, over `DECADES` around the spread of the costs.
const PER_DECADE: usize = 40;
const DECADES: i32 = 6;

/// Satisfaction and cost of `argmin ĉ_m − λ·p̂_m(x)` for ascending λ.
///
/// p̂ is a logistic regression per model on the policies' own features, standardised, L2-penalised, cross-fitted in five folds
/// on the scores of all models; ĉ is what a policy can know: list price times mean answer length. Satisfaction and cost are
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
    let design = Design::new(DIM, (0..rows).map(|row| data.features(row)));
    let grams: Vec<Gram> = (0..FOLDS).map(|fold| design.gram((fold..rows).step_by(FOLDS))).collect();
    let mut best: Vec<f64> = vec![0.0; rows * models];
    let mut losses = vec![f64::INFINITY; models];
    let mut weights = vec![vec![0.0; design.width()]; models * FOLDS];
    let mut tried = vec![0.0; rows];
    for l2 in PENALTIES {
        let bounds: Vec<_> = (0..FOLDS)
            .map(|fold| {
                let others = grams.iter().enumerate().filter(|(other, _)| *other != fold).map(|(_, gram)| gram);
                Gram::sum(others, design.width()).bound(l2)
            })
            .collect();
        for model in 0..models {
            for (fold, bound) in bounds.iter().enumerate() {
                let train: Vec<usize> = (0..rows).filter(|row| row % FOLDS != fold).collect();
                let weights = &mut weights[model * FOLDS + fold];
                design.fit(&train, |row| data.score(row, model), bound, weights);
                for row in (fold..rows).step_by(FOLDS) {
                    tried[row] = sigmoid(dot(weights, design.row(row)));
                }
            }
            let loss = tried.iter().enumerate().map(|(row, &p)| log_loss(data.score(row, model), p)).sum();
            if loss < losses[model] {
                losses[model] = loss;
                tried.iter().enumerate().for_each(|(row, &p)| best[row * models + model] = p);
            }
        }
    }
    best
}

fn log_loss(score: f64, p: f64) -> f64 {
    let p = p.clamp(1e-9, 1.0 - 1e-9);
    -(score * libm::log(p) + (1.0 - score) * libm::log(1.0 - p))
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
