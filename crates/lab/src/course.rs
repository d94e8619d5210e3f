//! The requests of a run in their order, and who sees which score.

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
    /// Shuffled by the seed.
    Shuffled,
    /// As in the file, one benchmark after another: a drift test.
    Source,
}

/// The rows of a run in their order, and who sees which score.
pub(crate) struct Course<'a> {
    pub(crate) data: &'a Dataset,
    pub(crate) rows: Vec<usize>,
    /// Per request: its score is seen if this is below φ.
    pub(crate) draws: Vec<f64>,
    pub(crate) seed: u64,
}

impl<'a> Course<'a> {
    pub(crate) fn new(data: &'a Dataset, order: Order, seed: u64) -> Self {
        let mut rows: Vec<usize> = (0..data.rows()).collect();
        if order == Order::Shuffled {
            shuffle(&mut rows, &mut ChaCha8Rng::seed_from_u64(seed));
        }
        // Another stream of the seed: what is seen must not depend on how the rows were shuffled.
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(1);
        let draws = rows.iter().map(|_| uniform(&mut rng)).collect();
        Self { data, rows, draws, seed }
    }
}
