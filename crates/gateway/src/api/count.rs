//! `POST /v1/messages/count_tokens`: no decision, nothing logged, nothing learnt.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::{HeaderMap, HeaderName, StatusCode};
use serde::Serialize;
use slarouter_config::Model;
use slarouter_protocol::adapter::Adapter;
use slarouter_protocol::json::{self, Object};
use slarouter_protocol::pass::error_status;
use slarouter_protocol::request::Request;
use slarouter_protocol::{Endpoint, ModelProtocol, Protocol};
use slarouter_text::Conversation;
use tokio::time::timeout;
use utoipa::ToSchema;

use crate::admission::auth::Caller;
use crate::admission::limits::{self, Estimate};
use crate::api::openapi::{AnthropicErrorBody, MessagesBody};
use crate::app::App;
use crate::chat::{Callee, Calls, MODEL, failed, forwarded, in_order, keep, set};
use crate::error::ApiError;
use crate::lookup::{Target, model, resolve};
use crate::upstream::{Admission, Failure, UpstreamResponse};
use crate::words::shown;

/// Whose count it is: `provider` or `estimate`.
const TOKEN_COUNT: HeaderName = HeaderName::from_static("x-slarouter-token-count");

/// The size of a request.
#[derive(Serialize, ToSchema)]
pub(crate) struct TokenCount {
    input_tokens: u32,
}

/// Counts the tokens of a messages request
///
/// By the provider, for a model of Anthropic's protocol, and for a route by the first such model in it that answers; else an estimate. The
/// header `x-slarouter-token-count` says which.
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
    let target = resolve(app, caller, request.model())?;
    let _working = app.room.take(request.working_bytes(false))?;
    // It counts as a request and spends nothing.
    drop(limits::admit(&app.journal, app.clock.now(), &caller.meters, &Estimate::default())?);
    let models: Vec<&Model> = match target {
        Target::Model(model) => vec![model],
        Target::Route(route) => {
            let zoo = app.config.routes.get(&route).map(|route| route.spec.zoo.models()).unwrap_or_default();
            zoo.iter().filter_map(|spec| model(app, &spec.name)).collect()
        }
    };
    let counts = models.into_iter().filter(|model| model.protocol == ModelProtocol::Anthropic);
    let order: Vec<Arc<str>> = counts.map(|model| model.name.clone()).collect();
    if order.is_empty() {
        return estimate(&request);
    }
    let mut calls = Counting { app, request: &request, headers, made: 0 };
    let deadline = app.config.server.request_timeout;
    match timeout(deadline, in_order(app, app.clock.new_id(), &order, &mut calls)).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(failure)) => {
            let adapter = Adapter { endpoint: Endpoint::Messages, upstream: ModelProtocol::Anthropic };
            Ok(failed(&failure, adapter, Protocol::Messages))
        }
        Err(_) => {
            let message = format!("no model answered within {} s", deadline.as_secs_f64());
            Err(ApiError::upstream(StatusCode::GATEWAY_TIMEOUT, "timeout", message))
        }
    }
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

/// The calls for a count. Circuits and pauses keep them from a model and are not moved by them: what a provider counts with has limits and
/// outages of its own, and is no reason to keep answers from anybody.
struct Counting<'a> {
    app: &'a App,
    request: &'a Request,
    headers: &'a HeaderMap,
    made: u32,
}

impl Calls for Counting<'_> {
    type Output = Response;

    fn made(&self) -> u32 {
        self.made
    }

    async fn make(&mut self, callee: Callee<'_>, admission: Admission, _: &[Arc<str>]) -> Result<Response, Failure> {
        self.made += 1;
        let answer = ask(self.app, callee.model, self.request, self.headers).await;
        drop(admission);
        if let Err(failure) = &answer {
            self.app.metrics.failure(&callee.model.name, failure.kind());
            let failed = failure.to_string();
            tracing::warn!(model = %callee.model.name, failure = shown(&failed), "tokens not counted");
        }
        answer
    }
}

async fn ask(app: &App, model: &Model, request: &Request, headers: &HeaderMap) -> Result<Response, Failure> {
    let (body, _) = request.upstream_body(model.upstream()).map_err(|refusal| Failure::Broken(refusal.to_string()))?;
    let forwarded = forwarded(headers, Endpoint::Messages, model);
    match app.upstream.call(model, "messages/count_tokens", forwarded, body).await? {
        UpstreamResponse::Plain { headers, body, .. } if let Some(status) = error_status(&body) => {
            Err(app.upstream.refusal(status, headers, body, true))
        }
        UpstreamResponse::Plain { body, .. } if !is_count(&body) => {
            Err(Failure::Broken("the answer has no `input_tokens`".to_owned()))
        }
        UpstreamResponse::Plain { status, headers, body } => {
            let mut response = (status, body).into_response();
            keep(response.headers_mut(), &headers);
            set(response.headers_mut(), MODEL, &model.name);
            set(response.headers_mut(), TOKEN_COUNT, "provider");
            Ok(response)
        }
        UpstreamResponse::Stream { .. } => Err(Failure::Broken("a stream is no count of tokens".to_owned())),
    }
}

fn is_count(body: &[u8]) -> bool {
    Object::scan(body).is_ok_and(|object| object.get(body, "input_tokens").and_then(json::count).is_some())
}
