//! The protocols that clients and upstreams speak, and the translations between them.
//!
//! Where both sides speak the same one, [`pass`] hands the bytes on, edited where the contract says so. Where they differ, a *reader* of the one makes the common
//! form of it and a *writer* of the other writes that down: one of each per protocol, for requests, answers and streams.
//! What the other side cannot carry is a [`Refusal`] that names the field and its value, if the answer would mean something else without it; any
//! other such field is left out, and [`Dropped`] names it. Hints (cache markers, image detail) and reasoning that another model has sealed are
//! left out without a word.
//!
//! Nothing here does I/O.

pub mod adapter;
mod carries;
mod chat;
pub mod checks;
mod claude;
pub mod dialect;
mod dropped;
pub mod endpoint;
pub mod fault;
mod fields;
mod form;
mod forms;
#[doc(hidden)]
pub mod fuzz;
pub mod json;
pub mod messages;
pub mod needs;
pub mod objection;
pub mod outline;
pub mod pass;
mod print;
pub mod relay;
pub mod request;
pub mod responses;
#[cfg(test)]
mod roundtrip;
mod seal;
pub mod sse;
#[cfg(test)]
mod testing;
mod tokens;
mod translate;
pub mod usage;
#[cfg(test)]
mod usage_tests;

pub use dropped::Dropped;
pub use endpoint::{Endpoint, ModelProtocol, Protocol, Upstream};
pub use fields::Refusal;
pub use form::{Disguise, Envelope};
pub use usage::Usage;
