//! What all encoders are and share.

use std::fmt;

use crate::Conversation;

/// Length of the default feature vector.
pub const DIM: usize = 128;

/// Version of the default features. Any change of a value in any feature vector needs a new one.
pub const VERSION: u32 = 2;

/// Weight of a conversation's context (system prompt, names of tools) beside its prompt, before the sum is normalised.
pub(crate) const CONTEXT_WEIGHT: f32 = 0.5;

/// Turns a conversation into a vector.
///
/// Implementations give the same vector for the same conversation every time; those of this crate that need no weights
/// from outside give the same bits on every platform.
pub trait Encoder: fmt::Debug + Send + Sync {
    /// Short name for reports and messages.
    fn name(&self) -> &str;

    /// Version of the vectors, different for any two encoders whose vectors differ; stored beside everything learnt from them.
    fn version(&self) -> u32;

    /// Length of the vectors.
    fn dim(&self) -> usize;

    /// Writes the vector into `out`. All values are finite.
    ///
    /// # Panics
    /// If `out` is not [`Encoder::dim`] long.
    fn encode(&self, conversation: &Conversation, out: &mut [f32]);

    /// Writes the vectors of several conversations, one after another: the same values as one by one, perhaps sooner.
    ///
    /// # Panics
    /// If `out` is not [`Encoder::dim`] times their number long.
    fn encode_batch(&self, conversations: &[&Conversation], out: &mut [f32]) {
        assert_eq!(out.len(), conversations.len() * self.dim(), "the slice for the features has the wrong length");
        out.chunks_exact_mut(self.dim()).zip(conversations).for_each(|(out, one)| self.encode(one, out));
    }
}

/// Scales to length 1; zeros stay zeros.
pub(crate) fn normalise(values: &mut [f32]) {
    let norm = values.iter().map(|x| x * x).sum::<f32>().sqrt();
    if norm > 0.0 {
        values.iter_mut().for_each(|x| *x /= norm);
    }
}
