//! `POST /v1/route` and `POST /v1/outcomes`: the decision alone, for those who call the model themselves, and how that went.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use slarouter_config::Model;
use slarouter_core::{CostModel, Receipt, told_usd};
use slarouter_protocol::json::{Object, mend_surrogates};
use slarouter_protocol::outline::outline;
use slarouter_protocol::request::{AnswerLength, working_bytes};
use slarouter_protocol::{Endpoint, Refusal, Usage, messages, responses};
use slarouter_store::{OutcomeRecord, StoreError, StoredDecision};
use utoipa::ToSchema;

use crate::admission::auth::Caller;
use crate::api::fields;
use crate::api::openapi::Candidate;
use crate::app::App;
use crate::chat::{self, DecisionInput, candidates, word};
use crate::clock::{is_route_id, parse_id, prefixed_id};
use crate::error::ApiError;
use crate::lookup::{self, Target, resolve};
use crate::metrics::Served;
use crate::words::{KEPT, cut};

/// What ids of these decisions begin with.
const PREFIX: &str = "route-";
/// How often the text of a question stands in memory beside the body while it is decided on.
const COPIES: usize = 4;

/// A request as any of the three protocols has it; what plays no part in the decision is passed over.
#[derive(Deserialize, ToSchema)]
pub(crate) struct RouteRequest {
    /// `auto`, `auto:<route>`, or a model's name; `auto` if left out.
    model: Option<String>,
    /// As in a chat or messages request.
    #[schema(value_type = Option<Vec<Object>>)]
    messages: Option<Box<RawValue>>,
    /// As in a responses request.
    #[schema(value_type = Option<Value>)]
    input: Option<Box<RawValue>>,
    /// As in a messages request.
    #[schema(value_type = Option<Value>)]
    system: Option<Box<RawValue>>,
    /// As in a responses request.
    #[schema(value_type = Option<String>)]
    instructions: Option<Box<RawValue>>,
    #[schema(value_type = Option<Vec<Object>>)]
    tools: Option<Box<RawValue>>,
    /// Its `trace_id` is the id of the application's own, where no header `x-slarouter-trace-id` names one.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Box<RawValue>>,
}

/// A decision that the caller carries out.
#[derive(Serialize, ToSchema)]
pub(crate) struct RouteResponse {
    /// To be given back with the outcome and with feedback.
    id: String,
    /// Always `route.decision`.
    object: &'static str,
    /// The route, empty for a model that is in none.
    route: String,
    /// The model to call.
    model: String,
    /// The provider's name for it.
    upstream_model: String,
    /// `exploit`, `explore`, `fallback` or `pinned`.
    decision: &'static str,
    /// The probability with which this model was chosen.
    propensity: f64,
    /// The id of the application's own that is kept with it.
    trace_id: Option<String>,
    /// Whether it was drawn for audit.
    audit: bool,
    /// The share of answers that must satisfy.
    alpha: Option<f64>,
    /// All models of the route, with what is predicted of them.
    #[schema(value_type = Vec<Candidate>)]
    candidates: Vec<Value>,
}

/// How a call went that the caller made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Report {
    /// The `id` of the decision.
    id: String,
    /// Whether the answer was delivered whole; true if left out.
    ok: Option<bool>,
    /// The model that answered, if it was not the chosen one.
    model: Option<String>,
    /// The provider's report, in the shape of any of the three protocols.
    #[schema(value_type = Option<Object>)]
    usage: Option<Value>,
    /// USD; from `usage` and the price table if left out.
    cost: Option<f64>,
    /// From the request to the last byte; the time since the decision if left out.
    latency_ms: Option<f64>,
    /// What went wrong.
    error: Option<String>,
}

/// That an outcome is on disk.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReportReceipt {
    /// As it was given.
    id: String,
    /// `recorded`, or `duplicate` if there was one before: the first counts.
    status: &'static str,
}

/// Chooses a model and calls none
///
/// The decision is logged like any other. Until its outcome is reported it counts as made, not as failed.
#[utoipa::path(
    post, path = "/v1/route", tag = "Decisions",
    request_body = RouteRequest,
    responses((status = 200, body = RouteResponse), (status = "4XX", body = crate::api::openapi::ErrorBody)),
)]
pub(crate) async fn route(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match decide(&app, &caller, &headers, body).await {
        Ok(response) => Json(response).into_response(),
        Err(error) => error.into_response(),
    }
}

