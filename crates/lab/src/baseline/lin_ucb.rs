//! LinUCB with a Lagrangian on α.

use slarouter_core::dot;

use super::contender::{Asked, Choice, Contender, Request, Setting};
use super::costs::Costs;
use super::lagrangian::Lagrangian;
use crate::CompareError;

/// Width of the confidence bound. Li et al. found the best between 0.2 and 0.4 on their learning buckets.
const WIDTH: f64 = 0.25;
/// Ridge penalty: A starts as the identity.
const RIDGE: f64 = 1.0;

/// The least `ĉ − λ·(θ_m·x + w·sqrt(xᵀA_m⁻¹x))`, the bound cut to \[0, 1\], with one ridge regression per model on the features and a
/// constant.
///
/// Source: Li, Chu, Langford and Schapire, "A contextual-bandit approach to personalized news article recommendation", 2010,
/// algorithm 1 (disjoint linear models); λ by dual ascent, see [`Lagrangian`]. The inverses are kept by Sherman and Morrison's
/// formula: O(models · features²) per decision, O(features²) per label. A choice counts as exploration where the
/// estimates without the bounds would have chosen otherwise.
pub(crate) struct LinUcb {
    arms: Vec<Arm>,
    dual: Lagrangian,
    costs: Costs,
    predicted: Vec<f64>,
    means: Vec<f64>,
    bounds: Vec<f64>,
    /// The features of the request with the constant in front.
    x: Vec<f64>,
}

/// One model's ridge regression.
struct Arm {
    theta: Vec<f64>,
    /// A⁻¹, the lower triangle, rows at full width.
    inverse: Vec<f64>,
}

impl LinUcb {
    pub(crate) fn new(setting: &Setting<'_>) -> Self {
        let (models, width) = (setting.zoo.models().len(), setting.dim + 1);
        Self {
            arms: (0..models).map(|_| Arm::new(width)).collect(),
            dual: Lagrangian::new(setting.alpha.get()),
            costs: Costs::new(setting.zoo),
            predicted: vec![0.0; models],
            means: vec![0.0; models],
            bounds: vec![0.0; models],
            x: vec![1.0; width],
        }
    }
}

impl Contender for LinUcb {
    fn choose(&mut self, request: &Request<'_>) -> Result<Choice, CompareError> {
        self.costs.scaled(request.input_tokens, &mut self.predicted);
        for (to, &x) in self.x[1..].iter_mut().zip(request.features) {
            *to = f64::from(x);
        }
        for ((arm, mean), bound) in self.arms.iter().zip(&mut self.means).zip(&mut self.bounds) {
            *mean = dot(&arm.theta, &self.x).clamp(0.0, 1.0);
            *bound = (dot(&arm.theta, &self.x) + WIDTH * arm.variance(&self.x).max(0.0).sqrt()).clamp(0.0, 1.0);
        }
        let model = self.dual.choose(&self.predicted, &self.bounds);
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

    fn labelled(&mut self, _: &Request<'_>, model: usize, score: f64) -> Result<(), CompareError> {
        self.arms[model].learn(&self.x, score);
        self.dual.observe(score);
        Ok(())
    }
}

impl Arm {
    fn new(width: usize) -> Self {
        let mut inverse = vec![0.0; width * width];
        (0..width).for_each(|i| inverse[i * width + i] = 1.0 / RIDGE);
        Self { theta: vec![0.0; width], inverse }
    }

    /// xᵀA⁻¹x.
    fn variance(&self, x: &[f64]) -> f64 {
        let width = x.len();
        let row = |i: usize| {
            let row = &self.inverse[i * width..];
            x[i] * (2.0 * dot(&row[..i], &x[..i]) + row[i] * x[i])
        };
        (0..width).map(row).sum()
    }

    /// A ← A + xxᵀ, and θ by the same step as recursive least squares.
    fn learn(&mut self, x: &[f64], score: f64) {
        let width = x.len();
        let mut gain = vec![0.0; width];
        for i in 0..width {
            let row = &self.inverse[i * width..i * width + i + 1];
            gain[i] += dot(row, &x[..=i]);
            for (to, a) in gain.iter_mut().zip(&row[..i]) {
                *to += a * x[i];
            }
        }
        let scale = 1.0 / (1.0 + dot(&gain, x));
        let error = score - dot(&self.theta, x);
        for i in 0..width {
            self.theta[i] += scale * error * gain[i];
            let step = scale * gain[i];
            for (to, g) in self.inverse[i * width..].iter_mut().zip(&gain[..=i]) {
                *to -= step * g;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_labels_by_hand() {
        // A = I + (1,1)(1,1)ᵀ + (1,0)(1,0)ᵀ = [[3,1],[1,2]], b = (1,1)·1 + (1,0)·0, θ = A⁻¹b = (2−1, −1+3)/5.
        let mut arm = Arm::new(2);
        arm.learn(&[1.0, 1.0], 1.0);
        arm.learn(&[1.0, 0.0], 0.0);
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} is not {b}");
        close(arm.theta[0], 0.2);
        close(arm.theta[1], 0.4);
        close(arm.variance(&[1.0, 1.0]), (2.0 - 1.0 - 1.0 + 3.0) / 5.0);
        close(arm.variance(&[0.0, 1.0]), 0.6);
    }
}
