//! The OpenAI-compatible HTTP gateway.
//!
//! Life of a request: authenticate, find the route, make features, decide from the published snapshot, log the decision,
//! call the upstream (retry, fallback), pass the bytes through while metering them, log the outcome. Life of a feedback:
//! check, append durably, answer; the learner task then reads it from the log and publishes a new snapshot.

mod admission;
mod alerts;
mod apart;
mod api;
mod app;
mod aside;
mod chat;
mod clock;
pub mod doctor;
mod error;
mod features;
#[doc(hidden)]
pub mod fuzz;
mod journal;
mod lookup;
mod metrics;
mod prompts;
mod reloads;
mod serve;
mod sessions;
mod telemetry;
mod tls;
mod upstream;
mod words;

pub use admission::keys;
pub use alerts::test_alert;
pub use api::forget::person as forget;
pub use clock::{now, parse_id, public_id};
pub use features::{EmbeddingError, EncoderError, RemoteEncoder, identify};
pub use reloads::{ReloadError, Reloaded, Reloads};
pub use serve::retention::retention;
pub use serve::{Gateway, Inherited, InheritedError, RouteView, Simulation, StartError};
pub use telemetry::TelemetryError;
pub use tls::TlsError;
pub use upstream::UpstreamError;
