//! Paths as clients write them: with slashes too many, as Azure has them, or wrong.

use axum::body::Bytes;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::uri::PathAndQuery;
use http::{HeaderValue, StatusCode, Uri, header};
use percent_encoding::percent_decode_str;
use slarouter_protocol::Endpoint;
use slarouter_protocol::json::{Edit, quote, splice};

use crate::error::ApiError;

/// What people set wrong most often.
pub(super) const BASE_URLS: &str =
    "The base URL is http://HOST/v1 for OpenAI's clients, and http://HOST for Anthropic's, which add /v1 themselves";
/// Where Azure has the models of an account, each under the name of its deployment.
const DEPLOYMENTS: &str = "/openai/deployments/";

/// The model that the path of a request names, as Azure's clients have it.
#[derive(Clone)]
pub(super) struct Deployment(String);

impl Deployment {
    /// The body with this model, whatever model it names itself. What is no JSON object stays as it is, for its reader to refuse.
    pub(super) fn named_in(&self, body: Bytes) -> Bytes {
        splice(&body, &[("model", Edit::Set(quote(&self.0).as_bytes()))]).map_or(body, Bytes::from)
    }
}

/// Takes slashes that say nothing out of the path, and brings a path of Azure's to the one that means the same here.
pub(crate) fn mend<B>(request: &mut http::Request<B>) {
    let path = request.uri().path();
    let is_odd = path.contains("//") || (path.len() > 1 && path.ends_with('/')) || path.starts_with("/openai/");
    if !is_odd {
        return;
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let folded = format!("/{}", parts.join("/"));
    let (path, deployment) = match folded.strip_prefix(DEPLOYMENTS).and_then(deployment) {
        Some((model, operation)) => (format!("/v1{operation}"), Some(Deployment(model))),
        None => (folded, None),
    };
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    // Made of parts of a path that was one, it is one.
    if let Ok(mended) = PathAndQuery::try_from(format!("{path}{query}")) {
        let mut parts = request.uri().clone().into_parts();
        parts.path_and_query = Some(mended);
        *request.uri_mut() = Uri::from_parts(parts).unwrap_or_else(|_| request.uri().clone());
        if let Some(deployment) = deployment {
            request.extensions_mut().insert(deployment);
        }
    }
}

/// The model and the operation of what follows the word `deployments`.
fn deployment(rest: &str) -> Option<(String, &'static str)> {
    let operations = ["/chat/completions", "/completions", "/embeddings"];
    let (model, operation) =
        operations.iter().find_map(|operation| Some((rest.strip_suffix(*operation)?, *operation)))?;
    let model = percent_decode_str(model).decode_utf8().ok().filter(|model| !model.is_empty())?;
    Some((model.into_owned(), operation))
}

/// Refuses a path that is no text, which would have no word for the names in it.
pub(super) async fn readable(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if percent_decode_str(path).decode_utf8().is_ok() {
        return next.run(request).await;
    }
    let message = format!("{path} is not UTF-8 once its percent signs are read: write each name in it as UTF-8");
    ApiError::invalid("", "invalid_path", message).respond(Endpoint::of_path(path).protocol())
}

/// 404 in the shape of the path's protocol, with what may be wrong.
pub(super) async fn not_found(request: Request) -> Response {
    if let Some(refusal) = websocket(&request) {
        return refusal;
    }
    let path = request.uri().path();
    let message = format!("there is no {path}. {BASE_URLS}; GET /openapi.json lists the paths");
    let error = ApiError::invalid("", "not_found", message).with_status(StatusCode::NOT_FOUND);
    error.respond(Endpoint::of_path(path).protocol())
}

/// 405 in the shape of the path's protocol.
pub(super) async fn wrong_method(request: Request) -> Response {
    if let Some(refusal) = websocket(&request) {
        return refusal;
    }
    let path = request.uri().path();
    let message = format!("{path} does not take {}", request.method());
    let error = ApiError::invalid("", "method_not_allowed", message).with_status(StatusCode::METHOD_NOT_ALLOWED);
    error.respond(Endpoint::of_path(path).protocol())
}

/// The answer to a WebSocket handshake, if the request is one: 426, at which Codex goes on over HTTP.
fn websocket(request: &Request) -> Option<Response> {
    let wanted = request.headers().get(header::UPGRADE)?;
    if !wanted.as_bytes().eq_ignore_ascii_case(b"websocket") {
        return None;
    }
    let message = "there are no WebSockets here, neither OpenAI's realtime sessions nor responses over them: use /v1/responses or \
                   /v1/chat/completions over HTTP, with \"stream\": true for answers that come in pieces";
    let error = ApiError::invalid("", "websocket_not_supported", message).with_status(StatusCode::UPGRADE_REQUIRED);
    let mut response = error.respond(Endpoint::of_path(request.uri().path()).protocol());
    // What a 426 has to name (RFC 9110, 15.5.22).
    response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("HTTP/1.1"));
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    Some(response)
}
