//! A logistic predictor of satisfaction.

use serde::{Deserialize, Serialize};

use crate::{dot, sigmoid};

/// `ŝ(x) = sigmoid(w·x + b)`, trained online, one head per model.
///
/// Sums run in a fixed order and `exp` comes from a pure-Rust library, so results are the same on every platform.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogisticHead {
    weights: Vec<f64>,
    bias: f64,
    labels: u64,
}

impl LogisticHead {
    /// A head for `dim` features that predicts `prior` (in (0, 1)) everywhere.
    #[must_use]
    pub fn new(dim: usize, prior: f64) -> Self {
        Self { weights: vec![0.0; dim], bias: libm::log(prior / (1.0 - prior)), labels: 0 }
    }

    /// Labels learnt from, less those withdrawn.
    #[must_use]
    pub fn labels(&self) -> u64 {
        self.labels
    }

    /// Predicted satisfaction, in \[0, 1\]. O(dim).
    #[must_use]
    pub fn predict(&self, features: &[f32]) -> f64 {
        sigmoid(dot(&self.weights, features) + self.bias)
    }

    /// One step down the gradient of the logistic loss for a new label `s`: `w ← w + η (s − ŝ) x`.
    pub fn learn(&mut self, features: &[f32], s: f64, rate: f64) {
        self.step(features, rate * (s - self.predict(features)));
        self.labels += 1;
    }

    /// A label changed: the loss gradient is linear in the label, so its step is corrected by the difference.
    pub fn relabel(&mut self, features: &[f32], old: f64, new: f64, rate: f64) {
        self.step(features, rate * (new - old));
    }

    /// A label was withdrawn: one step back along its gradient, at today's prediction.
    pub fn unlearn(&mut self, features: &[f32], s: f64, rate: f64) {
        self.step(features, -rate * (s - self.predict(features)));
        self.labels = self.labels.saturating_sub(1);
    }

    fn step(&mut self, features: &[f32], size: f64) {
        for (weight, &x) in self.weights.iter_mut().zip(features) {
            *weight += size * f64::from(x);
        }
        self.bias += size;
    }
}
