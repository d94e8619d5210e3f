//! The OpenAI-compatible HTTP gateway.
//!
//! Life of a request: authenticate, find the route, make features, decide from the published snapshot, log the decision,
//! call the upstream (retry, fallback), pass the bytes through while metering them, log the outcome. Life of a feedback:
//! check, append durably, answer; the learner task then reads it from the log and publishes a new snapshot.

mod admin;
mod app;
mod audits;
mod auth;
mod browser;
mod chat;
mod clock;
pub mod doctor;
mod embedding;
mod error;
mod features;
mod feedback;
#[doc(hidden)]
pub mod fuzz;
mod gateway;
mod head;
mod health;
pub mod keys;
mod limits;
mod metrics;
mod models;
mod openapi;
mod price;
mod reload;
mod route;
mod server;
mod telemetry;
mod tls;
mod token;
mod upstream;

pub use embedding::{EmbeddingError, RemoteEncoder};
pub use features::{EncoderError, identify};
pub use gateway::{Gateway, RouteView, StartError};
pub use reload::{ReloadError, Reloaded, Reloads};
pub use telemetry::TelemetryError;
pub use tls::TlsError;
