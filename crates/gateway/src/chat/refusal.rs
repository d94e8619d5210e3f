//! What the client gets where no model answered.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use slarouter_protocol::Protocol;
use slarouter_protocol::adapter::Adapter;

use super::exchange::Exchange;
use super::headers::{RETRY_AFTER_MS, describe};
use crate::error::{ApiError, SHOULD_RETRY};
use crate::upstream::Failure;

/// All attempts failed: the last failure, as the upstream put it.
pub(super) fn refuse(mut exchange: Exchange, failure: Failure) -> Response {
    let adapter = Adapter { endpoint: exchange.endpoint(), upstream: exchange.upstream() };
    let protocol = exchange.endpoint().protocol();
    let mut response = failed(&failure, adapter, protocol);
    describe(response.headers_mut(), &exchange, None);
    exchange.finish(response.status(), false, None, Some(failure.to_string()));
    response
}

/// No model answered within the time that a request may take.
pub(super) fn timed_out(mut exchange: Exchange, deadline: Duration) -> Response {
    let message = format!("no model answered within {} s", deadline.as_secs_f64());
    let error = ApiError::upstream(StatusCode::GATEWAY_TIMEOUT, "timeout", message.clone());
    let mut response = error.respond(exchange.endpoint().protocol());
    describe(response.headers_mut(), &exchange, None);
    exchange.finish(response.status(), false, None, Some(message));
    response
}

/// The answer to a call that failed, as the upstream put it where it did.
pub(crate) fn failed(failure: &Failure, adapter: Adapter, protocol: Protocol) -> Response {
    let bad_gateway = |code| ApiError::upstream(StatusCode::BAD_GATEWAY, code, failure.to_string()).respond(protocol);
    let mut response = match failure {
        Failure::Status { status, headers, body, retry_after, .. } => {
            let mut response = (*status, adapter.error(*status, body)).into_response();
            for name in [header::CONTENT_TYPE, RETRY_AFTER_MS] {
                if let Some(value) = headers.get(&name) {
                    response.headers_mut().insert(name, value.clone());
                }
            }
            // In seconds, as the client does not see the clock that a date was written by.
            if let Some(wait) = retry_after {
                let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0));
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            }
            response
        }
        Failure::Timeout(_) => {
            ApiError::upstream(StatusCode::GATEWAY_TIMEOUT, "upstream_timeout", failure.to_string()).respond(protocol)
        }
        Failure::Busy => ApiError::unavailable("upstream_busy", failure.to_string()).respond(protocol),
        Failure::Unreachable(_) => bad_gateway("upstream_unreachable"),
        Failure::Broken(_) => bad_gateway("upstream_broken"),
        Failure::TooLong(_) => bad_gateway("upstream_answer_too_long"),
        Failure::Unreadable(_) => bad_gateway("upstream_answer_unreadable"),
    };
    // What the upstream asks to wait for has not been waited for here, so the client may. Other retries are spent, and more by the SDK
    // would only multiply them.
    let waits = matches!(failure, Failure::Busy) || failure.pause().is_some();
    response.headers_mut().insert(SHOULD_RETRY, HeaderValue::from_static(if waits { "true" } else { "false" }));
    response
}
