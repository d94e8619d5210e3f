//! The limit of a request's head.
//!
//! hyper's own answer to a head that is too large has no body. So it lets twice as much pass, and what is over the limit gets its
//! answer here, in the protocol's shape; beyond that it is hyper's bare 431.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::StatusCode;
use slarouter_protocol::Endpoint;

use crate::app::App;
use crate::error::ApiError;

pub(crate) async fn limit(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let most = app.config.server.max_header_bytes;
    if size(&request) <= most {
        return next.run(request).await;
    }
    let message = format!("the head of the request is over {most} bytes: server.max_header_bytes is the limit");
    let error = ApiError::invalid("", "headers_too_large", message);
    let protocol = Endpoint::of_path(request.uri().path()).protocol();
    error.with_status(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE).respond(protocol)
}

/// As HTTP/1.1 writes it.
fn size(request: &Request) -> usize {
    let uri = request.uri();
    let line = request.method().as_str().len()
        + uri.path_and_query().map_or(0, |path| path.as_str().len())
        + " HTTP/1.1\r\n\r\n".len();
    request.headers().iter().fold(line, |size, (name, value)| size + name.as_str().len() + value.len() + ": \r\n".len())
}
