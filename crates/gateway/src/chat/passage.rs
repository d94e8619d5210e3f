//! A stream on its way through: bytes are rewritten where they must be, metered, and ended honestly.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt, stream};
use http::StatusCode;
use slarouter_protocol::Usage;
use slarouter_protocol::relay::{End, Finish, Relay};
use tokio::time::timeout;

use super::ticket::Ticket;

struct Passage {
    ticket: Ticket,
    status: StatusCode,
    first: Option<Bytes>,
    rest: BoxStream<'static, Result<Bytes, String>>,
    /// `None` once the end has been written.
    relay: Option<Box<dyn Relay>>,
    idle: Duration,
    metadata: bool,
    /// Bytes that may still come.
    left: usize,
}

/// Costs and metadata of the stream, asked for when its usage is known.
struct Closing<'a> {
    ticket: &'a Ticket,
    metadata: bool,
}

impl Finish for Closing<'_> {
    fn cost(&self, usage: &Usage) -> Option<f64> {
        self.ticket.shown_cost(Some(usage))
    }

    fn metadata(&self, cost: Option<f64>) -> Option<Vec<u8>> {
        self.metadata.then(|| self.ticket.metadata(cost.or_else(|| self.ticket.shown_cost(None))))
    }
}

/// The body for the client. Dropping it, as happens when the client goes away, drops the upstream call with it and logs
/// the outcome.
pub(super) fn stream(
    ticket: Ticket,
    status: StatusCode,
    first: Bytes,
    rest: BoxStream<'static, Result<Bytes, String>>,
    relay: Box<dyn Relay>,
    metadata: bool,
    idle: Duration,
) -> impl Stream<Item = Result<Bytes, std::convert::Infallible>> + Send + use<> {
    let left = ticket.app().config.upstream.max_stream_bytes;
    let passage = Passage { ticket, status, first: Some(first), rest, relay: Some(relay), idle, metadata, left };
    stream::unfold(passage, |mut passage| async move {
        let bytes = passage.next().await?;
        Some((Ok(bytes), passage))
    })
}

impl Passage {
    async fn next(&mut self) -> Option<Bytes> {
        let mut out = Vec::new();
        loop {
            let relay = self.relay.as_mut()?;
            let chunk = match self.first.take() {
                Some(first) => Ok(Some(first)),
                None => match timeout(self.idle, self.rest.next()).await {
                    Err(_) => Err(format!("nothing came for {} s", self.idle.as_secs_f64())),
                    Ok(chunk) => chunk.transpose(),
                },
            };
            let chunk = match chunk {
                Ok(Some(bytes)) => match self.left.checked_sub(bytes.len()) {
                    Some(left) => {
                        self.left = left;
                        Ok(Some(bytes))
                    }
                    None => Err("the stream is longer than upstream.max_stream_bytes allows".to_owned()),
                },
                other => other,
            };
            if let (Some(trace), Ok(Some(bytes))) = (self.ticket.trace(), &chunk) {
                trace.chunk(bytes);
            }
            let closing = Closing { ticket: &self.ticket, metadata: self.metadata };
            let end = match chunk {
                Ok(Some(chunk)) => {
                    relay.push(&chunk, &closing, &mut out);
                    if out.is_empty() {
                        continue;
                    }
                    return Some(out.into());
                }
                Ok(None) => End::Eof,
                Err(error) => End::Error(error),
            };
            let summary = self.relay.take()?.finish(end, &closing, &mut out);
            tracing::debug!(
                request_id = self.ticket.public_id(),
                upstream_id = summary.upstream_id,
                finish_reason = summary.finish_reason_seen,
                done = summary.done_seen,
                "stream ended"
            );
            self.ticket.finish(self.status, summary.complete, summary.usage, summary.error);
            return (!out.is_empty()).then(|| out.into());
        }
    }
}
