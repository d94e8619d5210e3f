//! How an answer reports its end and its usage.

use crate::form::Stop;
use crate::json;
use crate::print::Object;
use crate::usage::Usage;

pub(super) fn stop(word: &str, sequence: Option<String>) -> Stop {
    match word {
        "max_tokens" | "model_context_window_exceeded" => Stop::Length,
        "stop_sequence" => Stop::Sequence(sequence),
        "tool_use" => Stop::Tools,
        "refusal" => Stop::Filter,
        _ => Stop::End,
    }
}

/// `stop_reason` and `stop_sequence`.
pub(super) fn stop_reason(stop: &Stop) -> (&'static str, Option<&str>) {
    match stop {
        Stop::End => ("end_turn", None),
        Stop::Sequence(sequence) => ("stop_sequence", sequence.as_deref()),
        Stop::Length => ("max_tokens", None),
        Stop::Tools => ("tool_use", None),
        Stop::Filter => ("refusal", None),
    }
}

/// Reads a `usage` object. Its `input_tokens` are those that no cache had a part in.
pub(super) fn read_usage(raw: &str) -> Option<Usage> {
    let usage: serde_json::Value = serde_json::from_str(raw).ok()?;
    let count = |name: &str| json::count(usage.get(name)?.to_string().as_bytes());
    let (fresh, output) = (count("input_tokens"), count("output_tokens"));
    if fresh.is_none() && output.is_none() {
        return None;
    }
    let cached = count("cache_read_input_tokens").unwrap_or(0);
    let kept = |name: &str| {
        let count = json::count(usage.get("cache_creation")?.get(name)?.to_string().as_bytes());
        count.filter(|count| *count > 0)
    };
    let (minutes, hour) = (kept("ephemeral_5m_input_tokens"), kept("ephemeral_1h_input_tokens").unwrap_or(0));
    let split = minutes.unwrap_or(0).saturating_add(hour);
    let writes = count("cache_creation_input_tokens").unwrap_or(split);
    let input = fresh.unwrap_or(0).saturating_add(cached).saturating_add(writes);
    Some(Usage {
        input_tokens: input,
        cached_tokens: cached,
        cache_write_tokens: writes,
        cache_write_1h_tokens: hour,
        output_tokens: output.unwrap_or(0),
        ..Usage::default()
    })
}

/// A later report says only what has changed since.
pub(super) fn merge(old: Option<Usage>, new: Usage) -> Usage {
    match old {
        Some(mut usage) if new.input_tokens == 0 => {
            usage.output_tokens = new.output_tokens;
            usage
        }
        // How long the cache keeps what was written stands in the first report only.
        Some(usage) if new.cache_write_1h_tokens == 0 => {
            Usage { cache_write_1h_tokens: usage.cache_write_1h_tokens.min(new.cache_write_tokens), ..new }
        }
        _ => new,
    }
}

/// As [`merge`], of the billed tokens of a raw report.
pub(crate) fn merge_tokens(old: Option<Usage>, raw: &[u8]) -> Option<Usage> {
    tokens(raw).map(|new| merge(old, new)).or(old)
}

/// The billed tokens of a raw `usage` object.
pub fn tokens(raw: &[u8]) -> Option<Usage> {
    read_usage(std::str::from_utf8(raw).ok()?)
}

pub(super) fn write_usage(tokens: &Usage) -> String {
    let fresh = tokens.input_tokens.saturating_sub(tokens.cached_tokens).saturating_sub(tokens.cache_write_tokens);
    Object::new()
        .count("input_tokens", fresh)
        .count("cache_creation_input_tokens", tokens.cache_write_tokens)
        .count("cache_read_input_tokens", tokens.cached_tokens)
        .count("output_tokens", tokens.output_tokens)
        .end()
}
