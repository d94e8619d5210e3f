//! Routers that are trained once, on a first share of the run that is labelled in full.

use slarouter_core::Zoo;

use super::contender::{Asked, Choice, Contender, Request};
use crate::CompareError;
use crate::course::Course;

/// The share of the run that is labelled in full, and paid for: all models are asked.
const SHARE: f64 = 0.1;

/// λ tried when a router is calibrated: this many per factor of ten, this many factors below and above the largest cost.
const PER_DECADE: i32 = 40;
const DECADES: (i32, i32) = (6, 2);

/// A router that learns from the first requests of a run and then stays as it is.
pub(crate) trait Trained: Sized {
    /// Trains on the first `train` requests. Of the later ones it may read what a router sees, not their scores and costs.
    fn train(course: &Course<'_>, train: usize) -> Self;

    /// The model for each request of the run after calibration to `alpha` on the first `train`; those of the first `train` are
    /// not looked at.
    fn choices(&self, course: &Course<'_>, train: usize, alpha: f64) -> Vec<usize>;
}

/// Runs the choices of a trained router.
///
/// While the first tenth of the run is labelled, every model is asked and charged, and the user gets the answer of the model with
/// the best mean so far, at first the most expensive.
pub(crate) struct Warmed<'a> {
    train: usize,
    choices: &'a [usize],
    sums: Vec<f64>,
    most_expensive: usize,
}

/// Predicted satisfaction and cost, per request, per model: what a plug-in router decides from.
pub(crate) struct Forecast {
    pub(crate) models: usize,
    pub(crate) satisfaction: Vec<f64>,
    pub(crate) cost: Vec<f64>,
}

/// Requests of a run of `requests` that are labelled in full.
pub(crate) fn training_share(requests: usize) -> usize {
    (SHARE * requests as f64).ceil() as usize
}

impl<'a> Warmed<'a> {
    pub(crate) fn new(zoo: &Zoo, train: usize, choices: &'a [usize]) -> Self {
        Self { train, choices, sums: vec![0.0; zoo.models().len()], most_expensive: zoo.by_price(true) }
    }
}

impl Contender for Warmed<'_> {
    fn choose(&mut self, request: &Request<'_>) -> Result<Choice, CompareError> {
        if request.t >= self.train {
            return Ok(Choice { model: self.choices[request.t], explored: false, asked: Asked::One });
        }
        let mut model = self.most_expensive;
        for (other, &sum) in self.sums.iter().enumerate() {
            if sum > self.sums[model] {
                model = other;
            }
        }
        Ok(Choice { model, explored: true, asked: Asked::AllLabelled })
    }

    fn answered(&mut self, _: &Request<'_>, _: usize, _: Option<f64>, _: f64) -> Result<(), CompareError> {
        Ok(())
    }

    fn labelled(&mut self, request: &Request<'_>, model: usize, score: f64) -> Result<(), CompareError> {
        if request.t < self.train {
            self.sums[model] += score;
        }
        Ok(())
    }
}

impl Forecast {
    pub(crate) fn new(requests: usize, models: usize) -> Self {
        let zeros = || vec![0.0; requests * models];
        Self { models, satisfaction: zeros(), cost: zeros() }
    }

    /// `argmin ĉ − λ·p̂` for every request, with the λ that is the cheapest to reach α on the first `train` requests; if none
    /// does, the λ that satisfies most.
    pub(crate) fn choices(&self, course: &Course<'_>, train: usize, alpha: f64) -> Vec<usize> {
        let peak = self.cost.iter().copied().fold(0.0, f64::max).max(f64::MIN_POSITIVE);
        let steps = -DECADES.0 * PER_DECADE..=DECADES.1 * PER_DECADE;
        let lambdas = steps.map(|step| peak * libm::exp10(f64::from(step) / f64::from(PER_DECADE)));
        // (missed, −satisfaction if missed else cost): the least is the best.
        let mut best = ((true, f64::INFINITY), 0.0);
        for lambda in std::iter::once(0.0).chain(lambdas) {
            let (mut satisfaction, mut cost) = (0.0, 0.0);
            for t in 0..train {
                let model = self.choose(t, lambda);
                satisfaction += course.data.score(course.rows[t], model);
                cost += course.data.cost(course.rows[t], model);
            }
            let missed = satisfaction / (train as f64) < alpha;
            let value = (missed, if missed { -satisfaction } else { cost });
            if value < best.0 {
                best = (value, lambda);
            }
        }
        (0..course.rows.len()).map(|t| self.choose(t, best.1)).collect()
    }

    fn choose(&self, t: usize, lambda: f64) -> usize {
        let at = t * self.models;
        let value = |model: usize| self.cost[at + model] - lambda * self.satisfaction[at + model];
        let mut best = 0;
        for model in 1..self.models {
            if value(model) < value(best) {
                best = model;
            }
        }
        best
    }
}
