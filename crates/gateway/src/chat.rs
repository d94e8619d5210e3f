//! A request for an answer, in whichever protocol it comes: decide, log, call, pass through or translate.

pub(crate) mod call;
mod eligible;
mod estimate;
mod fallible;
pub(crate) mod hedge;
mod passage;
pub(crate) mod ticket;

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use slarouter_config::Model;
use slarouter_core::{AnyPolicy, AuditDraw, Candidate, Context, Decision, DecisionId, Reason, Saving, Timestamp};
use slarouter_learner::Snapshot;
use slarouter_protocol::bridge::{Bridge, Terms};
use slarouter_protocol::outline::Outline;
use slarouter_protocol::pass::first_id;
use slarouter_protocol::request::{AnswerLength, Request};
use slarouter_protocol::{Endpoint, Envelope, Protocol};
use slarouter_store::{DecisionRecord, Entry};
use slarouter_text::Conversation;
use tokio::time::Instant;

use crate::admission::auth::Caller;
use crate::admission::limits::{self, Hold};
use crate::app::App;
use crate::clock::{new_id, prefixed_id};
use crate::error::{ApiError, SHOULD_RETRY};
use crate::lookup::{Target, allowed, model, unknown};
use crate::sessions::{Talk, Turn};
use crate::telemetry::{DecisionFacts, RequestTrace};
use crate::upstream::{Answer, Failure};

use call::call;
use eligible::excluded;
use estimate::estimate;
use fallible::{Choice, choose};
use ticket::Ticket;
pub(crate) use ticket::is_plausible;

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// What Anthropic's SDKs read.
const ANTHROPIC_REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const UPSTREAM_ID: HeaderName = HeaderName::from_static("x-slarouter-upstream-id");
pub(crate) const MODEL: HeaderName = HeaderName::from_static("x-slarouter-model");
const ROUTE: HeaderName = HeaderName::from_static("x-slarouter-route");
const DECISION: HeaderName = HeaderName::from_static("x-slarouter-decision");
const AUDIT: HeaderName = HeaderName::from_static("x-slarouter-audit");
const COST: HeaderName = HeaderName::from_static("x-slarouter-cost-usd");
/// The same as `retry-after`, which OpenAI sends beside it.
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
const DEGRADED: HeaderName = HeaderName::from_static("x-slarouter-degraded");
const FEEDBACK_TOKEN: HeaderName = HeaderName::from_static("x-slarouter-feedback-token");
const METADATA: HeaderName = HeaderName::from_static("x-slarouter-metadata");

/// What a decision is made from.
pub(crate) struct Asked<'a> {
    /// The model or route that was asked for.
    pub(crate) name: &'a str,
    pub(crate) outline: Outline<'a>,
    /// Whether what is learnt of the answers counts for a route.
    pub(crate) routes: bool,
    /// What the answer may be long.
    pub(crate) answer: AnswerLength,
}

/// Answers a request at this endpoint, errors in its protocol's shape.
pub(crate) async fn answer(
    app: &Arc<App>,
    caller: &Caller,
    endpoint: Endpoint,
    headers: &HeaderMap,
    body: Bytes,
) -> Response {
    let id = new_id();
    let https = app.config.server.tls.is_some();
    let mut trace = app.telemetry.as_ref().map(|telemetry| Box::new(telemetry.request(endpoint, headers, https)));
    let mut response = match serve(app, caller, endpoint, id, headers, body, &mut trace).await {
        Ok(response) => response,
        Err(error) => error.respond(endpoint.protocol()),
    };
    if let Some(trace) = trace {
        trace.refused(response.status());
    }
    limits::describe(response.headers_mut(), &caller.meters, app.clock.now());
    let public = prefixed_id(endpoint.id_prefix(), id);
    set(response.headers_mut(), REQUEST_ID, &public);
    if endpoint == Endpoint::Messages {
        set(response.headers_mut(), ANTHROPIC_REQUEST_ID, &public);
    }
    response
}

