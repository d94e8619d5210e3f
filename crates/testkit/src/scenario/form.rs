//! Heads, events and errors as providers write them.

use serde_json::{Value, json};

use crate::script::Script;

pub(super) fn error(message: &str, kind: &str, code: Value) -> String {
    json!({ "error": { "message": message, "type": kind, "param": null, "code": code } }).to_string()
}

pub(super) fn json_head(status: u16) -> Script {
    Script::new(status).header("content-type", "application/json")
}

pub(super) fn stream() -> Script {
    Script::event_stream().header("cache-control", "no-cache")
}

pub(super) fn append(script: Script, events: &[String]) -> Script {
    events.iter().fold(script, |script, event| script.chunk(format!("data: {event}\n\n")))
}
