//! Dev-only: an upstream that can break every rule of HTTP and SSE, and child processes under control.
//!
//! [`Upstream`] is a real server on a real socket. What it answers comes from a queue of [`Script`]s, or, when that is
//! empty, from the *scenario* that the request's `model` names. [`Daemon`] runs a binary of ours until it is killed, [`Postgres`] a server of
//! PostgreSQL, which `scripts/setup-test` installs, [`Link`] a network before it that fails, and [`Front`] a load balancer before gateways.

mod exposition;
mod front;
mod link;
mod patience;
mod postgres;
mod process;
mod scenario;
mod script;
mod upstream;
mod wire;

pub use exposition::{Metric, documented, exposition};
pub use front::Front;
pub use link::{Link, Way};
pub use patience::until;
pub use postgres::{Database, Pooler, Postgres};
pub use process::Daemon;
pub use script::Script;
pub use upstream::Upstream;
pub use wire::Received;
