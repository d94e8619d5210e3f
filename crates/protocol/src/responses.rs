//! OpenAI responses.

mod foreign;
mod items;
mod read;
mod report;
mod stream;
mod tools;
mod write;

pub(crate) use foreign::{without_foreign_reasoning, without_references};
pub use items::{TooLarge, items, last_items, put_in};
pub(crate) use read::{answer as read_answer, read_format, request as read_request};
pub use report::tokens;
pub(crate) use stream::{Reader, Writer};
pub(crate) use write::{ECHOED, answer as write_answer, request as write_request};

#[cfg(test)]
mod tests;
