//! Answers passed on in the protocol that they came in: only what the contract names is changed.

mod body;
mod chat_stream;
mod first;
mod typed_stream;

pub use body::{Facts, Rewrite, Scanned, error_status};
pub use chat_stream::{StreamOptions, StreamRewriter};
pub use first::{first_error, first_id};
pub use typed_stream::TypedRewriter;
