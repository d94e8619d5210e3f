//! `POST /v1/feedback`.

mod given;
pub(crate) mod products;
mod rating;

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::StatusCode;
use serde_json::{Value, json};
use slarouter_config::Scope;
use slarouter_core::{DecisionId, Rater, Receipt, Source};
use slarouter_store::{FeedbackRecord, StoreError, TraceId, TraceQuery};

use crate::admission::auth::Caller;
use crate::admission::limits::{self, Estimate};
use crate::app::App;
use crate::clock::public_id;
use crate::error::ApiError;
pub(crate) use given::{About, Given, parse};

/// A word that is on disk.
struct Recorded {
    decision: DecisionId,
    receipt: Receipt,
}

/// Rates an answer
///
/// Durable before the answer, and taken at any time after the decision.
#[utoipa::path(
    post, path = "/v1/feedback", tag = "Decisions",
    request_body = crate::api::openapi::FeedbackBody,
    responses(
        (status = 202, body = crate::api::openapi::FeedbackReceipt),
        (status = "4XX", body = crate::api::openapi::ErrorBody),
        (status = 503, body = crate::api::openapi::ErrorBody),
    ),
)]
pub(crate) async fn feedback(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    body: Bytes,
) -> Response {
    match answer(&app, &caller, &body).await {
        Ok(receipt) => (StatusCode::ACCEPTED, Json(receipt)).into_response(),
        Err(error) => error.into_response(),
    }
}

async fn answer(app: &App, caller: &Caller, body: &[u8]) -> Result<Value, ApiError> {
    count(app, caller)?;
    let given = parse(body)?;
    let about = given.about.clone();
    let Recorded { decision, receipt } = record(app, caller, given).await?;
    let status = receipt.as_str();
    Ok(match about {
        About::Decision(_, written) => json!({ "id": written, "status": status }),
        About::Trace(trace) => {
            json!({ "id": public_id(decision), "trace_id": trace.as_str(), "status": status })
        }
    })
}

/// A rating counts as a request of its key.
fn count(app: &App, caller: &Caller) -> Result<(), ApiError> {
    limits::admit(&app.journal, app.clock.now(), &caller.meters, &Estimate::default()).map(drop)
}

/// Enters a word of a caller whose limits have been looked at.
async fn record(app: &App, caller: &Caller, given: Given) -> Result<Recorded, ApiError> {
    authorize(caller, &given)?;
    if given.source == Source::User {
        app.raters.admit(caller.tenant.as_deref(), given.rater, app.config.rater_per_minute, app.clock.now())?;
    }
    let decision = match &given.about {
        About::Decision(id, _) => *id,
        About::Trace(trace) => traced(app, caller, &given, trace).await?,
    };
    if !is_reached(app, caller, decision).await.map_err(|error| refusal(decision, error))? {
        return Err(refusal(decision, StoreError::UnknownDecision));
    }
    let record = FeedbackRecord {
        decision,
        time: app.clock.now(),
        source: given.source,
        rater: given.rater,
        rating: given.rating,
        comment: given.comment,
    };
    let rated = app.store.rate(record, app.config.feedback_window_ms).await;
    let receipt = rated.map_err(|error| refusal(decision, error))?;
    app.metrics.feedback(given.source, receipt);
    let (request_id, source) = (public_id(decision), given.source.as_str());
    tracing::info!(request_id, source, receipt = receipt.as_str(), "feedback");
    Ok(Recorded { decision, receipt })
}

/// Whether the caller may say such a word.
fn authorize(caller: &Caller, given: &Given) -> Result<(), ApiError> {
    let (scope, what) = match given.source {
        Source::Audit => (Scope::Audit, "audits need"),
        Source::User | Source::Judge => (Scope::Feedback, "a rating without `\"source\": \"audit\"` needs"),
    };
    if !caller.has(scope) {
        let message = format!("{what} a key with the scope `{scope}`");
        return Err(ApiError::invalid("source", "insufficient_scope", message).with_status(StatusCode::FORBIDDEN));
    }
    let Some(only) = caller.decision else { return Ok(()) };
    // Nor can a page be many raters.
    let wrong = match &given.about {
        About::Trace(_) => "trace_id",
        About::Decision(id, _) if *id != only => "id",
        About::Decision(..) if given.rater != Rater(0) => "rater",
        About::Decision(..) => return Ok(()),
    };
    let message = "a feedback token is for the one answer that it came with, by its `id` and without a `rater`";
    Err(ApiError::invalid(wrong, "token_mismatch", message).with_status(StatusCode::FORBIDDEN))
}

/// The decision that a word with an id of the application's own is about: one of the caller's tenant.
async fn traced(app: &App, caller: &Caller, given: &Given, trace: &TraceId) -> Result<DecisionId, ApiError> {
    let query = TraceQuery {
        trace: trace.clone(),
        tenant: caller.tenant.as_deref().map(Arc::from),
        rated_by: given.rating.is_none().then_some((given.source, given.rater)),
    };
    match app.traced(query).await {
        Ok(Some(decision)) => Ok(decision),
        Ok(None) => {
            let message = format!(
                "no answer with the trace_id {trace} is known here: ask with it in the header x-slarouter-trace-id, in \
                 `metadata.trace_id`, or as the trace of `traceparent`"
            );
            Err(ApiError::invalid("trace_id", "decision_not_found", message).with_status(StatusCode::NOT_FOUND))
        }
        Err(StoreError::Ambiguous) => {
            let message = format!(
                "answers for several tenants have the trace_id {trace}: give the `id` of the answer, or use a key of the tenant"
            );
            Err(ApiError::invalid("trace_id", "ambiguous_trace_id", message))
        }
        Err(error) => Err(unavailable(trace.as_str(), &error)),
    }
}

/// Whether the decision is one of those that the caller may speak of. One that is not in the log is the store's to refuse; whose it is that is on
/// its way from another gateway is known in a moment.
async fn is_reached(app: &App, caller: &Caller, id: DecisionId) -> Result<bool, StoreError> {
    if caller.tenant.is_none() {
        return Ok(true);
    }
    match app.find(id).await? {
        Some(held) => Ok(caller.reaches(&held.record.route)),
        None if app.is_one_of_several() => {
            Err(StoreError::Unavailable("the decision is not in the log yet".to_owned()))
        }
        None => Ok(true),
    }
}

fn refusal(decision: DecisionId, error: StoreError) -> ApiError {
    let id = public_id(decision);
    match error {
        StoreError::UnknownDecision => {
            let message = format!("no decision {id} is known here: give the `id` of a response of this gateway");
            ApiError::invalid("id", "decision_not_found", message).with_status(StatusCode::NOT_FOUND)
        }
        StoreError::NotDrawn => {
            let message = format!(
                "{id} was not drawn for audit, and an audit of one's own choice would bias the sample: audit answers with the \
                 header x-slarouter-audit, or those of GET /v1/audits, or leave out `source`"
            );
            ApiError::invalid("source", "not_drawn", message).with_status(StatusCode::CONFLICT)
        }
        StoreError::Rated => {
            let message = format!("{id} has as many ratings, and changes of them, as one answer may have");
            ApiError::limited("too_many_ratings", message, None)
        }
        other => unavailable(&id, &other),
    }
}

fn unavailable(request_id: &str, error: &StoreError) -> ApiError {
    tracing::error!(request_id, %error, "feedback not recorded");
    ApiError::unavailable("store_unavailable", "the feedback could not be made durable: send it again")
}
