//! Predicted satisfaction, from dozens of labels on.

use std::collections::BTreeMap;
use std::f64::consts::PI;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::belief::Belief;
use crate::ledger::Change;
use crate::{ModelSpec, Source, Zoo};

/// Prior standard deviations of the weights (shared, per model): from "the prompt says nothing" to "it says a lot".
const GRID: [(f64, f64); 4] = [(0.0, 0.0), (0.7, 0.3), (1.5, 1.0), (3.0, 3.0)];
/// Prior standard deviation of a model's bias, in log-odds.
const BIAS_SPREAD: f64 = 1.5;
/// What is believed of a model of which nobody has said anything: most answers of most models satisfy.
const PRIOR: f64 = 0.7;
/// Factor per label on the evidence for each strength of regularisation, so that it can change its mind.
const MEMORY: f64 = 0.998;
/// Variance per label by which a model's bias may wander. Small: a model's mean is known to about a point at last. Silent changes are
/// followed by the [`Correction`](super::residual::Correction) first.
const DRIFT: f64 = 2e-6;
/// Prior standard deviation, where there are audits, of the offset in log-odds between those who rate and everybody. Large: ratings
/// that are all thumbs down have an offset without limit.
const OFFSET_SPREAD: f64 = 3.0;
/// Weight per label in the running mean of the features.
const MEAN_RATE: f64 = 1.0 / 500.0;
/// Experts with less weight than this are not asked.
const NEGLIGIBLE: f64 = 1e-3;
/// No uncertainty about a model's mean is taken for larger.
const WIDEST: f64 = 0.35;

/// Predicts the satisfaction of every model on a prompt.
///
/// `logit p_m(x) = u·x + w_m·x + b_m`: what makes a prompt hard (u) is shared by all models and learnt from all labels, what is
/// peculiar to a model (w_m, b_m) from its own. Four experts differ in the prior spread of u and w, that is in regularisation;
/// they are averaged by how well each predicted the labels before seeing them (Bayesian model averaging by prequential
/// likelihood, Dawid 1984), so nothing is left to tune. Predictions are moderated by their own variance (MacKay 1992).
///
/// Where there are audits, the log-odds of a user's rating have one weight more, the offset: if the satisfied rate with
/// probability φ₁ and the others with φ₀, `logit P(s = 1 | x, rated) = logit P(s = 1 | x) + ln(φ₁/φ₀)`, whatever x (case-control
/// sampling, Prentice and Pyke 1979). Audits and predictions are without it. From ratings alone it could not be told from the
/// biases, and is known to be 0. It is the last weight of each expert's shared belief.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Predictor {
    dim: usize,
    experts: Vec<Expert>,
    /// Running mean of the features of labelled prompts, with the constant 1 at its end.
    centre: Vec<f64>,
    labels: u64,
    /// Standard deviation of each model's mean satisfaction over prompts.
    doubt: Vec<f64>,
    /// What was learnt of models that have left the zoo.
    retired: BTreeMap<Arc<str>, Vec<Arc<Belief>>>,
}

/// One strength of regularisation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Expert {
    /// Place in [`GRID`].
    place: usize,
    shared: Arc<Belief>,
    models: Vec<Arc<Belief>>,
    evidence: f64,
    weight: f64,
}

/// Features in the form that the beliefs need.
pub(crate) struct Prepared {
    /// For what is peculiar to a model: the last is the constant 1.
    own: Vec<f64>,
    own_squares: Vec<f64>,
    /// For what is shared: the last is 1 in a user's rating, else 0.
    shared: Vec<f64>,
    shared_squares: Vec<f64>,
}

impl Predictor {
    pub(crate) fn new(zoo: &Zoo, dim: usize) -> Self {
        let experts = (0..GRID.len()).map(|place| Expert::new(place, zoo, dim)).collect();
        let mut centre = vec![0.0; dim + 1];
        centre[dim] = 1.0;
        let mut predictor = Self { dim, experts, centre, labels: 0, doubt: Vec::new(), retired: BTreeMap::new() };
        predictor.doubt = (0..zoo.models().len()).map(|model| predictor.doubt_of(model)).collect();
        predictor
    }

    /// All but the doubts forgotten: [`Predictor::rearranged`] brings it back.
    pub(crate) fn emptied(&self) -> Self {
        let (experts, centre, retired) = (Vec::new(), Vec::new(), BTreeMap::new());
        Self { dim: 0, experts, centre, labels: 0, doubt: self.doubt.clone(), retired }
    }

