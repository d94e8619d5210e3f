//! Randomness of baselines.

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use slarouter_core::uniform;

/// One stream of draws per run, apart from those that shuffle the rows and decide who gives feedback.
pub(crate) struct Draws(ChaCha8Rng);

impl Draws {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(2);
        Self(rng)
    }

    /// From \[0, 1).
    pub(crate) fn uniform(&mut self) -> f64 {
        uniform(&mut self.0)
    }

    /// From 0 to `count` − 1.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        (self.uniform() * count as f64) as usize
    }

    /// Standard normal, by Box and Muller.
    pub(crate) fn normal(&mut self) -> f64 {
        // 1 − u lies in (0, 1], so the logarithm is finite.
        let radius = (-2.0 * libm::log(1.0 - self.uniform())).sqrt();
        radius * libm::cos(std::f64::consts::TAU * self.uniform())
    }
}
