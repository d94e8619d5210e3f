//! Another price of one model: what its answers would have cost, and how much more they would have been predicted to.

use std::sync::Arc;

use slarouter_core::{Candidate, ModelSpec, Price, RouteSpec};
use slarouter_store::OutcomeRecord;

/// Tokens of a request before any is known.
const FIRST_TOKENS: (f64, f64) = (500.0, 200.0);

/// A model at another price, along the log.
#[derive(Clone, Debug)]
pub(super) struct Repricing {
    pub(super) model: Arc<str>,
    new: Price,
    /// That in force.
    old: Price,
    /// Mean input and output tokens of its answers so far.
    tokens: (f64, f64),
    answers: f64,
}

impl Repricing {
    pub(super) fn new(model: Arc<str>, new: Price) -> Self {
        Self { model, new, old: new, tokens: FIRST_TOKENS, answers: 1.0 }
    }

    pub(super) fn configured(&mut self, spec: &RouteSpec) {
        let of = |model: &&ModelSpec| model.name == self.model;
        if let Some(model) = spec.zoo.models().iter().find(of) {
            self.old = model.price;
        }
    }

    /// What an answer would have cost: in the proportion of the two prices for its tokens, so that what a cache saved stays saved. Its length
    /// is known from here on.
    pub(super) fn cost(&mut self, outcome: &OutcomeRecord) -> f64 {
        if outcome.model != self.model {
            return outcome.cost;
        }
        let tokens = (outcome.input_tokens.unwrap_or(self.tokens.0), outcome.output_tokens.unwrap_or(self.tokens.1));
        self.answers += 1.0;
        self.tokens.0 += (tokens.0 - self.tokens.0) / self.answers;
        self.tokens.1 += (tokens.1 - self.tokens.1) / self.answers;
        self.changed(outcome.cost, tokens)
    }

    /// USD by which this model's prediction would have been higher: by what its answers so far were like, which was known then.
    pub(super) fn more(&self, candidates: &[Candidate]) -> f64 {
        let candidate = candidates.iter().find(|candidate| candidate.model == self.model);
        candidate.map_or(0.0, |candidate| self.changed(candidate.cost, self.tokens) - candidate.cost)
    }

    fn changed(&self, cost: f64, (input, output): (f64, f64)) -> f64 {
        let (old, new) = (self.old.cost(input, output), self.new.cost(input, output));
        if old > 0.0 { cost * new / old } else { new }
    }
}

#[cfg(test)]
mod tests {
    use slarouter_core::{DecisionId, Timestamp};

    use super::*;

    #[test]
    fn an_answer_costs_what_its_tokens_do() {
        let mut repricing = Repricing::new("m".into(), Price { input: 2.0, output: 4.0 });
        repricing.old = Price { input: 1.0, output: 1.0 };
        let mut outcome = OutcomeRecord {
            decision: DecisionId(1),
            time: Timestamp(1),
            model: "m".into(),
            status: 200,
            ok: true,
            streamed: false,
            attempts: 1,
            input_tokens: Some(3e6),
            cached_tokens: None,
            cache_write_tokens: None,
            output_tokens: Some(1e6),
            reasoning_tokens: None,
            cost: 4.0,
            latency_ms: 1.0,
            ttft_ms: None,
            error: None,
        };
        assert_eq!(repricing.cost(&outcome), 10.0);
        // Half was saved by a cache, and stays so.
        outcome.cost = 2.0;
        assert_eq!(repricing.cost(&outcome), 5.0);
        outcome.model = "other".into();
        assert_eq!(repricing.cost(&outcome), 2.0);
        // Three input tokens for each output token: 2.5 times as much, but for the first guess.
        let candidate = Candidate { model: "m".into(), cost: 2.0, ..Candidate::default() };
        assert!((repricing.more(&[candidate]) - 3.0).abs() < 0.01, "{repricing:?}");
        repricing.old = Price::default();
        assert_eq!(repricing.changed(0.0, (1e6, 1e6)), 6.0);
    }
}
