//! Starting, reloading and stopping: listeners, and the tasks that run beside requests.

mod fixed;
mod gateway;
mod listener;
mod reload;
mod reprice;
mod server;

pub use gateway::{Gateway, RouteView, StartError};
