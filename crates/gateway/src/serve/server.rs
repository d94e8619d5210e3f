//! The accept loop.
//!
//! Our own rather than `axum::serve`, which at 0.8 has no time limit of any kind: a client that says nothing would hold its place for ever.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_rustls::TlsAcceptor;

use super::addresses::Addresses;
use super::connection::{self, Deadlines, Heard, Turns};
use super::streams::Streams;
use crate::admission::auth::Peer;
use crate::api::paths;

/// Connections that may wait to be accepted, of which Linux takes no more than `net.core.somaxconn`, 4,096 as it comes. Of those beyond,
/// the first packet is dropped and sent again a second later: with the usual 128 a burst of others would make a client wait for seconds.
const BACKLOG: u32 = 4_096;
/// Pause after `accept` failed, as it does when file descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Between two questions whether a silent client is still there, and for its answer.
const PING: Duration = Duration::from_secs(30);
/// For a client that is late to take leave.
const FAREWELL: Duration = Duration::from_secs(1);

/// Limits of a listener.
#[derive(Clone, Copy)]
pub(crate) struct ConnectionLimits {
    /// Open connections; this one alone is as it was when the listener began.
    pub(crate) connections: usize,
    pub(crate) connections_per_address: usize,
    pub(crate) max_header_bytes: usize,
    pub(crate) deadlines: Deadlines,
    pub(crate) grace: Duration,
}

/// What answers at a listener; a reload puts another in its place.
pub(crate) struct Listener {
    pub(crate) paths: Router,
    /// How connections are encrypted from now on, if they are.
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) limits: ConnectionLimits,
}

/// Listens at an address.
///
/// # Errors
/// If that is not possible, as where the port is taken.
pub(crate) fn bind(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restart does not wait for connections that have ended.
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    socket.listen(BACKLOG)
}

/// Serves until `stop` says so, then lets open requests finish for as long as the grace period lasts.
pub(crate) async fn serve(listener: TcpListener, live: Arc<ArcSwap<Listener>>, mut stop: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(live.load().limits.connections));
    let addresses = Arc::<Addresses>::default();
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
        let most = live.load().limits.connections_per_address;
        let Some(counted) = addresses.enter(peer.ip(), most) else { continue };
        let (live, stop) = (live.clone(), stop.clone());
        connections.spawn(async move {
            if let Err(error) = connection(stream, peer.ip(), live, stop).await {
                tracing::debug!(error, "connection ended");
            }
            drop((counted, place));
        });
        // Those that have ended take no more room.
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(live.load().limits.grace, all).await.is_err() {
        tracing::warn!("the grace period is over: open requests are cut off");
        // Waited for, so that their outcomes are in the log before it closes.
        connections.shutdown().await;
    }
}

type Ended = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// Serves one connection to its end, in the clear or not.
async fn connection(
    stream: TcpStream,
    peer: IpAddr,
    live: Arc<ArcSwap<Listener>>,
    stop: watch::Receiver<bool>,
) -> Ended {
    // Small events must go out at once, and a client whose machine is gone must be noticed; a socket that refuses an option still works.
    let _ = stream.set_nodelay(true);
    let _ = SockRef::from(&stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(PING).with_interval(PING));
    let (limits, tls) = (live.load().limits, live.load().tls.clone());
    let Some(tls) = tls else { return requests(stream, peer, live, limits, stop).await };
    // Bounded like a request's head: who never ends the handshake holds no place for ever.
    match tokio::time::timeout(limits.deadlines.head, tls.accept(stream)).await {
        Ok(stream) => requests(stream?, peer, live, limits, stop).await,
        Err(_) => Err("the TLS handshake took too long".into()),
    }
}

/// Answers requests until the client leaves or is late, or `stop` says so and those under way are answered.
async fn requests(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    peer: IpAddr,
    live: Arc<ArcSwap<Listener>>,
    limits: ConnectionLimits,
    mut stop: watch::Receiver<bool>,
) -> Ended {
    let turns = Turns::new();
    let stream = TokioIo::new(Heard { stream, turns: turns.clone() });
    let service = {
        let turns = turns.clone();
        service_fn(move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(Peer(peer));
            paths::mend(&mut request);
            // Looked up for each request: connections outlive configurations.
            connection::answer(live.load().paths.clone(), turns.clone(), request)
        })
    };
    let builder = builder(&limits);
    let mut open = pin!(builder.serve_connection(stream, service));
    let mut stopping = *stop.borrow();
    let mut leaving: Option<Instant> = None;
    if stopping {
        open.as_mut().graceful_shutdown();
    }
    loop {
        let now = Instant::now();
        // A turn that changes meanwhile is seen at the next look.
        let look = now + limits.deadlines.head.min(limits.deadlines.idle);
        let wake = leaving.or_else(|| turns.late_at(limits.deadlines)).map_or(look, |late| late.min(look));
        tokio::select! {
            ended = open.as_mut() => return ended,
            _ = stop.changed(), if !stopping => {
                stopping = true;
                open.as_mut().graceful_shutdown();
            }
            () = sleep_until(wake) => {}
        }
        let now = Instant::now();
        if leaving.is_some_and(|end| end <= now) {
            return Err("the client was late".into());
        }
        if leaving.is_none() && turns.late_at(limits.deadlines).is_some_and(|late| late <= now) {
            leaving = Some(now + FAREWELL);
            open.as_mut().graceful_shutdown();
        }
    }
}

fn builder(limits: &ConnectionLimits) -> Builder<Streams> {
    let mut builder = Builder::new(Streams { idle: limits.deadlines.idle });
    // What is over the limit, but not by far, gets an answer with a body: `head.rs`.
    let header_bytes = limits.max_header_bytes * 2;
    // hyper would take an idle connection for a slow head: the times are in `connection.rs`.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(header_bytes);
    let mut http2 = builder.http2();
    http2.timer(TokioTimer::new()).max_header_list_size(header_bytes.try_into().unwrap_or(u32::MAX));
    http2.keep_alive_interval(PING).keep_alive_timeout(PING);
    builder
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    /// Without a place in the queue the first packet of a connection is dropped, and sent again in vain.
    #[tokio::test]
    async fn a_burst_of_connections_waits_to_be_accepted() {
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let addr = listener.local_addr().unwrap();
        let connect = || timeout(Duration::from_secs(60), TcpStream::connect(addr));
        let mut waiting = Vec::new();
        while waiting.len() < 500 {
            waiting.push(connect().await.unwrap().unwrap());
        }
        assert_eq!(listener.accept().await.unwrap().1, waiting[0].local_addr().unwrap());
    }
}
