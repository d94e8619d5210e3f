//! Anthropic messages.

mod foreign;
mod read;
mod report;
mod stream;
mod write;

pub(crate) use foreign::without_foreign_reasoning;
pub(crate) use read::{answer as read_answer, read_format, request as read_request};
pub(crate) use report::merge_tokens;
pub use report::tokens;
pub(crate) use stream::{Reader, Writer};
pub(crate) use write::{answer as write_answer, request as write_request};

/// The version of the protocol that is written here.
pub const VERSION: &str = "2023-06-01";

#[cfg(test)]
mod tests;
