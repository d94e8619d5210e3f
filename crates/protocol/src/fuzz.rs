//! What the fuzzers run: functions of bytes that panic where a promise is broken. No part of the interface: it may change or go
//! at any time.
//!
//! The gateway's `fuzz` has them in its list, and says what runs that.

mod bodies;
mod json;
mod samples;
mod streams;

pub use bodies::{answer, request};
pub use json::json;
pub use samples::endpoint;
pub use streams::stream;
