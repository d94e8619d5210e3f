//! Web pages: leave for those of the configured origins, each for some paths.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use slarouter_config::Config;

use crate::app::App;

/// How long a browser may remember the leave, in seconds.
const MAX_AGE: &str = "3600";

/// Whose pages may use some paths.
#[derive(Clone)]
pub(super) struct Leave {
    pub(super) app: Arc<App>,
    /// The origins that the configuration names; none means that nothing is said of pages.
    pub(super) origins: fn(&Config) -> &[String],
}

/// Tells browsers that pages of the configured origins may ask and read the answers; those of others may not. A preflight only asks
/// for leave and has no key, so it is answered here. That a page has leave opens nothing: its request is admitted like any other.
pub(super) async fn cors(State(leave): State<Leave>, request: Request, next: Next) -> Response {
    let origins = (leave.origins)(&leave.app.config);
    let Some(origin) = request.headers().get(header::ORIGIN).filter(|_| !origins.is_empty()).cloned() else {
        return next.run(request).await;
    };
    let wanted = request.headers().get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    let mut response = match request.headers().get(header::ACCESS_CONTROL_REQUEST_METHOD) {
        Some(_) if request.method() == Method::OPTIONS => StatusCode::NO_CONTENT.into_response(),
        _ => next.run(request).await,
    };
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    if origins.iter().any(|known| known.as_bytes() == origin.as_bytes()) {
        let mut say = |name: HeaderName, value: HeaderValue| headers.insert(name, value);
        say(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        say(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
        say(
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            wanted.unwrap_or(HeaderValue::from_static("authorization, content-type")),
        );
        say(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("*"));
        say(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
    }
    response
}
