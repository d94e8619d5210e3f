//! What a request will cost on each model.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ModelSpec;

/// Tokens of an answer before any has been seen, worth as much as one observation.
const PRIOR_OUTPUT_TOKENS: f64 = 200.0;

/// Predicts USD per request from the input tokens, the price list, and a learnt mean answer length per model.
///
/// A changed price takes effect on the next prediction, as lengths and prices are kept apart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CostModel {
    /// Shared with snapshots and other routes until it changes.
    lengths: Arc<BTreeMap<Arc<str>, Length>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Length {
    answers: u64,
    tokens: f64,
}

impl CostModel {
    /// Input tokens that one request may have: a hundred times the longest context there is.
    pub const MAX_INPUT_TOKENS: f64 = 1e9;
    /// Output tokens that one answer may have. More is a counter gone wrong, and would spoil the mean for good.
    pub const MAX_OUTPUT_TOKENS: f64 = 1e7;
    /// USD that one request may cost: more than the two limits above at the highest price come to.
    pub const MAX_COST: f64 = 1e10;

    /// Expected output tokens of `model`.
    #[must_use]
    pub fn output_tokens(&self, model: &str) -> f64 {
        self.lengths
            .get(model)
            .map_or(PRIOR_OUTPUT_TOKENS, |seen| (seen.tokens + PRIOR_OUTPUT_TOKENS) / (seen.answers + 1) as f64)
    }

    /// Predicted USD for `input_tokens` on `model`.
    #[must_use]
    pub fn predict(&self, model: &ModelSpec, input_tokens: f64) -> f64 {
        model.price.cost(input_tokens, self.output_tokens(&model.name))
    }

    /// Learns the length of one answer.
    pub fn observe(&mut self, model: &str, output_tokens: f64) {
        let lengths = Arc::make_mut(&mut self.lengths);
        if !lengths.contains_key(model) {
            lengths.insert(model.into(), Length { answers: 0, tokens: 0.0 });
        }
        if let Some(seen) = lengths.get_mut(model) {
            seen.answers += 1;
            seen.tokens += output_tokens;
        }
    }
}

/// An amount as it is told to people and programs: of 12 significant digits, and so without the noise that sums of binary fractions
/// have at their end (0.0002187 and not 0.00021869999999999998).
#[must_use]
pub fn told_usd(usd: f64) -> f64 {
    // Finite numbers are printed as they can be read.
    if usd.is_finite() { format!("{usd:.11e}").parse().unwrap_or(usd) } else { usd }
}

#[cfg(test)]
mod tests {
    use super::told_usd;

    #[test]
    fn amounts_are_told_without_the_noise_of_binary_sums() {
        for (usd, told) in [
            (0.000_218_699_999_999_999_98, "0.0002187"),
            (0.1 + 0.2, "0.3"),
            (0.0, "0"),
            (1_234.560_000_000_000_2, "1234.56"),
            (3e-9, "0.000000003"),
            (123_456_789.123_456_7, "123456789.123"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(told_usd(usd).to_string(), told);
        }
        // Every number of tokens at prices as providers have them: right to 1e-12 of the amount, and short.
        for tokens in (1..2_000_000_u64).step_by(777) {
            for price in [0.05, 0.15, 0.6, 1.1, 2.5, 3.75, 15.0] {
                let (usd, whole) = (tokens as f64 * price / 1e6, tokens * (price * 100.0).round() as u64);
                let told = told_usd(usd);
                assert!((told - usd).abs() <= 1e-12 * usd, "{usd} is told as {told}");
                // In hundred-millionths of a dollar it is a whole number.
                let digits = told.to_string().split_once('.').map_or(0, |(_, decimals)| decimals.len());
                assert!(digits <= 8 && told == whole as f64 / 1e8, "{usd} is told as {told}");
            }
        }
    }
}
