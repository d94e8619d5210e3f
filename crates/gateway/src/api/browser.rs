//! Feedback straight from web pages: leave for pages of the configured origins.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};

use crate::app::App;

/// How long a browser may remember the leave, in seconds.
const MAX_AGE: &str = "3600";

/// Asks for leave to send feedback, as browsers do by themselves
#[utoipa::path(options, path = "/v1/feedback", tag = "Decisions", responses((status = 204, description = "Its headers say what is allowed")))]
pub(crate) async fn preflight() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// Tells browsers that pages of the configured origins may read the answer; those of others may not.
pub(crate) async fn cors(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let origin = request.headers().get(header::ORIGIN).cloned();
    let mut response = next.run(request).await;
    let origins = &app.config.browser.origins;
    if origins.is_empty() {
        return response;
    }
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = origin.filter(|origin| origins.iter().any(|known| known.as_bytes() == origin.as_bytes())) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("authorization, content-type"));
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
    }
    response
}
