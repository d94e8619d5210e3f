//! What each group of paths asks of its callers.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use slarouter_config::Scope;
use slarouter_protocol::Endpoint;
use utoipa_axum::router::OpenApiRouter;

use super::paths::Deployment;
use super::{body, coding};
use crate::admission::auth::{self, Caller};
use crate::admission::{local, token};
use crate::app::App;
use crate::chat::Waiting;
use crate::error::ApiError;

/// What a group of paths asks of its callers.
#[derive(Clone)]
struct Guard {
    app: Arc<App>,
    /// A key needs one of them; none: any known key.
    scopes: &'static [Scope],
}

/// A user rates with the one, an auditor judges with the other.
pub(super) const RATING: &[Scope] = &[Scope::Feedback, Scope::Audit];
pub(super) const VIEWING: &[Scope] = &[Scope::View, Scope::Admin];
pub(super) const ADMIN: &[Scope] = &[Scope::Admin];

/// Paths for callers with one of these scopes; with none, for any known key.
pub(super) fn guarded(
    app: &Arc<App>,
    paths: OpenApiRouter<Arc<App>>,
    scopes: &'static [Scope],
) -> OpenApiRouter<Arc<App>> {
    paths
        // The body has been read, within its limits, when the handler sees it.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(Guard { app: app.clone(), scopes }, authenticate))
}

async fn authenticate(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let Guard { app, scopes } = guard;
    let protocol = Endpoint::of_path(request.uri().path()).protocol();
    match admit(&app, &request, scopes) {
        Ok(caller) => attend(&app, caller, request, next).await,
        Err(error) => error.respond(protocol),
    }
}

/// Reads the body of a caller's request, within the limits, and answers.
pub(super) async fn attend(app: &App, caller: Arc<Caller>, mut request: Request, next: Next) -> Response {
    let protocol = Endpoint::of_path(request.uri().path()).protocol();
    request.extensions_mut().insert(caller);
    let (head, body) = request.into_parts();
    match body::read(app, &head.headers, body).await {
        Ok((body, share)) => {
            let body = match head.extensions.get::<Deployment>() {
                Some(deployment) => deployment.named_in(body),
                None => body,
            };
            let mut response = next.run(Request::from_parts(head, body.into())).await;
            // Where models are still being asked, the body is still needed.
            if let Some(waiting) = response.extensions_mut().remove::<Waiting>() {
                waiting.hold(share);
            }
            response
        }
        Err(error) => {
            let mut response = error.respond(protocol);
            if response.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE {
                response.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static(coding::TAKEN));
            }
            response
        }
    }
}

fn admit(app: &App, request: &Request, scopes: &[Scope]) -> Result<Arc<Caller>, ApiError> {
    if scopes == ADMIN && app.auth.is_fresh() {
        if app.auth.may_begin(request.headers()) {
            return Ok(Arc::new(Caller::unlimited()));
        }
        let message = "there is no key yet, and the first one is made with the secret in the file that the gateway's log names: run \
                       `slarouter keys create` on its machine as its user, which sends it, or set server.admin_keys";
        return Err(ApiError::invalid("", "no_admin_key", message).with_status(StatusCode::FORBIDDEN));
    }
    if let (Some(signer), true) = (&app.signer, scopes == RATING)
        && let Some(token) = auth::token(request.headers()).filter(|token| token.starts_with(token::PREFIX.as_bytes()))
    {
        let id = signer.check(token, app.clock.now()).map_err(|error| auth::unauthorized(&error.to_string()))?;
        return Ok(Arc::new(Caller::rater_of(id)));
    }
    be_a_neighbour(app, request)?;
    app.auth.check(request.headers(), scopes, app.clock.now())
}

/// [`be_a_neighbour`], for paths without a key of their own.
pub(super) async fn neighbours(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    // A listener of the operator's own that others reach is there for them.
    match be_a_neighbour(&app, &request) {
        Err(error) if app.loopback => error.into_response(),
        _ => next.run(request).await,
    }
}

/// While there is no key, only programs of this machine are served.
///
/// # Errors
/// 403 that says what shows that the request comes from elsewhere.
pub(super) fn be_a_neighbour(app: &App, request: &Request) -> Result<(), ApiError> {
    let foreign = if app.auth.is_local_only() { local::foreign(request) } else { None };
    let Some(why) = foreign else { return Ok(()) };
    let message = format!(
        "there is no key yet, so only programs of the gateway's own machine are served, but {why}: make a key with \
         `slarouter keys create` and send it, or set server.allow_unauthenticated = true"
    );
    Err(ApiError::invalid("", "not_local", message).with_status(StatusCode::FORBIDDEN))
}
