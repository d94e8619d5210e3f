//! One call to one upstream.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use secrecy::ExposeSecret;
use slarouter_config::{HealthCheck, Model, UpstreamConfig};
use slarouter_protocol::ModelProtocol;
use slarouter_protocol::json::Pieces;
use slarouter_protocol::messages;
use slarouter_protocol::objection::Objection;
use tokio::time::{Instant, timeout};

use super::retry_after;
use super::transport::{Answer, Transport, Unanswered, UpstreamError, causes, client};
use crate::clock::Clock;

/// Which version of Anthropic's protocol a request speaks.
pub(crate) const ANTHROPIC_VERSION: &str = "anthropic-version";

/// What was waited for when nothing had been sent yet.
const CONNECT: &str = "connect";

/// The client side towards the providers.
pub(crate) struct Upstream {
    transport: Transport,
    /// For probes.
    client: reqwest::Client,
    config: UpstreamConfig,
    clock: Arc<Clock>,
}

/// A 2xx answer whose first bytes have arrived.
pub(crate) enum UpstreamResponse {
    Plain { status: StatusCode, headers: HeaderMap, body: Bytes },
    Stream { status: StatusCode, headers: HeaderMap, first: Bytes, rest: BoxStream<'static, Result<Bytes, String>> },
}

/// A call that failed before any byte of it had been passed on.
#[derive(Debug)]
pub(crate) enum Failure {
    /// No connection.
    Unreachable(String),
    /// A deadline passed.
    Timeout(&'static str),
    /// The connection broke, or what came is no answer.
    Broken(String),
    /// An answer, which will have been billed, but one of more bytes than this.
    TooLong(usize),
    /// An answer, which will have been billed, but not one to what was asked.
    Unreadable(String),
    /// Not called: as many calls as the model may have are under way.
    Busy,
    /// The upstream said no.
    Status {
        status: StatusCode,
        headers: HeaderMap,
        body: Bytes,
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
        /// It said so in the body of an answer with status 200.
        under_200: bool,
        /// Why it did, if that lies with this model.
        objection: Option<Box<Objection>>,
    },
}

/// What a failure allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// The same model again, then another.
    Retry,
    /// Another model; this one will not do better soon.
    OtherModel,
    /// Nothing: the request itself is at fault.
    GiveUp,
}

impl Upstream {
    pub(crate) fn new(config: UpstreamConfig, clock: Arc<Clock>) -> Result<Self, UpstreamError> {
        let client = client(config.connect_timeout).build()?;
        let transport = Transport::new(config.connect_timeout, client.clone())?;
        Ok(Self { transport, client, config, clock })
    }

    /// For another configuration. Connections are kept, unless how they are made has changed.
    pub(crate) fn reconfigured(&self, config: UpstreamConfig) -> Result<Self, UpstreamError> {
        let clock = self.clock.clone();
        if config.connect_timeout != self.config.connect_timeout {
            return Self::new(config, clock);
        }
        Ok(Self { transport: self.transport.clone(), client: self.client.clone(), config, clock })
    }

    pub(crate) fn idle_timeout(&self) -> Duration {
        self.config.idle_timeout
    }

