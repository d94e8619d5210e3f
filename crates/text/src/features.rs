//! From a conversation to a vector.

mod encoder;
mod hashed;
mod projected;
mod static_table;
mod surface;

use crate::Conversation;

pub(crate) use encoder::{CONTEXT_WEIGHT, normalise};
pub use encoder::{DIM, Encoder, VERSION};
pub use hashed::HashedNgrams;
pub use projected::{Projection, projected_features_into};
pub use static_table::{Blend, StaticEmbedding, TableError};
pub(crate) use surface::{SURFACE, surface_into};

/// The default features of a conversation, [`DIM`] values.
#[must_use]
pub fn features(conversation: &Conversation) -> Vec<f32> {
    let mut out = vec![0.0; DIM];
    features_into(conversation, &mut out);
    out
}

/// The default features of a conversation, written into `out` without allocating.
///
/// # Panics
/// If `out` is not [`DIM`] long.
pub fn features_into(conversation: &Conversation, out: &mut [f32]) {
    HashedNgrams.encode(conversation, out);
}
