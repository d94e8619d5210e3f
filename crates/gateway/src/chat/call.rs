//! Calls to upstreams until one answers.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use slarouter_config::Model;
use slarouter_core::{DecisionId, Reason, decision_rng, uniform};
use slarouter_protocol::Endpoint;
use slarouter_protocol::bridge::Bridge;
use slarouter_protocol::pass::Scanned;
use slarouter_protocol::pass::first_error;
use slarouter_protocol::request::Request;
use tokio::time::{Duration, Instant, sleep};

use super::hedge::{Asked, call_hedged};
use super::ticket::Ticket;
use crate::app::App;
use crate::lookup::model;
use crate::telemetry::Call;
use crate::upstream::{ANTHROPIC_VERSION, Answer, Failure, Next, Upstream};
use crate::upstream::{Admission, Refused};

/// Longest pause before a retry, before jitter.
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);

/// The calls that are made for one request.
pub(crate) trait Calls {
    type Answer;

    /// How many there have been.
    fn made(&self) -> u32;

    /// Makes one to a model that lets it in; `rest` come after that model.
    async fn make(
        &mut self,
        asked: Asked<'_>,
        admission: Admission,
        rest: &[Arc<str>],
    ) -> Result<Self::Answer, Failure>;
}

/// The calls for an answer that is decided on, logged and learnt from.
struct Answering<'a> {
    app: &'a App,
    ticket: &'a mut Ticket,
    request: &'a Request,
    headers: &'a HeaderMap,
}

/// Calls the chosen model, with retries, then falls back along the route. Nothing has gone to the client yet.
pub(crate) async fn call(
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
    let id = ticket.id();
    in_order(app, id, &order, &mut Answering { app, ticket, request, headers }).await
}

impl Calls for Answering<'_> {
    type Answer = Answer;

    fn made(&self) -> u32 {
        self.ticket.attempts()
    }

    async fn make(&mut self, asked: Asked<'_>, admission: Admission, rest: &[Arc<str>]) -> Result<Answer, Failure> {
        let Self { app, ticket, request, headers } = self;
        ticket.attempt(asked.model, admission);
        // What is slow a second time is the retries' affair.
        let hedge = app.config.upstream.hedge.filter(|_| ticket.attempts() == 1);
        let answer = match hedge {
            Some(hedge) => call_hedged(app, ticket, asked, rest, request, headers, hedge).await,
            None => ask(app, asked, request, headers, ticket.trace_context(headers, Call::First)).await,
        };
        match &answer {
            Ok(answer) => {
                ticket.answered();
                if let Some(trace) = ticket.trace() {
                    trace.answered(matches!(answer, Answer::Stream { .. }));
                }
            }
            Err(failure) => {
                fail(app, ticket.public_id(), asked, failure);
                ticket.attempt_failed(failure);
            }
        }
        answer
    }
}

/// Makes calls until one is answered: to the first model of `order`, with retries, then to the others.
pub(crate) async fn in_order<C: Calls>(
    app: &App,
    id: DecisionId,
    order: &[Arc<str>],
    calls: &mut C,
) -> Result<C::Answer, Failure> {
    let mut last = Failure::Broken("the model is not configured any more".to_owned());
    let mut jitter = decision_rng(!app.config.server.seed, id);
    // Where every circuit is open the chosen model is tried all the same: trying beats refusing.
    for forced in [false, true] {
        for (place, name) in order.iter().enumerate().take(if forced { 1 } else { order.len() }) {
            let Some((model, health)) = model(app, name).zip(app.health.of(name)) else { continue };
            // Retries are for the first choice.
            let retries = if place == 0 { app.config.upstream.retries } else { 0 };
            for attempt in 0..=retries {
                if calls.made() >= app.config.upstream.max_attempts {
                    return Err(last);
                }
                if attempt == 0 {
                    health.first_call();
                } else if !health.may_retry() {
                    app.metrics.retry_refused(name);
                    break;
                } else {
                    sleep(backoff(app.config.upstream.backoff, attempt).mul_f64(0.5 + uniform(&mut jitter))).await;
                }
                let admission = match health.enter(Instant::now(), forced).await {
                    Ok(admission) => admission,
                    Err(Refused::Circuit) => break,
                    Err(Refused::Busy) => {
                        last = Failure::Busy;
                        app.metrics.failure(name, last.kind());
                        break;
                    }
                };
                app.metrics.called(name);
                let failure = match calls.make(Asked { model, health }, admission, &order[place + 1..]).await {
                    Ok(answer) => return Ok(answer),
                    Err(failure) => failure,
                };
                let next = failure.next();
                last = failure;
                match next {
                    Next::Retry => {}
                    Next::OtherModel => break,
                    Next::GiveUp => return Err(last),
                }
            }
        }
        if calls.made() > 0 || matches!(last, Failure::Busy) {
            break;
        }
    }
    Err(last)
}

/// The mean pause before the n-th retry, from 1.
fn backoff(first: Duration, retry: u32) -> Duration {
    first.saturating_mul(1 << (retry - 1).min(16)).min(LONGEST_BACKOFF.max(first))
}

/// Takes note of a failed call, but for the circuit.
pub(crate) fn fail(app: &App, request_id: String, Asked { model, health }: Asked<'_>, failure: &Failure) {
    app.metrics.failure(&model.name, failure.kind());
    tracing::warn!(request_id, model = %model.name, %failure, "attempt failed");
    if let Some(pause) = failure.pause() {
        health.rest(Instant::now(), pause);
    }
}

/// One call: an answer that is one, or its first events. `context` says which trace it belongs to.
pub(crate) async fn ask(
    app: &App,
    Asked { model, health }: Asked<'_>,
    request: &Request,
    headers: &HeaderMap,
    context: HeaderMap,
) -> Result<Answer, Failure> {
    let began = Instant::now();
    let answer = send(app, model, request, headers, context).await?;
    let answer = sound(&app.upstream, answer, Bridge { endpoint: request.endpoint(), upstream: model.protocol })?;
    if app.config.upstream.hedge.is_some() {
        health.took(request.stream(), began.elapsed());
    }
    Ok(answer)
}

async fn send(
    app: &App,
    model: &Model,
    request: &Request,
    headers: &HeaderMap,
    context: HeaderMap,
) -> Result<Answer, Failure> {
    let endpoint = request.endpoint();
    let Some(path) = endpoint.upstream_path(model.protocol) else {
        return Err(Failure::Broken("the provider has nothing like this".to_owned()));
    };
    // Such a model is not asked in the first place.
    let body = request.upstream_body(model.upstream()).map_err(|refusal| Failure::Broken(refusal.to_string()))?;
    let mut forwarded = forwarded(headers, endpoint, model);
    forwarded.extend(context);
    app.upstream.call(model, path, &forwarded, body).await
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

/// Refuses a 200 that is no answer. What comes later in a stream is judged as it passes.
fn sound(upstream: &Upstream, answer: Answer, bridge: Bridge) -> Result<Answer, Failure> {
    let (headers, error) = match &answer {
        Answer::Plain { headers, body, .. } => {
            let scanned = Scanned::of(body).ok();
            let error = scanned.as_ref().and_then(Scanned::error_status).map(|status| (status, body.clone()));
            if error.is_none()
                && let Some(fault) = bridge.fault(body, scanned.is_some())
            {
                return Err(Failure::Broken(fault));
            }
            (headers, error)
        }
        Answer::Stream { headers, first, .. } => (headers, first_error(first)),
    };
    let Some((status, body)) = error else { return Ok(answer) };
    let mut headers = headers.clone();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Err(upstream.refusal(status, headers, body, true))
}
