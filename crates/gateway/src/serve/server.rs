//! The accept loop.
//!
//! Our own rather than `axum::serve`, which at 0.8 has no time limit of any kind: a client that says nothing would hold its place for ever.

use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_rustls::TlsAcceptor;

use super::addresses::Addresses;
use super::connection::{self, Deadlines, Heard, Turns};
use super::sockets::Socket;
use super::streams::Streams;
use crate::admission::auth::Peer;
use crate::api::paths;

/// Pause after `accept` failed, as it does when file descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Between two questions whether a silent client is still there, and for its answer.
const PING: Duration = Duration::from_secs(30);
/// While the gateway stops: for how long a client of HTTP/1 has to say nothing before its connection is closed. One that is closed at the moment in
/// which its client asks again costs that request, and nothing in HTTP/1 tells which of the two came first.
const LEAVE: Duration = Duration::from_millis(500);
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
    /// Whether the gateway is about to stop: then each answer of HTTP/1 is the last one of its connection.
    pub(crate) draining: Arc<AtomicBool>,
}

/// Serves until `stop` says so, then lets open requests finish for as long as the grace period lasts.
pub(crate) async fn serve(socket: Socket, live: Arc<ArcSwap<Listener>>, mut stop: watch::Receiver<bool>) {
    let Socket { listener, outlives } = socket;
    let places = Arc::new(Semaphore::new(live.load().limits.connections));
    let mut guests = Guests { live, stop: stop.clone(), addresses: Arc::default(), connections: JoinSet::new() };
    while !*stop.borrow() {
        let place = tokio::select! {
            _ = stop.changed() => break,
            place = places.clone().acquire_owned() => place,
        };
        let accepted = tokio::select! {
            _ = stop.changed() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => guests.enter(stream, peer, place),
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // Who has connected by now has not been refused, and is not reset either. With a socket that outlives this process the next one takes them.
    if !outlives && let Ok(listener) = listener.into_std() {
        while let Ok(place) = places.clone().try_acquire_owned()
            && let Ok((stream, peer)) = listener.accept()
        {
            if stream.set_nonblocking(true).is_ok()
                && let Ok(stream) = TcpStream::from_std(stream)
            {
                guests.enter(stream, peer, Ok(place));
            }
        }
    }
    guests.see_off().await;
}

/// The open connections of a listener.
struct Guests {
    live: Arc<ArcSwap<Listener>>,
    stop: watch::Receiver<bool>,
    addresses: Arc<Addresses>,
    connections: JoinSet<()>,
}

impl Guests {
    /// Serves a client who has a place, unless its address has its share of them.
    fn enter(&mut self, stream: TcpStream, peer: SocketAddr, place: Result<OwnedSemaphorePermit, AcquireError>) {
        let most = self.live.load().limits.connections_per_address;
        let Some(counted) = self.addresses.enter(peer.ip(), most) else { return };
        let (live, stop) = (self.live.clone(), self.stop.clone());
        self.connections.spawn(async move {
            if let Err(error) = connection(stream, peer.ip(), live, stop).await {
                tracing::debug!(error, "connection ended");
            }
            drop((counted, place));
        });
        // Those that have ended take no more room.
        while self.connections.try_join_next().is_some() {}
    }

    /// Waits for the end of all connections, and cuts off those that outlive the grace period.
    async fn see_off(mut self) {
        let all = async { while self.connections.join_next().await.is_some() {} };
        if tokio::time::timeout(self.live.load().limits.grace, all).await.is_err() {
            tracing::warn!("the grace period is over: open requests are cut off");
            // Waited for, so that their outcomes are in the log before it closes.
            self.connections.shutdown().await;
        }
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
            let listener = live.load();
            connection::answer(listener.paths.clone(), turns.clone(), request, listener.draining.clone())
        })
    };
    let builder = builder(&limits);
    let mut open = pin!(builder.serve_connection(stream, service));
    let leave = LEAVE.min(limits.grace / 2);
    let mut stopping = stop.borrow().then_some(leave);
    let mut leaving: Option<Instant> = None;
    let mut told = false;
    loop {
        let now = Instant::now();
        // A turn that changes meanwhile is seen at the next look.
        let look = now + stopping.unwrap_or_else(|| limits.deadlines.head.min(limits.deadlines.idle));
        let late = turns.late_at(limits.deadlines, stopping);
        let wake = leaving.or(late).map_or(look, |late| late.min(look));
        tokio::select! {
            ended = open.as_mut() => return ended,
            _ = stop.changed(), if stopping.is_none() => stopping = Some(leave),
            () = sleep_until(wake) => {}
        }
        let now = Instant::now();
        if leaving.is_some_and(|end| end <= now) {
            return Err("the client was late".into());
        }
        if stopping.is_some() && !told && turns.is_http2() {
            // The client is told what is the last request that is answered, and sends the next one elsewhere.
            told = true;
            open.as_mut().graceful_shutdown();
        }
        if leaving.is_none() && turns.late_at(limits.deadlines, stopping).is_some_and(|late| late <= now) {
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
