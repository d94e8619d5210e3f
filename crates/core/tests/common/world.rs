//! A world that changes while a route serves it, and the books kept on what came of it.

use std::collections::VecDeque;
use std::ops::Range;

use slarouter_core::{
    Context, DecisionId, Feedback, Learner, ModelSpec, Outcome, PolicySpec, Rater, Rating, Reason, Source, Timestamp,
    decision_rng, uniform,
};

use crate::route::{learner, models, spec};

/// Kinds of prompts.
pub(crate) const KINDS: usize = 4;
/// Tokens of every answer.
const ANSWER: f64 = 200.0;
/// Mean tokens of a prompt: uniform from 50 to 550.
const PROMPT: f64 = 300.0;
/// Share of the answers that are rated.
pub(crate) const LABELLED: f64 = 0.2;

/// How things are for a while.
#[derive(Clone)]
pub(crate) struct Phase {
    /// Requests that it lasts.
    pub(crate) length: usize,
    /// Probability that a model satisfies a prompt of each kind.
    pub(crate) skill: Vec<[f64; KINDS]>,
    /// USD per million tokens, `None` for a model that is not in the zoo.
    pub(crate) prices: Vec<Option<f64>>,
    /// How frequent each kind is; they sum to 1.
    pub(crate) kinds: [f64; KINDS],
}

/// How feedback and snapshots travel.
#[derive(Clone, Copy)]
pub(crate) struct Travel {
    /// Ratings are delivered together every so many requests.
    pub(crate) feedback_every: usize,
    /// Decisions are made from a snapshot that is renewed every so many requests.
    pub(crate) snapshot_every: usize,
}

/// A run, request by request.
pub(crate) struct Run {
    /// Probability that the answer satisfied: the draw is left out, so that its noise is.
    pub(crate) satisfaction: Vec<f64>,
    pub(crate) cost: Vec<f64>,
    pub(crate) model: Vec<usize>,
    /// The predicted costs of the models of the zoo.
    pub(crate) predicted: Vec<Vec<f64>>,
    pub(crate) learner: Learner,
}

impl Travel {
    pub(crate) const AT_ONCE: Self = Self { feedback_every: 1, snapshot_every: 1 };
}

impl Phase {
    fn zoo(&self) -> Vec<ModelSpec> {
        let prices: Vec<f64> = self.prices.iter().map(|price| price.unwrap_or(0.0)).collect();
        let zoo = models(&prices).into_iter().zip(&self.prices).filter(|(_, price)| price.is_some());
        zoo.map(|(model, _)| model).collect()
    }

    /// Mean satisfaction and mean cost of each model in the zoo.
    fn means(&self) -> Vec<(f64, f64)> {
        let mean = |skill: &[f64; KINDS]| skill.iter().zip(self.kinds).map(|(s, share)| s * share).sum();
        let known = self.skill.iter().zip(&self.prices);
        known.filter_map(|(skill, price)| Some((mean(skill), cost((*price)?, PROMPT)))).collect()
    }

    /// Cost per request of the cheapest fixed mixture of two models that satisfies α on average; it sees no prompts.
    pub(crate) fn mixture(&self, alpha: f64) -> f64 {
        let means = self.means();
        let mut least = f64::INFINITY;
        for &(s, c) in means.iter().filter(|(s, _)| *s >= alpha) {
            least = least.min(c);
            for &(low_s, low_c) in means.iter().filter(|(low, _)| *low < alpha) {
                let share = (alpha - low_s) / (s - low_s);
                least = least.min(share * c + (1.0 - share) * low_c);
            }
        }
        assert!(least.is_finite(), "no mixture reaches α");
        least
    }
}

fn cost(price: f64, tokens: f64) -> f64 {
    price * (tokens + ANSWER) / 1e6
}

/// A rating on its way.
struct Letter {
    t: u64,
    model: String,
    reason: Reason,
    features: [f32; 8],
    predicted: f64,
    rating: f64,
}

