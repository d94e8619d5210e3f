//! A Gaussian belief about the weights of a logistic predictor.

use serde::{Deserialize, Serialize};

/// What is believed of the weights `w` of `a(x) = w·x`: a normal distribution, updated label by label.
///
/// The extended Kalman filter of logistic regression (Spiegelhalter and Lauritzen 1990; Bishop 2006, section 4.5): no learning
/// rate, as the step follows from the uncertainty that is left. Only the lower triangle of the covariance is kept. A mean
/// takes O(d), an update O(d²).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Belief {
    mean: Vec<f64>,
    /// Rows of the lower triangle, one after another.
    covariance: Vec<f64>,
}

impl Belief {
    /// Independent weights with mean 0 and standard deviation `spread`, and a last weight, for the constant 1, with
    /// `bias` and `bias_spread`. `dim` counts without that last one.
    pub(super) fn new(dim: usize, spread: f64, bias: f64, bias_spread: f64) -> Self {
        let size = dim + 1;
        let mut mean = vec![0.0; size];
        mean[dim] = bias;
        let mut covariance = vec![0.0; size * (size + 1) / 2];
        for i in 0..size {
            let spread = if i == dim { bias_spread } else { spread };
            covariance[row(i) + i] = spread * spread;
        }
        Self { mean, covariance }
    }

    /// The mean of a(x).
    pub(super) fn mean(&self, x: &[f64]) -> f64 {
        dot(&self.mean, x)
    }

    /// The variance of a(x) if the weights were independent: an upper figure in most directions, at O(d).
    pub(super) fn rough_variance(&self, squares: &[f64]) -> f64 {
        squares.iter().enumerate().map(|(i, square)| self.covariance[row(i) + i] * square).sum()
    }

    /// Covariance of the weights with a(x), and the variance of a(x). O(d²).
    pub(super) fn spread_along(&self, x: &[f64]) -> (Vec<f64>, f64) {
        let mut along = vec![0.0; x.len()];
        for i in 0..x.len() {
            let line = &self.covariance[row(i)..][..=i];
            let mut sum = line[i] * x[i];
            if i > 0 {
                sum += dot(&line[..i], &x[..i]);
                for (to, c) in along[..i].iter_mut().zip(line) {
                    *to += c * x[i];
                }
            }
            along[i] += sum;
        }
        let variance = dot(&along, x).max(0.0);
        (along, variance)
    }

    /// Moves the mean by `step` and takes `shrink` off the covariance, both in the direction `along`. O(d²).
    pub(super) fn absorb(&mut self, along: &[f64], step: f64, shrink: f64) {
        for (mean, a) in self.mean.iter_mut().zip(along) {
            *mean += step * a;
        }
        if shrink == 0.0 {
            return;
        }
        for i in 0..along.len() {
            let factor = shrink * along[i];
            for (c, a) in self.covariance[row(i)..][..=i].iter_mut().zip(along) {
                *c -= factor * a;
            }
        }
    }

    /// The last weight: its mean and variance.
    pub(super) fn last(&self) -> (f64, f64) {
        let mean = self.mean.last().copied().unwrap_or(0.0);
        (mean, self.covariance.last().copied().unwrap_or(0.0))
    }

    /// Has the last weight be known: 0, whatever the others are.
    pub(super) fn pin_last(&mut self) {
        let last = self.mean.len() - 1;
        self.mean[last] = 0.0;
        self.covariance[row(last)..].fill(0.0);
    }

    /// Lets the last weight wander: its variance grows by `variance`, up to `limit`.
    pub(super) fn drift(&mut self, variance: f64, limit: f64) {
        if let Some(last) = self.covariance.last_mut() {
            *last = (*last + variance).min(limit.max(*last));
        }
    }
}

/// Where row `i` of a lower triangle begins.
fn row(i: usize) -> usize {
    i * (i + 1) / 2
}

/// Eight running sums: the compiler can vectorise them, and their order never changes.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (a, b) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f64 = a.remainder().iter().zip(b.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a.zip(b) {
        for i in 0..8 {
            sums[i] += a[i] * b[i];
        }
    }
    sums.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_gaussian_observation_gives_the_textbook_posterior() {
        // Prior N(0, 4) on one weight and N(1, 1) on the bias; x = (2, 1): variance of a(x) = 4·4 + 1 = 17.
        let mut belief = Belief::new(1, 2.0, 1.0, 1.0);
        let x = [2.0, 1.0];
        let (along, variance) = belief.spread_along(&x);
        assert_eq!((along.as_slice(), variance), ([8.0, 1.0].as_slice(), 17.0));
        assert_eq!(belief.rough_variance(&[4.0, 1.0]), 17.0);
        // A measurement of a(x) with noise variance 3 and value 5: gain = along / 20, innovation = 5 − 1.
        belief.absorb(&along, 4.0 / 20.0, 1.0 / 20.0);
        assert!((belief.mean(&x) - (1.0 + 17.0 * 4.0 / 20.0)).abs() < 1e-12);
        let (_, after) = belief.spread_along(&x);
        assert!((after - 17.0 * 3.0 / 20.0).abs() < 1e-12, "posterior variance 17·3/(17 + 3): {after}");
    }

    #[test]
    fn the_triangle_multiplies_like_the_full_matrix() {
        let mut belief = Belief::new(11, 1.0, 0.0, 1.0);
        let x: Vec<f64> = (0..12).map(|i| (f64::from(i) * 0.7).sin()).collect();
        let y: Vec<f64> = (0..12).map(|i| (f64::from(i) * 1.3).cos()).collect();
        let (along, v) = belief.spread_along(&x);
        belief.absorb(&along, 0.0, 1.0 / (1.0 + v));
        // I − xxᵀ/(1 + x·x), applied to y.
        let (got, _) = belief.spread_along(&y);
        let factor = dot(&x, &y) / (1.0 + v);
        for i in 0..12 {
            assert!((got[i] - (y[i] - factor * x[i])).abs() < 1e-12);
        }
    }
}
