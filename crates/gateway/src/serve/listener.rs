//! What answers at each listener.

use std::sync::Arc;

use tokio_rustls::TlsAcceptor;

use super::connection::Deadlines;
use super::server::{ConnectionLimits, Listener};
use crate::api;
use crate::app::App;

/// The public listener's side of a configuration.
pub(crate) fn public(app: &Arc<App>, tls: Option<TlsAcceptor>) -> Listener {
    Listener { paths: api::public(app.clone()), tls, limits: limits(app), draining: app.draining.clone() }
}

/// The operator's listener's side of a configuration.
pub(crate) fn operator(app: &Arc<App>, tls: Option<TlsAcceptor>) -> Listener {
    // The administrator's keys travel there; within this machine they are seen by nobody.
    Listener {
        paths: api::operator(app.clone()),
        tls: tls.filter(|_| !app.loopback),
        limits: limits(app),
        draining: app.draining.clone(),
    }
}

fn limits(app: &App) -> ConnectionLimits {
    let server = &app.config.server;
    ConnectionLimits {
        connections: server.max_connections,
        connections_per_address: server.max_connections_per_address,
        max_header_bytes: server.max_header_bytes,
        deadlines: Deadlines { head: server.header_timeout, idle: server.idle_timeout },
        grace: server.shutdown_grace,
    }
}
