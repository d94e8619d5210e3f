//! The id that an application gives an answer, so that it can give feedback by an id that it knows.

use http::{HeaderMap, HeaderName};
use serde::Deserialize;
use slarouter_store::TraceId;

/// Where applications name it, and where answers say which one is kept.
pub(crate) const TRACE_ID: HeaderName = HeaderName::from_static("x-slarouter-trace-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The id of a request: what its header names, or else `trace_id` in its `metadata`, or else the trace that it belongs to. The last one
/// comes last, as tools send it by themselves. What is no id is passed over, as no answer must fail for the sake of its feedback.
pub(crate) fn trace_id(headers: &HeaderMap, metadata: Option<&str>) -> Option<TraceId> {
    if let Some(named) = headers.get(TRACE_ID).filter(|value| !value.is_empty()) {
        return TraceId::new(named.to_str().ok()?);
    }
    match metadata.and_then(in_metadata) {
        Some(named) => TraceId::new(&named),
        None => TraceId::new(of_trace(headers.get(TRACEPARENT)?.to_str().ok()?)?),
    }
}

fn in_metadata(metadata: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Metadata {
        trace_id: String,
    }
    let Metadata { trace_id } = serde_json::from_str(metadata).ok()?;
    (!trace_id.is_empty()).then_some(trace_id)
}

/// The trace's id in W3C's `traceparent`: `version-trace-parent-flags`, in hex.
fn of_trace(traceparent: &str) -> Option<&str> {
    let mut parts = traceparent.trim().split('-');
    let (version, trace) = (parts.next()?, parts.next()?);
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let sound = version.len() == 2 && version != "ff" && trace.len() == 32 && trace.bytes().all(hex);
    (sound && trace.bytes().any(|byte| byte != b'0')).then_some(trace)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn the_id_that_is_named_comes_before_that_of_the_trace() {
        let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
        let both = headers(&[(TRACE_ID, "message-1"), (TRACEPARENT, &parent)]);
        let (traced, unnamed) =
            (headers(&[(TRACEPARENT, &parent)]), headers(&[(TRACE_ID, ""), (TRACEPARENT, &parent)]));
        let metadata = r#"{"user_id":"u","trace_id":"run-7"}"#;
        for (headers, metadata, expected) in [
            (&both, Some(metadata), Some("message-1")),
            (&traced, Some(metadata), Some("run-7")),
            (&traced, None, Some(TRACE)),
            (&unnamed, None, Some(TRACE)),
            (&unnamed, Some(r#"{"trace_id":""}"#), Some(TRACE)),
            (&traced, Some(r#"{"trace_id":7}"#), Some(TRACE)),
            (&traced, Some("[]"), Some(TRACE)),
            (&HeaderMap::new(), None, None),
        ] {
            let found = trace_id(headers, metadata);
            assert_eq!(found.as_ref().map(TraceId::as_str), expected, "{headers:?} {metadata:?}");
        }
    }

    /// Another id in the place of one that cannot be kept would be one that the application never gives back.
    #[test]
    fn an_id_that_is_none_is_replaced_by_no_other() {
        let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
        for (name, metadata) in [("{{MESSAGE_ID}}", None), ("", Some(r#"{"trace_id":"a b"}"#))] {
            let headers = headers(&[(TRACE_ID, name), (TRACEPARENT, &parent)]);
            assert_eq!(trace_id(&headers, metadata), None, "{name} {metadata:?}");
        }
        for wrong in [
            "",
            TRACE,
            &format!("ff-{TRACE}-00f067aa0ba902b7-01"),
            &format!("00-{}-00f067aa0ba902b7-01", TRACE.to_uppercase()),
            &format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
            &format!("00-{}-00f067aa0ba902b7-01", &TRACE[1..]),
        ] {
            assert_eq!(trace_id(&headers(&[(TRACEPARENT, wrong)]), None), None, "{wrong}");
        }
    }
}
