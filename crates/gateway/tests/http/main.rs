//! A gateway over real HTTP, with the scripted upstream behind it: what can go wrong on either side.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

mod affinity;
mod answers;
mod audits;
mod browser;
mod decisions;
mod degraded;
mod encoders;
mod failures;
mod faults;
mod health;
mod keys;
mod limits;
mod prices;
mod protocols;
mod setup;
mod shutdown;
mod telemetry;
mod timeouts;
mod tls;
