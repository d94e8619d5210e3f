//! `POST /v1/chat/completions`: decide, log, call, pass through.

mod passage;
mod ticket;

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use slarouter_core::{AuditDraw, Candidate, Context, Decision, DecisionId, Reason, decision_rng, uniform};
use slarouter_store::{DecisionRecord, Entry};
use slarouter_text::Conversation;
use tokio::time::{Duration, Instant, sleep};

use crate::app::App;
use crate::clock::{new_id, public_id};
use crate::config::Model;
use crate::error::{ApiError, SHOULD_RETRY};
use crate::models::unknown;
use crate::upstream::{Answer, Failure, Next};
use crate::wire::request::ChatRequest;
use crate::wire::{response, stream};

use ticket::Ticket;

/// Mean pause before the one retry on the same model; jittered between half and one and a half times this.
const BACKOFF: Duration = Duration::from_millis(100);

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const UPSTREAM_ID: HeaderName = HeaderName::from_static("x-slarouter-upstream-id");
const MODEL: HeaderName = HeaderName::from_static("x-slarouter-model");
const ROUTE: HeaderName = HeaderName::from_static("x-slarouter-route");
const DECISION: HeaderName = HeaderName::from_static("x-slarouter-decision");
const AUDIT: HeaderName = HeaderName::from_static("x-slarouter-audit");
const COST: HeaderName = HeaderName::from_static("x-slarouter-cost-usd");
const METADATA: HeaderName = HeaderName::from_static("x-slarouter-metadata");

/// What the body's `model` asks for.
enum Target<'a> {
    Route(Arc<str>),
    Model(&'a Model),
}

pub(crate) async fn completions(State(app): State<Arc<App>>, headers: HeaderMap, body: Bytes) -> Response {
    let id = new_id();
    let mut response = match serve(&app, id, &headers, body).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    };
    set(response.headers_mut(), REQUEST_ID, &public_id(id));
    response
}

async fn serve(app: &Arc<App>, id: DecisionId, headers: &HeaderMap, body: Bytes) -> Result<Response, ApiError> {
    let arrived = Instant::now();
    let request =
        ChatRequest::parse(body).map_err(|error| ApiError::invalid(error.param(), error.code(), error.to_string()))?;
    let target = target(app, request.model()).ok_or_else(|| unknown(request.model()))?;
    let mut ticket = decide(app, id, &request, &target, arrived).await?;
    let metadata = headers.get(METADATA).is_some_and(|value| value == "enabled");

    let deadline = app.config.server.request_timeout;
    match tokio::time::timeout(deadline, call(app, &mut ticket, &request)).await {
        Ok(Ok(answer)) => Ok(answer_client(app, ticket, answer, &request, metadata)),
        Ok(Err(failure)) => Ok(refuse(ticket, failure)),
        Err(_) => {
            let message = format!("no model answered within {} s", deadline.as_secs_f64());
            let error = ApiError::upstream(StatusCode::GATEWAY_TIMEOUT, "timeout", message.clone());
            let mut response = error.into_response();
            describe(response.headers_mut(), &ticket, None);
            ticket.finish(response.status(), false, None, Some(message));
            Ok(response)
        }
    }
}

fn target<'a>(app: &'a App, name: &str) -> Option<Target<'a>> {
    if name == "auto" {
        return Some(Target::Route(app.config.default_route.clone()));
    }
    if let Some(route) = name.strip_prefix("auto:") {
        return app.config.routes.get_key_value(route).map(|(route, _)| Target::Route(route.clone()));
    }
    model(app, name).map(Target::Model)
}

fn model<'a>(app: &'a App, name: &str) -> Option<&'a Model> {
    app.config.models.iter().find(|model| &*model.name == name)
}

