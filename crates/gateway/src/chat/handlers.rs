//! The endpoints that answer.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;

use super::answer;
use crate::app::App;
use crate::protocol::Endpoint;

pub(crate) async fn completions(State(app): State<Arc<App>>, headers: HeaderMap, body: Bytes) -> Response {
    answer(&app, Endpoint::Chat, &headers, body).await
}

pub(crate) async fn responses(State(app): State<Arc<App>>, headers: HeaderMap, body: Bytes) -> Response {
    answer(&app, Endpoint::Responses, &headers, body).await
}

pub(crate) async fn messages(State(app): State<Arc<App>>, headers: HeaderMap, body: Bytes) -> Response {
    answer(&app, Endpoint::Messages, &headers, body).await
}

pub(crate) async fn text_completions(State(app): State<Arc<App>>, headers: HeaderMap, body: Bytes) -> Response {
    answer(&app, Endpoint::Completions, &headers, body).await
}

pub(crate) async fn embeddings(State(app): State<Arc<App>>, headers: HeaderMap, body: Bytes) -> Response {
    answer(&app, Endpoint::Embeddings, &headers, body).await
}
