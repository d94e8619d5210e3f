//! What a request's head must be: within the limit, and of one meaning.
//!
//! hyper's own answer to a head that is too large has no body. So it lets twice as much pass, and what is over the limit gets its
//! answer here, in the protocol's shape; beyond that it is hyper's bare 431.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use futures_util::FutureExt;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, StatusCode, Version, header};
use slarouter_protocol::{Endpoint, Protocol};

use crate::app::App;
use crate::error::ApiError;

/// Refuses heads that are too large, and those that another reader may take for another request.
pub(crate) async fn check(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let most = app.config.server.max_header_bytes;
    let protocol = Endpoint::of_path(request.uri().path()).protocol();
    if size(&request) > most {
        let message = format!("the head of the request is over {most} bytes: server.max_header_bytes is the limit");
        let error = ApiError::invalid("", "headers_too_large", message);
        return error.with_status(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE).respond(protocol);
    }
    let Some(fault) = fault(&request) else { return caught(protocol, next.run(request)).await };
    let mut response = ApiError::invalid("", "invalid_head", fault).respond(protocol);
    if request.version() < Version::HTTP_2 {
        // Where the next request begins is as doubtful.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// The answer, or a 500 in its place: a fault of ours is not to reset the connection, with all other requests that are on it.
async fn caught(protocol: Protocol, answer: impl Future<Output = Response>) -> Response {
    // What the handler held is dropped, and what it shares is behind locks that do not mind.
    AssertUnwindSafe(answer).catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!("a request's handler has panicked: this is a fault of the gateway's");
        ApiError::internal().respond(protocol)
    })
}

/// What is wrong with the head, beyond what hyper refuses itself (RFC 9112, 3.2 and 6.1; RFC 9113, 8.3.1).
pub(crate) fn fault<B>(request: &http::Request<B>) -> Option<&'static str> {
    let hosts: Vec<_> = request.headers().get_all(header::HOST).iter().collect();
    let named = request.uri().authority();
    if hosts.len() > 1 {
        return Some("the request has several Host headers: send one");
    }
    if let Some(host) = hosts.first().filter(|host| !host.is_empty()) {
        let Some(host) = Authority::try_from(host.as_bytes()).ok().filter(|host| !host.as_str().contains('@')) else {
            return Some("the Host header is no host, or host and port");
        };
        if request.version() >= Version::HTTP_2 && named.is_some_and(|named| *named != host) {
            return Some("the Host header and :authority name two hosts: send one of them");
        }
    }
    if hosts.is_empty() && named.is_none() && request.version() >= Version::HTTP_11 {
        return Some("the request has no Host header: HTTP/1.1 needs one");
    }
    if !is_plain(request.headers()) {
        return Some("the only Transfer-Encoding that is taken is chunked, once: send the body without another one");
    }
    None
}

/// Whether the body is coded in no other way than by one `chunked`.
fn is_plain(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::TRANSFER_ENCODING).iter();
    let mut codings = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    codings.next().is_none_or(|coding| coding.eq_ignore_ascii_case(b"chunked")) && codings.next().is_none()
}

/// As HTTP/1.1 writes it.
fn size(request: &Request) -> usize {
    let uri = request.uri();
    let line = request.method().as_str().len()
        + uri.path_and_query().map_or(0, |path| path.as_str().len())
        + " HTTP/1.1\r\n\r\n".len();
    request.headers().iter().fold(line, |size, (name, value)| size + name.as_str().len() + value.len() + ": \r\n".len())
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_a_500_in_the_shape_of_the_protocol() {
        let good = caught(Protocol::Chat, async { "ok".into_response() }).await;
        assert_eq!(good.status(), 200);
        for (protocol, word) in
            [(Protocol::Chat, "\"code\":\"internal_error\""), (Protocol::Messages, "\"type\":\"error\"")]
        {
            let response = caught(protocol, async { panic!("a fault of ours") }).await;
            assert_eq!(response.status(), 500);
            let body = axum::body::to_bytes(response.into_body(), 1 << 16).await.unwrap();
            let text = String::from_utf8_lossy(&body).replace(": ", ":");
            assert!(text.contains(word) && !text.contains("a fault of ours"), "{text}");
        }
    }
}
