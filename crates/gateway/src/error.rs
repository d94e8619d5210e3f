//! Errors as clients see them: the OpenAI error object, or Anthropic's for its clients.

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use slarouter_protocol::fault::Fault;
use slarouter_protocol::{Protocol, Refusal};

/// nginx's customary status for a client that went away.
pub(crate) const CLIENT_CLOSED: u16 = 499;
/// Tells OpenAI SDKs whether to try again.
pub(crate) const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// An error of the gateway's own.
#[derive(Debug)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) kind: &'static str,
    pub(crate) code: &'static str,
    pub(crate) param: Option<&'static str>,
    /// The place of the fault inside of `param`, where that is known.
    pub(crate) place: Option<String>,
    pub(crate) message: String,
    /// Seconds after which another try makes sense.
    pub(crate) retry_after: Option<u64>,
}

impl ApiError {
    pub(crate) fn invalid(param: &'static str, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            kind: "invalid_request_error",
            code,
            param: (!param.is_empty()).then_some(param),
            place: None,
            message: message.into(),
            retry_after: None,
        }
    }

    pub(crate) fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    pub(crate) fn unavailable(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            kind: "server_error",
            code,
            param: None,
            place: None,
            message: message.into(),
            retry_after: Some(1),
        }
    }

    /// 429: over a limit of the key or the tenant.
    pub(crate) fn limited(code: &'static str, message: String, retry_after: Option<u64>) -> Self {
        let status = StatusCode::TOO_MANY_REQUESTS;
        Self { status, kind: "rate_limit_error", code, param: None, place: None, message, retry_after }
    }

    /// 500: a fault of the gateway itself.
    pub(crate) fn internal() -> Self {
        let (status, message) =
            (StatusCode::INTERNAL_SERVER_ERROR, "the gateway has failed: this is a fault of its own");
        Self { status, retry_after: None, ..Self::unavailable("internal_error", message) }
    }

    pub(crate) fn upstream(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { status, kind: "upstream_error", code, param: None, place: None, message, retry_after: None }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let place = (!refusal.param.is_empty()).then_some(refusal.param);
        Self { place, ..Self::invalid("", "unsupported_parameter", refusal.message) }
    }
}

impl ApiError {
    /// The answer in this protocol's shape.
    pub(crate) fn respond(self, protocol: Protocol) -> Response {
        let fault = Fault {
            message: self.message,
            kind: Some(self.kind.to_owned()),
            code: Some(self.code.to_owned()),
            param: self.place.or(self.param.map(str::to_owned)),
            status: None,
        };
        let body = fault.write(protocol, self.status);
        let mut response = (self.status, [(header::CONTENT_TYPE, "application/json")], body).into_response();
        // A retry helps only where we say when; our own retries towards the upstreams are spent by then.
        let retry = HeaderValue::from_static(if self.retry_after.is_some() { "true" } else { "false" });
        response.headers_mut().insert(SHOULD_RETRY, retry);
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.respond(Protocol::Chat)
    }
}
