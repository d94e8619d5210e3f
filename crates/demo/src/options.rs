//! How a demo is to run.

use std::path::PathBuf;

/// How the demo runs.
#[derive(Clone, Debug)]
pub struct DemoOptions {
    /// Stop after so many requests; `None` runs until the viewer stops it.
    pub requests: Option<u64>,
    /// Seed of the world and of the gateway's draws.
    pub seed: u64,
    /// Requests per second.
    pub rate: f64,
    /// Share of the answers that users rate.
    pub feedback_rate: f64,
    /// The satisfaction target.
    pub alpha: f64,
    /// Folder for the database; `None` takes one that is removed at the end.
    pub data: Option<PathBuf>,
}
