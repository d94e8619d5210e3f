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
