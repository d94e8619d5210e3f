//! Random logs of a route's life, and something that plays them.

use proptest::collection::vec;
use proptest::prelude::*;
use slarouter_core::policy::{CertifiedParams, SlaRouterParams, Window};
use slarouter_core::{
    Context, Decision, DecisionId, Feedback, Learner, Outcome, PolicySpec, Rater, Rating, Reason, Source, Timestamp,
    decision_rng,
};

use crate::route::{WINDOW_MS, models, spec};

/// One whole block of eight and a remainder.
pub(crate) const DIM: usize = 11;

/// One event. `of` picks among the decisions made so far.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Decide {
        features: Vec<f32>,
        tokens: f64,
        exclude: usize,
    },
    Pin {
        model: usize,
    },
    Finish {
        of: usize,
        ok: bool,
        tokens: Option<f64>,
        cost: f64,
    },
    Rate {
        of: usize,
        source: Source,
        rater: u64,
        rating: Option<f64>,
        later: u64,
    },
    /// A new target, a zoo of this many models, audits or none, and limits per rater.
    Reconfigure {
        models: usize,
        alpha: f64,
        audit_rate: f64,
        rater_limit: u64,
        rater_share: f64,
    },
}

/// Plays steps on a learner, with a clock that goes a fortieth of the feedback window per step.
#[derive(Clone)]
pub(crate) struct Run {
    pub(crate) learner: Learner,
    pub(crate) made: Vec<Decision>,
    contexts: Vec<(Vec<f32>, Timestamp)>,
    policy: PolicySpec,
    clock: u64,
}

pub(crate) fn any_policy() -> impl Strategy<Value = PolicySpec> {
    let params = (0.0..4.0, 0.0..3.0, 0.001..1.0, 0.0..20.0).prop_map(|(v, c, learning_rate, initial_queue)| {
        PolicySpec::SlaRouter(SlaRouterParams { v, c, learning_rate, initial_queue })
    });
    let fixed = ["random", "cheapest", "most-expensive", "fixed:m0"].map(|name| PolicySpec::parse(name).unwrap());
    let windows = prop_oneof![Just(Window::Run), Just(Window::Requests(20)), Just(Window::Period(7))];
    let certified =
        (0.5..0.99, prop_oneof![Just(0.0), 0.0..1.0], windows).prop_map(|(assurance, exploration, window)| {
            PolicySpec::Certified(CertifiedParams { assurance, exploration, window, ..CertifiedParams::default() })
        });
    prop_oneof![3 => params, 3 => certified, 2 => prop::sample::select(fixed.to_vec())]
}

/// α, with the ends.
pub(crate) fn any_alpha() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), Just(1.0), 0.0..=1.0]
}

pub(crate) fn any_steps(length: usize) -> impl Strategy<Value = Vec<Step>> {
    let features = prop_oneof![4 => vec(-2.0_f32..2.0, DIM), 1 => vec(prop::num::f32::NORMAL, DIM)];
    let decide = (features, 0.0..1e6, 0..9_usize);
    let rating = prop_oneof![Just(None), Just(Some(0.0)), Just(Some(1.0)), (0.0..=1.0).prop_map(Some)];
    let source = prop_oneof![2 => Just(Source::User), 1 => Just(Source::Audit)];
    let step = prop_oneof![
        5 => decide.prop_map(|(features, tokens, exclude)| Step::Decide { features, tokens, exclude }),
        1 => (0..9_usize).prop_map(|model| Step::Pin { model }),
        3 => (any::<usize>(), any::<bool>(), prop::option::of(0.0..1e5), 0.0..1.0)
            .prop_map(|(of, ok, tokens, cost)| Step::Finish { of, ok, tokens, cost }),
        5 => (any::<usize>(), source, 0..3_u64, rating, 0..WINDOW_MS / 4)
            .prop_map(|(of, source, rater, rating, later)| Step::Rate { of, source, rater, rating, later }),
        1 => (1..7_usize, any_alpha(), rate(), 0..3_u64, rate()).prop_map(
            |(models, alpha, audit_rate, rater_limit, rater_share)| {
                Step::Reconfigure { models, alpha, audit_rate, rater_limit, rater_share }
            },
        ),
    ];
    vec(step, 1..length)
}

/// Off as often as not.
fn rate() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), 0.0..=1.0]
}

impl Run {
    pub(crate) fn new(policy: &PolicySpec, alpha: f64) -> Self {
        let learner = crate::route::learner(prices(4), alpha, policy.clone(), DIM);
        Self { learner, made: Vec::new(), contexts: Vec::new(), policy: policy.clone(), clock: 0 }
    }

    pub(crate) fn play(&mut self, step: &Step) {
        self.clock += WINDOW_MS / 40;
        let now = Timestamp(self.clock);
        match step {
            Step::Decide { features, tokens, exclude } => {
                let excluded = format!("m{exclude}");
                let context = Context { features, input_tokens: *tokens, excluded: &[&excluded] };
                let mut rng = decision_rng(1, DecisionId(self.made.len() as u128));
                let decision = self.learner.router().decide(&context, &mut rng).unwrap();
                self.enter(decision, features.clone(), now);
            }
            Step::Pin { model } => {
                let context = Context { features: &[0.5; DIM], input_tokens: 10.0, excluded: &[] };
                if let Some(decision) = self.learner.router().pinned(&format!("m{model}"), &context) {
                    self.enter(decision, vec![0.5; DIM], now);
                }
            }
            Step::Finish { of, ok, tokens, cost } => {
                let Some(decision) = pick(&self.made, *of) else { return };
                let model = &*decision.choice().model;
                let pinned = decision.reason == Reason::Pinned;
                let outcome =
                    Outcome { model, ok: *ok, input_tokens: *tokens, output_tokens: *tokens, cost: *cost, pinned };
                self.learner.finished(&outcome).unwrap();
            }
            Step::Rate { of, source, rater, rating, later } => {
                let (Some(decision), Some((features, decided_at))) = (pick(&self.made, *of), pick(&self.contexts, *of))
                else {
                    return;
                };
                let feedback = Feedback {
                    decision: DecisionId((*of % self.made.len()) as u128),
                    decided_at: *decided_at,
                    model: &decision.choice().model,
                    reason: decision.reason,
                    features,
                    predicted: decision.choice().satisfaction,
                    source: *source,
                    rater: Rater(*rater),
                    rating: rating.map(|rating| Rating::new(rating).unwrap()),
                    order: self.clock,
                };
                // A clock that is ahead for one event closes windows early, and goes back with the next.
                self.learner.observe(&feedback, Timestamp(self.clock + later)).unwrap();
            }
            Step::Reconfigure { models, alpha, audit_rate, rater_limit, rater_share } => {
                let mut spec = spec(prices(*models), *alpha, self.policy.clone());
                (spec.audit_rate, spec.rater_limit, spec.rater_share) = (*audit_rate, *rater_limit, *rater_share);
                self.learner.reconfigure(spec).unwrap();
            }
        }
    }

    fn enter(&mut self, decision: Decision, features: Vec<f32>, now: Timestamp) {
        self.learner.decided(&decision, now);
        self.made.push(decision);
        self.contexts.push((features, now));
    }
}

/// Dearer and dearer, the first one free.
fn prices(count: usize) -> Vec<slarouter_core::ModelSpec> {
    let prices: Vec<f64> = (0..count).map(|i| i as f64 * 0.75).collect();
    models(&prices)
}

fn pick<T>(all: &[T], of: usize) -> Option<&T> {
    all.get(of.checked_rem(all.len())?)
}
