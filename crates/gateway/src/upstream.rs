//! The upstreams: calls to them, and how they are doing.

mod breaker;
mod checks;
mod client;
mod fit;
mod health;
mod latency;
mod retry_after;
mod transport;

pub(crate) use breaker::Circuit;
pub(crate) use checks::Checks;
pub(crate) use client::{ANTHROPIC_VERSION, Failure, Next, Upstream, UpstreamResponse};
pub(crate) use fit::Asked;
pub(crate) use health::{Admission, Health, ModelHealth, Refused};
pub use transport::UpstreamError;
pub(crate) use transport::{causes, client};
