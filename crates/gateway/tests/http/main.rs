//! A gateway over real HTTP, with the scripted upstream behind it: what can go wrong on either side.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

mod affinity;
mod answers;
mod audits;
mod bodies;
mod browser;
mod checks;
mod connections;
mod count;
mod decisions;
mod degraded;
mod discretion;
mod edges;
mod encoders;
mod failures;
mod faults;
mod grammar;
mod health;
mod hedge;
mod keyless;
mod keys;
mod limits;
mod metrics;
mod prices;
mod protocols;
mod reload;
mod scopes;
mod secrets;
mod setup;
mod shutdown;
mod slow;
mod telemetry;
mod timeouts;
mod tls;
mod tokens;
