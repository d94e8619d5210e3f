//! The accept loop.
//!
//! Our own rather than `axum::serve`, which at 0.8 sets no timer, so that hyper's header timeout is inert and a half-sent
//! request line holds a connection for ever.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use crate::admission::auth::Peer;

/// Pause after `accept` failed, as it does when file descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// ConnectionLimits of a listener.
#[derive(Clone, Copy)]
pub(crate) struct ConnectionLimits {
    /// Open connections; this one alone is as it was when the listener began.
    pub(crate) connections: usize,
    pub(crate) max_header_bytes: usize,
    pub(crate) header_timeout: Duration,
    pub(crate) grace: Duration,
}

/// What answers at a listener; a reload puts another in its place.
pub(crate) struct Listener {
    pub(crate) paths: Router,
    /// How connections are encrypted from now on, if they are.
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) limits: ConnectionLimits,
}

/// Serves until `stop` says so, then lets open requests finish for as long as the grace period lasts.
pub(crate) async fn serve(listener: TcpListener, live: Arc<ArcSwap<Listener>>, mut stop: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(live.load().limits.connections));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    while !*stop.borrow() {
        let place = tokio::select! {
            _ = stop.changed() => break,
            place = places.clone().acquire_owned() => place,
        };
        let accepted = tokio::select! {
            _ = stop.changed() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Small events must go out at once; a socket that refuses the option still works.
        let _ = stream.set_nodelay(true);
        let (limits, tls) = (live.load().limits, live.load().tls.clone());
        let live = live.clone();
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(Peer(peer.ip()));
            // Looked up for each request: connections outlive configurations.
            live.load().paths.clone().oneshot(request)
        });
        let (builder, watcher) = (builder(&limits), graceful.watcher());
        connections.spawn(async move {
            let ended = match tls {
                None => watcher.watch(builder.serve_connection(TokioIo::new(stream), service)).await,
                // Bounded like a request's head: who never ends the handshake holds no place for ever.
                Some(tls) => match tokio::time::timeout(limits.header_timeout, tls.accept(stream)).await {
                    Ok(Ok(stream)) => watcher.watch(builder.serve_connection(TokioIo::new(stream), service)).await,
                    Ok(Err(error)) => Err(error.into()),
                    Err(_) => Err("the TLS handshake took too long".into()),
                },
            };
            if let Err(error) = ended {
                tracing::debug!(error, "connection ended");
            }
            drop(place);
        });
        // Those that have ended take no more room.
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    if tokio::time::timeout(live.load().limits.grace, graceful.shutdown()).await.is_err() {
        tracing::warn!("the grace period is over: open requests are cut off");
        // Waited for, so that their outcomes are in the log before it closes.
        connections.shutdown().await;
    }
}

fn builder(limits: &ConnectionLimits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    // What is over the limit, but not by far, gets an answer with a body: `head.rs`.
    let header_bytes = limits.max_header_bytes * 2;
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits.header_timeout).max_buf_size(header_bytes);
    builder.http2().timer(TokioTimer::new()).max_header_list_size(header_bytes.try_into().unwrap_or(u32::MAX));
    builder
}