    pub(crate) fn is_emptied(&self) -> bool {
        self.experts.is_empty()
    }

    /// The same knowledge by names alone, whatever zoo it was learnt with. `models` are the names by place here.
    pub(crate) fn by_name(&self, models: &[Arc<str>]) -> Self {
        let mut known = self.clone();
        for (place, name) in models.iter().enumerate() {
            known.retired.insert(name.clone(), self.experts.iter().map(|e| e.models[place].clone()).collect());
        }
        known.experts.iter_mut().for_each(|expert| expert.models.clear());
        known.doubt.clear();
        known
    }

    /// The same knowledge for the models of `zoo`. `models` are the names by place here. What is not known here is taken from
    /// `own`, the predictor that `zoo` has had so far.
    pub(crate) fn rearranged(&self, models: &[Arc<str>], own: &Self, zoo: &Zoo) -> Self {
        let mut known = self.by_name(models);
        let mut doubt = Vec::with_capacity(zoo.models().len());
        for (place, model) in zoo.models().iter().enumerate() {
            let beliefs = known.retired.remove(&model.name);
            for (e, expert) in known.experts.iter_mut().enumerate() {
                let held = || own.experts.get(e).filter(|_| own.dim == self.dim)?.models.get(place).cloned();
                let belief = beliefs.as_ref().map(|beliefs| beliefs[e].clone()).or_else(held);
                expert.models.push(belief.unwrap_or_else(|| fresh(e, model, self.dim)));
            }
            let emptied = || own.doubt.get(place).copied().filter(|_| own.experts.is_empty());
            doubt.push(models.iter().position(|name| *name == model.name).map(|at| self.doubt[at]).or_else(emptied));
        }
        known.doubt =
            doubt.into_iter().enumerate().map(|(place, d)| d.unwrap_or_else(|| known.doubt_of(place))).collect();
        known
    }

    /// For what users say of a prompt, or for what is true of it. A prompt without features is taken for the average one.
    pub(crate) fn prepare(&self, features: &[f32], source: Source) -> Prepared {
        let own: Vec<f64> = match features {
            [] => self.centre.clone(),
            _ => features.iter().map(|&x| f64::from(x)).chain([1.0]).collect(),
        };
        let own_squares: Vec<f64> = own.iter().map(|x| x * x).collect();
        let (mut shared, mut shared_squares) = (own.clone(), own_squares.clone());
        if source == Source::Audit {
            (shared[self.dim], shared_squares[self.dim]) = (0.0, 0.0);
        }
        Prepared { own, own_squares, shared, shared_squares }
    }

    /// Has users' ratings be taken for a biased sample, or for the truth.
    pub(super) fn correct_ratings(&mut self, corrected: bool) {
        for expert in &mut self.experts {
            let shared = Arc::make_mut(&mut expert.shared);
            shared.pin_last();
            if !corrected {
                continue;
            }
            shared.drift(OFFSET_SPREAD * OFFSET_SPREAD, OFFSET_SPREAD * OFFSET_SPREAD);
            // What ratings have taught so far may be off by as much.
            for model in &mut expert.models {
                Arc::make_mut(model).drift(BIAS_SPREAD * BIAS_SPREAD, BIAS_SPREAD * BIAS_SPREAD);
            }
        }
        self.doubt = (0..self.doubt.len()).map(|model| self.doubt_of(model)).collect();
    }

    /// Has users' ratings be taken for a biased sample from now on, while what was learnt before is true.
    pub(super) fn expect_bias(&mut self) {
        for expert in self.experts.iter_mut().filter(|expert| expert.shared.last().1 == 0.0) {
            Arc::make_mut(&mut expert.shared).drift(OFFSET_SPREAD * OFFSET_SPREAD, OFFSET_SPREAD * OFFSET_SPREAD);
        }
    }

    /// Learnt offset of users' ratings in log-odds: the mean over the experts.
    pub(super) fn offset(&self) -> f64 {
        self.experts.iter().map(|expert| expert.weight * expert.shared.last().0).sum()
    }

    /// Predicted satisfaction of each model, in (0, 1). O(models · dim) per expert that matters.
    pub(super) fn predict(&self, prompt: &Prepared) -> Vec<f64> {
        let mut satisfaction = vec![0.0; self.doubt.len()];
        for expert in self.experts.iter().filter(|expert| expert.weight >= NEGLIGIBLE) {
            let (mean, variance) = expert.shared_moments(prompt);
            for (sum, model) in satisfaction.iter_mut().zip(&expert.models) {
                let x = expert.view(&prompt.own);
                let own = model.rough_variance(expert.view(&prompt.own_squares));
                *sum += expert.weight * moderated(mean + model.mean(x), variance + own);
            }
        }
        satisfaction
    }

