//! How often an interval that holds with probability 0.95 may be left.

/// Runs of a simulation, unless `CERTIFICATE_RUNS` says otherwise.
pub(crate) fn number_of_runs(usual: u64) -> u64 {
    std::env::var("CERTIFICATE_RUNS").map_or(usual, |runs| runs.parse().unwrap())
}

/// Six standard deviations of a binomial law beyond its mean: 18 of 100.
pub(crate) fn most_misses(runs: u64) -> usize {
    (0.05 * runs as f64 + 6.0 * (0.05 * 0.95 * runs as f64).sqrt()) as usize
}
