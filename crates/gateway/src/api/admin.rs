//! `/admin/keys`: making, listing, rotating and revoking keys while the gateway runs. `/admin/reload`: another configuration. `/admin/health`: how the models
//! are doing. `/admin/alerts`: what calls for somebody.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};
use slarouter_config::Scope;
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::admission::auth::Caller;
use crate::admission::keys::{KeyError, NewKey};
use crate::api::fields;
use crate::app::App;
use crate::error::ApiError;
use crate::lookup;
use crate::reloads::{ReloadError, Reloaded};
use crate::upstream::Circuit;

const GRACE_HOURS: f64 = 24.0;

/// How a key is replaced.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rotation {
    /// Hours for which the old key still works, 24 if left out.
    grace_hours: Option<f64>,
}

/// Lists all keys that there ever were
#[utoipa::path(get, path = "/admin/keys", tag = "Administration", responses((status = 200, body = Object), (status = "4XX", body = crate::api::openapi::ErrorBody)))]
pub(crate) async fn list(State(app): State<Arc<App>>) -> Response {
    let listed = app.book.list().await.map(|data| json!({ "object": "list", "data": data }));
    respond(StatusCode::OK, listed.map_err(refusal))
}

/// How the models are doing: their circuits, and why the last health check failed; and what this gateway is to the log
#[utoipa::path(get, path = "/admin/health", tag = "Administration", responses((status = 200, body = Object), (status = "4XX", body = crate::api::openapi::ErrorBody)))]
pub(crate) async fn health(State(app): State<Arc<App>>) -> Response {
    let models = app.config.models.iter().map(|model| (&*model.name, model.health_check.is_some()));
    let checked: BTreeMap<_, _> = models.collect();
    let view = |(name, circuit, error): (&str, Circuit, Option<String>)| {
        let checked = checked.get(name).copied().unwrap_or_default();
        json!({ "id": name, "circuit": circuit.as_str(), "health_check": checked, "error": error })
    };
    let data: Vec<_> = app.health.view(Instant::now()).map(view).collect();
    let (committed, learnt) = (*app.store.committed().borrow(), app.published.load().seq);
    let log = json!({
        "role": app.store.role().borrow().as_str(), "gateways": app.auth.meters.gateways(),
        "state_age_s": app.state_age().as_secs_f64(), "events_to_learn": committed.saturating_sub(learnt),
    });
    Json(json!({ "object": "list", "data": data, "log": log })).into_response()
}

/// What calls for somebody: alerts that fire or are pending, and the webhooks that are told of them
#[utoipa::path(get, path = "/admin/alerts", tag = "Administration", responses((status = 200, body = Object), (status = "4XX", body = crate::api::openapi::ErrorBody)))]
pub(crate) async fn alerts(State(app): State<Arc<App>>) -> Response {
    Json(app.alerts.view(app.clock.now())).into_response()
}

/// Makes a key
///
/// The answer holds it as `key`; it is shown this once.
#[utoipa::path(
    post, path = "/admin/keys", tag = "Administration", request_body = NewKey,
    responses((status = 201, body = Object), (status = "4XX", body = crate::api::openapi::ErrorBody)),
)]
pub(crate) async fn create(State(app): State<Arc<App>>, headers: HeaderMap, body: Bytes) -> Response {
    let made = async {
        let new: NewKey = fields::json(&headers, &body)?;
        check_models(&app, &new)?;
        // Else nobody could make another one while the gateway runs.
        if app.auth.is_fresh() && !new.grants.scopes.contains(&Scope::Admin) {
            let message = "the first key must have the scope `admin`: with it, make the others";
            return Err(ApiError::invalid("grants", "admin_key_first", message));
        }
        let made = app.book.create(new).await.map_err(refusal)?;
        app.reload_keys().await.map_err(refusal)?;
        tracing::info!(key = made["id"].as_str(), name = made["name"].as_str(), "key created");
        Ok(made)
    };
    respond(StatusCode::CREATED, made.await)
}