async fn decide(app: &Arc<App>, caller: &Caller, headers: &HeaderMap, body: Bytes) -> Result<RouteResponse, ApiError> {
    let mut body = Vec::from(body);
    mend_surrogates(&mut body);
    let object = Object::scan(&body);
    let _working = app.room.take(object.map_or(0, |object| working_bytes(&object, body.len(), COPIES)))?;
    let request: RouteRequest = fields::read(&body)?;
    let raw = |value: Option<Box<RawValue>>| value.map(|raw| raw.get().to_owned()).filter(|raw| raw != "null");
    let (system, instructions, tools) = (raw(request.system), raw(request.instructions), raw(request.tools));
    // Anthropic's system prompt stands beside the messages, and its blocks are others than OpenAI's.
    let (endpoint, question, preface) = match (raw(request.messages), raw(request.input)) {
        (Some(messages), _) if system.is_some() => (Endpoint::Messages, messages, system),
        (Some(messages), _) => (Endpoint::Chat, messages, None),
        (None, Some(input)) => (Endpoint::Responses, input, instructions),
        (None, None) => {
            let message = "`messages` or `input` is missing: what is to be asked";
            return Err(ApiError::invalid("messages", "missing_required_parameter", message));
        }
    };
    if question.strip_prefix('[').is_some_and(|rest| rest.trim_start() == "]") {
        let param = endpoint.question();
        return Err(ApiError::invalid(param, "empty_array", format!("`{param}` must not be empty")));
    }
    let name = request.model.as_deref().unwrap_or("auto");
    let target = resolve(app, caller, name)?;
    let outline = outline(endpoint, &question, preface.as_deref(), tools.as_deref());
    let id = app.clock.new_route_id();
    let input = DecisionInput {
        name,
        target: &target,
        excluded: chat::excluded(app, &target, &[], &[]),
        outline,
        routes: true,
        answer: AnswerLength::None,
        session: None,
        trace: chat::trace_id(headers, request.metadata.as_deref().map(RawValue::get)),
    };
    let mut decided = chat::decide(app, caller, id, input).await?;
    // It counts as a request; what the caller spends elsewhere is not the gateway's to limit.
    drop(decided.hold.take());
    let decision = &decided.decision;
    let model = &*decision.choice().model;
    let upstream_model = match target {
        Target::Model(model) => Some(model),
        Target::Route(_) => lookup::model(app, model),
    };
    let id = prefixed_id(PREFIX, id);
    let excluded = (!decided.excluded.is_empty()).then(|| chat::listed(&decided.excluded));
    let reason = decision.reason.as_str();
    tracing::info!(request_id = id, route = %decided.route, model, decision = reason, excluded, "decision only");
    Ok(RouteResponse {
        id,
        object: "route.decision",
        route: decided.route.to_string(),
        model: model.to_owned(),
        upstream_model: upstream_model.map(|model| model.upstream_model.clone()).unwrap_or_default(),
        decision: decision.reason.as_str(),
        propensity: decision.propensity(),
        trace_id: decided.trace.as_ref().map(ToString::to_string),
        audit: decided.audited,
        alpha: app.config.routes.get(&decided.route).map(|route| route.spec.alpha.get()),
        candidates: candidates(&decided),
    })
}

/// Takes the outcome of a decision that the caller carried out
///
/// Durable before the answer. Sent again it says `duplicate`, and nothing changes.
#[utoipa::path(
    post, path = "/v1/outcomes", tag = "Decisions",
    request_body = Report,
    responses(
        (status = 202, body = ReportReceipt),
        (status = "4XX", body = crate::api::openapi::ErrorBody),
        (status = 503, body = crate::api::openapi::ErrorBody),
    ),
)]
pub(crate) async fn outcomes(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    body: Bytes,
) -> Response {
    match record(&app, &caller, &body).await {
        Ok(receipt) => (StatusCode::ACCEPTED, Json(receipt)).into_response(),
        Err(error) => error.into_response(),
    }
}

