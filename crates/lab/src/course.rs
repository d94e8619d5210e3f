//! The requests of a run in their order, and who sees which score.

use std::fmt;

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use serde::{Deserialize, Serialize};
use slarouter_core::uniform;

use crate::Dataset;
use crate::draw::shuffle;

/// The order of the requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// One pass, shuffled by the seed.
    Shuffled,
    /// One pass as in the file, one benchmark after another: a drift test.
    Source,
    /// Windows of the SLA one after another, rows drawn with replacement by the seed: what production is like after its start.
    Stream {
        /// Requests in a window, at least 1.
        window: u32,
        /// Number of windows, at least 1.
        windows: u32,
    },
}

/// The rows of a run in their order, and who sees which score.
pub(crate) struct Course<'a> {
    pub(crate) data: &'a Dataset,
    pub(crate) rows: Vec<usize>,
    /// Per request: its score is seen if this is below φ.
    pub(crate) draws: Vec<f64>,
    pub(crate) seed: u64,
    /// Requests in a window of the SLA: all, unless it is a stream.
    pub(crate) window: usize,
}

impl Order {
    /// Requests of a run over a data set of `rows`.
    #[must_use]
    pub fn requests(self, rows: usize) -> usize {
        match self {
            Self::Shuffled | Self::Source => rows,
            Self::Stream { window, windows } => window as usize * windows as usize,
        }
    }

    /// Whether there is no request in it.
    pub(crate) fn is_empty(self) -> bool {
        self.requests(1) == 0
    }

    /// Requests in a window of the SLA, where it has windows.
    pub(crate) fn window(self) -> Option<u64> {
        match self {
            Self::Shuffled | Self::Source => None,
            Self::Stream { window, .. } => Some(window.into()),
        }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shuffled => f.write_str("shuffled"),
            Self::Source => f.write_str("source order"),
            Self::Stream { window, windows } => write!(f, "{windows} windows of {window} requests"),
        }
    }
}

impl<'a> Course<'a> {
    pub(crate) fn new(data: &'a Dataset, order: Order, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let requests = order.requests(data.rows());
        let mut rows: Vec<usize> = (0..requests).collect();
        match order {
            Order::Shuffled => shuffle(&mut rows, &mut rng),
            Order::Source => {}
            Order::Stream { .. } => rows.fill_with(|| (uniform(&mut rng) * data.rows() as f64) as usize),
        }
        // Another stream of the seed: what is seen must not depend on how the rows were drawn.
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(1);
        let draws = rows.iter().map(|_| uniform(&mut rng)).collect();
        let window = order.window().map_or(requests, |window| window as usize);
        Self { data, rows, draws, seed, window }
    }

    /// Cuts the run off after so many requests.
    pub(crate) fn truncate(&mut self, requests: usize) {
        self.rows.truncate(requests);
        self.window = self.window.min(requests);
    }
}
