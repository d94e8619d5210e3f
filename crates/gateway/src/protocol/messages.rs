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
use crate::wire::response::Usage as Tokens;

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
    let writes = count("cache_creation_input_tokens").unwrap_or(0);
    let input = fresh.unwrap_or(0).saturating_add(cached).saturating_add(writes);
    let tokens = Tokens {
        input_tokens: input,
        cached_tokens: cached,
        cache_write_tokens: writes,
        output_tokens: output.unwrap_or(0),
    };
    Some(Usage { tokens, reasoning: 0 })
}

/// A later report says only what has changed since.
fn merge(old: Option<Usage>, new: Usage) -> Usage {
    match old {
        Some(mut usage) if new.tokens.input_tokens == 0 => {
            usage.tokens.output_tokens = new.tokens.output_tokens;
            usage
        }
        _ => new,
    }
}

/// As [`merge`], of the billed tokens of a raw report.
pub(crate) fn merge_tokens(old: Option<Tokens>, raw: &[u8]) -> Option<Tokens> {
    let of = |tokens| Usage { tokens, ..Usage::default() };
    let new = tokens(raw);
    new.map(|new| merge(old.map(of), of(new)).tokens).or(old)
}

/// The billed tokens of a raw `usage` object.
pub(crate) fn tokens(raw: &[u8]) -> Option<Tokens> {
    read_usage(std::str::from_utf8(raw).ok()?).map(|usage| usage.tokens)
}

fn write_usage(usage: &Usage) -> String {
    let tokens = &usage.tokens;
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
