//! How an answer reports its end and its usage.

use crate::form::Stop;
use crate::json;
use crate::print::Object;
use crate::usage::Usage;

/// Reads a `usage` object.
pub(super) fn read_usage(raw: &str) -> Option<Usage> {
    let usage: serde_json::Value = serde_json::from_str(raw).ok()?;
    let count = |value: &serde_json::Value| json::count(value.to_string().as_bytes());
    let (input, output) = (count(&usage["input_tokens"]), count(&usage["output_tokens"]));
    if input.is_none() && output.is_none() {
        return None;
    }
    let (of_input, of_output) = (&usage["input_tokens_details"], &usage["output_tokens_details"]);
    Some(Usage {
        input_tokens: input.unwrap_or(0),
        cached_tokens: count(&of_input["cached_tokens"]).unwrap_or(0),
        cache_write_tokens: count(&of_input["cache_write_tokens"]).unwrap_or(0),
        cache_write_1h_tokens: 0,
        audio_input_tokens: count(&of_input["audio_tokens"]).unwrap_or(0),
        image_input_tokens: count(&of_input["image_tokens"]).unwrap_or(0),
        output_tokens: output.unwrap_or(0),
        reasoning_tokens: count(&of_output["reasoning_tokens"]).unwrap_or(0),
        audio_output_tokens: count(&of_output["audio_tokens"]).unwrap_or(0),
        image_output_tokens: count(&of_output["image_tokens"]).unwrap_or(0),
        told_nano_usd: None,
    })
}

/// The billed tokens of a raw `usage` object.
pub fn tokens(raw: &[u8]) -> Option<Usage> {
    read_usage(std::str::from_utf8(raw).ok()?)
}

pub(super) fn write_usage(tokens: &Usage) -> String {
    Object::new()
        .count("input_tokens", tokens.input_tokens)
        .raw("input_tokens_details", &Object::new().count("cached_tokens", tokens.cached_tokens).end())
        .count("output_tokens", tokens.output_tokens)
        .raw("output_tokens_details", &Object::new().count("reasoning_tokens", tokens.reasoning_tokens).end())
        .count("total_tokens", tokens.input_tokens.saturating_add(tokens.output_tokens))
        .end()
}

/// Reads the status of a response and why it is incomplete.
pub(super) fn stop(status: &str, reason: Option<&str>, any_calls: bool) -> Stop {
    match (status, reason) {
        ("incomplete", Some("content_filter")) => Stop::Filter,
        ("incomplete", _) => Stop::Length,
        _ => Stop::End.or_tools(any_calls),
    }
}

/// Why a response is incomplete, if it is.
pub(super) fn incomplete(stop: &Stop) -> Option<&'static str> {
    match stop {
        Stop::Length => Some("max_output_tokens"),
        Stop::Filter => Some("content_filter"),
        Stop::End | Stop::Sequence(_) | Stop::Tools => None,
    }
}
