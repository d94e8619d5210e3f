//! One call to one model: what goes to its upstream, and whether what comes back is an answer.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use slarouter_config::Model;
use slarouter_protocol::adapter::Adapter;
use slarouter_protocol::dialect::Wording;
use slarouter_protocol::pass::{Scanned, first_error};
use slarouter_protocol::request::Request;
use slarouter_protocol::{Dropped, Endpoint};
use tokio::time::Instant;

use crate::app::App;
use crate::upstream::{ANTHROPIC_VERSION, Asked, Failure, ModelHealth, Upstream, UpstreamResponse};
use crate::words::shown;

/// A model that is called, and how it is doing.
#[derive(Clone, Copy)]
pub(crate) struct Callee<'a> {
    pub(crate) model: &'a Model,
    pub(crate) health: &'a Arc<ModelHealth>,
}

/// A request as it came in: the same for all calls that are made for it.
#[derive(Clone, Copy)]
pub(crate) struct Inbound<'a> {
    pub(crate) request: &'a Request,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) asked: &'a Asked<'a>,
}

/// An answer, and what its model was not told of the request.
pub(super) struct Reply {
    pub(super) answer: UpstreamResponse,
    pub(super) dropped: Dropped,
}

/// Takes note of a failed call, but for the circuit.
pub(super) fn note_failure(app: &App, request_id: String, Callee { model, health }: Callee<'_>, failure: &Failure) {
    app.metrics.failure(&model.name, failure.kind());
    let failed = failure.to_string();
    tracing::warn!(request_id, model = %model.name, failure = shown(&failed), "attempt failed");
    if let Some(pause) = failure.pause() {
        health.rest(Instant::now(), pause);
    }
}

/// One call: an answer that is one, or its first events. `context` are the headers that say which trace it belongs to.
pub(super) async fn ask(
    app: &App,
    callee: Callee<'_>,
    inbound: Inbound<'_>,
    context: HeaderMap,
) -> Result<Reply, Failure> {
    let Callee { model, health } = callee;
    let began = Instant::now();
    let endpoint = inbound.request.endpoint();
    let reply = match send(app, callee, inbound, &context).await {
        // It costs nothing, and the words stay known.
        Err(failure) if failure.objection().is_some_and(|objection| health.reworded(objection)) => {
            send(app, callee, inbound, &context).await
        }
        reply => reply,
    };
    let Reply { answer, dropped } = reply?;
    let adapter = Adapter { endpoint, upstream: model.protocol };
    let answer = sound(&app.upstream, answer, adapter, inbound.request.stream())?;
    health.took(inbound.request.stream(), began.elapsed());
    Ok(Reply { answer, dropped })
}

async fn send(
    app: &App,
    Callee { model, health }: Callee<'_>,
    Inbound { request, headers, .. }: Inbound<'_>,
    context: &HeaderMap,
) -> Result<Reply, Failure> {
    let endpoint = request.endpoint();
    let Some(path) = endpoint.upstream_path(model.protocol) else {
        return Err(Failure::Broken("the provider has nothing like this".to_owned()));
    };
    // Such a model is not asked in the first place.
    let wording = Wording { dialect: health.dialect(), longest: model.takes.output_tokens };
    let body = request.worded_body(model.upstream(), wording);
    let (body, dropped) = body.map_err(|refusal| Failure::Broken(refusal.to_string()))?;
    let mut forwarded = forwarded(headers, endpoint, model);
    forwarded.extend(context.clone());
    let answer = app.upstream.call(model, path, forwarded, body).await?;
    Ok(Reply { answer, dropped })
}

/// Those of the client's headers that go to the upstream.
pub(crate) fn forwarded(headers: &HeaderMap, endpoint: Endpoint, model: &Model) -> HeaderMap {
    let mut forwarded = HeaderMap::new();
    if endpoint == Endpoint::Messages && endpoint.passes(model.protocol) {
        for name in [ANTHROPIC_VERSION, "anthropic-beta"] {
            for value in headers.get_all(name) {
                forwarded.append(HeaderName::from_static(name), value.clone());
            }
        }
    }
    forwarded
}

/// Refuses a 200 that is no answer to a request which is `streamed` or not. What comes later in a stream is judged as it passes.
fn sound(
    upstream: &Upstream,
    answer: UpstreamResponse,
    adapter: Adapter,
    streamed: bool,
) -> Result<UpstreamResponse, Failure> {
    let (headers, error) = match &answer {
        UpstreamResponse::Plain { headers, body, .. } => {
            let scanned = Scanned::of(body).ok();
            let error = scanned.as_ref().and_then(Scanned::error_status).map(|status| (status, body.clone()));
            if error.is_none()
                && let Some(fault) = adapter.fault(body, scanned.is_some())
            {
                // Pages of proxies and bodies that were cut may be gone with the next call; a model's own words are paid for.
                return Err(if scanned.is_some() { Failure::Unreadable(fault) } else { Failure::Broken(fault) });
            }
            (headers, error)
        }
        UpstreamResponse::Stream { headers, first, .. } => (headers, first_error(first)),
    };
    let Some((status, body)) = error else { return asked_for(answer, streamed) };
    let mut headers = headers.clone();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Err(upstream.refusal(status, headers, body, true))
}

/// Refuses a stream where the answer was to come whole, and the reverse: who reads the one finds nothing in the other, and takes that for
/// an answer without a word.
fn asked_for(answer: UpstreamResponse, streamed: bool) -> Result<UpstreamResponse, Failure> {
    let why = match (&answer, streamed) {
        (UpstreamResponse::Plain { .. }, true) => "it came whole, and a stream was asked for",
        (UpstreamResponse::Stream { .. }, false) => "it came as a stream, and was asked for whole",
        _ => return Ok(answer),
    };
    Err(Failure::Unreadable(why.to_owned()))
}