    /// How far off what is predicted of each model on a prompt may be: one standard deviation, within the experts and between them.
    pub(super) fn errors(&self, prompt: &Prepared) -> Vec<f64> {
        // The weighted sums of p and of p² + (p(1 − p))²·variance.
        let mut moments = vec![(0.0, 0.0); self.doubt.len()];
        for expert in self.experts.iter().filter(|expert| expert.weight >= NEGLIGIBLE) {
            let (mean, variance) = expert.shared_moments(prompt);
            for ((first, second), model) in moments.iter_mut().zip(&expert.models) {
                let variance = variance + model.rough_variance(expert.view(&prompt.own_squares));
                let p = moderated(mean + model.mean(expert.view(&prompt.own)), variance);
                let within = p * (1.0 - p);
                *first += expert.weight * p;
                *second += expert.weight * (p * p + within * within * variance);
            }
        }
        let error = |(first, second): (f64, f64)| (second - first * first).max(0.0).sqrt().min(WIDEST);
        moments.into_iter().map(error).collect()
    }

    /// Predicted mean satisfaction of each model over prompts: that of the average one.
    pub(super) fn levels(&self) -> Vec<f64> {
        if self.is_emptied() {
            return vec![PRIOR; self.doubt.len()];
        }
        self.predict(&self.prepare(&[], Source::Audit))
    }

    /// How far off the mean satisfaction of each model may be: one standard deviation.
    pub(super) fn doubt(&self) -> &[f64] {
        &self.doubt
    }

    /// What its own labels leave unknown of the mean satisfaction of each model, for whoever sees no prompts: one standard deviation in
    /// log-odds. Nothing of one model is taken for known from another.
    pub(super) fn label_doubt(&self) -> Vec<f64> {
        let promptless = self.experts.iter().find(|expert| !expert.is_shared());
        match promptless {
            Some(expert) => expert.models.iter().map(|model| model.last().1.max(0.0).sqrt()).collect(),
            None => vec![0.0; self.doubt.len()],
        }
    }

    /// Labels learnt from.
    pub(crate) fn labels(&self) -> u64 {
        self.labels
    }

    /// Learns a label, its change, or its withdrawal. A changed label moves the beliefs by the difference and leaves their
    /// certainty as it was; a withdrawn one moves them back towards what they would predict. O(dim²) per expert.
    pub(super) fn learn(&mut self, prompt: &Prepared, model: usize, lesson: Change) {
        self.learn_in_part(prompt, model, lesson, 1.0);
    }

    /// Learns a label that counts for the share `worth` of one: its likelihood is raised to that power.
    pub(crate) fn learn_in_part(&mut self, prompt: &Prepared, model: usize, lesson: Change, worth: f64) {
        for expert in &mut self.experts {
            expert.learn(prompt, model, lesson, worth);
        }
        if lesson.old.is_none() {
            self.labels += 1;
            let rate = (1.0 / self.labels as f64).max(MEAN_RATE);
            for (mean, x) in self.centre.iter_mut().zip(&prompt.own) {
                *mean += rate * (x - *mean);
            }
        }
        let best = self.experts.iter().map(|expert| expert.evidence).fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = self.experts.iter().map(|expert| libm::exp(expert.evidence - best)).sum();
        for expert in &mut self.experts {
            expert.weight = libm::exp(expert.evidence - best) / total;
        }
        self.doubt[model] = self.doubt_of(model);
    }

    /// The zoo has changed from `old` to `new`; what is known of models that stay or come back is kept.
    pub(super) fn reconfigure(&mut self, old: &Zoo, new: &Zoo) {
        for (place, model) in old.models().iter().enumerate() {
            let known = self.experts.iter().map(|expert| expert.models[place].clone()).collect();
            self.retired.insert(model.name.clone(), known);
        }
        for expert in &mut self.experts {
            expert.models.clear();
        }
        for model in new.models() {
            let known = self.retired.remove(&model.name);
            for (place, expert) in self.experts.iter_mut().enumerate() {
                let belief = known.as_ref().map(|known| known[place].clone());
                expert.models.push(belief.unwrap_or_else(|| fresh(place, model, self.dim)));
            }
        }
        self.doubt = (0..new.models().len()).map(|model| self.doubt_of(model)).collect();
    }