async fn serve(
    app: &Arc<App>,
    caller: &Caller,
    endpoint: Endpoint,
    id: DecisionId,
    headers: &HeaderMap,
    body: Bytes,
    trace: &mut Option<Box<RequestTrace>>,
) -> Result<Response, ApiError> {
    let arrived = Instant::now();
    let request = Request::parse(endpoint, body)
        .map_err(|error| ApiError::invalid(error.param(), error.code(), error.to_string()))?;
    let target = allowed(app, caller, request.model())?;
    let excluded = excluded(app, &request, &target)?;
    let asked = Asked {
        name: request.model(),
        outline: request.outline(),
        routes: endpoint.routes(),
        answer: request.answer_length(),
    };
    let session = match &target {
        Target::Route(route) if app.config.routes.get(route).is_some_and(|route| route.affinity) => {
            app.sessions.of(route, headers, &request)
        }
        _ => None,
    };
    let held = session.filter(|session| session.goes_on).and_then(|session| app.sessions.talk(session, arrived));
    let barred = barred(app, &target, &excluded);
    let decided = decide(app, caller, id, asked, &target, &barred, held.as_ref()).await?;
    // From here on an outcome follows, whatever happens.
    let mut trace = trace.take();
    if let Some(trace) = &mut trace {
        trace.decided(&DecisionFacts {
            id: prefixed_id(endpoint.id_prefix(), id),
            route: &decided.route,
            decision: &decided.decision,
            audited: decided.audited,
            satisfaction_price: decided.satisfaction_price,
            degraded: decided.degraded,
        });
    }
    let mut ticket = Ticket::new(app.clone(), id, decided, &request, arrived, trace);
    if let Some(session) = session {
        ticket.follow(Turn { session, before: held, arrived });
    }
    ticket.reserved().await;
    let metadata = headers.get(METADATA).is_some_and(|value| value == "enabled");

    let deadline = app.config.server.request_timeout;
    match tokio::time::timeout(deadline, call(app, &mut ticket, &request, headers, &excluded)).await {
        Ok(Ok(answer)) => Ok(answer_client(app, ticket, answer, &request, metadata)),
        Ok(Err(failure)) => Ok(refuse(ticket, failure)),
        Err(_) => {
            let message = format!("no model answered within {} s", deadline.as_secs_f64());
            let error = ApiError::upstream(StatusCode::GATEWAY_TIMEOUT, "timeout", message.clone());
            let mut response = error.respond(endpoint.protocol());
            describe(response.headers_mut(), &ticket, None);
            ticket.finish(response.status(), false, None, Some(message));
            Ok(response)
        }
    }
}

/// The models that are not to be chosen: those that cannot be asked this, and of the others those that are not available, as long as
/// that leaves any.
pub(crate) fn barred<'a>(app: &'a App, target: &Target<'a>, excluded: &[&'a str]) -> Vec<&'a str> {
    let mut barred = excluded.to_vec();
    let Target::Route(route) = target else { return barred };
    let zoo = app.config.routes.get(route).map(|route| route.spec.zoo.models()).unwrap_or_default();
    let now = Instant::now();
    barred.extend(zoo.iter().map(|model| &*model.name).filter(|name| !app.health.is_available(name, now)));
    if zoo.iter().all(|model| barred.contains(&&*model.name)) {
        barred.truncate(excluded.len());
    }
    barred
}

/// A decision that has been logged.
pub(crate) struct Decided {
    pub(crate) time: Timestamp,
    pub(crate) route: Arc<str>,
    pub(crate) decision: Decision,
    /// Estimated.
    pub(crate) input_tokens: f64,
    /// Whether it was drawn for audit.
    pub(crate) audited: bool,
    /// USD that a satisfied answer is worth, where the policy has such a price.
    pub(crate) satisfaction_price: Option<f64>,
    /// What was wrong with the learning.
    pub(crate) degraded: Option<&'static str>,
    /// Of the caller's limits.
    pub(crate) hold: Option<Hold>,
}

