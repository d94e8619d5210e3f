//! Calls to upstreams until one answers.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use slarouter_core::{Reason, decision_rng, uniform};
use tokio::time::{Duration, sleep};

use super::model;
use super::ticket::Ticket;
use crate::app::App;
use crate::config::Model;
use crate::protocol::Endpoint;
use crate::protocol::bridge::Bridge;
use crate::upstream::{ANTHROPIC_VERSION, Answer, Failure, Next};
use crate::wire::request::Request;
use crate::wire::{response, stream};

/// Mean pause before the one retry on the same model; jittered between half and one and a half times this.
const BACKOFF: Duration = Duration::from_millis(100);

/// Calls the chosen model, retries it once, then falls back along the route. Nothing has gone to the client yet.
pub(super) async fn call(
    app: &App,
    ticket: &mut Ticket,
    request: &Request,
    headers: &HeaderMap,
    excluded: &[&str],
) -> Result<Answer, Failure> {
    let decision = ticket.decision().clone();
    let mut order = vec![decision.choice().model.clone()];
    if decision.reason != Reason::Pinned {
        let rest = decision.fallbacks().into_iter().map(|candidate| candidate.model.clone());
        order.extend(rest.filter(|name| !excluded.contains(&&**name)));
    }
    let mut failure = Failure::Broken("the model is not configured any more".to_owned());
    let mut jitter = decision_rng(!app.config.server.seed, ticket.id());
    for (place, name) in order.iter().enumerate() {
        let Some(model) = model(app, name) else { continue };
        // One retry, and only on the first choice.
        let tries = if place == 0 { 2 } else { 1 };
        for attempt in 0..tries {
            if ticket.attempts() >= app.config.upstream.max_attempts {
                return Err(failure);
            }
            if attempt > 0 {
                sleep(BACKOFF.mul_f64(0.5 + uniform(&mut jitter))).await;
            }
            ticket.attempt(model);
            let answer = match ask(app, model, request, headers).await {
                Ok(answer) => sound(answer, Bridge { endpoint: request.endpoint(), upstream: model.protocol }),
                failure => failure,
            };
            failure = match answer {
                Ok(answer) => {
                    ticket.answered();
                    return Ok(answer);
                }
                Err(failure) => failure,
            };
            app.metrics.failure(name, failure.kind());
            tracing::warn!(request_id = ticket.public_id(), model = %name, %failure, "attempt failed");
            match failure.next() {
                Next::Retry => {}
                Next::OtherModel => break,
                Next::GiveUp => return Err(failure),
            }
        }
    }
    Err(failure)
}

async fn ask(app: &App, model: &Model, request: &Request, headers: &HeaderMap) -> Result<Answer, Failure> {
    let endpoint = request.endpoint();
    let Some(path) = endpoint.upstream_path(model.protocol) else {
        return Err(Failure::Broken("the provider has nothing like this".to_owned()));
    };
    // Such a model is not asked in the first place.
    let body = request.upstream_body(model).map_err(|refusal| Failure::Broken(refusal.to_string()))?;
    let mut forwarded = HeaderMap::new();
    if endpoint == Endpoint::Messages && endpoint.passes(model.protocol) {
        for name in [ANTHROPIC_VERSION, "anthropic-beta"] {
            for value in headers.get_all(name) {
                forwarded.append(HeaderName::from_static(name), value.clone());
            }
        }
    }
    app.upstream.call(model, path, &forwarded, body).await
}

/// Refuses a 200 that is no answer. What comes later in a stream is judged as it passes.
fn sound(answer: Answer, bridge: Bridge) -> Result<Answer, Failure> {
    let (headers, error) = match &answer {
        Answer::Plain { headers, body, .. } => {
            let error = response::error_status(body).map(|status| (status, body.clone()));
            if error.is_none()
                && let Some(fault) = bridge.fault(body)
            {
                return Err(Failure::Broken(fault));
            }
            (headers, error)
        }
        Answer::Stream { headers, first, .. } => (headers, stream::first_error(first)),
    };
    let Some((status, body)) = error else { return Ok(answer) };
    let mut headers = headers.clone();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Err(Failure::Status { status, headers, body, under_200: true })
}
