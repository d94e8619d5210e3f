//! The models that an exchange has tried, and what that costs.

use std::sync::Arc;

use slarouter_config::{Model, Prices};
use slarouter_core::Timestamp;
use slarouter_protocol::{ModelProtocol, Usage};
use tokio::time::Instant;

use crate::chat::estimate::is_plausible;
use crate::upstream::Admission;

/// A model that was tried.
#[derive(Clone)]
pub(super) struct Tried {
    pub(super) model: Arc<str>,
    /// The provider's name for it.
    pub(super) upstream_model: String,
    /// What its provider speaks.
    pub(super) dialect: ModelProtocol,
    /// What it asked at the moment of the decision.
    pub(super) prices: Prices,
    /// Whether the prices are the model's own, or stand for unknown ones.
    pub(super) priced: bool,
}

/// A call under way.
pub(super) struct UnderWay {
    pub(super) callee: Tried,
    pub(super) admission: Admission,
}

/// What was spent on calls whose answer is not used, as another came first or it was too long: at least their question, estimated.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct DroppedCalls {
    pub(super) tokens: f64,
    pub(super) usd: f64,
}

impl Tried {
    /// A model with the prices of this time.
    pub(super) fn new(model: &Model, at: Timestamp) -> Self {
        Self {
            model: model.name.clone(),
            upstream_model: model.upstream_model.clone(),
            dialect: model.protocol,
            prices: model.prices.at(at),
            priced: model.prices.is_known(),
        }
    }

    /// Before any model was tried: `chosen` is to be the first.
    pub(super) fn nobody_yet(chosen: Arc<str>) -> Self {
        Self {
            model: chosen,
            upstream_model: String::new(),
            dialect: ModelProtocol::default(),
            prices: Prices::default(),
            priced: true,
        }
    }

    /// USD of an answer; without a usage report, or with one beyond reason, that of the estimated input.
    pub(super) fn cost(&self, usage: Option<&Usage>, estimated_input: f64, answered: bool) -> f64 {
        match usage.filter(|usage| is_plausible(usage)) {
            Some(usage) => self.prices.cost(usage),
            None if answered => self.prices.estimate(estimated_input, 0.0),
            None => 0.0,
        }
    }
}

impl UnderWay {
    /// The call is over; `healthy` is what that says of the model, if anything.
    pub(super) fn ended(self, healthy: Option<bool>) {
        if let Some(healthy) = healthy {
            self.admission.ended(healthy, Instant::now());
        }
    }
}

impl DroppedCalls {
    /// Adds a call with so many input tokens, estimated.
    pub(super) fn add(&mut self, input_tokens: f64, callee: &Tried) {
        self.tokens += input_tokens;
        self.usd += callee.prices.estimate(input_tokens, 0.0);
    }
}
