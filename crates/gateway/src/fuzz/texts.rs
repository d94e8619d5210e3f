//! What comes from outside beside the bodies of requests and answers: sessions, feedback, keys and tokens.

use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use slarouter_config::{Config, Scope};
use slarouter_core::{DecisionId, Rating, Timestamp};
use slarouter_protocol::request::Request;
use slarouter_store::TraceId;

use crate::admission::auth::{self, Auth};
use crate::admission::local;
use crate::admission::token::Signer;
use crate::api::{feedback as feedback_api, head, route};
use crate::chat::{is_plausible, trace_id};
use crate::clock::{parse_id, public_id};
use crate::sessions::Sessions;

const KEY: &str = "sk-0123456789abcdef";
const SECRET: &str = "0123456789abcdef0123456789abcdef";
const LIFETIME: Duration = Duration::from_secs(60);

/// What finds the session and the application's own id of a request: the first byte is the endpoint, the rest the body.
pub(super) fn session(data: &[u8]) {
    let Some((first, body)) = data.split_first() else { return };
    if let Ok(request) = Request::parse(slarouter_protocol::fuzz::endpoint(*first), Bytes::copy_from_slice(body)) {
        let outline = request.outline();
        let (metadata, cache) = (request.member("metadata"), request.member("prompt_cache_key"));
        let headers = HeaderMap::new();
        Sessions::default().of("default", &headers, &outline.messages, metadata, cache);
        let trace = trace_id(&headers, metadata);
        assert!(trace.is_none_or(|trace| (1..=TraceId::MOST).contains(&trace.as_str().len())));
    }
}

/// A body of `/v1/feedback`, `/v1/outcomes` or `/v1/route`.
pub(super) fn feedback(data: &[u8]) {
    match feedback_api::parse(data) {
        Ok(given) => {
            assert!(given.rating.is_none_or(|rating| (0.0..=1.0).contains(&Rating::get(rating))));
            match given.about {
                feedback_api::About::Decision(id, written) => assert_eq!(parse_id(&written), Some(id)),
                feedback_api::About::Trace(trace) => assert!(trace.as_str().len() <= TraceId::MOST),
            }
        }
        Err(error) => assert!(error.status.is_client_error() && !error.message.is_empty()),
    }
    drop(serde_json::from_slice::<route::Report>(data));
    drop(serde_json::from_slice::<route::RouteRequest>(data));
    if let Ok(value) = serde_json::from_slice(data)
        && let Ok(usage) = route::usage(&value)
    {
        assert!(is_plausible(&usage));
    }
}

/// Lines: what stands in `authorization`, in `x-api-key`, in `host`, and as a feedback token.
pub(super) fn credentials(data: &[u8]) {
    static KNOWN: OnceLock<Option<(Auth, Signer)>> = OnceLock::new();
    let known = KNOWN.get_or_init(|| {
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\napi_keys = [\"{KEY}\"]\n[[models]]\nname = \"m\"\nbase_url = \"http://h/v1\"\n\
             price = {{ input = 1, output = 1 }}\n[routes.default]\nmodels = [\"m\"]\nsla = {{ satisfaction = 0.9 }}\n"
        );
        let config = Config::parse(&text, &|_| None).ok()?;
        Some((Auth::new(&config, &[], Timestamp(0)), Signer::new(&SECRET.to_owned().into(), LIFETIME)?))
    });
    assert!(known.is_some());
    let Some((auth, signer)) = known else { return };
    let mut lines = data.splitn(4, |byte| *byte == b'\n');
    let mut headers = HeaderMap::new();
    for name in [header::AUTHORIZATION, HeaderName::from_static("x-api-key"), header::HOST] {
        if let Some(value) = lines.next().and_then(|line| HeaderValue::from_bytes(line).ok()) {
            headers.insert(name, value);
        }
    }
    let shown = auth::token(&headers);
    let caller = auth.check(&headers, &[Scope::Inference], Timestamp(0));
    assert_eq!(caller.is_ok(), shown == Some(KEY.as_bytes()));
    assert!(auth.check(&headers, &[Scope::Admin], Timestamp(0)).is_err());
    let mut request = http::Request::new(());
    request.extensions_mut().insert(auth::Peer([127, 0, 0, 1].into()));
    *request.headers_mut() = headers;
    local::foreign(&request);
    head::fault(&request);

    let token = lines.next().unwrap_or_default();
    let good = signer.sign(DecisionId(7), Timestamp(0));
    let checked = signer.check(token, Timestamp(0));
    assert_eq!(checked.is_ok(), token == good.as_bytes());
    assert!(signer.check(token, Timestamp(60_000)).is_err(), "it has no end");
    if let Some(id) = std::str::from_utf8(token).ok().and_then(parse_id) {
        assert_eq!(parse_id(&public_id(id)), Some(id));
    }
}
