//! How a demo is to run.

use std::path::PathBuf;

/// How the demo runs.
#[derive(Clone, Debug)]
pub struct DemoOptions {
    /// Stop after so many requests; `None` runs until the viewer stops it.
    pub requests: Option<u64>,
    /// Decides everything: the world, the users, the gateway's ids and draws. The same seed gives the same
    /// [`Summary`](crate::Summary) again.
    pub seed: u64,
    /// Requests per second of simulated time, to which the live view keeps.
    pub rate: f64,
    /// Share of the answers that users rate.
    pub feedback_rate: f64,
    /// The satisfaction target.
    pub alpha: f64,
    /// Folder for the database; `None` takes one that is removed at the end.
    pub data: Option<PathBuf>,
}

impl Default for DemoOptions {
    fn default() -> Self {
        Self { requests: None, seed: 0, rate: 80.0, feedback_rate: 0.1, alpha: 0.9, data: None }
    }
}
