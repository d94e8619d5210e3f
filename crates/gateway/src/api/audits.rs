//! `GET /v1/audits`: the answers that wait for an auditor.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::StatusCode;
use serde_json::{Value, json};
use slarouter_core::{DecisionId, Timestamp};
use slarouter_store::{PendingAudit, PendingAudits, StoreError};

use crate::admission::auth::Caller;
use crate::api::fields;
use crate::app::App;
use crate::clock::{parse_id, public_id};
use crate::error::ApiError;
use crate::prompts::PromptKeys;

const LIMIT: usize = 100;
const MOST: usize = 1_000;

/// One page of the list.
#[derive(Debug, PartialEq, Eq)]
struct Page {
    limit: usize,
    after: Option<DecisionId>,
}

/// Lists the answers that wait for an auditor, oldest first
#[utoipa::path(
    get, path = "/v1/audits", tag = "Decisions",
    params(
        ("limit" = Option<usize>, Query, description = "At most so many, 100 if left out, 1,000 at most"),
        ("after" = Option<String>, Query, description = "The `id` of the last one of the page before"),
    ),
    responses(
        (status = 200, body = crate::api::openapi::AuditList),
        (status = "4XX", body = crate::api::openapi::ErrorBody),
        (status = 503, body = crate::api::openapi::ErrorBody),
    ),
)]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    RawQuery(query): RawQuery,
) -> Response {
    match pending(&app, &caller, query.as_deref().unwrap_or_default()).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    }
}

async fn pending(app: &App, caller: &Caller, query: &str) -> Result<Response, ApiError> {
    let page = parse(query)?;
    // What is older could not be learnt from any more.
    let since = Timestamp(app.clock.now().0.saturating_sub(app.config.feedback_window_ms));
    // What has ended by now is in the list, although outcomes are written some milliseconds later.
    let pending = match app.store.flush().await {
        // One more than asked for tells whether there are more.
        Ok(()) => {
            let tenant = caller.tenant.as_deref();
            app.store.pending_audits(page.after, since, tenant, page.limit + 1).await
        }
        Err(error) => Err(error),
    };
    let PendingAudits { found, unreadable } = pending.map_err(|error| match error {
        StoreError::UnknownDecision => {
            let message = "no decision of that id is known here: `after` must be an `id` of this list";
            ApiError::invalid("after", "decision_not_found", message).with_status(StatusCode::NOT_FOUND)
        }
        other => {
            tracing::error!(error = %other, "audits not listed");
            ApiError::unavailable("store_unavailable", "the log could not be read: ask again")
        }
    })?;
    if !unreadable.is_empty() {
        tracing::error!(decisions = ?unreadable, "rows of the log cannot be read: the list of audits goes on without them");
    }
    let data: Vec<Value> = found.iter().take(page.limit).map(|pending| entry(&app.prompts, pending)).collect();
    let more = found.len() > page.limit;
    Ok(Json(json!({ "object": "list", "data": data, "has_more": more, "unreadable": unreadable })).into_response())
}

fn entry(keys: &PromptKeys, pending: &PendingAudit) -> Value {
    // Kept as the client wrote it, which has been parsed once: the string is for a database that somebody has edited.
    let read = |prompt: &String| serde_json::from_str(prompt).unwrap_or_else(|_| Value::String(prompt.clone()));
    let opened = pending.prompt.as_ref().map(|prompt| keys.open(pending.decision, prompt)).transpose();
    let messages = opened.as_ref().ok().and_then(|opened| opened.as_ref().map(read));
    let mut entry = json!({
        "id": public_id(pending.decision), "created_ms": pending.time.0, "route": &*pending.route,
        "model": &*pending.model, "status": pending.status, "ok": pending.ok, "audit_rate": pending.rate,
        "messages": messages,
    });
    // Whoever asks is to know that there are some.
    if let Err(error) = opened {
        tracing::warn!(request_id = public_id(pending.decision), %error, "messages cannot be shown");
        entry["messages_error"] = error.to_string().into();
    }
    entry
}

fn parse(query: &str) -> Result<Page, ApiError> {
    let mut page = Page { limit: LIMIT, after: None };
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=').unwrap_or((pair, "")) {
            ("limit", value) => {
                page.limit = value.parse().ok().filter(|limit| (1..=MOST).contains(limit)).ok_or_else(|| {
                    ApiError::invalid("limit", "invalid_limit", format!("`limit` must be a number from 1 to {MOST}"))
                })?;
            }
            ("after", value) => {
                page.after =
                    Some(parse_id(value).ok_or_else(|| {
                        ApiError::invalid("after", "invalid_id", "`after` must be an `id` of this list")
                    })?);
            }
            (name, _) => return Err(fields::unknown(name, &["limit", "after"])),
        }
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn pages_are_read_and_mistakes_named() {
        let id = Clock::default().new_id();
        let both = format!("after={}&limit=7", public_id(id));
        assert_eq!(parse(&both).unwrap(), Page { limit: 7, after: Some(id) });
        assert_eq!(parse("").unwrap(), Page { limit: LIMIT, after: None });
        for (query, param) in [
            ("limit=0", Some("limit")),
            ("limit=1001", Some("limit")),
            ("limit=-1", Some("limit")),
            ("limit", Some("limit")),
            ("after=1", Some("after")),
            ("after=", Some("after")),
            ("page=2", None),
        ] {
            assert_eq!(parse(query).unwrap_err().param, param, "{query}");
        }
        let slip = parse("limits=2").unwrap_err();
        assert_eq!((slip.code, slip.place.as_deref()), ("unknown_field", Some("limits")));
        assert_eq!(slip.message, "unknown field `limits`: did you mean `limit`?");
    }
}
