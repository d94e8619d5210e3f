//! Simulated users who rate more or less often as they are satisfied, auditors, and a stream of their answers.

use rand_core::Rng;
use slarouter_core::{
    AnyPolicy, Certificate, Context, DecisionId, Feedback, Learner, Outcome, Rater, Rating, RouteSpec, Source,
    Timestamp, decision_rng, uniform,
};

/// Probability with which model m satisfies a prompt of kind k: the cheap one is good at the first kind only.
pub(crate) const SKILL: [[f64; 4]; 4] =
    [[0.92, 0.35, 0.25, 0.2], [0.93, 0.85, 0.45, 0.3], [0.94, 0.9, 0.85, 0.5], [0.96, 0.95, 0.94, 0.92]];
pub(crate) const PRICES: [f64; 4] = [0.1, 0.5, 2.0, 10.0];
/// Milliseconds between two requests: 4,000 a day.
const PACE_MS: u64 = 21_600;

/// The name under which a user rates, of a number uniform in \[0, 1\).
pub(crate) type Crowd = fn(f64) -> u64;

/// What happens on a route.
#[derive(Clone)]
pub(crate) struct Stream {
    pub(crate) spec: RouteSpec,
    pub(crate) requests: u64,
    /// Probability with which a satisfied user rates.
    pub(crate) happy: f64,
    /// Probability with which another one does.
    pub(crate) unhappy: f64,
    /// Who rates; else they have no name.
    pub(crate) crowd: Option<Crowd>,
    pub(crate) poisoner: Option<Poisoner>,
}

/// One who rates every answer of a model down, from some request on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Poisoner {
    pub(crate) model: usize,
    pub(crate) from: u64,
    /// Names used by turns.
    pub(crate) names: u64,
}

/// How it went.
pub(crate) struct Run {
    pub(crate) learner: Learner,
    /// Mean true satisfaction.
    pub(crate) realised: f64,
    /// Cost as a share of the most expensive model's.
    pub(crate) cost: f64,
    /// Requests by model, of the second half.
    pub(crate) mix: [u64; 4],
    pub(crate) audits: u64,
    pub(crate) ratings: u64,
    pub(crate) certificate: Certificate,
    /// Whether the truth ever lay outside the certificate; looked at whenever the stream has grown by 5 %.
    pub(crate) missed: bool,
}

impl Run {
    pub(crate) fn offset(&self) -> Option<f64> {
        let AnyPolicy::Certified(policy) = self.learner.router().policy() else { return None };
        policy.rating_bias()
    }
}

impl Stream {
    pub(crate) fn run(&self, seed: u64) -> Run {
        let mut learner = Learner::new(self.spec.clone(), 8, 1).unwrap();
        let (mut satisfied, mut spent, mut most_expensive) = (0.0, 0.0, 0.0);
        let (mut mix, mut audits, mut ratings, mut order) = ([0; 4], 0, 0, 0);
        let (mut missed, mut look) = (false, 100);
        for t in 0..self.requests {
            let (id, at) = (DecisionId(t.into()), Timestamp(t * PACE_MS));
            let mut world = decision_rng(!seed, id);
            let kind = (world.next_u64() % 4) as usize;
            // The kind, in one feature each, and four features of noise.
            let mut features = [0.0; 8];
            features[kind] = 1.0;
            features[4..].fill_with(|| uniform(&mut world) as f32 - 0.5);
            let input_tokens = 50.0 + 500.0 * uniform(&mut world);
            let context = Context { features: &features, input_tokens, excluded: &[] };
            let decision = learner.router().decide(&context, &mut decision_rng(seed, id)).unwrap();
            let draw = learner.router().draw_audit(seed, id, &decision);
            learner.decided(&decision, at);
            let cost = |model: usize| PRICES[model] * (input_tokens + 200.0) / 1e6;
            let (model, chosen) = (&*decision.choice().model, decision.chosen);
            let (ok, output_tokens, pinned) = (true, Some(200.0), false);
            let outcome = Outcome { model, ok, input_tokens: None, output_tokens, cost: cost(chosen), pinned };
            learner.finished(&outcome).unwrap();
            let s = f64::from(u8::from(uniform(&mut world) < SKILL[chosen][kind]));
            (satisfied, spent, most_expensive) = (satisfied + s, spent + cost(chosen), most_expensive + cost(3));
            mix[chosen] += u64::from(2 * t >= self.requests);
            let rates = uniform(&mut world) < if s == 1.0 { self.happy } else { self.unhappy };
            let mut words = Vec::new();
            if rates {
                let name = self.crowd.map_or(0, |crowd| crowd(uniform(&mut world)));
                words.push((Source::User, Rater(name), s));
                ratings += 1;
            }
            if let Some(Poisoner { names, .. }) = self.poisoner.filter(|p| chosen == p.model && t >= p.from) {
                words.push((Source::User, Rater(1_000_000 + t % names), 0.0));
            }
            if draw.drawn {
                words.push((Source::Audit, Rater(0), s));
                audits += 1;
            }
            for (source, rater, s) in words {
                order += 1;
                let feedback = Feedback {
                    decision: id,
                    decided_at: at,
                    model,
                    reason: decision.reason,
                    features: &features,
                    predicted: decision.choice().satisfaction,
                    source,
                    rater,
                    rating: Some(Rating::new(s).unwrap()),
                    order,
                };
                learner.observe(&feedback, at).unwrap();
            }
            if t + 1 == self.requests || t == look {
                look += look / 20;
                let (seen, truth) = (learner.router().certificate().unwrap(), satisfied / (t + 1) as f64);
                missed |= truth < seen.lower - 1e-9 || truth > seen.upper + 1e-9;
            }
        }
        let certificate = learner.router().certificate().unwrap();
        let (realised, cost) = (satisfied / self.requests as f64, spent / most_expensive);
        Run { learner, realised, cost, mix, audits, ratings, certificate, missed }
    }
}
