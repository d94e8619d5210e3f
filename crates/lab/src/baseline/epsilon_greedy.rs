//! ε-greedy with a Lagrangian on α.

use slarouter_core::LogisticHead;

use super::contender::{Asked, Choice, Contender, Request, Setting};
use super::costs::Costs;
use super::draws::Draws;
use super::lagrangian::Lagrangian;
use crate::CompareError;

/// The share of requests that explore.
const EPSILON: f64 = 0.05;
/// Step size of the heads, as of `slarouter`.
const LEARNING_RATE: f64 = 0.1;

/// With probability ε a uniform model, otherwise the least `ĉ − λ·ŝ(x)`, with the logistic heads of `slarouter`.
///
/// Source: Sutton and Barto, "Reinforcement Learning", section 2.4, with ε = 0.05; λ by dual ascent, see [`Lagrangian`].
pub(crate) struct EpsilonGreedy {
    heads: Vec<LogisticHead>,
    dual: Lagrangian,
    costs: Costs,
    draws: Draws,
    predicted: Vec<f64>,
    satisfaction: Vec<f64>,
}

impl EpsilonGreedy {
    pub(crate) fn new(setting: &Setting<'_>) -> Self {
        let models = setting.zoo.models().len();
        Self {
            heads: vec![LogisticHead::new(setting.dim, 0.5); models],
            dual: Lagrangian::new(setting.alpha.get()),
            costs: Costs::new(setting.zoo),
            draws: Draws::new(setting.seed),
            predicted: vec![0.0; models],
            satisfaction: vec![0.0; models],
        }
    }
}

impl Contender for EpsilonGreedy {
    fn choose(&mut self, request: &Request<'_>) -> Result<Choice, CompareError> {
        self.costs.scaled(request.input_tokens, &mut self.predicted);
        if self.draws.uniform() < EPSILON {
            let model = self.draws.below(self.heads.len());
            return Ok(Choice { model, explored: true, asked: Asked::One });
        }
        for (to, head) in self.satisfaction.iter_mut().zip(&self.heads) {
            *to = head.predict(request.features);
        }
        let model = self.dual.choose(&self.predicted, &self.satisfaction);
        Ok(Choice { model, explored: false, asked: Asked::One })
    }

    fn answered(
        &mut self,
        _: &Request<'_>,
        model: usize,
        output_tokens: Option<f64>,
        _: f64,
    ) -> Result<(), CompareError> {
        self.costs.observe(model, output_tokens);
        Ok(())
    }

    fn labelled(&mut self, request: &Request<'_>, model: usize, score: f64) -> Result<(), CompareError> {
        self.heads[model].learn(request.features, score, LEARNING_RATE);
        self.dual.observe(score);
        Ok(())
    }
}
