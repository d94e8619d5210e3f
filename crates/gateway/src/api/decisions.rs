//! `GET /admin/decisions`: what was decided, page by page; and one decision explained.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use slarouter_core::{Reason, told_usd};
use slarouter_learner::{Explanation, LearningError};
use slarouter_store::{DecisionLine, DecisionQuery, StoreError};

use crate::api::fields;
use crate::app::App;
use crate::clock::{parse_id, public_id};
use crate::error::ApiError;

const LIMIT: usize = 50;
const MOST: usize = 500;
const NAMES: [&str; 5] = ["before", "limit", "route", "model", "reason"];
/// Events that are replayed for the state of a decision's moment: about a second of a core.
const MOST_EVENTS: u64 = 20_000;

/// Lists decisions, newest first
#[utoipa::path(
    get, path = "/admin/decisions", tag = "Administration",
    params(
        ("before" = Option<u64>, Query, description = "`next` of the page before"),
        ("limit" = Option<usize>, Query, description = "At most so many, 50 if left out, 500 at most"),
        ("route" = Option<String>, Query, description = "Those of this route alone"),
        ("model" = Option<String>, Query, description = "Those that this model answered, or was to"),
        ("reason" = Option<String>, Query, description = "`exploit`, `explore`, `fallback`, `pinned` or `affinity`"),
    ),
    responses((status = 200, body = Object), (status = "4XX", body = crate::api::openapi::ErrorBody)),
)]
pub(crate) async fn list(State(app): State<Arc<App>>, RawQuery(query): RawQuery) -> Response {
    let listed = async {
        let query = parse(query.as_deref().unwrap_or_default())?;
        let page = app.store.decisions(query).await.map_err(unreadable)?;
        let data: Vec<Value> = page.lines.iter().map(line).collect();
        Ok::<_, ApiError>(json!({ "object": "list", "data": data, "next": page.next }))
    };
    respond(listed.await)
}

/// Explains one decision
///
/// What was known, what came of it, what would have had to be otherwise; and whether it is made again exactly from the log.
#[utoipa::path(
    get, path = "/admin/decisions/{id}", tag = "Administration",
    params(("id" = String, Path, description = "The `id` of an answer, or of the list")),
    responses((status = 200, body = Object), (status = "4XX", body = crate::api::openapi::ErrorBody)),
)]
pub(crate) async fn explain(State(app): State<Arc<App>>, Path(id): Path<String>) -> Response {
    respond(explained(&app, &id).await.map(|explanation| describe(&explanation)))
}

/// The decision of this id, explained.
pub(crate) async fn explained(app: &App, id: &str) -> Result<Explanation, ApiError> {
    let unknown = || {
        let message = "no decision of that id is known here: take the `id` of an answer or of the list";
        ApiError::invalid("id", "decision_not_found", message).with_status(StatusCode::NOT_FOUND)
    };
    let id = parse_id(id).ok_or_else(unknown)?;
    // What was decided a moment ago may not be on disk yet.
    app.store.flush().await.map_err(unreadable)?;
    // One at a time: each may replay a part of the log, and those who wait are people.
    let _turn = app.replaying.lock().await;
    let found = slarouter_learner::explain(app.store.as_ref(), id, app.config.server.seed, MOST_EVENTS).await;
    match found {
        Ok(explanation) => explanation.ok_or_else(unknown),
        Err(LearningError::Store(error)) => Err(unreadable(error)),
        Err(error) => {
            tracing::error!(%error, "a decision cannot be explained");
            Err(ApiError::unavailable("log_unreadable", format!("the log cannot be read: {error}")))
        }
    }
}

/// An explanation as programs get it.
pub(crate) fn describe(explanation: &Explanation) -> Value {
    let mut value = json!(explanation);
    value["id"] = public_id(explanation.id).into();
    value
}

fn line(line: &DecisionLine) -> Value {
    json!({
        "id": public_id(line.id), "seq": line.seq, "time_ms": line.time.0, "route": &*line.route,
        "reason": line.reason.as_str(), "chosen": &*line.chosen, "model": &*line.model,
        "predicted_satisfaction": line.satisfaction, "predicted_cost_usd": told_usd(line.predicted_cost),
        "status": line.status, "cost_usd": line.cost.map(told_usd), "latency_ms": line.latency_ms, "rating": line.rating,
    })
}

/// Reads the parameters of the list.
pub(crate) fn parse(query: &str) -> Result<DecisionQuery, ApiError> {
    let mut read = DecisionQuery { limit: LIMIT, ..DecisionQuery::default() };
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = percent_decode_str(&value.replace('+', " ")).decode_utf8_lossy().into_owned();
        // A form sends the fields that were left empty too.
        let name = NAMES.into_iter().find(|known| *known == name).ok_or_else(|| fields::unknown(name, &NAMES))?;
        if value.is_empty() {
            continue;
        }
        let refuse = |message: String| ApiError::invalid(name, "invalid_parameter", message);
        match name {
            "before" => {
                let before = value.parse().map_err(|_| refuse("`before` must be a `next` of this list".to_owned()))?;
                read.before = Some(before);
            }
            "limit" => {
                let limit = value.parse().ok().filter(|limit| (1..=MOST).contains(limit));
                read.limit = limit.ok_or_else(|| refuse(format!("`limit` must be a number from 1 to {MOST}")))?;
            }
            "route" => read.route = Some(value.into()),
            "model" => read.model = Some(value.into()),
            _ => {
                let words = "`exploit`, `explore`, `fallback`, `pinned` or `affinity`";
                read.reason = Some(Reason::parse(&value).ok_or_else(|| refuse(format!("`reason` must be {words}")))?);
            }
        }
    }
    Ok(read)
}

pub(crate) fn unreadable(error: StoreError) -> ApiError {
    tracing::error!(%error, "decisions not read");
    ApiError::unavailable("store_unavailable", "the log could not be read: ask again")
}

fn respond(result: Result<Value, ApiError>) -> Response {
    match result {
        Ok(body) => ([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response(),
        Err(error) => error.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_and_mistakes_named() {
        let read = parse("route=a%2Fb&model=gpt+4&reason=explore&limit=7&before=9").unwrap();
        let expected = DecisionQuery {
            before: Some(9),
            route: Some("a/b".into()),
            model: Some("gpt 4".into()),
            reason: Some(Reason::Explore),
            limit: 7,
        };
        assert_eq!(read, expected);
        let empty = DecisionQuery { limit: LIMIT, ..DecisionQuery::default() };
        assert_eq!(parse("route=&model=&reason=&before=").unwrap(), empty, "as a form sends it");
        for (query, param) in [
            ("limit=0", "limit"),
            ("limit=501", "limit"),
            ("before=-1", "before"),
            ("before=chatcmpl-1", "before"),
            ("reason=best", "reason"),
        ] {
            assert_eq!(parse(query).unwrap_err().param, Some(param), "{query}");
        }
        assert_eq!(parse("modl=a").unwrap_err().message, "unknown field `modl`: did you mean `model`?");
    }
}
