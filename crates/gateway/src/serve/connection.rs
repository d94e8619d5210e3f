//! Whose turn it is on a connection, and when its client is late.
//!
//! hyper has a time limit for the head of a request in HTTP/1 and none for a silent client in HTTP/2, and it takes an idle connection
//! for a slow head. So the times are kept here, for both protocols alike.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use http::{HeaderValue, Request, Response, Version, header};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;
use tower::ServiceExt;

use super::streams;

/// What a client of HTTP/2 says first, as far as no request of HTTP/1 begins so.
const PREFACE: &[u8] = b"PRI * HTTP/2";

/// How long a connection waits for its client.
#[derive(Clone, Copy)]
pub(super) struct Deadlines {
    /// For the head of a request: the first from the beginning on, in HTTP/1 later ones from their first byte on.
    pub(super) head: Duration,
    /// For anything else.
    pub(super) idle: Duration,
}

/// Whose turn it is. One per connection.
pub(super) struct Turns(Mutex<State>);

struct State {
    /// Requests, and answers that are being read, for which the client waits.
    ours: usize,
    /// When that changed last.
    since: Instant,
    /// Since when the client has been at a head, or may begin the first one.
    head: Option<Instant>,
    /// Whether anything of that head has come.
    begun: bool,
    /// Its frames come between requests too, so that a byte is no head.
    http2: bool,
}

impl Turns {
    pub(super) fn new() -> Arc<Self> {
        let now = Instant::now();
        Arc::new(Self(Mutex::new(State { ours: 0, since: now, head: Some(now), begun: false, http2: false })))
    }

    /// When the client is late if nothing comes; `None` while it is the gateway's turn. With `leave`, who says nothing at all for so long is late.
    pub(super) fn late_at(&self, deadlines: Deadlines, leave: Option<Duration>) -> Option<Instant> {
        let state = self.lock();
        let idle = state.since + deadlines.idle;
        let late = state.head.map_or(idle, |began| idle.min(began + deadlines.head));
        let leave = leave.filter(|_| !state.begun).map_or(late, |leave| state.since + leave);
        (state.ours == 0).then_some(late.min(leave))
    }

    /// Whether the client speaks HTTP/2, as far as it has said.
    pub(super) fn is_http2(&self) -> bool {
        self.lock().http2
    }

    fn came(&self, bytes: &[u8]) {
        let mut state = self.lock();
        if state.head.is_some() && !state.begun && bytes.starts_with(PREFACE) {
            state.http2 = true;
        }
        if state.ours == 0 && !state.http2 {
            state.begun = true;
            state.head.get_or_insert_with(Instant::now);
        }
    }

    fn asked(&self, version: Version) {
        let mut state = self.lock();
        state.head = None;
        state.begun = false;
        state.http2 = version == Version::HTTP_2;
    }

    fn change(&self, ours: bool) {
        let mut state = self.lock();
        state.ours = if ours { state.ours + 1 } else { state.ours.saturating_sub(1) };
        state.since = Instant::now();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic cannot leave it half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request's part in whose turn it is.
struct Turn {
    turns: Arc<Turns>,
    ours: bool,
}

impl Turn {
    fn set(&mut self, ours: bool) {
        if self.ours != ours {
            self.ours = ours;
            self.turns.change(ours);
            streams::unread((!ours).then(Instant::now));
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.set(false);
    }
}

/// Answers a request; it is the gateway's turn until the answer is there, and then whenever the client reads faster than it comes. While
/// `draining`, an answer of HTTP/1 is the last one of its connection.
pub(super) async fn answer(
    paths: Router,
    turns: Arc<Turns>,
    request: Request<Incoming>,
    draining: Arc<AtomicBool>,
) -> Result<Response<Watched>, Infallible> {
    let version = request.version();
    turns.asked(version);
    let mut turn = Turn { turns, ours: false };
    turn.set(true);
    let mut response = paths.oneshot(request).await?;
    turn.set(false);
    let keeps_end = version == Version::HTTP_2;
    if !keeps_end && draining.load(Ordering::Relaxed) {
        // The client opens another connection for its next request, and never sends one on a connection that is being closed.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response.map(|body| Watched { body, rest: Bytes::new(), keeps_end, turn }))
}

/// An answer's body that knows whether it is waited for.
pub(super) struct Watched {
    body: Body,
    /// What has come and is not passed on yet.
    rest: Bytes,
    /// Whether the last byte of a piece waits until the others have been sent. In HTTP/2 an end that is passed on leaves the task of
    /// its stream, and what the client then does not read would stay in memory for as long as the connection.
    keeps_end: bool,
    turn: Turn,
}

/// Of a body that is not sent yet, so that who reads slowly is seen to read.
const PIECE: usize = 64 << 10;
/// So little may stay of an unread stream: events go out whole.
const SMALL: usize = 1 << 10;

impl Watched {
    /// As much as is passed on at once; the rest is kept.
    fn piece(&mut self, mut data: Bytes) -> Bytes {
        let end = if self.keeps_end && data.len() > SMALL { data.len() - 1 } else { data.len() };
        self.rest = data.split_off(end.min(PIECE));
        data
    }
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        // Who is not asked for more has a client that does not read.
        self.turn.set(true);
        let polled = match std::mem::take(&mut self.rest) {
            rest if rest.is_empty() => Pin::new(&mut self.body).poll_frame(cx),
            rest => Poll::Ready(Some(Ok(Frame::data(rest)))),
        };
        self.turn.set(polled.is_pending());
        polled.map_ok(|frame| frame.map_data(|data| self.piece(data)))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (body, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut whole = SizeHint::new();
        whole.set_lower(body.lower() + rest);
        if let Some(upper) = body.upper() {
            whole.set_upper(upper + rest);
        }
        whole
    }
}

/// A stream that tells when bytes come.
pub(super) struct Heard<S> {
    pub(super) stream: S,
    pub(super) turns: Arc<Turns>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Heard<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, into);
        if let Some(bytes @ [_, ..]) = into.filled().get(before..) {
            self.turns.came(bytes);
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Heard<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }
}
