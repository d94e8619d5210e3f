//! From a conversation to features and token estimates, offline and fast.
//!
//! What is used: **features** see the last user message (its first 6,000 and last 2,000 characters if it is longer than
//! 8,000), the start of the system prompt and the names of the tools (1,000 characters together), and of the rest only surface
//! statistics: number of turns, length, presence of a system prompt, tools, images. **Token estimates** see everything.
//! Features have a [`VERSION`], which is stored beside what is learnt from them: weights learnt on one version mean nothing
//! on another.

#[cfg(feature = "bert")]
mod bert;
mod conversation;
mod features;
mod local;
mod recent;
mod tokens;
mod wordpiece;
mod worker;

#[cfg(feature = "bert")]
pub use bert::{Bert, BertError, BertOptions};
pub use conversation::{Conversation, TextError};
pub use features::{
    Blend, DIM, Encoder, HashedNgrams, Projection, StaticEmbedding, TableError, VERSION, features, features_into,
    projected_features_into,
};
pub use local::{LocalEncoder, LocalError};
pub use recent::RecentVectors;
pub use tokens::estimate_tokens;
pub use wordpiece::{VocabularyError, WordPiece};
pub use worker::{Pending, Worker, WorkerError};
