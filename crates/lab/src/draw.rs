//! Draws of a seed.

use rand_chacha::ChaCha8Rng;
use slarouter_core::uniform;

/// Fisher–Yates.
pub(crate) fn shuffle<T>(order: &mut [T], rng: &mut ChaCha8Rng) {
    for i in (1..order.len()).rev() {
        let j = (uniform(rng) * (i + 1) as f64) as usize;
        order.swap(i, j);
    }
}