async fn record(app: &App, caller: &Caller, body: &[u8]) -> Result<ReportReceipt, ApiError> {
    let report: Report = fields::read(fields::short(body)?)?;
    let decision = parse_id(&report.id).ok_or_else(|| {
        ApiError::invalid(
            "id",
            "invalid_id",
            format!("`id` must be that of a decision of /v1/route, not {:?}", report.id),
        )
    })?;
    if !is_route_id(decision) {
        let message =
            "this answer went through the gateway, which knows its outcome: only those of /v1/route are reported";
        return Err(ApiError::invalid("id", "outcome_known", message));
    }
    let held = app.find(decision).await.map_err(unavailable)?;
    let held = held.filter(|held| caller.reaches(&held.record.route)).ok_or_else(|| {
        let message = format!("no decision {} is known here: give the `id` of an answer of /v1/route", report.id);
        ApiError::invalid("id", "decision_not_found", message).with_status(StatusCode::NOT_FOUND)
    })?;
    let outcome = outcome(app, &report, &held)?;
    let rerouted = outcome.model != held.record.decision.choice().model;
    let cost = outcome.cost;
    let priced =
        report.cost.is_some() || lookup::model(app, &outcome.model).is_none_or(|model| model.prices.is_known());
    let most_expensive = (outcome.ok && (report.cost.is_some() || report.usage.is_some()))
        .then(|| held.record.decision.most_expensive_cost())
        .flatten()
        .unwrap_or(cost);
    let receipt = app.store.report(outcome.clone(), rerouted).await.map_err(unavailable)?;
    if receipt == Receipt::Recorded {
        if !priced {
            app.metrics.unpriced(&outcome.model);
        }
        app.metrics.served(&Served {
            route: &held.record.route,
            payer: &held.record.payer,
            decision: word(held.record.decision.reason, rerouted),
            most_expensive,
            outcome: &outcome,
        });
    }
    tracing::info!(request_id = report.id, receipt = receipt.as_str(), cost_usd = cost, "outcome");
    Ok(ReportReceipt { id: report.id, status: receipt.as_str() })
}

fn unavailable(error: StoreError) -> ApiError {
    tracing::error!(%error, "outcome not recorded");
    ApiError::unavailable("store_unavailable", "the outcome could not be made durable: send it again")
}

fn outcome(app: &App, report: &Report, held: &StoredDecision) -> Result<OutcomeRecord, ApiError> {
    let chosen = &*held.record.decision.choice().model;
    let name = report.model.as_deref().unwrap_or(chosen);
    let known = held.record.decision.candidates.iter().any(|candidate| &*candidate.model == name);
    let model: Option<&Model> = lookup::model(app, name);
    if !known {
        let what = format!("{name:?} is no model of the decision's route");
        return Err(ApiError::from(Refusal { param: "model".to_owned(), message: what }));
    }
    let ok = report.ok.unwrap_or(true);
    let usage = report.usage.as_ref().map(usage).transpose()?;
    let prices = model.map(|model| model.prices.at(held.record.time));
    let price = |usage: &Usage| Some(prices?.cost(usage));
    let estimated = || prices.filter(|_| ok).map_or(0.0, |prices| prices.estimate(held.record.input_tokens, 0.0));
    let cost = report.cost.or_else(|| usage.as_ref().and_then(price)).unwrap_or_else(estimated);
    let cost = told_usd(cost);
    within("cost", cost, CostModel::MAX_COST)?;
    let now = app.clock.now();
    let since = now.0.saturating_sub(held.record.time.0) as f64;
    let latency_ms = report.latency_ms.unwrap_or(since);
    within("latency_ms", latency_ms, 1e12)?;
    let error = report.error.as_deref().map(|error| cut(error, KEPT).to_owned());
    Ok(OutcomeRecord {
        decision: held.record.id,
        time: now,
        model: name.into(),
        status: if ok { 200 } else { 502 },
        ok,
        streamed: false,
        attempts: 0,
        input_tokens: usage.map(|usage| usage.input_tokens as f64),
        cached_tokens: usage.map(|usage| usage.cached_tokens as f64),
        cache_write_tokens: usage.map(|usage| usage.cache_write_tokens as f64),
        output_tokens: usage.map(|usage| usage.output_tokens as f64),
        reasoning_tokens: usage.map(|usage| usage.reasoning_tokens as f64),
        cost,
        latency_ms,
        ttft_ms: None,
        error,
    })
}

fn within(param: &'static str, value: f64, most: f64) -> Result<(), ApiError> {
    if (0.0..=most).contains(&value) {
        return Ok(());
    }
    Err(ApiError::invalid(param, "invalid_field", format!("`{param}` must be from 0 to {most}, not {value}")))
}

/// A usage report of any of the three protocols, told by its names.
pub(crate) fn usage(value: &Value) -> Result<Usage, ApiError> {
    let raw = value.to_string().into_bytes();
    let anthropic =
        ["cache_read_input_tokens", "cache_creation_input_tokens"].iter().any(|name| value.get(name).is_some());
    let read = Usage::read(&raw).or_else(|| if anthropic { messages::tokens(&raw) } else { responses::tokens(&raw) });
    read.filter(chat::is_plausible).ok_or_else(|| {
        let example = json!({ "input_tokens": 12, "output_tokens": 34 });
        let message =
            format!("`usage` must be the provider's report, as in {example}, with counts that one request can have");
        ApiError::invalid("usage", "invalid_field", message)
    })
}
