//! The playground: a person asks as a client would.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use slarouter_config::Scope;
use slarouter_pages::Playground;

use super::page::{Visitor, frame, page};
use super::visit::caller;
use crate::admission::local;
use crate::api::guard::attend;
use crate::app::App;
use crate::error::ApiError;

/// The page.
pub(super) async fn playground(State(app): State<Arc<App>>, Extension(visitor): Extension<Visitor>) -> Response {
    let routes = app.config.routes.keys().map(|route| format!("auto:{route}"));
    let models = app.config.models.iter().map(|model| model.name.to_string());
    let names = std::iter::once("auto".to_owned()).chain(routes).chain(models);
    let names = names.filter(|name| visitor.caller.may_ask(name, &app.config.default_route)).collect();
    page(StatusCode::OK, &Playground { frame: frame(&visitor, "playground", "Playground"), names })
}

/// Serves the page's own questions and ratings as those of the key that was shown at the login, if that may ask and rate. A page of
/// another port of this machine has the cookie too, and is refused.
pub(crate) async fn players(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if !local::is_own_page(request.headers()) {
        let message = "here only the dashboard's own pages ask: programs ask at the public listener";
        return ApiError::invalid("", "not_own_page", message).with_status(StatusCode::FORBIDDEN).into_response();
    }
    let scope = if request.uri().path() == "/v1/feedback" { Scope::Feedback } else { Scope::Inference };
    match caller(&app, &request, &[scope]) {
        Ok((caller, _)) => attend(&app, caller, request, next).await,
        Err(error) => error.into_response(),
    }
}
