//! Sums over labels that can be taken back exactly.

use serde::{Deserialize, Serialize};

/// One in fixed point. Integers add in any order to the same sum, so a label that is withdrawn leaves nothing behind. Squares
/// of residuals have twice the digits; 2³¹ labels fit.
const ONE: i64 = 1 << 16;

/// Classes of |y| that squares are kept apart by: (0, ¼], (¼, ½], (½, ¾], (¾, 1].
pub(super) const CLASSES: usize = 4;

/// Sufficient statistics of labelled answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Sums {
    pub(super) labels: i64,
    satisfied: i64,
    residual: i64,
    /// Σ y² of negative residuals by class of |y|, then of positive ones.
    squares: [[i64; CLASSES]; 2],
}

/// A satisfaction in fixed point; NaN counts as 0.
pub(super) fn to_fixed(value: f64) -> i64 {
    libm::round(value.clamp(0.0, 1.0) * ONE as f64) as i64
}

pub(super) fn from_fixed(value: i64) -> f64 {
    value as f64 / ONE as f64
}

impl Sums {
    pub(super) fn change(&mut self, predicted: f64, old: Option<f64>, new: Option<f64>) {
        for (label, sign) in [(old, -1), (new, 1)] {
            if let Some(label) = label {
                let satisfied = to_fixed(label);
                let residual = satisfied - to_fixed(predicted);
                self.labels += sign;
                self.satisfied += sign * satisfied;
                self.residual += sign * residual;
                if residual != 0 {
                    let class = (residual.abs() * CLASSES as i64 - 1) / ONE;
                    self.squares[usize::from(residual > 0)][class as usize] += sign * residual * residual;
                }
            }
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.labels += other.labels;
        self.satisfied += other.satisfied;
        self.residual += other.residual;
        for (mine, theirs) in self.squares.iter_mut().flatten().zip(other.squares.iter().flatten()) {
            *mine += theirs;
        }
    }

    /// Σ s.
    pub(super) fn satisfied(&self) -> f64 {
        from_fixed(self.satisfied)
    }

    /// Σ y.
    pub(super) fn residual(&self) -> f64 {
        from_fixed(self.residual)
    }

    /// Σ y².
    pub(super) fn squared_residual(&self) -> f64 {
        self.squares.iter().flatten().sum::<i64>() as f64 / (ONE * ONE) as f64
    }

    /// Σ y² by class of |y|, of the positive or the negative residuals.
    pub(super) fn squares(&self, positive: bool) -> [f64; CLASSES] {
        self.squares[usize::from(positive)].map(|sum| sum as f64 / (ONE * ONE) as f64)
    }
}
