//! Streams that begin before any model has: who asked for one and waits hears that it is under way, before a limit of the client's or of a
//! proxy's on silence ends the wait.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes, to_bytes};
use axum::response::Response;
use futures_util::{Stream, StreamExt, stream};
use http::{HeaderValue, StatusCode, header};
use slarouter_protocol::Protocol;
use slarouter_protocol::fault::Fault;
use tokio::time::timeout;

use crate::admission::room::Share;

/// What comes to the answer of a request.
pub(super) type Asking = Pin<Box<dyn Future<Output = Response> + Send>>;

/// The place for the room of a request whose handler has returned before a model had answered: it is held until one has.
#[derive(Clone, Default)]
pub(crate) struct Waiting(Arc<OnceLock<Share>>);

/// How far such a stream has come.
enum Stage {
    Begun(Asking),
    Asking(Asking),
    Passing(BodyDataStream),
    Over,
}

// === impl Waiting ===

impl Waiting {
    /// Holds the room from here on.
    pub(crate) fn hold(&self, share: Share) {
        // There is one request, and so one share.
        let _ = self.0.set(share);
    }
}

/// The answer to a request for a stream, as it comes; or `Err` with what still comes to it after `interval`.
pub(super) async fn within(interval: Duration, mut asking: Asking) -> Result<Response, Asking> {
    match timeout(interval, &mut asking).await {
        Ok(response) => Ok(response),
        Err(_) => Err(asking),
    }
}

/// An answer that begins at once: with a ping after each `interval`, until there is what `asking` comes to. Its status is that of a good
/// answer by then, so that an error comes as an event of the stream.
pub(super) fn begin(protocol: Protocol, interval: Duration, asking: Asking) -> Response {
    let waiting = Waiting::default();
    let held = waiting.clone();
    let asking = Box::pin(async move {
        let response = asking.await;
        drop(held);
        response
    });
    let mut response = Response::new(Body::from_stream(pieces(protocol, interval, asking)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response.extensions_mut().insert(waiting);
    response
}

fn pieces(
    protocol: Protocol,
    interval: Duration,
    asking: Asking,
) -> impl Stream<Item = Result<Bytes, axum::Error>> + Send {
    let ping = Bytes::from_static(protocol.ping().as_bytes());
    stream::unfold(Stage::Begun(asking), move |mut stage| {
        let ping = ping.clone();
        async move {
            loop {
                stage = match stage {
                    Stage::Begun(asking) => return Some((Ok(ping), Stage::Asking(asking))),
                    Stage::Asking(asking) => match within(interval, asking).await {
                        Err(asking) => return Some((Ok(ping), Stage::Asking(asking))),
                        Ok(response) if response.status() == StatusCode::OK && is_stream(&response) => {
                            Stage::Passing(response.into_body().into_data_stream())
                        }
                        Ok(response) => return Some((Ok(failure(protocol, response).await), Stage::Over)),
                    },
                    Stage::Passing(mut body) => {
                        let piece = body.next().await?;
                        return Some((piece, Stage::Passing(body)));
                    }
                    Stage::Over => return None,
                }
            }
        }
    })
}

fn is_stream(response: &Response) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("text/event-stream"))
}

/// An answer that is none as the last event of a stream.
async fn failure(protocol: Protocol, response: Response) -> Bytes {
    let status = response.status();
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap_or_default();
    let fault = Fault::read(&body).unwrap_or_else(|| {
        let message = format!("the upstream answered {status} with what is no stream");
        Fault::upstream("stream_missing", message)
    });
    let status = fault.status.or((!status.is_success()).then_some(status));
    Fault { status, ..fault }.write_event(protocol, 0).into()
}
