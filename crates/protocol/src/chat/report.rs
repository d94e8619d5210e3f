//! How an answer reports its end and its usage.

use crate::form::Stop;
use crate::print::Object;
use crate::usage::Usage;

/// Reads a `finish_reason`.
pub(super) fn stop(word: &str, sequence: Option<String>) -> Stop {
    match word {
        "length" => Stop::Length,
        "tool_calls" | "function_call" => Stop::Tools,
        "content_filter" => Stop::Filter,
        // vLLM says in `stop_reason` which stop sequence it met.
        _ if sequence.is_some() => Stop::Sequence(sequence),
        _ => Stop::End,
    }
}

pub(super) fn finish_reason(stop: &Stop) -> &'static str {
    match stop {
        Stop::End | Stop::Sequence(_) => "stop",
        Stop::Length => "length",
        Stop::Tools => "tool_calls",
        Stop::Filter => "content_filter",
    }
}

/// Reads a `usage` object.
pub(super) fn read_usage(raw: &str) -> Option<Usage> {
    Usage::read(raw.as_bytes())
}

pub(super) fn write_usage(tokens: &Usage) -> String {
    Object::new()
        .count("prompt_tokens", tokens.input_tokens)
        .count("completion_tokens", tokens.output_tokens)
        .count("total_tokens", tokens.input_tokens.saturating_add(tokens.output_tokens))
        .raw("prompt_tokens_details", &Object::new().count("cached_tokens", tokens.cached_tokens).end())
        .raw("completion_tokens_details", &Object::new().count("reasoning_tokens", tokens.reasoning_tokens).end())
        .end()
}
