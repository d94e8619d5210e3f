//! A request for an answer, in whichever protocol it comes: decide, log, call, pass through or translate.

mod ask;
mod attempts;
mod body;
mod checking;
mod decide;
mod deliver;
mod early;
mod eligible;
mod estimate;
mod exchange;
mod fallible;
mod headers;
mod hedge;
mod judging;
mod recall;
mod refusal;
mod trace_id;

use std::sync::Arc;

use axum::body::Bytes;
use axum::response::Response;
use http::HeaderMap;
use slarouter_core::DecisionId;
use slarouter_protocol::Endpoint;
use slarouter_protocol::outline::Outline;
use slarouter_protocol::request::Request;
use tokio::time::Instant;

use crate::admission::auth::Caller;
use crate::admission::limits;
use crate::apart::apart;
use crate::app::App;
use crate::clock::prefixed_id;
use crate::error::ApiError;
use crate::lookup::{Target, resolve};
use crate::sessions::{Session, SessionId, SessionTurn};
use crate::telemetry::{DecisionFacts, RequestTrace};
use crate::upstream::Asked;

use ask::Inbound;
use attempts::call;
use deliver::deliver;
use eligible::Excluded;
use exchange::Exchange;
use headers::{ANTHROPIC_REQUEST_ID, METADATA, Opening};
use refusal::{refuse, timed_out};

pub(crate) use ask::{Callee, forwarded};
pub(crate) use attempts::{Calls, in_order};
pub(crate) use decide::{DecisionInput, candidates, decide, word};
pub(crate) use early::Waiting;
pub(crate) use eligible::{excluded, listed};
pub(crate) use estimate::is_plausible;
pub(crate) use headers::{DEGRADED, MODEL, REQUEST_ID, keep, set};
pub(crate) use refusal::failed;
pub(crate) use trace_id::trace_id;

/// A request before its body is read.
struct Arrival<'a> {
    id: DecisionId,
    caller: &'a Caller,
    endpoint: Endpoint,
    headers: &'a HeaderMap,
}

/// Answers a request at this endpoint, errors in its protocol's shape.
pub(crate) async fn answer(
    app: &Arc<App>,
    caller: &Caller,
    endpoint: Endpoint,
    headers: &HeaderMap,
    body: Bytes,
) -> Response {
    let id = app.clock.new_id();
    let https = app.config.server.tls.is_some();
    let mut trace = app.telemetry.as_ref().map(|telemetry| Box::new(telemetry.request(endpoint, headers, https)));
    let arrival = Arrival { id, caller, endpoint, headers };
    let mut response = match serve(app, &arrival, body, &mut trace).await {
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

/// `trace` is taken by the exchange as soon as there is one.
async fn serve(
    app: &Arc<App>,
    &Arrival { id, caller, endpoint, headers }: &Arrival<'_>,
    body: Bytes,
    trace: &mut Option<Box<RequestTrace>>,
) -> Result<Response, ApiError> {
    let arrived = Instant::now();
    let (body, owner) = recall::whole(app, endpoint, headers, body)?;
    let request = apart(body.len(), || Request::parse(endpoint, body))
        .map_err(|error| ApiError::invalid(error.param(), error.code(), error.to_string()))?;
    let target = resolve(app, caller, request.model())?;
    let _working = app.room.take(request.working_bytes(eligible::translates(app, endpoint, &target)))?;
    let outline = apart(request.size(), || request.outline());
    let (session_id, session) = session(app, &target, &request, &outline, headers, arrived);
    let target = eligible::compactor(app, &request, target, session.as_ref())?;
    let incapable = apart(request.size(), || eligible::incapable(app, &request, &target))?;
    let unfit = eligible::unfit(app, &Asked::of(&request), &target, &incapable);
    let input = DecisionInput {
        name: request.model(),
        target: &target,
        excluded: excluded(app, &target, &incapable, &unfit),
        outline,
        routes: endpoint.routes(),
        answer: request.answer_length(),
        session: session.as_ref(),
        trace: trace_id(headers, request.member("metadata")),
    };
    let decided = decide(app, caller, id, input).await?;
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
            excluded: &listed(&decided.excluded),
        });
    }
    let mut exchange = Exchange::new(app.clone(), id, decided, &request, arrived, trace);
    if let Some(id) = session_id {
        exchange.follow(SessionTurn { id, before: session, arrived });
    }
    if let Some(owner) = owner.filter(|_| request.member("store") != Some("false")) {
        exchange.remember_for(owner);
    }
    exchange.reserved().await;
    let (streams, opening) = (request.stream(), Opening::of(&exchange));
    let asking = Box::pin(asking(exchange, request, headers.clone(), [incapable, unfit].concat()));
    if !streams {
        return Ok(asking.await);
    }
    let interval = app.config.server.ping_interval;
    Ok(early::within(interval, asking).await.unwrap_or_else(|asking| {
        let mut response = early::begin(endpoint.protocol(), interval, asking);
        opening.describe(app, response.headers_mut());
        response
    }))
}

/// Asks models, but for those that are `unfit`, and writes what the client gets.
async fn asking(mut exchange: Exchange, request: Request, headers: HeaderMap, unfit: Vec<Excluded>) -> Response {
    let app = exchange.shared();
    let metadata = headers.get(METADATA).is_some_and(|value| value == "enabled");
    let deadline = app.config.server.request_timeout;
    let inbound = Inbound { request: &request, headers: &headers, asked: &Asked::of(&request) };
    match tokio::time::timeout(deadline, call(&app, &mut exchange, inbound, &unfit)).await {
        Ok(Ok(answer)) => deliver(&app, exchange, answer, &request, metadata),
        Ok(Err(failure)) => refuse(exchange, failure),
        Err(_) => timed_out(exchange, deadline),
    }
}

/// The conversation that a request belongs to, and what is known of it if it goes on; nothing on routes without affinity.
fn session(
    app: &App,
    target: &Target<'_>,
    request: &Request,
    outline: &Outline<'_>,
    headers: &HeaderMap,
    now: Instant,
) -> (Option<SessionId>, Option<Session>) {
    let id = match target {
        Target::Route(route) if app.config.routes.get(route).is_some_and(|route| route.affinity) => {
            let (metadata, cache) = (request.member("metadata"), request.member("prompt_cache_key"));
            app.sessions.of(route, headers, &outline.messages, metadata, cache)
        }
        _ => None,
    };
    (id, id.filter(|id| id.goes_on).and_then(|id| app.sessions.find(id, now)))
}
