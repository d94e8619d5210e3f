//! How far off the predictions have been of late.

use serde::{Deserialize, Serialize};

/// Over how many labels a mean residual forgets, and how many labels' worth of belief there is that the predictions are right.
#[derive(Clone, Copy)]
pub(super) struct Memory {
    pub(super) labels: f64,
    pub(super) trust: f64,
}

/// Exponentially weighted mean residual of recent labels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Residual {
    weight: f64,
    sum: f64,
}

impl Residual {
    pub(super) fn add(&mut self, memory: Memory, residual: f64) {
        let keep = 1.0 - 1.0 / memory.labels;
        self.weight = self.weight * keep + 1.0;
        self.sum = self.sum * keep + residual;
    }

    pub(super) fn mean(self, memory: Memory) -> f64 {
        self.sum / (self.weight + memory.trust)
    }

    /// Whether there has been no label.
    pub(super) fn is_empty(self) -> bool {
        self.weight <= 0.0
    }
}
