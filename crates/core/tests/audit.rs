//! The draw for audit, and what turning audits on and off does.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

#[path = "common/route.rs"]
#[expect(dead_code, reason = "not every test file makes its routes in every way")]
mod route;

use route::models;
use slarouter_core::{
    AnyPolicy, AuditDraw, Context, DecisionId, Feedback, Learner, PolicySpec, Rater, Rating, Reason, RouteSpec, Source,
    SpecError, Timestamp, decision_rng, uniform,
};

const CONTEXT: Context<'static> = Context { features: &[1.0], input_tokens: 10.0, excluded: &[] };

fn spec(audit_rate: f64) -> RouteSpec {
    let certified = PolicySpec::parse("certified").unwrap();
    RouteSpec { audit_rate, ..route::spec(models(&[1.0, 2.0]), 0.8, certified) }
}

/// The share that is drawn, among all and among those whose model was drawn low or high. By Hoeffding's inequality a
/// share of n differs from its expectation by more than √(ln(2/δ)/2n) with probability at most δ; here δ = 1e-9 for each of 9.
#[test]
fn the_draw_has_its_rate_and_knows_nothing_of_the_other_draw() {
    const N: u128 = 40_000;
    for rate in [0.02, 0.5, 0.9] {
        let mut drawn = [(0_u64, 0_u64); 2];
        for id in (0..N).map(DecisionId) {
            let draw = AuditDraw::of(7, id, rate);
            assert_eq!((draw, draw.rate), (AuditDraw::of(7, id, rate), rate), "once and for all");
            let half = usize::from(uniform(&mut decision_rng(7, id)) < 0.5);
            drawn[half] = (drawn[half].0 + u64::from(draw.drawn), drawn[half].1 + 1);
        }
        let all = (drawn[0].0 + drawn[1].0, drawn[0].1 + drawn[1].1);
        for (hits, n) in [all, drawn[0], drawn[1]] {
            let bound = ((2.0_f64 / 1e-9).ln() / (2.0 * n as f64)).sqrt();
            let share = hits as f64 / n as f64;
            assert!((share - rate).abs() < bound, "{share} instead of {rate} ± {bound}");
        }
    }
    assert!((0..1_000).all(|id| !AuditDraw::of(0, DecisionId(id), 0.0).drawn));
    assert!((0..1_000).all(|id| AuditDraw::of(0, DecisionId(id), 1.0).drawn));
    assert!((0..64).any(|id| AuditDraw::of(1, DecisionId(id), 0.5) != AuditDraw::of(2, DecisionId(id), 0.5)));
}

#[test]
fn pinned_decisions_are_never_drawn_and_a_rate_must_be_a_probability() {
    let learner = Learner::new(spec(1.0), 1, 1).unwrap();
    let router = learner.router();
    let id = DecisionId(3);
    let decision = router.decide(&CONTEXT, &mut decision_rng(0, id)).unwrap();
    assert_eq!(router.draw_audit(0, id, &decision), AuditDraw { rate: 1.0, drawn: true });
    let pinned = router.pinned("m0", &CONTEXT).unwrap();
    assert_eq!(router.draw_audit(0, id, &pinned), AuditDraw::default());
    for wrong in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        let error = Learner::new(spec(wrong), 1, 1).unwrap_err();
        assert!(matches!(error, SpecError::Parameter { name: "audit_rate", .. }), "{error}");
    }
}

/// 30 requests; what `source` says of each.
fn live(learner: &mut Learner, from: u64, source: Source, rating: f64) {
    for n in from..from + 30 {
        let (id, at) = (DecisionId(n.into()), Timestamp(n));
        let decision = learner.router().decide(&CONTEXT, &mut decision_rng(0, id)).unwrap();
        learner.decided(&decision, at);
        let feedback = Feedback {
            decision: id,
            decided_at: at,
            model: &decision.choice().model,
            reason: Reason::Exploit,
            features: &[1.0],
            predicted: decision.choice().satisfaction,
            source,
            rater: Rater(0),
            rating: Some(Rating::new(rating).unwrap()),
            order: n,
        };
        learner.observe(&feedback, at).unwrap();
    }
}

fn predicted(learner: &Learner) -> f64 {
    learner.router().decide(&CONTEXT, &mut decision_rng(0, DecisionId(0))).unwrap().choice().satisfaction
}

fn bias(learner: &Learner) -> Option<f64> {
    let AnyPolicy::Certified(policy) = learner.router().policy() else { return None };
    policy.rating_bias()
}

#[test]
fn with_audits_on_only_they_are_believed() {
    let mut learner = Learner::new(spec(0.0), 1, 1).unwrap();
    live(&mut learner, 0, Source::User, 0.0);
    assert_eq!(bias(&learner), None);
    assert_eq!(learner.router().certificate().unwrap().labels, 30);
    let believed = predicted(&learner);
    assert!(believed < 0.2, "{believed}");

    // Until the first audit nothing is known that may be trusted, and the fallback serves.
    learner.reconfigure(spec(0.5)).unwrap();
    assert_eq!(bias(&learner), Some(0.0));
    let decision = learner.router().decide(&CONTEXT, &mut decision_rng(0, DecisionId(0))).unwrap();
    assert!((decision.candidates[1].probability - 0.7).abs() < 1e-12, "{:?}", decision.candidates);
    live(&mut learner, 100, Source::Audit, 1.0);
    assert!(predicted(&learner) > believed + 0.4, "{}", predicted(&learner));
    let held = learner.router().certificate().unwrap();
    live(&mut learner, 200, Source::User, 0.0);
    assert_eq!(learner.router().certificate().unwrap().labels, held.labels, "ratings do not count");
    assert!(bias(&learner).unwrap() < -1.0, "they say that the unhappy rate: {:?}", bias(&learner));
    assert!(predicted(&learner) > 0.6, "{}", predicted(&learner));

    // Off again: ratings are all there is.
    learner.reconfigure(spec(0.0)).unwrap();
    assert_eq!(bias(&learner), None);
    live(&mut learner, 300, Source::User, 0.0);
    assert!(predicted(&learner) < 0.5, "{}", predicted(&learner));
    assert_eq!(Learner::from_bytes(&learner.to_bytes().unwrap()).unwrap(), learner);
}