/// Makes the decision and logs it. `held` is the conversation that the request goes on with. That the learning is in trouble
/// fails no request.
pub(crate) async fn decide(
    app: &Arc<App>,
    caller: &Caller,
    id: DecisionId,
    asked: Asked<'_>,
    target: &Target<'_>,
    excluded: &[&str],
    held: Option<&Talk>,
) -> Result<Decided, ApiError> {
    let Asked { name, outline, routes, answer } = asked;
    let conversation = Conversation::from_messages(&outline.messages, outline.tools)
        .map_err(|error| ApiError::invalid("messages", "invalid_messages", error.to_string()))?;
    let hold = match &*caller.meters {
        [] => None,
        meters => Some(limits::admit(
            &app.journal,
            app.clock.now(),
            meters,
            &estimate(app, target, f64::from(conversation.input_tokens()), answer),
        )?),
    };
    // Nobody decides on a pinned request, so it does not wait for a slow encoder.
    let free_only = matches!(target, Target::Model(_));
    let mut features = app.features.of(&conversation, free_only, &app.metrics).await;
    let input_tokens = f64::from(conversation.input_tokens());
    let context = Context { features: &features, input_tokens, excluded };
    let snapshot = app.published.load();
    let mut degraded = app.trouble();
    let time = app.clock.now();
    let (route, decision, audit) = match target {
        Target::Route(route) => {
            let settings = app.config.routes.get(route).ok_or_else(|| unknown(name))?;
            let saving = held.and_then(|talk| {
                let tokens = app.sessions.cached(talk, input_tokens, Instant::now());
                let usd = model(app, &talk.model)?.prices.at(time).saving(tokens);
                Some(Saving { model: &talk.model, usd })
            });
            let Choice { decision, audit, failed } = choose(app, &snapshot, (route, settings), id, &context, saving);
            if failed {
                degraded = Some("state");
                // They may be what is wrong.
                features.clear();
            }
            let router = snapshot.routes.get(route).filter(|_| !failed);
            let stays = held.and_then(|held| router?.stay(&decision, &held.model, excluded));
            (route.clone(), stays.unwrap_or(decision), audit)
        }
        Target::Model(model) => {
            let (route, decision) =
                if routes { pinned(app, &snapshot, model, &context, time) } else { lone(model, &context, time) };
            (route, decision, AuditDraw::default())
        }
    };
    if let Some(reason) = degraded {
        app.metrics.degraded(reason);
    }
    if audit.drawn {
        app.metrics.drawn(&route);
    }
    let satisfaction_price = snapshot.routes.get(&route).and_then(|router| match router.policy() {
        AnyPolicy::Certified(policy) => Some(policy.satisfaction_price()),
        _ => None,
    });
    let record = DecisionRecord {
        id,
        time,
        route: route.clone(),
        decision: decision.clone(),
        features,
        feature_version: app.features.id().version,
        input_tokens,
        state_seq: snapshot.seq,
        prompt: app.config.store.keep_prompts.then(|| outline.messages.into_owned()),
        audit,
    };
    app.journal.log(Entry::Decision(record));
    Ok(Decided { time, route, decision, input_tokens, audited: audit.drawn, satisfaction_price, degraded, hold })
}

/// A pinned request belongs to the first route that has its model, the default one before the others; only for its records.
fn pinned(
    app: &App,
    snapshot: &Snapshot,
    model: &Model,
    context: &Context<'_>,
    time: Timestamp,
) -> (Arc<str>, Decision) {
    let routes = std::iter::once(&app.config.default_route).chain(app.config.routes.keys());
    for route in routes {
        let decision = snapshot.routes.get(route).and_then(|router| router.pinned(&model.name, context));
        if let Some(decision) = decision {
            return (route.clone(), decision);
        }
    }
    lone(model, context, time)
}

/// The decision for a model in no route, or for what says nothing of its answers: embeddings, bare completions.
fn lone(model: &Model, context: &Context<'_>, time: Timestamp) -> (Arc<str>, Decision) {
    let candidate = Candidate {
        model: model.name.clone(),
        probability: 1.0,
        satisfaction: 0.5,
        cost: model.prices.at(time).list().cost(context.input_tokens, 0.0),
        ..Candidate::default()
    };
    ("".into(), Decision { candidates: vec![candidate], chosen: 0, reason: Reason::Pinned })
}

/// All attempts failed: the last failure, as the upstream put it.
fn refuse(mut ticket: Ticket, failure: Failure) -> Response {
    let bridge = Bridge { endpoint: ticket.endpoint(), upstream: ticket.upstream() };
    let protocol = ticket.endpoint().protocol();
    let mut response = failed(&failure, bridge, protocol);
    describe(response.headers_mut(), &ticket, None);
    ticket.finish(response.status(), false, None, Some(failure.to_string()));
    response
}

