//! The endpoints that answer.

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use slarouter_protocol::Endpoint;

use crate::admission::auth::Caller;
use crate::api::openapi::{
    AnthropicErrorBody, ChatBody, CompletionsBody, EmbeddingsBody, ErrorBody, MessagesBody, ResponsesBody,
};
use crate::app::App;
use crate::chat::answer;

/// Answers a chat
///
/// With `stream` the answer comes as server-sent events of the same protocol.
#[utoipa::path(
    post, path = "/v1/chat/completions", tag = "Answers",
    request_body = ChatBody,
    responses(
        (status = 200, description = "The model's answer", body = Object),
        (status = "4XX", body = ErrorBody),
        (status = "5XX", body = ErrorBody),
    ),
)]
pub(crate) async fn completions(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    answer(&app, &caller, Endpoint::Chat, &headers, body).await
}

/// Answers a responses request
///
/// With `stream` the answer comes as server-sent events of the same protocol.
#[utoipa::path(
    post, path = "/v1/responses", tag = "Answers",
    request_body = ResponsesBody,
    responses(
        (status = 200, description = "The model's answer", body = Object),
        (status = "4XX", body = ErrorBody),
        (status = "5XX", body = ErrorBody),
    ),
)]
pub(crate) async fn responses(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    answer(&app, &caller, Endpoint::Responses, &headers, body).await
}

/// Compacts a conversation
///
/// By a model of this protocol, as only its provider can read what comes of it: the one named, or for a route the conversation's own or the first that can.
#[utoipa::path(
    post, path = "/v1/responses/compact", tag = "Passed through",
    request_body = ResponsesBody,
    responses(
        (status = 200, description = "The model's answer", body = Object),
        (status = "4XX", body = ErrorBody),
        (status = "5XX", body = ErrorBody),
    ),
)]
pub(crate) async fn compact(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    answer(&app, &caller, Endpoint::Compact, &headers, body).await
}

/// Answers in Anthropic's protocol
///
/// With `stream` the answer comes as server-sent events of the same protocol.
#[utoipa::path(
    post, path = "/v1/messages", tag = "Answers",
    request_body = MessagesBody,
    responses(
        (status = 200, description = "The model's answer", body = Object),
        (status = "4XX", body = AnthropicErrorBody),
        (status = "5XX", body = AnthropicErrorBody),
    ),
)]
pub(crate) async fn messages(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    answer(&app, &caller, Endpoint::Messages, &headers, body).await
}

/// Completes a text with the model named
///
/// With `stream` the answer comes as server-sent events of the same protocol.
#[utoipa::path(
    post, path = "/v1/completions", tag = "Passed through",
    request_body = CompletionsBody,
    responses(
        (status = 200, description = "The model's answer", body = Object),
        (status = "4XX", body = ErrorBody),
        (status = "5XX", body = ErrorBody),
    ),
)]
pub(crate) async fn text_completions(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    answer(&app, &caller, Endpoint::Completions, &headers, body).await
}

/// Embeds texts with the model named
#[utoipa::path(
    post, path = "/v1/embeddings", tag = "Passed through",
    request_body = EmbeddingsBody,
    responses(
        (status = 200, description = "The model's answer", body = Object),
        (status = "4XX", body = ErrorBody),
        (status = "5XX", body = ErrorBody),
    ),
)]
pub(crate) async fn embeddings(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    answer(&app, &caller, Endpoint::Embeddings, &headers, body).await
}
