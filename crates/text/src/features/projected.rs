//! Sentence vectors of models from outside: fewer dimensions, and the surface statistics beside them.

use super::{CONTEXT_WEIGHT, SURFACE, normalise, surface_into};
use crate::Conversation;

/// Part of the versions of all encoders that project.
const SEED: u64 = 0x51A0_07E5_BE27_0001;

/// Brings sentence vectors of any length to a given one, at random but always in the same way.
///
/// Every output is the sum of all inputs with random signs, which keeps distances about as well as Gaussian numbers do
/// (Achlioptas 2003): with 64 outputs a cosine is off by about 0.1. Heads learn from few labels, so what they are given has to
/// be short. Costs about 10 µs for 384 inputs and 64 outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Projection {
    width: Option<usize>,
}

impl Projection {
    /// To `width` dimensions; `None` leaves vectors as they are.
    #[must_use]
    pub fn to(width: Option<usize>) -> Self {
        Self { width }
    }

    /// The projected vector, scaled to length 1.
    #[must_use]
    pub fn apply(&self, vector: &[f32]) -> Vec<f32> {
        let mut out = match self.width {
            None => vector.to_vec(),
            Some(width) => {
                let mut out = vec![0.0; width];
                for (block, outputs) in out.chunks_mut(64).enumerate() {
                    for (place, value) in vector.iter().enumerate() {
                        let signs = split_mix(SEED ^ (block as u64) << 32 ^ place as u64);
                        for (bit, to) in outputs.iter_mut().enumerate() {
                            // The sign bit of the product is flipped by the sign's.
                            let sign = ((signs >> bit) as u32 & 1) << 31;
                            *to += f32::from_bits(value.to_bits() ^ sign);
                        }
                    }
                }
                out
            }
        };
        normalise(&mut out);
        out
    }
}

/// Writes the features of a conversation from the vector of its prompt and, if it has one, of its context, both as
/// [`Projection::apply`] gives them: their weighted sum, then the 32 surface statistics. A `prompt` of zeros is neutral: it
/// stands for a vector that could not be had.
///
/// # Panics
/// If `out` is not 32 longer than `prompt`.
pub fn projected_features_into(conversation: &Conversation, prompt: &[f32], context: Option<&[f32]>, out: &mut [f32]) {
    assert_eq!(out.len(), prompt.len() + SURFACE, "the slice for the features has the wrong length");
    let (mean, surface) = out.split_at_mut(prompt.len());
    mean.copy_from_slice(prompt);
    if let Some(context) = context {
        mean.iter_mut().zip(context).for_each(|(to, from)| *to += CONTEXT_WEIGHT * from);
        normalise(mean);
    }
    let words = conversation.prompt.split_whitespace().count() as u32;
    surface_into(conversation, words, surface);
}

/// The output of SplitMix64 for a state.
fn split_mix(state: u64) -> u64 {
    let mut z = state.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_survive() {
        let vector = |seed: u64| {
            let value = |i: u64| (split_mix(seed ^ i << 20) >> 40) as f32 / (1 << 23) as f32 - 1.0;
            let mut out: Vec<f32> = (0..384).map(value).collect();
            normalise(&mut out);
            out
        };
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
        for width in [64, 100] {
            let projection = Projection::to(Some(width));
            let mut errors = 0.0;
            for seed in 0..100 {
                let (a, b) = (vector(2 * seed), vector(2 * seed + 1));
                let mixed: Vec<f32> = a.iter().zip(&b).map(|(x, y)| x + y).collect();
                let exact = dot(&a, &Projection::to(None).apply(&mixed));
                errors += (dot(&projection.apply(&a), &projection.apply(&mixed)) - exact).powi(2);
            }
            // The standard error is below 1 / √width = 0.125; 100 pairs stray from it by less than a third.
            assert!((errors / 100.0).sqrt() < 1.33 / (width as f32).sqrt(), "{width}: {errors}");
            assert_eq!(projection.apply(&vector(1)), projection.apply(&vector(1)));
        }
        assert_eq!(Projection::to(Some(3)).apply(&[]), [0.0; 3]);
    }
}
