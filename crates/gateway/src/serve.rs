//! Starting, reloading and stopping: listeners, and the tasks that run beside requests.

mod addresses;
mod alerting;
mod connection;
mod fixed;
mod gateway;
mod listener;
mod reload;
mod reprice;
pub(crate) mod retention;
mod server;
mod sharing;
mod simulation;
mod sockets;
mod starting;
mod streams;
mod sums;

pub use gateway::{Gateway, RouteView, StartError};
pub use simulation::Simulation;
pub use sockets::{Inherited, InheritedError};
