//! `GET /v1/models`.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde_json::{Value, json};

use crate::admission::auth::Caller;
use crate::app::App;
use crate::error::ApiError;
use crate::lookup;

fn entry(app: &App, id: &str) -> Value {
    let mut entry = json!({ "id": id, "object": "model", "created": app.started.0 / 1000, "owned_by": "slarouter" });
    if let Some(model) = lookup::model(app, id) {
        entry["price_known"] = model.prices.is_known().into();
    }
    entry
}

fn names(app: &App, caller: &Caller) -> Vec<String> {
    // Who the tenants are is not for everybody to read.
    let routes = app.config.routes.keys().filter(|name| !name.contains('/')).map(|route| format!("auto:{route}"));
    let models = app.config.models.iter().map(|model| model.name.to_string());
    let all = std::iter::once("auto".to_owned()).chain(routes).chain(models);
    all.filter(|name| caller.may_ask(name, &app.config.default_route)).collect()
}

/// Lists the models and routes
#[utoipa::path(get, path = "/v1/models", tag = "Models", responses((status = 200, body = crate::api::openapi::ModelList)))]
pub(crate) async fn list(State(app): State<Arc<App>>, Extension(caller): Extension<Arc<Caller>>) -> Response {
    let data: Vec<_> = names(&app, &caller).iter().map(|name| entry(&app, name)).collect();
    Json(json!({ "object": "list", "data": data })).into_response()
}

/// One model or route
#[utoipa::path(
    get, path = "/v1/models/{*id}", tag = "Models",
    params(("id" = String, Path, description = "As `/v1/models` lists it")),
    responses((status = 200, body = crate::api::openapi::ModelBody), (status = 404, body = crate::api::openapi::ErrorBody)),
)]
pub(crate) async fn retrieve(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    id: Result<Path<String>, PathRejection>,
) -> Response {
    let Ok(Path(id)) = id else {
        let message = "the model's name in the path is not UTF-8: GET /v1/models lists the names";
        return ApiError::invalid("model", "invalid_path", message).into_response();
    };
    if names(&app, &caller).contains(&id) {
        return Json(entry(&app, &id)).into_response();
    }
    lookup::unknown(&id).into_response()
}