/// Runs `certified` through the phases.
pub(crate) fn run(phases: &[Phase], alpha: f64, travel: Travel, seed: u64) -> Run {
    let policy = PolicySpec::parse("certified").unwrap();
    let learner = learner(phases[0].zoo(), alpha, policy.clone(), 8);
    let (satisfaction, cost, model, predicted) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut run = Run { satisfaction, cost, model, predicted, learner };
    let mut snapshot = run.learner.router().clone();
    let mut letters: VecDeque<Letter> = VecDeque::new();
    let mut t = 0;
    for (place, phase) in phases.iter().enumerate() {
        if place > 0 && phase.prices != phases[place - 1].prices {
            run.learner.reconfigure(spec(phase.zoo(), alpha, policy.clone())).unwrap();
            snapshot = run.learner.router().clone();
        }
        for _ in 0..phase.length {
            if t % travel.feedback_every as u64 == 0 {
                letters.drain(..).for_each(|letter| deliver(&mut run.learner, &letter, t));
            }
            if t % travel.snapshot_every as u64 == 0 {
                snapshot = run.learner.router().clone();
            }
            let mut world = decision_rng(!seed, DecisionId(t.into()));
            let kind = draw(&phase.kinds, uniform(&mut world));
            // The kind, in one feature each, and four features of noise.
            let mut features = [0.0; 8];
            features[kind] = 1.0;
            features[4..].fill_with(|| uniform(&mut world) as f32 - 0.5);
            let input_tokens = 50.0 + 500.0 * uniform(&mut world);
            let context = Context { features: &features, input_tokens, excluded: &[] };
            let decision = snapshot.decide(&context, &mut decision_rng(seed, DecisionId(t.into()))).unwrap();
            run.learner.decided(&decision, Timestamp(t));
            let name = decision.choice().model.to_string();
            let model: usize = name[1..].parse().unwrap();
            let outcome = Outcome {
                model: &name,
                ok: true,
                input_tokens: None,
                output_tokens: Some(ANSWER),
                cost: self::cost(phase.prices[model].unwrap(), input_tokens),
                pinned: false,
            };
            run.learner.finished(&outcome).unwrap();
            let p = phase.skill[model][kind];
            run.satisfaction.push(p);
            run.cost.push(outcome.cost);
            run.model.push(model);
            run.predicted.push(decision.candidates.iter().map(|candidate| candidate.cost).collect());
            let rating = f64::from(u8::from(uniform(&mut world) < p));
            if uniform(&mut world) < LABELLED {
                let (reason, predicted) = (decision.reason, decision.choice().satisfaction);
                letters.push_back(Letter { t, model: name, reason, features, predicted, rating });
            }
            t += 1;
        }
    }
    letters.drain(..).for_each(|letter| deliver(&mut run.learner, &letter, t));
    run
}

fn deliver(learner: &mut Learner, letter: &Letter, now: u64) {
    let feedback = Feedback {
        decision: DecisionId(letter.t.into()),
        decided_at: Timestamp(letter.t),
        model: &letter.model,
        reason: letter.reason,
        features: &letter.features,
        predicted: letter.predicted,
        source: Source::User,
        rater: Rater(0),
        rating: Some(Rating::new(letter.rating).unwrap()),
        order: letter.t,
    };
    learner.observe(&feedback, Timestamp(now)).unwrap();
}

fn draw(shares: &[f64; KINDS], draw: f64) -> usize {
    let mut below = 0.0;
    let place = shares.iter().position(|share| {
        below += share;
        draw < below
    });
    place.unwrap_or(KINDS - 1)
}

/// Figures of several runs with different seeds, which are independent of each other.
pub(crate) struct Runs(pub(crate) Vec<Run>);

impl Runs {
    /// A figure is at least this, and at most that, in expectation: the mean over the runs, three standard errors down and up.
    /// With sixteen runs Student's t gives each side 0.5 %.
    pub(crate) fn between(&self, figure: impl Fn(&Run) -> f64) -> (f64, f64) {
        let (values, n) = (self.0.iter().map(figure).collect::<Vec<_>>(), self.0.len() as f64);
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
        let error = 3.0 * (variance / n).sqrt();
        (mean - error, mean + error)
    }

    /// Mean satisfaction in a stretch.
    pub(crate) fn satisfaction(&self, stretch: Range<usize>) -> (f64, f64) {
        self.between(|run| mean(&run.satisfaction[stretch.clone()]))
    }

    /// Mean cost per request in a stretch.
    pub(crate) fn cost(&self, stretch: Range<usize>) -> (f64, f64) {
        self.between(|run| mean(&run.cost[stretch.clone()]))
    }

    /// Share of the requests of a stretch that went to a model.
    pub(crate) fn share(&self, model: usize, stretch: Range<usize>) -> (f64, f64) {
        self.between(|run| {
            mean(&run.model[stretch.clone()].iter().map(|m| f64::from(u8::from(*m == model))).collect::<Vec<_>>())
        })
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
