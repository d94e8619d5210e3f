//! Cost predictions of baselines.

use slarouter_core::{Price, Zoo};

/// Tokens of an answer before any model has given one, worth as much as one observation: as in [`slarouter_core::CostModel`].
const PRIOR_OUTPUT_TOKENS: f64 = 200.0;

/// What [`slarouter_core::CostModel`] predicts, by place in the zoo instead of by name: a baseline must not lose time or money
/// by predicting costs otherwise than the core's policies do.
#[derive(Clone, Debug)]
pub(crate) struct Costs {
    /// Price, sum of the tokens of its answers, and their number.
    models: Vec<(Price, f64, f64)>,
    /// Tokens and number of all answers, with one that is made up.
    all: (f64, f64),
    /// The largest prediction so far.
    peak: f64,
}

impl Costs {
    pub(crate) fn new(zoo: &Zoo) -> Self {
        let models = zoo.models().iter().map(|model| (model.price, 0.0, 0.0)).collect();
        Self { models, all: (PRIOR_OUTPUT_TOKENS, 1.0), peak: 0.0 }
    }

    pub(crate) fn observe(&mut self, model: usize, output_tokens: Option<f64>) {
        if let Some(output) = output_tokens {
            let (_, tokens, answers) = &mut self.models[model];
            *tokens += output;
            *answers += 1.0;
            self.all = (self.all.0 + output, self.all.1 + 1.0);
        }
    }

    /// USD of a request on each model, scaled to \[0, 1\] by the largest prediction so far.
    pub(crate) fn scaled(&mut self, input_tokens: f64, out: &mut [f64]) {
        let typical = self.all.0 / self.all.1;
        for (to, (price, tokens, answers)) in out.iter_mut().zip(&self.models) {
            *to = price.cost(input_tokens, (tokens + typical) / (answers + 1.0));
            self.peak = self.peak.max(*to);
        }
        if self.peak > 0.0 {
            out.iter_mut().for_each(|cost| *cost /= self.peak);
        }
    }
}
