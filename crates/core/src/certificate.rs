//! What can be promised of the satisfaction so far.

use serde::{Deserialize, Serialize};

/// A confidence interval for the mean satisfaction since the start of the window, valid at every time at once.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Certificate {
    /// Answers that it speaks of.
    pub requests: u64,
    /// Labels that it rests on.
    pub labels: u64,
    /// Estimated mean satisfaction.
    pub estimate: f64,
    /// Lower bound at the configured assurance, in \[0, 1\].
    pub lower: f64,
    /// Upper bound at the same assurance, in \[0, 1\].
    pub upper: f64,
}
