//! Figures of rounds, and of all rounds together.

use serde::Serialize;

use crate::load::{Sample, Streams};

/// One round of one gateway under one load; times in milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Round {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) per_second: f64,
    pub(crate) requests: usize,
    pub(crate) errors: u64,
    pub(crate) ratings: u64,
}

/// One round of streams; times in milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct StreamRound {
    pub(crate) first_p50: f64,
    pub(crate) first_p99: f64,
    pub(crate) gap_p50: f64,
    pub(crate) gap_p99: f64,
    pub(crate) streams: usize,
    pub(crate) errors: u64,
}

impl From<Sample> for Round {
    fn from(mut sample: Sample) -> Self {
        sample.latencies.sort_unstable();
        Self {
            p50: at(&sample.latencies, 0.5),
            p99: at(&sample.latencies, 0.99),
            per_second: sample.latencies.len() as f64 / sample.seconds,
            requests: sample.latencies.len(),
            errors: sample.errors,
            ratings: sample.ratings,
        }
    }
}

impl From<Streams> for StreamRound {
    fn from(mut streams: Streams) -> Self {
        streams.first.sort_unstable();
        streams.gaps.sort_unstable();
        Self {
            first_p50: at(&streams.first, 0.5),
            first_p99: at(&streams.first, 0.99),
            gap_p50: at(&streams.gaps, 0.5),
            gap_p99: at(&streams.gaps, 0.99),
            streams: streams.first.len(),
            errors: streams.errors,
        }
    }
}

/// The median; NaN of nothing.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_unstable_by(f64::total_cmp);
    match (values.len(), values.len() / 2) {
        (0, _) => f64::NAN,
        (length, half) if length % 2 == 1 => values[half],
        (_, half) => (values[half - 1] + values[half]) / 2.0,
    }
}

/// Milliseconds at this share of sorted nanoseconds: the smallest time that so many do not exceed.
fn at(sorted: &[u64], share: f64) -> f64 {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).map_or(f64::NAN, |nanos| *nanos as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_and_medians() {
        let hundred: Vec<u64> = (1..=100).map(|ms| ms * 1_000_000).collect();
        assert_eq!((at(&hundred, 0.5), at(&hundred, 0.99), at(&hundred, 1.0)), (50.0, 99.0, 100.0));
        assert_eq!((at(&[7_000_000], 0.5), at(&[7_000_000], 0.99)), (7.0, 7.0));
        assert!(at(&[], 0.5).is_nan() && median([]).is_nan());
        assert_eq!((median([3.0, 1.0, 2.0]), median([4.0, 1.0])), (2.0, 2.5));
    }
}
