//! What features lose to half precision, and that decisions do not feel it.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

#[path = "common/route.rs"]
mod route;

use slarouter_core::{
    Candidate, Context, Decision, DecisionId, Feedback, Learner, PolicySpec, Rater, Rating, Router, Source, Timestamp,
    decision_rng, half, uniform,
};

use crate::route::{learner, models};

const DIM: usize = 8;
const LESSONS: u64 = 4_000;
const DECISIONS: u64 = 20_000;
/// Relative error of a feature is at most 2⁻¹¹; a prediction moves by less than this.
const MOVED: f64 = 1e-3;

fn features(seed: u64, t: u64) -> Vec<f32> {
    let mut world = decision_rng(seed, DecisionId(t.into()));
    (0..DIM).map(|_| uniform(&mut world) as f32).collect()
}

fn decide<P: slarouter_core::Policy>(router: &Router<P>, features: &[f32], t: u64) -> Decision {
    let context = Context { features, input_tokens: 300.0, excluded: &[] };
    router.decide(&context, &mut decision_rng(8, DecisionId(t.into()))).unwrap()
}

/// A route of three models, of which the cheaper ones satisfy where the first feature is small.
fn trained() -> Learner {
    let mut learner = learner(models(&[0.1, 0.5, 10.0]), 0.8, PolicySpec::parse("certified").unwrap(), DIM);
    for t in 0..LESSONS {
        let features = features(6, t);
        let decision = decide(learner.router(), &features, t);
        learner.decided(&decision, Timestamp(t));
        let hard = f64::from(features[0]);
        let skill = [1.0 - hard, 1.0 - 0.5 * hard, 0.97][decision.chosen];
        let satisfied = uniform(&mut decision_rng(5, DecisionId(t.into()))) < skill;
        let feedback = Feedback {
            decision: DecisionId(t.into()),
            decided_at: Timestamp(t),
            model: &decision.choice().model,
            reason: decision.reason,
            features: &features,
            predicted: decision.choice().satisfaction,
            source: Source::User,
            rater: Rater(0),
            rating: Some(Rating::new(f64::from(u8::from(satisfied))).unwrap()),
            order: t,
        };
        learner.observe(&feedback, Timestamp(t)).unwrap();
    }
    learner
}

/// The same requests are decided as they are and rounded, with the same draws: predictions move by rounding alone, and another model is
/// chosen only where two were as good as each other, or the draw fell between the probabilities before and after.
#[test]
fn rounding_features_changes_no_decision_beyond_rounding() {
    let trained = trained();
    let (mut moved, mut others, mut chosen) = (0.0_f64, 0, [0; 3]);
    for t in 0..DECISIONS {
        let features = features(7, t);
        let rounded: Vec<f32> = features.iter().map(|x| half::round(*x)).collect();
        assert_ne!(features, rounded);
        let [before, after] = [&features, &rounded].map(|features| decide(trained.router(), features, t));
        let apart = |value: fn(&Candidate) -> f64| {
            let pairs = before.candidates.iter().zip(&after.candidates);
            pairs.map(|(a, b)| (value(a) - value(b)).abs()).fold(0.0, f64::max)
        };
        moved = moved.max(apart(|candidate| candidate.satisfaction));
        chosen[after.chosen] += 1;
        if before.chosen != after.chosen {
            others += 1;
            let [a, b] = [before.chosen, after.chosen].map(|place| &before.candidates[place]);
            let as_good = (a.score - b.score).abs() < 0.01 * a.score.abs().max(b.score.abs());
            assert!(as_good || apart(|candidate| candidate.probability) < 0.01, "{before:?}\n{after:?}");
        }
    }
    assert!(moved > 0.0 && moved < MOVED, "a prediction moved by {moved}");
    assert!(others <= DECISIONS / 500, "{others} of {DECISIONS} decisions were others");
    let often = chosen.iter().filter(|count| **count > DECISIONS / 100).count();
    assert!(often >= 2, "{chosen:?}: not much of a choice");
}
