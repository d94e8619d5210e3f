//! The body of a streamed answer: bytes are rewritten where they must be, metered, and ended honestly.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt, stream};
use http::StatusCode;
use slarouter_protocol::Usage;
use slarouter_protocol::relay::{End, Finish, Relay};
use slarouter_protocol::responses;
use tokio::time::{Instant, timeout_at};

use super::checking::Checking;
use super::exchange::Exchange;

/// The body for the client. Dropping it, as happens when the client goes away, drops the upstream call with it and logs
/// the outcome.
pub(super) struct ResponseBody {
    exchange: Exchange,
    status: StatusCode,
    first: Option<Bytes>,
    rest: BoxStream<'static, Result<Bytes, String>>,
    /// `None` once the end has been written.
    relay: Option<Box<dyn Relay>>,
    /// Longest pause between two pieces of the upstream's stream.
    idle: Duration,
    /// Since when its next piece has been waited for.
    waiting: Option<Instant>,
    /// When the client got something last.
    told: Instant,
    /// Whether the client gets the `slarouter` object.
    metadata: bool,
    /// Bytes that may still come.
    left: usize,
    /// The answer, where it is to be checked at its end.
    checking: Option<Checking>,
}

/// Costs and metadata of the stream, asked for when its usage is known.
struct Closing<'a> {
    exchange: &'a Exchange,
    metadata: bool,
}

impl Finish for Closing<'_> {
    fn cost(&self, usage: &Usage) -> Option<f64> {
        self.exchange.shown_cost(Some(usage))
    }

    fn metadata(&self, cost: Option<f64>) -> Option<Vec<u8>> {
        self.metadata.then(|| self.exchange.metadata(cost.or_else(|| self.exchange.shown_cost(None))))
    }
}

impl ResponseBody {
    /// The tuple has the first bytes of the upstream's answer, and those that follow.
    pub(super) fn new(
        exchange: Exchange,
        status: StatusCode,
        (first, rest): (Bytes, BoxStream<'static, Result<Bytes, String>>),
        relay: Box<dyn Relay>,
        metadata: bool,
    ) -> Self {
        let app = exchange.app();
        let (idle, left) = (app.upstream.idle_timeout(), app.config.upstream.max_stream_bytes);
        let told = Instant::now();
        Self {
            exchange,
            status,
            first: Some(first),
            rest,
            relay: Some(relay),
            idle,
            waiting: None,
            told,
            metadata,
            left,
            checking: None,
        }
    }

    /// The same answer, to be checked at its end.
    pub(super) fn checked(self, checking: Option<Checking>) -> Self {
        Self { checking, ..self }
    }

    /// The bytes as they go to the client.
    pub(super) fn into_stream(self) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + use<> {
        stream::unfold(self, |mut body| async move {
            let bytes = body.next().await?;
            body.told = Instant::now();
            Some((Ok(bytes), body))
        })
    }

    /// The next piece of the upstream's stream, or how it ended; `None` where the client has waited for so long that it is to hear
    /// something.
    async fn piece(&mut self) -> Option<Result<Option<Bytes>, String>> {
        let piece = match self.first.take() {
            Some(first) => Some(first),
            None => {
                let idle = *self.waiting.get_or_insert_with(Instant::now) + self.idle;
                let ping = self.told + self.exchange.app().config.server.ping_interval;
                match timeout_at(idle.min(ping), self.rest.next()).await {
                    Err(_) if ping < idle => return None,
                    Err(_) => return Some(Err(format!("nothing came for {} s", self.idle.as_secs_f64()))),
                    Ok(Some(Err(error))) => return Some(Err(error)),
                    Ok(piece) => piece.and_then(Result::ok),
                }
            }
        };
        self.waiting = None;
        let Some(left) = self.left.checked_sub(piece.as_ref().map_or(0, Bytes::len)) else {
            return Some(Err("the stream is longer than upstream.max_stream_bytes allows".to_owned()));
        };
        self.left = left;
        Some(Ok(piece))
    }

    async fn next(&mut self) -> Option<Bytes> {
        let mut out = Vec::new();
        loop {
            self.relay.as_ref()?;
            let Some(chunk) = self.piece().await else {
                return Some(self.exchange.endpoint().protocol().ping().into());
            };
            let relay = self.relay.as_mut()?;
            if let (Some(trace), Ok(Some(bytes))) = (self.exchange.trace(), &chunk) {
                trace.chunk(bytes);
            }
            if let (Some(checking), Ok(Some(bytes))) = (&mut self.checking, &chunk) {
                checking.keep(bytes);
            }
            let closing = Closing { exchange: &self.exchange, metadata: self.metadata };
            let end = match chunk {
                Ok(Some(chunk)) => {
                    relay.push(&chunk, &closing, &mut out);
                    if out.is_empty() {
                        continue;
                    }
                    self.exchange.remember(|| responses::last_items(&out));
                    return Some(out.into());
                }
                Ok(None) => End::Eof,
                Err(error) => End::Error(error),
            };
            let summary = self.relay.take()?.finish(end, &closing, &mut out);
            self.exchange.remember(|| responses::last_items(&out));
            tracing::debug!(
                request_id = self.exchange.public_id(),
                upstream_id = summary.upstream_id,
                finish_reason = summary.finish_reason_seen,
                done = summary.done_seen,
                "stream ended"
            );
            self.exchange.finish(self.status, summary.complete, summary.usage, summary.error);
            if let Some(checking) = self.checking.take().filter(|_| summary.complete) {
                checking.finish();
            }
            return (!out.is_empty()).then(|| out.into());
        }
    }
}