    /// Sends a request to `path` and waits for the whole answer, or for the first bytes of a stream. `headers` are those of
    /// the client's that go with it.
    pub(crate) async fn call(
        &self,
        model: &Model,
        path: &'static str,
        mut headers: HeaderMap,
        body: Pieces,
    ) -> Result<UpstreamResponse, Failure> {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        sign(&mut headers, model).map_err(Failure::Broken)?;
        let post = self.transport.post(&model.base_url, path, headers, body);
        let Answer { status, headers, body: mut rest } = match timeout(self.config.response_timeout, post).await {
            Err(_) => return Err(Failure::Timeout("response headers")),
            Ok(Err(Unanswered::Late)) => return Err(Failure::Timeout(CONNECT)),
            Ok(Err(Unanswered::Unreachable(why))) => return Err(Failure::Unreachable(why)),
            Ok(Err(Unanswered::Broken(why))) => return Err(Failure::Broken(why)),
            Ok(Ok(answer)) => answer,
        };
        if status.is_success() && is_event_stream(&headers) {
            let first = self.first_event(&mut rest).await?;
            return Ok(UpstreamResponse::Stream { status, headers, first, rest });
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = self.next(&mut rest, self.config.idle_timeout, "body").await? {
            if body.len() + chunk.len() <= self.config.max_response_bytes {
                body.extend_from_slice(&chunk);
            } else if status.is_success() {
                return Err(Failure::TooLong(self.config.max_response_bytes));
            } else {
                // What is so long explains no refusal.
                body.clear();
                break;
            }
        }
        let body = body.freeze();
        if status.is_success() {
            Ok(UpstreamResponse::Plain { status, headers, body })
        } else {
            Err(self.refusal(status, headers, body, false))
        }
    }

    /// Asks whether it lives; only a 2xx will do. The answer's body is not read.
    pub(crate) async fn probe(&self, model: &Model, check: &HealthCheck) -> Result<(), String> {
        let mut headers = HeaderMap::new();
        sign(&mut headers, model)?;
        match timeout(check.timeout, self.client.get(&check.url).headers(headers).send()).await {
            Err(_) => Err(format!("no answer within {} s", check.timeout.as_secs_f64())),
            Ok(Err(error)) => Err(causes(&error)),
            Ok(Ok(answer)) if answer.status().is_success() => Ok(()),
            Ok(Ok(answer)) => Err(format!("the upstream answered {}", answer.status())),
        }
    }

    /// That the upstream said no.
    pub(crate) fn refusal(&self, status: StatusCode, headers: HeaderMap, body: Bytes, under_200: bool) -> Failure {
        let retry_after = retry_after::wait(&headers, self.clock.now());
        let objection = Objection::read(status, &body).map(Box::new);
        Failure::Status { status, headers, body, retry_after, under_200, objection }
    }

    /// Waits for a whole event, so that a stream that breaks before it can still be tried elsewhere.
    async fn first_event(&self, rest: &mut BoxStream<'static, Result<Bytes, String>>) -> Result<Bytes, Failure> {
        let mut first = BytesMut::new();
        // One deadline for all of it: drops of comments must not put it off.
        let until = Instant::now() + self.config.first_token_timeout;
        while !has_event(&first) {
            match self.next(rest, until.saturating_duration_since(Instant::now()), "first event").await? {
                Some(chunk) => first.extend_from_slice(&chunk),
                None => return Err(Failure::Broken("the stream ended before its first event".to_owned())),
            }
            if first.len() > self.config.max_response_bytes {
                return Err(Failure::TooLong(self.config.max_response_bytes));
            }
        }
        Ok(first.freeze())
    }

    async fn next(
        &self,
        rest: &mut BoxStream<'static, Result<Bytes, String>>,
        limit: Duration,
        what: &'static str,
    ) -> Result<Option<Bytes>, Failure> {
        match timeout(limit, rest.next()).await {
            Err(_) => Err(Failure::Timeout(what)),
            Ok(None) => Ok(None),
            Ok(Some(Ok(chunk))) => Ok(Some(chunk)),
            Ok(Some(Err(error))) => Err(Failure::Broken(error)),
        }
    }
}

impl Failure {
    /// The word for logs and metrics.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Timeout(_) => "timeout",
            Self::Broken(_) => "broken",
            Self::TooLong(_) => "too_long",
            Self::Unreadable(_) => "unreadable",
            Self::Busy => "busy",
            Self::Status { status, .. } if status.as_u16() == 429 => "rate_limited",
            Self::Status { status, .. } if status.is_server_error() => "server_error",
            Self::Status { .. } => "refused",
        }
    }

    /// What it says of the model's health: `Some(false)` if it could not answer, `Some(true)` if it could and the request was at
    /// fault, `None` if nothing.
    pub(crate) fn blames(&self) -> Option<bool> {
        match self {
            Self::Unreachable(_) | Self::Timeout(_) | Self::Broken(_) | Self::Unreadable(_) => Some(false),
            Self::TooLong(_) => Some(true),
            Self::Busy => None,
            Self::Status { status, retry_after, .. } => match status.as_u16() {
                // It says itself how long to leave it alone.
                429 if retry_after.is_some() => None,
                401 | 402 | 408 | 429 | 500..=599 => Some(false),
                // A filter or a wrong id: who asks must not be able to take a model away from all others.
                403 | 404 => None,
                _ => Some(true),
            },
        }
    }

    /// Whether the call was answered all the same, and so billed.
    pub(crate) fn is_billed(&self) -> bool {
        matches!(self, Self::TooLong(_) | Self::Unreadable(_))
    }

    /// How long the upstream asks to be left alone.
    pub(crate) fn pause(&self) -> Option<Duration> {
        let Self::Status { status, retry_after, .. } = self else { return None };
        retry_after.filter(|_| status.as_u16() == 429 || status.is_server_error())
    }

