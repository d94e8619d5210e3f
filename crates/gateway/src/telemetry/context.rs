//! Which trace a request belongs to, in its headers.

use http::{HeaderMap, HeaderName};
use opentelemetry::propagation::{Extractor, Injector};

/// W3C's trace context.
const CONTEXT: [HeaderName; 2] = [HeaderName::from_static("traceparent"), HeaderName::from_static("tracestate")];

/// The headers of a request, read from.
pub(super) struct Headers<'a>(pub(super) &'a HeaderMap);

/// The headers of a call, written to.
pub(super) struct HeadersMut<'a>(pub(super) &'a mut HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

impl Injector for HeadersMut<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (key.parse::<HeaderName>(), value.parse()) {
            self.0.insert(name, value);
        }
    }
}

/// Passes the caller's trace context on as it is, where no traces are made here.
pub(crate) fn forward(from: &HeaderMap, to: &mut HeaderMap) {
    for name in CONTEXT {
        for value in from.get_all(&name) {
            to.append(name.clone(), value.clone());
        }
    }
}
