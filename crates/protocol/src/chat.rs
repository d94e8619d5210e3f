//! OpenAI chat completions.

mod read;
mod report;
mod stream;
mod write;

pub(crate) use read::{answer as read_answer, read_format, request as read_request};
pub(crate) use stream::{Reader, Writer};
pub(crate) use write::{answer as write_answer, request as write_request};

#[cfg(test)]
mod tests;
