//! Logistic regression on all labels, for references and for baselines that are trained once.

use slarouter_core::{dot, sigmoid};

/// Steps of one fit at most. The bound below converges linearly, in some dozens of steps on standardised features.
const STEPS: usize = 200;

/// A fit has converged when the decrease that the next step promises is below this share of the number of rows.
const TOLERANCE: f64 = 1e-6;

/// Standardised features with a column of ones in front, row after row.
#[derive(Clone, Debug)]
pub(crate) struct Design {
    width: usize,
    values: Vec<f64>,
    /// Per feature: mean and one over the standard deviation, 0 for a constant feature.
    scale: Vec<(f64, f64)>,
}

/// A design cut into folds, factorised for every penalty tried.
pub(crate) struct Folds<'a> {
    design: &'a Design,
    rows: usize,
    /// Per penalty, per fold: the bound on the rows outside it.
    bounds: Vec<Vec<Bound>>,
    /// Per fold: the rows outside it.
    train: Vec<Vec<usize>>,
    whole: Gram,
}

/// A model's predictions on rows that its weights had not seen.
pub(crate) struct CrossFit {
    pub(crate) predictions: Vec<f64>,
    /// The penalty with the least out-of-fold loss.
    pub(crate) l2: f64,
}

/// XᵀX over a set of rows.
#[derive(Clone, Debug)]
struct Gram {
    width: usize,
    /// Lower triangle, row after row at full width.
    values: Vec<f64>,
}

/// The Cholesky factor of XᵀX/4 + λI: Böhning's bound on every logistic Hessian on these rows.
///
/// It is factorised once for all models and steps, and every step with it lowers the loss, so no line search is needed.
/// Source: Böhning and Lindsay, "Monotonicity of quadratic-approximation algorithms", 1988.
#[derive(Clone, Debug)]
struct Bound {
    width: usize,
    lower: Vec<f64>,
    l2: f64,
}

/// Folds of a cross-fit. Row i is in fold i mod 5.
const FOLDS: usize = 5;

/// Penalties tried, the strongest first; each starts from the weights of the one before.
const PENALTIES: [f64; 4] = [300.0, 50.0, 8.0, 1.0];

// === impl Design ===

impl Design {
    /// Standardises the feature vectors of `rows`.
    pub(crate) fn new<'a>(dim: usize, rows: impl Iterator<Item = &'a [f32]> + Clone) -> Self {
        let mut scale = vec![(0.0, 0.0); dim];
        let mut n = 0.0;
        for row in rows.clone() {
            n += 1.0;
            for ((sum, squares), &x) in scale.iter_mut().zip(row) {
                *sum += f64::from(x);
                *squares += f64::from(x) * f64::from(x);
            }
        }
        for (mean, inverse) in &mut scale {
            *mean /= n;
            let variance = *inverse / n - *mean * *mean;
            *inverse = if variance > 1e-12 { 1.0 / variance.sqrt() } else { 0.0 };
        }
        let mut design = Self { width: dim + 1, values: Vec::new(), scale };
        let mut values = Vec::new();
        for row in rows {
            let start = values.len();
            values.resize(start + dim + 1, 0.0);
            design.standardise(row, &mut values[start..]);
        }
        design.values = values;
        design
    }

    /// The standardised form of any feature vector, with the 1 in front.
    pub(crate) fn standardise(&self, features: &[f32], out: &mut [f64]) {
        out[0] = 1.0;
        for ((to, &x), (mean, inverse)) in out[1..].iter_mut().zip(features).zip(&self.scale) {
            *to = (f64::from(x) - mean) * inverse;
        }
    }

    pub(crate) fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.width..(row + 1) * self.width]
    }

    /// XᵀX over `rows`. O(rows · width²).
    fn gram(&self, rows: impl Iterator<Item = usize>) -> Gram {
        let mut gram = Gram { width: self.width, values: vec![0.0; self.width * self.width] };
        for row in rows {
            let x = self.row(row);
            for (i, &xi) in x.iter().enumerate() {
                for (to, &xj) in gram.values[i * self.width..].iter_mut().zip(&x[..=i]) {
                    *to += xi * xj;
                }
            }
        }
        gram
    }

    /// Lowers the L2-penalised logistic loss of `labels` (in \[0, 1\]) over `rows`, starting from `weights`. The intercept is not
    /// penalised. O(steps · rows · width).
    fn fit(&self, rows: &[usize], labels: impl Fn(usize) -> f64, bound: &Bound, weights: &mut [f64]) {
        let mut gradient = vec![0.0; self.width];
        for _ in 0..STEPS {
            for (i, (g, w)) in gradient.iter_mut().zip(&*weights).enumerate() {
                *g = if i == 0 { 0.0 } else { bound.l2 * w };
            }
            for &row in rows {
                let x = self.row(row);
                let error = sigmoid(dot(weights, x)) - labels(row);
                for (g, x) in gradient.iter_mut().zip(x) {
                    *g += error * x;
                }
            }
            let step = bound.solve(&gradient);
            let promised: f64 = step.iter().zip(&gradient).map(|(s, g)| s * g).sum();
            for (w, s) in weights.iter_mut().zip(step) {
                *w -= s;
            }
            if promised < TOLERANCE * rows.len() as f64 {
                break;
            }
        }
    }
}