    /// Why the upstream refused the request, if that lies with its model.
    pub(crate) fn objection(&self) -> Option<&Objection> {
        if let Self::Status { objection, .. } = self { objection.as_deref() } else { None }
    }

    pub(crate) fn next(&self) -> Next {
        // What was answered is billed, and would be answered in the same way again.
        if self.is_billed() || matches!(self, Self::Busy) {
            return Next::OtherModel;
        }
        // What was sent may be billed, and would be slow again.
        if matches!(self, Self::Timeout(what) if *what != CONNECT) {
            return Next::OtherModel;
        }
        let Self::Status { status, retry_after, .. } = self else { return Next::Retry };
        match status.as_u16() {
            // An upstream that says when to come back means it: only another model can help before that.
            408 | 429 | 500 | 502 | 503 | 504 | 529 if retry_after.is_none() => Next::Retry,
            // Keys, quotas, model names and outages are the operator's or the upstream's affair, not the client's.
            401..=404 | 408 | 429 | 500..=599 => Next::OtherModel,
            // Another model may take what this one does not.
            _ if self.objection().is_some() => Next::OtherModel,
            _ => Next::GiveUp,
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreachable(why) => write!(f, "the upstream cannot be reached: {why}"),
            Self::Timeout(what) => write!(f, "the upstream took too long: {what}"),
            Self::Broken(why) => write!(f, "the upstream broke off: {why}"),
            Self::TooLong(most) => {
                write!(f, "the answer has more than the {most} bytes that upstream.max_response_bytes allows")
            }
            Self::Unreadable(why) => write!(f, "the upstream's answer cannot be used: {why}"),
            Self::Busy => f.write_str("the model has as many calls under way as it may have"),
            Self::Status { status, under_200: true, .. } => {
                write!(f, "the upstream answered 200 with nothing but an error, which counts as {status}")
            }
            Self::Status { status, .. } => write!(f, "the upstream answered {status}"),
        }
    }
}

/// Adds the model's key and, where its protocol wants a version and there is none, that.
///
/// # Errors
/// If the key can stand in no header.
fn sign(headers: &mut HeaderMap, model: &Model) -> Result<(), String> {
    let anthropic = model.protocol == ModelProtocol::Anthropic;
    if let Some(key) = &model.api_key {
        let key = key.expose_secret();
        let (name, value) = if anthropic {
            (HeaderName::from_static("x-api-key"), HeaderValue::from_str(key))
        } else {
            (header::AUTHORIZATION, HeaderValue::try_from(format!("Bearer {key}")))
        };
        let mut value = value.map_err(|_| "the model's api_key has characters that no header may have".to_owned())?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    if anthropic {
        headers.entry(ANTHROPIC_VERSION).or_insert(HeaderValue::from_static(messages::VERSION));
    }
    Ok(())
}

/// Whether a blank line, in any of the three line ends, follows the word `data`. Comments that do not hold it do not count; what
/// holds it and is no event only ends the wait sooner.
fn has_event(bytes: &[u8]) -> bool {
    let data = memchr::memmem::find(bytes, b"data");
    data.is_some_and(|at| {
        let ends: [&[u8]; 3] = [b"\n\n", b"\r\n\r\n", b"\r\r"];
        ends.iter().any(|end| memchr::memmem::find(&bytes[at..], end).is_some())
    })
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    kind.is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("text/event-stream"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_allow_what_they_should() {
        let status = |code: u16, retry_after: Option<u64>| {
            let failure = Failure::Status {
                status: StatusCode::from_u16(code).unwrap(),
                headers: HeaderMap::new(),
                body: Bytes::new(),
                retry_after: retry_after.map(Duration::from_secs),
                under_200: false,
                objection: None,
            };
            failure.next()
        };
        assert_eq!(status(500, None), Next::Retry);
        assert_eq!(status(429, None), Next::Retry);
        assert_eq!(status(429, Some(7)), Next::OtherModel);
        assert_eq!(status(401, None), Next::OtherModel);
        assert_eq!(status(400, None), Next::GiveUp);
        assert_eq!(status(422, None), Next::GiveUp);
        assert_eq!(Failure::Timeout(CONNECT).next(), Next::Retry);
        assert_eq!(Failure::Timeout("first event").next(), Next::OtherModel);
        assert_eq!(Failure::TooLong(8).next(), Next::OtherModel);
        assert_eq!(Failure::Unreadable("no choices".to_owned()).next(), Next::OtherModel);
    }
}
