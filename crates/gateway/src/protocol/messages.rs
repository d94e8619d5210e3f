//! Anthropic messages.

mod read;
mod stream;
mod write;

pub(crate) use read::{answer as read_answer, request as read_request};
pub(crate) use stream::{Reader, Writer};
pub(crate) use write::{answer as write_answer, request as write_request};

use super::fields::{Fields, elements};
use super::form::{Stop, Usage};
use super::print::{Object, list};
use crate::wire::json::{Edit, splice};

/// The version of the protocol that is written here.
pub(crate) const VERSION: &str = "2023-06-01";

/// Stands where Anthropic puts its seal on reasoning, on reasoning of other models. Such blocks are taken out again when a
/// client sends them back; Anthropic would refuse them.
pub(crate) const FOREIGN_SEAL: &str = "slarouter-reasoning-of-another-model";

fn stop(word: &str, sequence: Option<String>) -> Stop {
    match word {
        "max_tokens" | "model_context_window_exceeded" => Stop::Length,
        "stop_sequence" => Stop::Sequence(sequence),
        "tool_use" => Stop::Tools,
        "refusal" => Stop::Filter,
        _ => Stop::End,
    }
}

/// `stop_reason` and `stop_sequence`.
fn stop_reason(stop: &Stop) -> (&'static str, Option<&str>) {
    match stop {
        Stop::End => ("end_turn", None),
        Stop::Sequence(sequence) => ("stop_sequence", sequence.as_deref()),
        Stop::Length => ("max_tokens", None),
        Stop::Tools => ("tool_use", None),
        Stop::Filter => ("refusal", None),
    }
}

/// Reads a `usage` object. Its `input_tokens` are those that no cache had a part in.
fn read_usage(raw: &str) -> Option<Usage> {
    let usage: serde_json::Value = serde_json::from_str(raw).ok()?;
    let count = |name: &str| crate::wire::json::count(usage.get(name)?.to_string().as_bytes());
    let (fresh, output) = (count("input_tokens"), count("output_tokens"));
    if fresh.is_none() && output.is_none() {
        return None;
    }
    let cached = count("cache_read_input_tokens").unwrap_or(0);
    let kept = |name: &str| {
        let count = crate::wire::json::count(usage.get("cache_creation")?.get(name)?.to_string().as_bytes());
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
fn merge(old: Option<Usage>, new: Usage) -> Usage {
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
pub(crate) fn tokens(raw: &[u8]) -> Option<Usage> {
    read_usage(std::str::from_utf8(raw).ok()?)
}

fn write_usage(tokens: &Usage) -> String {
    let fresh = tokens.input_tokens.saturating_sub(tokens.cached_tokens).saturating_sub(tokens.cache_write_tokens);
    Object::new()
        .count("input_tokens", fresh)
        .count("cache_creation_input_tokens", tokens.cache_write_tokens)
        .count("cache_read_input_tokens", tokens.cached_tokens)
        .count("output_tokens", tokens.output_tokens)
        .end()
}

/// The messages without blocks of reasoning that carry [`FOREIGN_SEAL`]; `None` if there are none of them.
pub(crate) fn without_foreign_reasoning(messages: &str) -> Option<String> {
    memchr::memmem::find(messages.as_bytes(), FOREIGN_SEAL.as_bytes())?;
    let is_foreign = |block: &str| {
        let mut fields = Fields::parse(block, "").ok();
        let mut text = |name| fields.as_mut().and_then(|fields| fields.text(name).ok().flatten());
        text("type").as_deref() == Some("thinking") && text("signature").as_deref() == Some(FOREIGN_SEAL)
    };
    let mut kept = Vec::new();
    for (message, _) in elements(messages, "").ok()? {
        let content = Fields::parse(message, "").ok().and_then(|mut fields| fields.take("content"));
        let Some(blocks) = content.and_then(|content| elements(content, "").ok()) else {
            kept.push(message.to_owned());
            continue;
        };
        let own: Vec<_> =
            blocks.iter().filter(|(block, _)| !is_foreign(block)).map(|(block, _)| (*block).to_owned()).collect();
        if own.len() == blocks.len() {
            kept.push(message.to_owned());
        } else if !own.is_empty() {
            let own = list(&own);
            let edited = splice(message.as_bytes(), &[("content", Edit::Set(own.as_bytes()))]).ok()?;
            kept.push(String::from_utf8(edited).ok()?);
        }
    }
    Some(list(&kept))
}

#[cfg(test)]
mod tests;
