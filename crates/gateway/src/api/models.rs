//! `GET /v1/models`.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde_json::{Value, json};
use slarouter_config::{Model, Takes, utc};

use crate::admission::auth::Caller;
use crate::app::App;
use crate::lookup::{self, Target};

/// A model or route, in the members that OpenAI's clients read, those of Anthropic, and those that read OpenRouter's.
fn entry(app: &App, caller: &Caller, id: &str) -> Value {
    let mut entry = json!({
        "id": id, "object": "model", "created": app.started.0 / 1_000, "owned_by": "slarouter",
        "type": "model", "display_name": id, "created_at": utc(app.started),
    });
    let target = lookup::target(app, caller, id);
    let models: Vec<&Model> = match &target {
        Some(Target::Model(model)) => vec![*model],
        Some(Target::Route(route)) => {
            let zoo = app.config.routes.get(route).map(|route| route.spec.zoo.models()).unwrap_or_default();
            zoo.iter().filter_map(|spec| lookup::model(app, &spec.name)).collect()
        }
        None => Vec::new(),
    };
    // A route can take what any of its models can, which is known where it is known of all of them.
    let most = |of: fn(&Takes) -> Option<u64>| {
        let known: Option<Vec<u64>> = models.iter().map(|model| of(&model.takes)).collect();
        known.and_then(|known| known.into_iter().max())
    };
    let kinds = |of: fn(&Takes) -> Option<Vec<&'static str>>| {
        let known: Option<Vec<_>> = models.iter().map(|model| of(&model.takes)).collect();
        known.map(|known| known.concat().into_iter().collect::<BTreeSet<_>>())
    };
    let mut tell = |name: &str, value: Option<Value>| value.into_iter().for_each(|value| entry[name] = value);
    tell("context_length", most(|takes| takes.context_tokens).map(Value::from));
    tell("max_output_tokens", most(|takes| takes.output_tokens).map(Value::from));
    tell("input_modalities", kinds(Takes::input_words).map(|kinds| json!(kinds)));
    tell("output_modalities", kinds(Takes::output_words).map(|kinds| json!(kinds)));
    if let Some(Target::Model(model)) = target {
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
    let names = names(&app, &caller);
    let data: Vec<_> = names.iter().map(|name| entry(&app, &caller, name)).collect();
    // The last three are what Anthropic's clients look for another page by.
    let (first, last) = (names.first(), names.last());
    let list = json!({ "object": "list", "data": data, "has_more": false, "first_id": first, "last_id": last });
    Json(list).into_response()
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
    Path(id): Path<String>,
) -> Response {
    if names(&app, &caller).contains(&id) {
        return Json(entry(&app, &caller, &id)).into_response();
    }
    lookup::unknown(&id).into_response()
}
