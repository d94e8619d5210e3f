//! OpenTelemetry traces: one span per request, one per call to an upstream, sent to a collector in OTLP over HTTP.
//!
//! Off unless configured, and then nothing of it is done. Spans wait in a bounded queue; what does not fit, or what the collector
//! does not take, is counted and gone: a collector that is slow or down holds up no request. Neither prompts nor answers nor keys
//! are in a span.

mod context;
mod export;
mod said;
mod trace;
mod tracer;

pub(crate) use context::forward;
pub(crate) use trace::{Call, DecisionFacts, Ending, RequestTrace};
pub(crate) use tracer::Telemetry;
pub use tracer::TelemetryError;
