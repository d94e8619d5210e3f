//! Randomness, always handed in: one generator per decision, derived from a seed and the decision's id.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::DecisionId;

/// The generator of one decision. The same (seed, id) gives the same draws on every platform, so a retry of a request is
/// routed the same way and a log can be replayed bit for bit.
#[must_use]
pub fn decision_rng(seed: u64, id: DecisionId) -> ChaCha8Rng {
    tagged(seed, id, b"slar-dec")
}

/// The generator that draws one decision for audit: independent of [`decision_rng`], whatever the seed.
pub(crate) fn audit_rng(seed: u64, id: DecisionId) -> ChaCha8Rng {
    tagged(seed, id, b"slar-aud")
}

/// The generator that draws one decision for a judge: independent of the others.
pub(crate) fn judge_rng(seed: u64, id: DecisionId) -> ChaCha8Rng {
    tagged(seed, id, b"slar-jud")
}

/// The tag keeps uses of the same seed apart.
fn tagged(seed: u64, id: DecisionId, tag: &[u8; 8]) -> ChaCha8Rng {
    let mut key = [0_u8; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..24].copy_from_slice(&id.0.to_le_bytes());
    key[24..].copy_from_slice(tag);
    ChaCha8Rng::from_seed(key)
}

/// A uniform draw from \[0, 1) with 53 random bits.
pub fn uniform(rng: &mut dyn Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
}
