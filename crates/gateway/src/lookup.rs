//! What the name of a model or route means to a caller.

use std::sync::Arc;

use http::StatusCode;
use slarouter_config::Model;

use crate::admission::auth::Caller;
use crate::app::App;
use crate::error::ApiError;

/// What the body's `model` asks for, once it is known.
pub(crate) enum Target<'a> {
    Route(Arc<str>),
    Model(&'a Model),
}

/// What the name means to this caller.
///
/// # Errors
/// 404 for what is not there, or is another tenant's; 403 for what the key may not ask for.
pub(crate) fn resolve<'a>(app: &'a App, caller: &Caller, name: &str) -> Result<Target<'a>, ApiError> {
    let target = target(app, caller, name).ok_or_else(|| unknown(name))?;
    if !caller.may_ask(name, &app.config.default_route) {
        let message = format!("this key may not ask for {name:?}: GET /v1/models lists what it may");
        return Err(ApiError::invalid("model", "model_not_allowed", message).with_status(StatusCode::FORBIDDEN));
    }
    Ok(target)
}

/// What the name means to this caller; `None` for what is not there, or is another tenant's.
pub(crate) fn target<'a>(app: &'a App, caller: &Caller, name: &str) -> Option<Target<'a>> {
    if name == "auto" {
        return caller.route(&app.config, &app.config.default_route).map(Target::Route);
    }
    if let Some(route) = name.strip_prefix("auto:") {
        return caller.route(&app.config, route).map(Target::Route);
    }
    model(app, name).map(Target::Model)
}

/// The model of this name.
pub(crate) fn model<'a>(app: &'a App, name: &str) -> Option<&'a Model> {
    app.config.models.iter().find(|model| &*model.name == name)
}

/// 404 for what is not there, or is another tenant's.
pub(crate) fn unknown(id: &str) -> ApiError {
    let message = format!("there is no model or route {id:?}: GET /v1/models lists them");
    ApiError::invalid("model", "model_not_found", message).with_status(StatusCode::NOT_FOUND)
}