/// Makes the decision and logs it. From here on the ticket sees to it that an outcome follows, whatever happens.
async fn decide(
    app: &Arc<App>,
    id: DecisionId,
    request: &ChatRequest,
    target: &Target<'_>,
    arrived: Instant,
) -> Result<Ticket, ApiError> {
    let conversation = Conversation::from_messages(request.messages(), request.tools())
        .map_err(|error| ApiError::invalid("messages", "invalid_messages", error.to_string()))?;
    // Nobody decides on a pinned request, so it does not wait for a slow encoder.
    let free_only = matches!(target, Target::Model(_));
    let features = app.features.of(&conversation, free_only, &app.metrics).await;
    let input_tokens = f64::from(conversation.input_tokens());
    let context = Context { features: &features, input_tokens, excluded: &[] };
    let snapshot = app.published.load();
    let (route, decision, audit) = match target {
        Target::Route(route) => {
            let router = snapshot.routes.get(route).ok_or_else(|| unknown(request.model()))?;
            let mut rng = decision_rng(app.config.server.seed, id);
            let decision = router.decide(&context, &mut rng).map_err(|error| {
                tracing::error!(%error, "no decision");
                ApiError::unavailable("no_decision", "the request could not be routed")
            })?;
            let audit = router.draw_audit(app.config.server.seed, id, &decision);
            (route.clone(), decision, audit)
        }
        Target::Model(model) => {
            let (route, decision) = pinned(app, &snapshot, model, &context);
            (route, decision, AuditDraw::default())
        }
    };
    if audit.drawn {
        app.metrics.drawn(&route);
    }
    let record = DecisionRecord {
        id,
        time: app.clock.now(),
        route: route.clone(),
        decision: decision.clone(),
        features,
        feature_version: app.features.id().version,
        input_tokens,
        state_seq: snapshot.seq,
        prompt: app.config.store.keep_prompts.then(|| request.messages().to_owned()),
        audit,
    };
    app.log(Entry::Decision(record));
    Ok(Ticket::new(app.clone(), id, route, decision, input_tokens, request.stream(), arrived).drawn(audit.drawn))
}

/// A pinned request belongs to the first route that has its model, the default one before the others; only for its records.
fn pinned(
    app: &App,
    snapshot: &crate::learning::Snapshot,
    model: &Model,
    context: &Context<'_>,
) -> (Arc<str>, Decision) {
    let routes = std::iter::once(&app.config.default_route).chain(app.config.routes.keys());
    for route in routes {
        let decision = snapshot.routes.get(route).and_then(|router| router.pinned(&model.name, context));
        if let Some(decision) = decision {
            return (route.clone(), decision);
        }
    }
    let candidate = Candidate {
        model: model.name.clone(),
        probability: 1.0,
        satisfaction: 0.5,
        cost: model.price.cost(context.input_tokens, 0.0),
        score: 0.0,
    };
    ("".into(), Decision { candidates: vec![candidate], chosen: 0, reason: Reason::Pinned })
}

/// Calls the chosen model, retries it once, then falls back along the route. Nothing has gone to the client yet.
async fn call(app: &App, ticket: &mut Ticket, request: &ChatRequest) -> Result<Answer, Failure> {
    let decision = ticket.decision().clone();
    let mut order = vec![decision.choice().model.clone()];
    if decision.reason != Reason::Pinned {
        order.extend(decision.fallbacks().into_iter().map(|candidate| candidate.model.clone()));
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
            let answer = match app.upstream.chat(model, request.upstream_body(&model.upstream_model)).await {
                Ok(answer) => sound(answer),
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
            tracing::warn!(request_id = public_id(ticket.id()), model = %name, %failure, "attempt failed");
            match failure.next() {
                Next::Retry => {}
                Next::OtherModel => break,
                Next::GiveUp => return Err(failure),
            }
        }
    }
    Err(failure)
}

/// Refuses a 200 that is no answer. What comes later in a stream is judged as it passes.
fn sound(answer: Answer) -> Result<Answer, Failure> {
    let (headers, error) = match &answer {
        Answer::Plain { body, .. } if !response::is_object(body) => {
            return Err(Failure::Broken("the answer is no JSON object".to_owned()));
        }
        Answer::Plain { headers, body, .. } => {
            (headers, response::error_status(body).map(|status| (status, body.clone())))
        }
        Answer::Stream { headers, first, .. } => (headers, stream::first_error(first)),
    };
    let Some((status, body)) = error else { return Ok(answer) };
    let mut headers = headers.clone();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Err(Failure::Status { status, headers, body, under_200: true })
}

