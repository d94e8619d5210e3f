//! What a request will cost on each model.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ModelSpec;

/// Tokens of an answer before any model has given one, worth as much as one observation.
const PRIOR_OUTPUT_TOKENS: f64 = 200.0;

/// Predicts USD per request from the input tokens, the price list, and a learnt mean answer length per model.
///
/// A model begins with the mean length of the answers of all models, worth one observation, as they are asked the same: were it not so,
/// where answers are short a model that has never been asked would look dearer than the one that it could replace, and stay so.
/// A changed price takes effect on the next prediction, as lengths and prices are kept apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Lengths", into = "Lengths")]
pub struct CostModel {
    /// Shared with snapshots and other routes until it changes.
    lengths: Arc<BTreeMap<Arc<str>, Length>>,
    /// Tokens of an answer of a model that has given none: follows from the lengths.
    typical: f64,
}

/// What is saved of a [`CostModel`].
#[derive(Serialize, Deserialize)]
struct Lengths {
    lengths: Arc<BTreeMap<Arc<str>, Length>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Length {
    answers: u64,
    tokens: f64,
}

impl Default for CostModel {
    fn default() -> Self {
        Lengths { lengths: Arc::default() }.into()
    }
}

impl From<Lengths> for CostModel {
    fn from(Lengths { lengths }: Lengths) -> Self {
        let typical = typical(&lengths);
        Self { lengths, typical }
    }
}

impl From<CostModel> for Lengths {
    fn from(CostModel { lengths, .. }: CostModel) -> Self {
        Self { lengths }
    }
}

/// In the order of the names, so that it does not depend on the order in which the answers came.
fn typical(lengths: &BTreeMap<Arc<str>, Length>) -> f64 {
    let answers = lengths.values().map(|seen| seen.answers as f64).sum::<f64>();
    let tokens = lengths.values().map(|seen| seen.tokens).sum::<f64>();
    (tokens + PRIOR_OUTPUT_TOKENS) / (answers + 1.0)
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
        self.lengths.get(model).map_or(self.typical, |seen| (seen.tokens + self.typical) / (seen.answers + 1) as f64)
    }

    /// Predicted USD for `input_tokens` on `model`.
    #[must_use]
    pub fn predict(&self, model: &ModelSpec, input_tokens: f64) -> f64 {
        model.price.cost(input_tokens, self.output_tokens(&model.name))
    }

    /// Learns the length of one answer. O(models).
    pub fn observe(&mut self, model: &str, output_tokens: f64) {
        let lengths = Arc::make_mut(&mut self.lengths);
        if !lengths.contains_key(model) {
            lengths.insert(model.into(), Length { answers: 0, tokens: 0.0 });
        }
        if let Some(seen) = lengths.get_mut(model) {
            seen.answers += 1;
            seen.tokens += output_tokens;
        }
        self.typical = typical(&self.lengths);
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
    use super::{CostModel, told_usd};

    #[test]
    fn a_model_that_has_not_answered_is_expected_to_answer_at_the_length_of_the_others() {
        let mut costs = CostModel::default();
        assert_eq!(costs.output_tokens("small"), 200.0);
        (0..99).for_each(|_| costs.observe("large", 4.0));
        // (99 · 4 + 200)/100
        assert_eq!(costs.output_tokens("small"), 5.96);
        assert_eq!(costs.output_tokens("large"), (99.0 * 4.0 + 5.96) / 100.0);
        costs.observe("small", 20.0);
        let typical = (99.0 * 4.0 + 20.0 + 200.0) / 101.0;
        assert_eq!(costs.output_tokens("small"), (20.0 + typical) / 2.0);
        let saved = serde_json::to_string(&costs).unwrap();
        let names: Vec<_> =
            serde_json::from_str::<serde_json::Value>(&saved).unwrap().as_object().unwrap().keys().cloned().collect();
        assert_eq!(names, ["lengths"], "as states of earlier versions have it");
        assert_eq!(serde_json::from_str::<CostModel>(&saved).unwrap(), costs);
    }

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
