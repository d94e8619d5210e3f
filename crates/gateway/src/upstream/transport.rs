//! How calls get to upstreams: over connections that are kept, and through a proxy where the environment names one.
//!
//! The HTTP client library parses the URL of each call, and that of each answer once more, and copies each request for redirects that
//! are never followed. So calls go to the layer below it. Those through a proxy go by the library, which knows proxies.

use std::collections::HashMap;
use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use reqwest::Url;
use slarouter_protocol::json::Pieces;
use tokio::time::timeout;
use tokio_rustls::rustls::Error as RustlsError;
use tower::Service;

use crate::tls;

/// Who calls.
const AGENT: &str = concat!("slarouter/", env!("CARGO_PKG_VERSION"));
/// A connection that nothing has gone over for so long is closed.
const IDLE: Duration = Duration::from_secs(90);
/// Between two questions whether a silent upstream is still there.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// Such questions without an answer, until it is not.
const KEEPALIVE_RETRIES: u32 = 3;

type BoxError = Box<dyn Error + Send + Sync>;

/// Why upstreams cannot be called. Likely the system has no certificates of authorities.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpstreamError {
    /// The HTTP client cannot be made.
    #[error(transparent)]
    Client(#[from] reqwest::Error),
    /// What shakes hands with upstreams cannot be made.
    #[error(transparent)]
    Tls(#[from] RustlsError),
}

/// Why a call has no answer.
pub(super) enum Unanswered {
    /// There was no connection in time.
    Late,
    /// There is no connection.
    Unreachable(String),
    /// The connection broke, or what came is no HTTP.
    Broken(String),
}

/// A client of upstreams.
#[derive(Clone)]
pub(super) struct Transport {
    direct: Client<Patient<HttpsConnector<HttpConnector>>, Full<Pieces>>,
    proxied: reqwest::Client,
    proxies: Arc<Matcher>,
    /// By path and base, so that each URL is parsed once. There are as many as models and paths.
    places: Arc<RwLock<HashMap<&'static str, HashMap<String, Place>>>>,
}

/// Where a call goes.
#[derive(Clone)]
enum Place {
    Direct(Uri),
    Proxied(Url),
}

/// The head of an answer, and its body as it comes.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: BoxStream<'static, Result<Bytes, String>>,
}

// === impl Transport ===

impl Transport {
    /// `proxied` is the client library's, of the same limits.
    ///
    /// # Errors
    /// If the system has no certificates of authorities.
    pub(super) fn new(connect_timeout: Duration, proxied: reqwest::Client) -> Result<Self, RustlsError> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(KEEPALIVE));
        tcp.set_keepalive_interval(Some(KEEPALIVE));
        tcp.set_keepalive_retries(Some(KEEPALIVE_RETRIES));
        // What a peer that is gone never acknowledges would be sent again for a quarter of an hour, and calls of HTTP/2 share its connection.
        #[cfg(target_os = "linux")]
        tcp.set_tcp_user_timeout(Some(2 * KEEPALIVE));
        // Shared out among the addresses of a name, so that one that is dead does not take all of it.
        tcp.set_connect_timeout(Some(connect_timeout));
        let connector = HttpsConnector::from((tcp, tls::client()?));
        let mut builder = Client::builder(TokioExecutor::new());
        builder.timer(TokioTimer::new()).pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE);
        builder.http2_keep_alive_interval(KEEPALIVE).http2_keep_alive_timeout(KEEPALIVE);
        let direct = builder.build(Patient { inner: connector, limit: connect_timeout });
        Ok(Self { direct, proxied, proxies: Arc::new(Matcher::from_env()), places: Arc::default() })
    }

    /// Posts a body and waits for the head of the answer.
    pub(super) async fn post(
        &self,
        base: &str,
        path: &'static str,
        mut headers: HeaderMap,
        body: Pieces,
    ) -> Result<Answer, Unanswered> {
        let uri = match self.place(base, path)? {
            Place::Direct(uri) => uri,
            Place::Proxied(url) => return self.through_proxy(url, headers, body.into_bytes()).await,
        };
        headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(header::USER_AGENT, HeaderValue::from_static(AGENT));
        let mut request = http::Request::new(Full::new(body));
        (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) = (Method::POST, uri, headers);
        let response = self.direct.request(request).await.map_err(|error| failed(&error, error.is_connect()))?;
        let (head, body) = response.into_parts();
        let body = body.into_data_stream().map(|chunk| chunk.map_err(|error| chain(&error))).boxed();
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    async fn through_proxy(&self, url: Url, headers: HeaderMap, body: Bytes) -> Result<Answer, Unanswered> {
        let response = self.proxied.post(url).headers(headers).body(body).send().await.map_err(|error| {
            let cause: &(dyn Error + 'static) = error.source().unwrap_or(&error);
            failed(cause, error.is_connect())
        })?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes_stream().map(|chunk| chunk.map_err(|error| causes(&error))).boxed();
        Ok(Answer { status, headers, body })
    }

    fn place(&self, base: &str, path: &'static str) -> Result<Place, Unanswered> {
        let known =
            self.places.read().unwrap_or_else(PoisonError::into_inner).get(path).and_then(|of| of.get(base).cloned());
        if let Some(place) = known {
            return Ok(place);
        }
        let wrong = |error: &dyn Error| Unanswered::Broken(format!("the model's base_url: {error}"));
        let url = Url::parse(&format!("{}/{path}", base.trim_end_matches('/'))).map_err(|error| wrong(&error))?;
        let uri = url.as_str().parse::<Uri>().map_err(|error| wrong(&error))?;
        let place = if self.proxies.intercept(&uri).is_some() { Place::Proxied(url) } else { Place::Direct(uri) };
        let mut places = self.places.write().unwrap_or_else(PoisonError::into_inner);
        places.entry(path).or_default().insert(base.to_owned(), place.clone());
        Ok(place)
    }
}

/// What a call without an answer failed of.
fn failed(error: &(dyn Error + 'static), connecting: bool) -> Unanswered {
    let is_late = |error: &(dyn Error + 'static)| {
        error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
    };
    // Once there is a connection, what was sent may be answered, and billed.
    if connecting && links(error).any(is_late) {
        return Unanswered::Late;
    }
    if connecting { Unanswered::Unreachable(chain(error)) } else { Unanswered::Broken(chain(error)) }
}

/// A connector with a time for all of it: name, connection, and handshake.
#[derive(Clone)]
struct Patient<C> {
    inner: C,
    limit: Duration,
}

impl<C> Service<Uri> for Patient<C>
where
    C: Service<Uri>,
    C::Future: Send + 'static,
    C::Error: Into<BoxError>,
{
    type Response = C::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<C::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (connecting, limit) = (self.inner.call(uri), self.limit);
        Box::pin(async move {
            match timeout(limit, connecting).await {
                Ok(connected) => connected.map_err(Into::into),
                Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
            }
        })
    }
}

/// What the client library calls with: probes, and upstreams behind a proxy.
pub(crate) fn client(connect_timeout: Duration) -> reqwest::ClientBuilder {
    // No redirects: upstreams are those of the configuration and no others.
    reqwest::Client::builder()
        .connect_timeout(connect_timeout)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(AGENT)
}

/// An error with its causes.
fn chain(error: &(dyn Error + 'static)) -> String {
    links(error).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn links<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// The causes of an error of the client library, without its own words: they have the URL, which may hold what clients need not see.
pub(crate) fn causes(error: &reqwest::Error) -> String {
    error.source().map_or_else(|| "request failed".to_owned(), chain)
}
