//! What the first events of a stream tell before any of them is passed on.

use bytes::Bytes;
use http::StatusCode;

use super::body::error_status;
use crate::json::{self, Object};
use crate::relay::MAX_EVENT;
use crate::sse::Splitter;

/// The error that a stream begins with in place of an answer, and the status to take it for.
pub fn first_error(bytes: &[u8]) -> Option<(StatusCode, Bytes)> {
    let mut splitter = Splitter::new(MAX_EVENT);
    splitter.feed(bytes);
    while let Ok(Some(event)) = splitter.next_event() {
        if let Some(data) = event.data() {
            return error_status(&data).map(|status| (status, Bytes::copy_from_slice(&data)));
        }
    }
    None
}

/// The upstream's id, if the first whole events of a stream say it: in the chunk, or in the message or response that begins.
pub fn first_id(bytes: &[u8]) -> Option<String> {
    let mut splitter = Splitter::new(MAX_EVENT);
    splitter.feed(bytes);
    while let Ok(Some(event)) = splitter.next_event() {
        let Some(data) = event.data() else { continue };
        let Ok(object) = Object::scan(&data) else { continue };
        let inner = object.get(&data, "message").or_else(|| object.get(&data, "response"));
        let id = match inner {
            Some(inner) => Object::scan(inner).ok().and_then(|object| object.get(inner, "id")),
            None => object.get(&data, "choices").and(object.get(&data, "id")),
        };
        if let Some(id) = id.and_then(json::text).filter(|id| !id.is_empty()) {
            return Some(id);
        }
    }
    None
}