/// All attempts failed: the last failure, as the upstream put it.
fn refuse(mut ticket: Ticket, failure: Failure) -> Response {
    let mut response = match &failure {
        Failure::Status { status, headers, body, .. } => {
            let mut response = (*status, body.clone()).into_response();
            for name in [header::CONTENT_TYPE, header::RETRY_AFTER] {
                if let Some(value) = headers.get(&name) {
                    response.headers_mut().insert(name, value.clone());
                }
            }
            response
        }
        Failure::Timeout(_) => {
            ApiError::upstream(StatusCode::GATEWAY_TIMEOUT, "upstream_timeout", failure.to_string()).into_response()
        }
        Failure::Unreachable(_) | Failure::Broken(_) => {
            let code = if matches!(failure, Failure::Broken(_)) { "upstream_broken" } else { "upstream_unreachable" };
            ApiError::upstream(StatusCode::BAD_GATEWAY, code, failure.to_string()).into_response()
        }
    };
    // Our retries are spent; more by the SDK would only multiply them.
    response.headers_mut().insert(SHOULD_RETRY, HeaderValue::from_static("false"));
    describe(response.headers_mut(), &ticket, None);
    ticket.finish(response.status(), false, None, Some(failure.to_string()));
    response
}

fn answer_client(
    app: &Arc<App>,
    mut ticket: Ticket,
    answer: Answer,
    request: &ChatRequest,
    metadata: bool,
) -> Response {
    match answer {
        Answer::Plain { status, headers, body } => {
            let facts = response::read(&body);
            let cost = ticket.cost(facts.usage.as_ref());
            let extra = metadata.then(|| ticket.metadata(cost));
            let rewritten = response::rewrite(
                &body,
                &response::Rewrite {
                    id: &public_id(ticket.id()),
                    model_if_missing: ticket.upstream_model(),
                    cost: facts.usage.is_some().then_some(cost),
                    metadata: extra.as_deref(),
                },
            );
            match rewritten {
                Ok(bytes) => {
                    let mut response = (status, bytes).into_response();
                    keep(response.headers_mut(), &headers);
                    describe(response.headers_mut(), &ticket, facts.id.as_deref());
                    set(response.headers_mut(), COST, &format!("{cost:.9}"));
                    ticket.finish(status, true, facts.usage, None);
                    response
                }
                Err(error) => refuse(ticket, Failure::Broken(error.to_string())),
            }
        }
        Answer::Stream { status, headers, first, rest } => {
            let upstream_id = stream::first_id(&first);
            let mut response = Response::new(Body::empty());
            *response.status_mut() = status;
            keep(response.headers_mut(), &headers);
            describe(response.headers_mut(), &ticket, upstream_id.as_deref());
            let idle = app.upstream.idle_timeout();
            let passage = passage::stream(ticket, status, first, rest, request.include_usage(), metadata, idle);
            *response.body_mut() = Body::from_stream(passage);
            response
        }
    }
}

/// Passes the upstream's headers on, but for those that belong to one connection or that we set ourselves.
fn keep(to: &mut HeaderMap, from: &HeaderMap) {
    for (name, value) in from {
        let own = [
            header::CONNECTION,
            header::CONTENT_LENGTH,
            header::DATE,
            header::SET_COOKIE,
            header::TRANSFER_ENCODING,
            header::UPGRADE,
            header::TRAILER,
            REQUEST_ID,
        ];
        let hop =
            name == "keep-alive" || name.as_str().starts_with("proxy-") || name.as_str().starts_with("x-slarouter-");
        if !own.contains(name) && !hop {
            to.append(name.clone(), value.clone());
        }
    }
    // `into_response` had put a type of its own first.
    if let Some(kind) = from.get(header::CONTENT_TYPE) {
        to.insert(header::CONTENT_TYPE, kind.clone());
    }
}

fn describe(headers: &mut HeaderMap, ticket: &Ticket, upstream_id: Option<&str>) {
    set(headers, MODEL, ticket.model());
    if !ticket.route().is_empty() {
        set(headers, ROUTE, ticket.route());
    }
    set(headers, DECISION, ticket.reason().as_str());
    if ticket.is_drawn() {
        set(headers, AUDIT, "1");
    }
    if let Some(id) = upstream_id {
        set(headers, UPSTREAM_ID, id);
    }
}

/// Sets a header; a value that no header can hold is left out.
fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