// === impl Folds ===

impl<'a> Folds<'a> {
    pub(crate) fn new(design: &'a Design) -> Self {
        let rows = design.values.len() / design.width;
        let grams: Vec<Gram> = (0..FOLDS).map(|fold| design.gram((fold..rows).step_by(FOLDS))).collect();
        let without = |fold: usize| {
            let others = grams.iter().enumerate().filter(|(other, _)| *other != fold).map(|(_, gram)| gram);
            Gram::sum(others, design.width)
        };
        let without: Vec<Gram> = (0..FOLDS).map(without).collect();
        let bounds = PENALTIES.iter().map(|&l2| without.iter().map(|gram| gram.bound(l2)).collect()).collect();
        let train = (0..FOLDS).map(|fold| (0..rows).filter(|row| row % FOLDS != fold).collect()).collect();
        Self { design, rows, bounds, train, whole: Gram::sum(grams.iter(), design.width) }
    }

    /// Predicts every row from the rows outside its fold, at the penalty that does it best.
    pub(crate) fn cross_fit(&self, labels: impl Fn(usize) -> f64) -> CrossFit {
        let mut weights = vec![vec![0.0; self.design.width]; FOLDS];
        let mut best = CrossFit { predictions: vec![0.5; self.rows], l2: PENALTIES[0] };
        let mut least = f64::INFINITY;
        let mut tried = vec![0.5; self.rows];
        for (l2, bounds) in PENALTIES.into_iter().zip(&self.bounds) {
            for (fold, (bound, weights)) in bounds.iter().zip(&mut weights).enumerate() {
                self.design.fit(&self.train[fold], &labels, bound, weights);
                for row in (fold..self.rows).step_by(FOLDS) {
                    tried[row] = sigmoid(dot(weights, self.design.row(row)));
                }
            }
            let loss = tried.iter().enumerate().map(|(row, &p)| log_loss(labels(row), p)).sum();
            if loss < least {
                least = loss;
                best.l2 = l2;
                best.predictions.copy_from_slice(&tried);
            }
        }
        best
    }

    /// The weights of all rows together.
    pub(crate) fn fit(&self, labels: impl Fn(usize) -> f64, l2: f64) -> Vec<f64> {
        let rows: Vec<usize> = (0..self.rows).collect();
        let mut weights = vec![0.0; self.design.width];
        self.design.fit(&rows, labels, &self.whole.bound(l2), &mut weights);
        weights
    }

    /// Ridge regression of `values` on all rows.
    pub(crate) fn ridge(&self, values: impl Fn(usize) -> f64, l2: f64) -> Vec<f64> {
        let mut right = vec![0.0; self.design.width];
        for row in 0..self.rows {
            let value = values(row) / 4.0;
            right.iter_mut().zip(self.design.row(row)).for_each(|(to, x)| *to += value * x);
        }
        // The bound has a quarter of XᵀX: a quarter of everything gives the same weights.
        self.whole.bound(l2 / 4.0).solve(&right)
    }
}

