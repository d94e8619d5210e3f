//! Tokens as an upstream bills them.

use crate::json::{self, Edit, Object, splice};

/// Parts of a USD.
const NANO: f64 = 1e9;

/// The tokens of one answer, as its upstream billed them. Counts of kinds are parts of `input_tokens` or of `output_tokens`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// All input tokens.
    pub input_tokens: u64,
    /// Input tokens that came from the upstream's prompt cache.
    pub cached_tokens: u64,
    /// Input tokens that were written to the upstream's prompt cache, where that is reported.
    pub cache_write_tokens: u64,
    /// Tokens written to the cache that it keeps for an hour; the others it keeps for some minutes.
    pub cache_write_1h_tokens: u64,
    /// Input tokens that were sound.
    pub audio_input_tokens: u64,
    /// Input tokens that were images.
    pub image_input_tokens: u64,
    /// Output tokens, reasoning included.
    pub output_tokens: u64,
    /// Output tokens that were reasoning.
    pub reasoning_tokens: u64,
    /// Output tokens that were sound.
    pub audio_output_tokens: u64,
    /// Output tokens that were images.
    pub image_output_tokens: u64,
    /// What the provider itself says that the answer costs, in 10⁻⁹ USD.
    pub told_nano_usd: Option<u64>,
}

// === impl Usage ===

impl Usage {
    /// What the provider itself says that the answer costs, in USD.
    #[must_use]
    pub fn told_usd(&self) -> Option<f64> {
        self.told_nano_usd.map(|nano| nano as f64 / NANO)
    }

    /// Whether all of its input counts are at most `input` tokens and all of its output counts at most `output`.
    #[must_use]
    pub fn is_within(&self, input: f64, output: f64) -> bool {
        let within = |tokens: u64, most: f64| tokens as f64 <= most;
        let of_input = [self.input_tokens, self.cached_tokens, self.cache_write_tokens];
        let parts = [self.cache_write_1h_tokens, self.audio_input_tokens, self.image_input_tokens];
        let of_input = of_input.into_iter().chain(parts);
        let of_output = [self.output_tokens, self.reasoning_tokens, self.audio_output_tokens, self.image_output_tokens];
        of_input.into_iter().all(|tokens| within(tokens, input))
            && of_output.into_iter().all(|tokens| within(tokens, output))
    }

    /// Reads a `usage` object of a chat answer; `None` for anything without token counts.
    pub fn read(raw: &[u8]) -> Option<Self> {
        let usage = Object::scan(raw).ok()?;
        let number = |name| usage.get(raw, name).and_then(json::count);
        let (input, output) = (number("prompt_tokens"), number("completion_tokens"));
        if input.is_none() && output.is_none() {
            return None;
        }
        let detail = |group, name| {
            let group = usage.get(raw, group)?;
            json::count(Object::scan(group).ok()?.get(group, name)?)
        };
        let of_input = |name| detail("prompt_tokens_details", name);
        let of_output = |name| detail("completion_tokens_details", name).unwrap_or(0);
        let (input, answer, reasoning) = (input.unwrap_or(0), output.unwrap_or(0), of_output("reasoning_tokens"));
        // Gemini and xAI leave the reasoning out of `completion_tokens`: it is in the total alone.
        let beyond = number("total_tokens").unwrap_or(0).saturating_sub(input.saturating_add(answer));
        Some(Self {
            input_tokens: input,
            // The second is DeepSeek's name for it.
            cached_tokens: of_input("cached_tokens").or_else(|| number("prompt_cache_hit_tokens")).unwrap_or(0),
            // OpenRouter reports it so.
            cache_write_tokens: of_input("cache_write_tokens").unwrap_or(0),
            cache_write_1h_tokens: 0,
            audio_input_tokens: of_input("audio_tokens").unwrap_or(0),
            image_input_tokens: of_input("image_tokens").unwrap_or(0),
            output_tokens: answer.saturating_add(beyond),
            reasoning_tokens: reasoning.max(beyond),
            audio_output_tokens: of_output("audio_tokens"),
            image_output_tokens: of_output("image_tokens"),
            told_nano_usd: usage.get(raw, "cost").and_then(nano_usd),
        })
    }
}

/// A cost that a provider tells, as OpenRouter does, in 10⁻⁹ USD; `None` for what is none.
fn nano_usd(cost: &[u8]) -> Option<u64> {
    let cost: f64 = serde_json::from_slice(cost).ok()?;
    (0.0..=1e9).contains(&cost).then(|| (cost * NANO).round() as u64)
}

/// A `usage` object with its cost set, and with the provider's own figure, if it had one, as `upstream_cost`; `None` if it is no object or
/// the cost is no number.
pub fn with_cost(usage: &[u8], cost: f64) -> Option<Vec<u8>> {
    let cost = serde_json::Number::from_f64(cost)?.to_string();
    let object = Object::scan(usage).ok()?;
    let told = object.get(usage, "cost").filter(|told| nano_usd(told).is_some());
    let told = told.map(|told| ("upstream_cost", Edit::Set(told)));
    let edits: Vec<_> = [("cost", Edit::Set(cost.as_bytes()))].into_iter().chain(told).collect();
    splice(usage, &edits).ok()
}
