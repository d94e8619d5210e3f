//! `POST /v1/messages/count_tokens`: no decision, nothing logged, nothing learnt.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::{HeaderMap, HeaderName};
use serde::Serialize;
use slarouter_text::Conversation;
use tokio::time::Instant;
use utoipa::ToSchema;

use super::call::forwarded;
use super::{MODEL, Target, allowed, failed, keep, model, set};
use crate::app::App;
use crate::auth::Caller;
use crate::config::{Model, ModelProtocol};
use crate::error::{ApiError, SHOULD_RETRY};
use crate::limits::{self, Estimate};
use crate::openapi::{AnthropicErrorBody, MessagesBody};
use crate::protocol::bridge::Bridge;
use crate::protocol::{Endpoint, Protocol};
use crate::upstream::{Answer, Failure};
use crate::wire::request::Request;

/// Whose count it is: `provider` or `estimate`.
const TOKEN_COUNT: HeaderName = HeaderName::from_static("x-slarouter-token-count");

/// The size of a request.
#[derive(Serialize, ToSchema)]
pub(crate) struct TokenCount {
    input_tokens: u32,
}

/// Counts the tokens of a messages request
///
/// By the provider, for a model of Anthropic's protocol, and for a route by the first such model in it; else an estimate. The header
/// `x-slarouter-token-count` says which.
#[utoipa::path(
    post, path = "/v1/messages/count_tokens", tag = "Answers",
    request_body = MessagesBody,
    responses(
        (status = 200, body = TokenCount),
        (status = "4XX", body = AnthropicErrorBody),
        (status = "5XX", body = AnthropicErrorBody),
    ),
)]
pub(crate) async fn count_tokens(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut response = match count(&app, &caller, &headers, body).await {
        Ok(response) => response,
        Err(error) => error.respond(Protocol::Messages),
    };
    limits::describe(response.headers_mut(), &caller.meters, app.clock.now());
    response
}

async fn count(app: &Arc<App>, caller: &Caller, headers: &HeaderMap, body: Bytes) -> Result<Response, ApiError> {
    let request = Request::parse(Endpoint::Messages, body)
        .map_err(|error| ApiError::invalid(error.param(), error.code(), error.to_string()))?;
    let target = allowed(app, caller, request.model())?;
    // It counts as a request and spends nothing.
    drop(limits::admit(app, &caller.meters, &Estimate::default())?);
    let models: Vec<&Model> = match target {
        Target::Model(model) => vec![model],
        Target::Route(route) => {
            let zoo = app.config.routes.get(&route).map(|route| route.spec.zoo.models()).unwrap_or_default();
            zoo.iter().filter_map(|spec| model(app, &spec.name)).collect()
        }
    };
    let counts = |model: &&Model| model.protocol == ModelProtocol::Anthropic;
    let available = |model: &&Model| app.health.is_available(&model.name, Instant::now());
    let models: Vec<&Model> = models.into_iter().filter(counts).collect();
    let Some(model) = models.iter().copied().find(available).or(models.first().copied()) else {
        return estimate(&request);
    };
    Ok(match ask(app, model, &request, headers).await {
        Ok(response) => response,
        Err(failure) => {
            let bridge = Bridge { endpoint: Endpoint::Messages, upstream: model.protocol };
            let mut response = failed(&failure, bridge, Protocol::Messages);
            // Nothing was tried again here.
            response.headers_mut().remove(SHOULD_RETRY);
            response
        }
    })
}

/// An upstream of another protocol has nothing that counts; the gateway's own estimate is what it limits and predicts by.
fn estimate(request: &Request) -> Result<Response, ApiError> {
    let outline = request.outline();
    let conversation = Conversation::from_messages(&outline.messages, outline.tools)
        .map_err(|error| ApiError::invalid("messages", "invalid_messages", error.to_string()))?;
    let mut response = Json(TokenCount { input_tokens: conversation.input_tokens() }).into_response();
    set(response.headers_mut(), TOKEN_COUNT, "estimate");
    Ok(response)
}

async fn ask(app: &App, model: &Model, request: &Request, headers: &HeaderMap) -> Result<Response, Failure> {
    let body = request.upstream_body(model).map_err(|refusal| Failure::Broken(refusal.to_string()))?;
    let forwarded = forwarded(headers, Endpoint::Messages, model);
    match app.upstream.call(model, "messages/count_tokens", &forwarded, body).await? {
        Answer::Plain { status, headers, body } => {
            let mut response = (status, body).into_response();
            keep(response.headers_mut(), &headers);
            set(response.headers_mut(), MODEL, &model.name);
            set(response.headers_mut(), TOKEN_COUNT, "provider");
            Ok(response)
        }
        Answer::Stream { .. } => Err(Failure::Broken("a stream is no count of tokens".to_owned())),
    }
}