fn log_loss(score: f64, p: f64) -> f64 {
    let p = p.clamp(1e-9, 1.0 - 1e-9);
    -(score * libm::log(p) + (1.0 - score) * libm::log(1.0 - p))
}

// === impl Gram ===

impl Gram {
    fn sum<'a>(grams: impl Iterator<Item = &'a Self>, width: usize) -> Self {
        let mut total = Self { width, values: vec![0.0; width * width] };
        for gram in grams {
            for (to, value) in total.values.iter_mut().zip(&gram.values) {
                *to += value;
            }
        }
        total
    }

    /// Factorises XᵀX/4 + λI. O(width³).
    fn bound(&self, l2: f64) -> Bound {
        let n = self.width;
        let mut lower = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..=i {
                let mut value = self.values[i * n + j] / 4.0;
                if i == j {
                    // A sliver on the intercept keeps the factor defined without rows.
                    value += if i == 0 { 1e-9 } else { l2 };
                }
                value -= dot(&lower[i * n..i * n + j], &lower[j * n..j * n + j]);
                lower[i * n + j] = if i == j { value.max(1e-12).sqrt() } else { value / lower[j * n + j] };
            }
        }
        Bound { width: n, lower, l2 }
    }
}

// === impl Bound ===

impl Bound {
    fn solve(&self, right: &[f64]) -> Vec<f64> {
        let n = self.width;
        let mut x = right.to_vec();
        for i in 0..n {
            x[i] = (x[i] - dot(&self.lower[i * n..i * n + i], &x[..i])) / self.lower[i * n + i];
        }
        for i in (0..n).rev() {
            x[i] /= self.lower[i * n + i];
            let (above, xi) = (&self.lower[i * n..i * n + i], x[i]);
            for (to, l) in x.iter_mut().zip(above) {
                *to -= l * xi;
            }
        }
        x
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fit_is_where_the_gradient_vanishes() {
        let rows: Vec<[f32; 2]> = (0..50).map(|i| [(i % 7) as f32, (i * i % 11) as f32]).collect();
        let label = |row: usize| f64::from(u8::from(row.is_multiple_of(3) || rows[row][0] > 4.0));
        let design = Design::new(2, rows.iter().map(|row| &row[..]));
        let folds = Folds::new(&design);
        let weights = folds.fit(label, 2.0);
        for i in 0..3 {
            let loss: f64 =
                (0..50).map(|row| (sigmoid(dot(&weights, design.row(row))) - label(row)) * design.row(row)[i]).sum();
            let gradient = loss + if i == 0 { 0.0 } else { 2.0 * weights[i] };
            // The stopping rule leaves a decrease below 5e-5, so a gradient below about sqrt(2 · 5e-5 · 50/4).
            assert!(gradient.abs() < 0.04, "gradient {i}: {gradient}");
        }
    }

    #[test]
    fn ridge_by_hand() {
        // Standardised x = ∓1, y = 1 and 5: the mean is 3, the slope 2·2/(2 + λ).
        let rows = [[0.0_f32], [1.0]];
        let design = Design::new(1, rows.iter().map(|row| &row[..]));
        let weights = Folds::new(&design).ridge(|row| if row == 0 { 1.0 } else { 5.0 }, 2.0);
        assert!((weights[0] - 3.0).abs() < 1e-6 && (weights[1] - 1.0).abs() < 1e-6, "{weights:?}");
    }

    #[test]
    fn cross_fits_do_not_see_their_own_labels() {
        // A constant feature: each prediction is the mean label outside its fold.
        let design = Design::new(1, (0..40).map(|_| &[1.0_f32][..]));
        let label = |row: usize| f64::from(u8::from(row.is_multiple_of(5) || row.is_multiple_of(2)));
        let predictions = Folds::new(&design).cross_fit(label).predictions;
        let close = |got: f64, wanted: f64| assert!((got - wanted).abs() < 0.005, "{got} is not {wanted}");
        close(predictions[0], 16.0 / 32.0);
        close(predictions[1], (8.0 + 12.0) / 32.0);
    }
}