/// Replaces a key by another with the same name, grants and account
#[utoipa::path(
    post, path = "/admin/keys/{id}/rotate", tag = "Administration",
    params(("id" = String, Path, description = "As the list has it")), request_body = Rotation,
    responses((status = 201, body = Object), (status = "4XX", body = crate::api::openapi::ErrorBody)),
)]
pub(crate) async fn rotate(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let made = async {
        let rotation: Rotation = if body.is_empty() { Rotation::default() } else { fields::json(&headers, &body)? };
        let made = app.book.rotate(&id, rotation.grace_hours.unwrap_or(GRACE_HOURS)).await.map_err(refusal)?;
        app.reload_keys().await.map_err(refusal)?;
        tracing::info!(key = made["id"].as_str(), replaces = id, "key rotated");
        Ok(made)
    };
    respond(StatusCode::CREATED, made.await)
}

/// Ends a key at once
#[utoipa::path(
    delete, path = "/admin/keys/{id}", tag = "Administration",
    params(("id" = String, Path, description = "As the list has it")),
    responses((status = 200, body = Object), (status = "4XX", body = crate::api::openapi::ErrorBody)),
)]
pub(crate) async fn revoke(State(app): State<Arc<App>>, Path(id): Path<String>) -> Response {
    let ended = async {
        let ended = app.book.revoke(&id).await.map_err(refusal)?;
        app.reload_keys().await.map_err(refusal)?;
        tracing::info!(key = id, "key revoked");
        Ok(ended)
    };
    respond(StatusCode::OK, ended.await)
}

/// Reads the configuration file again
///
/// Answers when it is in force. On an error the old one stays in force.
#[utoipa::path(
    post, path = "/admin/reload", tag = "Administration",
    responses((status = 200, body = Reloaded), (status = "4XX", body = crate::api::openapi::ErrorBody)),
)]
pub(crate) async fn reload(State(app): State<Arc<App>>) -> Response {
    match app.reloads.reload().await {
        Ok(reloaded) => (StatusCode::OK, [(header::CACHE_CONTROL, "no-store")], Json(reloaded)).into_response(),
        Err(error) => reload_refusal(&error).into_response(),
    }
}

fn check_models(app: &App, new: &NewKey) -> Result<(), ApiError> {
    let caller = Caller::unlimited();
    for name in new.grants.models.iter().flatten() {
        if lookup::target(app, &caller, name).is_none() {
            let message = format!("there is no model or route {name:?}: GET /v1/models lists them");
            return Err(ApiError::invalid("grants", "model_not_found", message));
        }
    }
    Ok(())
}

fn refusal(error: KeyError) -> ApiError {
    let (status, code) = match &error {
        KeyError::Invalid(_) => (StatusCode::BAD_REQUEST, "invalid_key"),
        KeyError::Unknown(_) => (StatusCode::NOT_FOUND, "key_not_found"),
        KeyError::Taken(_) => (StatusCode::CONFLICT, "key_exists"),
        KeyError::Store(_) | KeyError::Random(_) => {
            tracing::error!(%error, "keys not changed");
            return ApiError::unavailable("store_unavailable", "the keys could not be read or written: try again");
        }
    };
    ApiError::invalid("", code, error.to_string()).with_status(status)
}

fn respond(status: StatusCode, result: Result<Value, ApiError>) -> Response {
    match result {
        // A key must not stay in anybody's cache.
        Ok(body) => (status, [(header::CACHE_CONTROL, "no-store")], Json(body)).into_response(),
        Err(error) => error.into_response(),
    }
}

fn reload_refusal(error: &ReloadError) -> ApiError {
    let invalid = |status, code| ApiError::invalid("", code, error.to_string()).with_status(status);
    match error {
        ReloadError::NoFile | ReloadError::Restart(_) => invalid(StatusCode::CONFLICT, "restart_required"),
        ReloadError::Config(_)
        | ReloadError::Open
        | ReloadError::Tls(_)
        | ReloadError::Client(_)
        | ReloadError::Route(_) => invalid(StatusCode::UNPROCESSABLE_ENTITY, "invalid_configuration"),
        ReloadError::Trouble(_) | ReloadError::Store(_) => {
            ApiError::unavailable("store_unavailable", error.to_string())
        }
        ReloadError::Stopping => ApiError::unavailable("stopping", error.to_string()),
    }
}