/// The answer to a call that failed, as the upstream put it where it did.
pub(crate) fn failed(failure: &Failure, bridge: Bridge, protocol: Protocol) -> Response {
    let mut response = match failure {
        Failure::Status { status, headers, body, retry_after, .. } => {
            let mut response = (*status, bridge.error(*status, body)).into_response();
            for name in [header::CONTENT_TYPE, RETRY_AFTER_MS] {
                if let Some(value) = headers.get(&name) {
                    response.headers_mut().insert(name, value.clone());
                }
            }
            // In seconds, as the client does not see the clock that a date was written by.
            if let Some(wait) = retry_after {
                let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0));
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            }
            response
        }
        Failure::Timeout(_) => {
            ApiError::upstream(StatusCode::GATEWAY_TIMEOUT, "upstream_timeout", failure.to_string()).respond(protocol)
        }
        Failure::Busy => ApiError::unavailable("upstream_busy", failure.to_string()).respond(protocol),
        Failure::Unreachable(_) | Failure::Broken(_) => {
            let code = if matches!(failure, Failure::Broken(_)) { "upstream_broken" } else { "upstream_unreachable" };
            ApiError::upstream(StatusCode::BAD_GATEWAY, code, failure.to_string()).respond(protocol)
        }
    };
    // Our retries are spent; more by the SDK would only multiply them.
    if !matches!(failure, Failure::Busy) {
        response.headers_mut().insert(SHOULD_RETRY, HeaderValue::from_static("false"));
    }
    response
}

fn answer_client(app: &Arc<App>, mut ticket: Ticket, answer: Answer, request: &Request, metadata: bool) -> Response {
    let bridge = Bridge { endpoint: ticket.endpoint(), upstream: ticket.upstream() };
    let terms = Terms {
        envelope: Envelope {
            id: ticket.public_id(),
            model: ticket.upstream_model().to_owned(),
            created: app.clock.now().0 / 1_000,
            echo: request.echo(),
        },
        wants_usage: request.include_usage(),
        wants_metadata: metadata,
    };
    match answer {
        Answer::Plain { status, headers, body } => {
            if let Some(trace) = ticket.trace() {
                trace.whole(&body);
            }
            let written = bridge.plain(&body, &terms, |usage| {
                let cost = ticket.shown_cost(usage);
                (cost, metadata.then(|| ticket.metadata(cost)))
            });
            match written {
                Ok(written) => {
                    let mut response = (status, written.body).into_response();
                    // Ours and the usual ones of an upstream: growing step by step costs more than all that goes in.
                    response.headers_mut().reserve(24);
                    keep(response.headers_mut(), &headers);
                    describe(response.headers_mut(), &ticket, written.id.as_deref());
                    if let Some(cost) = written.cost {
                        set(response.headers_mut(), COST, &format!("{cost:.9}"));
                    }
                    ticket.finish(status, true, written.usage, None);
                    response
                }
                Err(error) => refuse(ticket, Failure::Broken(error)),
            }
        }
        Answer::Stream { status, headers, first, rest } => {
            let upstream_id = first_id(&first);
            let mut response = Response::new(Body::empty());
            *response.status_mut() = status;
            keep(response.headers_mut(), &headers);
            describe(response.headers_mut(), &ticket, upstream_id.as_deref());
            let idle = app.upstream.idle_timeout();
            let passage = passage::stream(ticket, status, first, rest, bridge.stream(terms), metadata, idle);
            *response.body_mut() = Body::from_stream(passage);
            response
        }
    }
}

/// Passes the upstream's headers on, but for those that belong to one connection or that we set ourselves.
pub(crate) fn keep(to: &mut HeaderMap, from: &HeaderMap) {
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
            ANTHROPIC_REQUEST_ID,
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
    if let Some(reason) = ticket.degraded() {
        set(headers, DEGRADED, reason);
    }
    give_token(ticket.app(), ticket.id(), headers);
    if ticket.is_drawn() {
        set(headers, AUDIT, "1");
    }
    if let Some(id) = upstream_id {
        set(headers, UPSTREAM_ID, id);
    }
}

/// Puts the token for this decision into the answer, if the gateway gives any.
fn give_token(app: &App, id: DecisionId, headers: &mut HeaderMap) {
    if let Some(signer) = &app.signer
        && let Ok(mut token) = HeaderValue::from_str(&signer.sign(id, app.clock.now()))
    {
        token.set_sensitive(true);
        headers.insert(FEEDBACK_TOKEN, token);
    }
}

/// Sets a header; a value that no header can hold is left out.
pub(crate) fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
