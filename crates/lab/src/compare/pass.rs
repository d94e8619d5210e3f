//! What came of one run.

use serde::{Deserialize, Serialize};

use crate::WindowRun;

/// What came of one run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pass {
    /// Its seed.
    pub seed: u64,
    /// Mean true satisfaction with the answers given, seen or not.
    pub satisfaction: f64,
    /// Mean USD per request, everything that was asked included.
    pub cost: f64,
    /// Its windows; without windows the run is the only one.
    pub windows: Vec<WindowRun>,
    /// The lowest mean satisfaction of 3,000 consecutive requests after the first window, where there are as many.
    pub lowest_stretch: Option<f64>,
    /// Mean USD per request spent on explored requests.
    pub explored_cost: f64,
    /// Requests that were explored.
    pub explored: u64,
    /// Scores seen.
    pub labels: u64,
    /// Whether the running mean never fell below α − 0.02 from 20 % of a window on.
    pub kept_always: bool,
    /// Times at which there was a certificate to check.
    pub looks: u64,
    /// Times at which its lower bound was at most the true mean of the window so far.
    pub covered: u64,
}
