//! What a listener says while the gateway still learns from its log: nobody who asks is left hanging.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use slarouter_learner::Progress;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::sockets::Socket;

/// For which clients wait in the queue of a socket that outlives processes, before they are told that it takes longer.
const SHORT: Duration = Duration::from_secs(10);
/// For a question and its answer: a client that says nothing holds no place for longer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Connections at a time; more wait to be accepted.
const CONNECTIONS: usize = 256;
/// Pause after `accept` failed, as it does when file descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Answers at this socket until it is dropped: that the process lives and does not take requests yet, and how far it is.
/// Those who have asked by then still get their answers. At the socket of `server.listen` clients may have waited since before the process
/// began, if it outlives processes, and they go on waiting for [`SHORT`], in which most starts are done.
pub(crate) async fn answer(
    socket: &Socket,
    is_public: bool,
    tls: Option<TlsAcceptor>,
    progress: watch::Receiver<Progress>,
) -> Infallible {
    let listener = &socket.listener;
    if socket.outlives && is_public {
        sleep(SHORT).await;
    }
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let place = places.clone().acquire_owned().await;
        let Ok((stream, _)) = listener.accept().await else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (tls, progress) = (tls.clone(), progress.clone());
        tokio::spawn(timeout(PATIENCE, async move {
            // Whoever goes away early, or speaks no TLS, has had no answer that anything rests on.
            match tls {
                None => requests(stream, progress).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        requests(stream, progress).await;
                    }
                }
            }
            drop(place);
        }));
    }
}

/// One request, after which the connection ends: the next may find the gateway ready.
async fn requests(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, progress: watch::Receiver<Progress>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let response = response(request.uri().path(), *progress.borrow());
        async move { Ok::<_, Infallible>(response) }
    });
    let mut serving = http1::Builder::new();
    serving.timer(TokioTimer::new()).keep_alive(false);
    drop(serving.serve_connection(TokioIo::new(stream), service).await);
}

fn response(path: &str, progress: Progress) -> Response<Full<Bytes>> {
    let told = told(progress);
    let (status, kind, body) = match path {
        "/healthz" => (StatusCode::OK, "text/plain; charset=utf-8", "ok".to_owned()),
        "/readyz" => (StatusCode::SERVICE_UNAVAILABLE, "text/plain; charset=utf-8", told),
        _ => {
            let error = serde_json::json!({ "error": {
                "message": format!("the gateway does not take requests yet: {told}"),
                "type": "server_error", "code": "starting", "param": null,
            } });
            (StatusCode::SERVICE_UNAVAILABLE, "application/json", error.to_string())
        }
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
        headers.insert(crate::error::SHOULD_RETRY, header::HeaderValue::from_static("true"));
    }
    response
}

/// `starting: learning from the log, 34 % (event 142000 of 419000)`.
fn told(progress: Progress) -> String {
    let Progress { seq, last, .. } = progress;
    if last == 0 {
        return "starting: opening the log".to_owned();
    }
    format!("starting: learning from the log, {:.0} % (event {seq} of {last})", (100.0 * progress.share()).floor())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_how_far_it_is_and_never_that_it_is_ready() {
        let half = Progress { from: 1_000, seq: 1_500, last: 2_000 };
        let ready = response("/readyz", half);
        assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(told(half), "starting: learning from the log, 50 % (event 1500 of 2000)");
        assert_eq!(told(Progress::default()), "starting: opening the log");
        assert_eq!(response("/healthz", half).status(), StatusCode::OK);
        let asked = response("/v1/chat/completions", half);
        assert_eq!(
            (asked.status(), &asked.headers()["retry-after"]),
            (StatusCode::SERVICE_UNAVAILABLE, &"1".parse().unwrap())
        );
    }
}
