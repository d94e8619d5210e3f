//! Starting, reloading and stopping: listeners, and the tasks that run beside requests.

mod fixed;
mod front;
mod gateway;
mod reload;
mod reprice;
mod server;

pub use gateway::{Gateway, RouteView, StartError};
