//! Thompson sampling with a Lagrangian on α.

use slarouter_core::sigmoid;

use super::contender::{Asked, Choice, Contender, Request, Setting};
use super::costs::Costs;
use super::draws::Draws;
use super::lagrangian::Lagrangian;
use crate::CompareError;

/// Prior precision of every weight.
const PRECISION: f64 = 1.0;

/// The least `ĉ − λ·sigmoid(w̃_m·x)` with weights w̃ drawn from each model's posterior.
///
/// Source: Chapelle and Li, "An empirical evaluation of Thompson sampling", 2011, algorithm 3: logistic regression with a diagonal
/// Laplace approximation, here updated after every label, whose one-dimensional optimum is found by Newton's method. For a
/// single request w̃·x is normal with mean m·x and variance Σ x²/q, so that one number is drawn for it instead of all weights.
/// λ by dual ascent, see [`Lagrangian`]. A choice counts as exploration where the means would have chosen otherwise.
pub(crate) struct Thompson {
    arms: Vec<Arm>,
    dual: Lagrangian,
    costs: Costs,
    draws: Draws,
    predicted: Vec<f64>,
    means: Vec<f64>,
    drawn: Vec<f64>,
}

/// One model's posterior; the constant's weight comes first.
struct Arm {
    mean: Vec<f64>,
    precision: Vec<f64>,
}

impl Thompson {
    pub(crate) fn new(setting: &Setting<'_>) -> Self {
        let (models, width) = (setting.zoo.models().len(), setting.dim + 1);
        let arm = |_| Arm { mean: vec![0.0; width], precision: vec![PRECISION; width] };
        Self {
            arms: (0..models).map(arm).collect(),
            dual: Lagrangian::new(setting.alpha.get()),
            costs: Costs::new(setting.zoo),
            draws: Draws::new(setting.seed),
            predicted: vec![0.0; models],
            means: vec![0.0; models],
            drawn: vec![0.0; models],
        }
    }
}

impl Contender for Thompson {
    fn choose(&mut self, request: &Request<'_>) -> Result<Choice, CompareError> {
        self.costs.scaled(request.input_tokens, &mut self.predicted);
        for (model, arm) in self.arms.iter().enumerate() {
            let (mean, variance) = arm.logit(request.features);
            self.means[model] = sigmoid(mean);
            self.drawn[model] = sigmoid(mean + variance.sqrt() * self.draws.normal());
        }
        let model = self.dual.choose(&self.predicted, &self.drawn);
        let explored = model != self.dual.choose(&self.predicted, &self.means);
        Ok(Choice { model, explored, asked: Asked::One })
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
        self.arms[model].learn(request.features, score);
        self.dual.observe(score);
        Ok(())
    }
}

impl Arm {
    /// Mean and variance of w̃·x.
    fn logit(&self, features: &[f32]) -> (f64, f64) {
        let (mut mean, mut variance) = (self.mean[0], 1.0 / self.precision[0]);
        for ((m, q), &x) in self.mean[1..].iter().zip(&self.precision[1..]).zip(features) {
            let x = f64::from(x);
            mean += m * x;
            variance += x * x / q;
        }
        (mean, variance)
    }

    /// The new mean lies at m + δ·x/q with δ = s − sigmoid(m·x + δ·v); then q grows by x²·p(1 − p).
    fn learn(&mut self, features: &[f32], score: f64) {
        let (z, v) = self.logit(features);
        let mut delta = 0.0;
        // Convex, and a step never overshoots by much as the slope lies between 1 and 1 + v/4.
        for _ in 0..20 {
            let p = sigmoid(z + delta * v);
            let step = (delta - (score - p)) / (1.0 + v * p * (1.0 - p));
            delta -= step;
            if step.abs() < 1e-9 {
                break;
            }
        }
        let p = sigmoid(z + delta * v);
        let information = p * (1.0 - p);
        let features = std::iter::once(1.0).chain(features.iter().map(|&x| f64::from(x)));
        for ((m, q), x) in self.mean.iter_mut().zip(&mut self.precision).zip(features) {
            *m += delta * x / *q;
            *q += x * x * information;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_moves_the_mean_to_the_optimum() {
        let mut arm = Arm { mean: vec![0.0; 2], precision: vec![1.0; 2] };
        arm.learn(&[2.0], 1.0);
        // At the optimum of ½‖w‖² + log(1 + exp(−w·x)) the gradient w − (1 − p)·x is 0.
        let p = sigmoid(arm.mean[0] + 2.0 * arm.mean[1]);
        assert!(
            (arm.mean[0] - (1.0 - p)).abs() < 1e-7 && (arm.mean[1] - 2.0 * (1.0 - p)).abs() < 1e-7,
            "{:?}",
            arm.mean
        );
        assert!((arm.precision[1] - (1.0 + 4.0 * p * (1.0 - p))).abs() < 1e-7);
    }
}
