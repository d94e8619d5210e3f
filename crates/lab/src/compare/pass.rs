//! What came of one run.

use serde::{Deserialize, Serialize};

/// What came of one run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pass {
    /// Its seed.
    pub seed: u64,
    /// Mean true satisfaction with the answers given, seen or not.
    pub satisfaction: f64,
    /// Mean USD per request, everything that was asked included.
    pub cost: f64,
    /// Mean USD per request spent on explored requests.
    pub explored_cost: f64,
    /// Requests that were explored.
    pub explored: u64,
    /// Scores seen.
    pub labels: u64,
    /// Whether the running mean never fell below α − 0.02 from 20 % of the run on.
    pub kept_always: bool,
    /// Times at which there was a certificate to check.
    pub looks: u64,
    /// Times at which its lower bound was at most the true mean so far.
    pub covered: u64,
}