    fn doubt_of(&self, model: usize) -> f64 {
        let mut doubt = 0.0;
        let mut shared = self.centre.clone();
        shared[self.dim] = 0.0;
        for expert in &self.experts {
            let x = expert.view(&self.centre);
            let mean = expert.shared.mean(expert.view(&shared));
            let p = sigmoid(mean + expert.models[model].mean(x));
            let (_, variance) = expert.models[model].spread_along(x);
            doubt += expert.weight * p * (1.0 - p) * variance.sqrt();
        }
        doubt.min(WIDEST)
    }
}

impl Expert {
    fn new(place: usize, zoo: &Zoo, dim: usize) -> Self {
        let dim_here = if GRID[place].0 > 0.0 { dim } else { 0 };
        Self {
            place,
            shared: Arc::new(Belief::new(dim_here, GRID[place].0, 0.0, 0.0)),
            models: zoo.models().iter().map(|model| fresh(place, model, dim)).collect(),
            evidence: 0.0,
            weight: 1.0 / GRID.len() as f64,
        }
    }

    fn is_shared(&self) -> bool {
        GRID[self.place].0 > 0.0
    }

    /// What this expert sees of a prompt: all of it, or the constant alone.
    fn view<'a>(&self, x: &'a [f64]) -> &'a [f64] {
        if self.is_shared() { x } else { &x[x.len() - 1..] }
    }

    fn shared_moments(&self, prompt: &Prepared) -> (f64, f64) {
        let mean = self.shared.mean(self.view(&prompt.shared));
        (mean, self.shared.rough_variance(self.view(&prompt.shared_squares)))
    }

    fn learn(&mut self, prompt: &Prepared, model: usize, lesson: Change, worth: f64) {
        let (x, shared) = (self.view(&prompt.own), self.view(&prompt.shared));
        let (own, own_variance) = self.models[model].spread_along(x);
        let (common, variance) = self.shared.spread_along(shared);
        let mean = self.shared.mean(shared) + self.models[model].mean(x);
        let variance = variance + own_variance;
        let p = moderated(mean, variance).clamp(1e-4, 1.0 - 1e-4);
        let weight = (p * (1.0 - p)).max(1e-3);
        let scale = worth / (1.0 + worth * weight * variance);
        let (surprise, shrink) = match (lesson.old, lesson.new) {
            (None, Some(s)) => {
                let memory = if worth < 1.0 { libm::pow(MEMORY, worth) } else { MEMORY };
                self.evidence = self.evidence * memory + worth * (s * libm::log(p) + (1.0 - s) * libm::log(1.0 - p));
                (s - p, weight * scale)
            }
            (Some(old), Some(new)) => (new - old, 0.0),
            (Some(old), None) => (p - old, 0.0),
            (None, None) => return,
        };
        let drift = if shrink > 0.0 { worth * DRIFT } else { 0.0 };
        let belief = Arc::make_mut(&mut self.models[model]);
        belief.absorb(&own, surprise * scale, shrink);
        belief.drift(drift, BIAS_SPREAD * BIAS_SPREAD);
        let shared = Arc::make_mut(&mut self.shared);
        shared.absorb(&common, surprise * scale, shrink);
        if shared.last().1 > 0.0 {
            shared.drift(drift, OFFSET_SPREAD * OFFSET_SPREAD);
        }
    }
}

fn fresh(place: usize, model: &ModelSpec, dim: usize) -> Arc<Belief> {
    let prior = model.prior.unwrap_or(PRIOR);
    let (shared, own) = GRID[place];
    let dim = if shared > 0.0 { dim } else { 0 };
    Arc::new(Belief::new(dim, own, libm::log(prior / (1.0 - prior)), BIAS_SPREAD))
}

/// Nothing is certain.
pub(super) fn clamped(satisfaction: f64) -> f64 {
    satisfaction.clamp(0.005, 0.995)
}

pub(super) fn sigmoid(a: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-a))
}

/// p(1 − p), by which a small step in log-odds moves a probability; no less than at 0.02 and 0.98.
pub(super) fn variance_at(p: f64) -> f64 {
    let p = p.clamp(0.02, 0.98);
    p * (1.0 - p)
}

/// The mean of sigmoid(a) for normal a, in MacKay's approximation.
fn moderated(mean: f64, variance: f64) -> f64 {
    sigmoid(mean / (1.0 + PI * variance / 8.0).sqrt())
}
