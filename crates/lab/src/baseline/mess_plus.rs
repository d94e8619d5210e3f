//! MESS+.

use slarouter_core::Change;
use slarouter_core::{LogisticHead, VirtualQueue, Zoo};

use super::contender::{Asked, Choice, Contender, Request, Setting};
use super::costs::Costs;
use super::draws::Draws;
use crate::CompareError;

/// V: the weight of cost. As for `slarouter`, whose predecessor this is.
const V: f64 = 1.0;
/// c of `p_t = min(1, c·t^(−1/4))`.
const C: f64 = 0.1;
/// Step size of the heads.
const LEARNING_RATE: f64 = 0.1;

/// Explores by asking all models, pays for all of them and learns from all their scores; otherwise drift-plus-penalty.
///
/// ```text
/// with probability p_t = min(1, c·t^(−1/4)):  ask every model, answer with the most expensive, learn every head
/// otherwise:                                  m = argmin V·ĉ_m + Q·(α − ŝ_m(x))
/// on a label s of the answer given:           Q ← max(0, Q + α − s)
/// ```
///
/// Source: Woisetschläger et al., "Dynamically Learned Test-Time Model Routing in Language Model Zoos with Service Level
/// Guarantees", arXiv 2505.19947. There every answer is judged; here a request's scores are seen with probability φ, all of
/// them where all models were asked, and queue and heads rest when they are not. As there, only explored requests teach the
/// heads. In place of its fine-tuned encoder it has the heads and features of `slarouter`, and the same V and c.
pub(crate) struct MessPlus {
    alpha: f64,
    most_expensive: usize,
    heads: Vec<LogisticHead>,
    queue: VirtualQueue,
    costs: Costs,
    draws: Draws,
    predicted: Vec<f64>,
    /// What was chosen last, and whether all were asked.
    last: (usize, bool),
}

impl MessPlus {
    pub(crate) fn new(setting: &Setting<'_>) -> Self {
        let zoo: &Zoo = setting.zoo;
        let models = zoo.models().len();
        Self {
            alpha: setting.alpha.get(),
            most_expensive: zoo.by_price(true),
            heads: vec![LogisticHead::new(setting.dim, 0.5); models],
            queue: VirtualQueue::default(),
            costs: Costs::new(zoo),
            draws: Draws::new(setting.seed),
            predicted: vec![0.0; models],
            last: (0, false),
        }
    }
}

impl Contender for MessPlus {
    fn choose(&mut self, request: &Request<'_>) -> Result<Choice, CompareError> {
        let t = (request.t + 1) as f64;
        self.costs.scaled(request.input_tokens, &mut self.predicted);
        if self.draws.uniform() < (C / t.sqrt().sqrt()).min(1.0) {
            self.last = (self.most_expensive, true);
            return Ok(Choice { model: self.most_expensive, explored: true, asked: Asked::All });
        }
        let value = |model: usize| {
            let satisfaction = self.heads[model].predict(request.features);
            (V * self.predicted[model] + self.queue.get() * (self.alpha - satisfaction), self.predicted[model])
        };
        let mut best = (0, value(0));
        for model in 1..self.heads.len() {
            let value = value(model);
            if value < best.1 {
                best = (model, value);
            }
        }
        self.last = (best.0, false);
        Ok(Choice { model: best.0, explored: false, asked: Asked::One })
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
        let (chosen, explored) = self.last;
        if explored {
            self.heads[model].learn(request.features, score, LEARNING_RATE);
        }
        if model == chosen {
            self.queue.update(self.alpha, Change { old: None, new: Some(score) });
        }
        Ok(())
    }
}
