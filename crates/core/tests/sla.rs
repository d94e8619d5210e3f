//! The algorithm against figures worked out by hand, and against its guarantee on a simulated stream.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

#[path = "common/route.rs"]
mod route;

use rand_core::Rng;
use route::models;
use slarouter_core::policy::{CertifiedParams, SlaRouterParams};
use slarouter_core::{
    AnyPolicy, Change, Context, DecisionId, Feedback, Learner, LogisticHead, Outcome, Policy, PolicySpec, Rater,
    Rating, Source, Status, Timestamp, VirtualQueue, decision_rng, uniform,
};

fn slarouter(params: SlaRouterParams) -> PolicySpec {
    PolicySpec::SlaRouter(params)
}

#[test]
fn exploration_decays_with_the_fourth_root() {
    let mut learner = route::learner(models(&[1.0, 2.0]), 0.8, slarouter(SlaRouterParams::default()), 0);
    let context = Context { features: &[], input_tokens: 1.0, excluded: &[] };
    let decision = learner.router().decide(&context, &mut decision_rng(0, DecisionId(0))).unwrap();
    for t in 1..=10_000 {
        let expected = match t {
            1 => Some(0.1),
            16 => Some(0.05),
            10_000 => Some(0.01),
            _ => None,
        };
        let AnyPolicy::SlaRouter(policy) = learner.router().policy() else { panic!("another policy") };
        assert!(expected.is_none_or(|p: f64| (policy.exploration() - p).abs() < 1e-15), "t = {t}");
        learner.decided(&decision, Timestamp(0));
    }
    let always = SlaRouterParams { c: 7.0, ..SlaRouterParams::default() };
    let learner = route::learner(models(&[1.0, 2.0]), 0.8, slarouter(always), 0);
    let decision = learner.router().decide(&context, &mut decision_rng(0, DecisionId(0))).unwrap();
    assert_eq!(decision.candidates.iter().map(|c| c.probability).collect::<Vec<_>>(), [0.5, 0.5]);
}

#[test]
fn the_queue_takes_one_label() {
    // (before, old label, new label, after) at α = 3/4.
    for (before, old, new, after) in [
        (0.5, None, Some(0.0), 1.25),
        (0.5, None, Some(1.0), 0.25),
        (0.125, None, Some(1.0), 0.0),
        (1.25, Some(0.0), Some(1.0), 0.25),
        (1.25, Some(0.0), None, 0.5),
        (0.25, Some(1.0), None, 0.5),
    ] {
        let mut queue = VirtualQueue::new(before);
        queue.update(0.75, Change { old, new });
        assert_eq!(queue.get(), after, "{before} {old:?} {new:?}");
    }
}

#[test]
fn a_head_takes_one_step_down_the_gradient() {
    let x = [2.0, -1.0];
    let mut head = LogisticHead::new(2, 0.5);
    assert_eq!(head.predict(&x), 0.5);
    // η (s − ŝ) = 0.1 · 0.5, so w = (0.1, −0.05), b = 0.05, and w·x + b = 0.3.
    head.learn(&x, 1.0, 0.1);
    assert!((head.predict(&x) - 0.574_442_516_811_659).abs() < 1e-14);
    // At (0, 2): −0.1 + 0.05.
    assert!((head.predict(&[0.0, 2.0]) - 0.487_502_603_515_79).abs() < 1e-14);
    // The label becomes 0: η (0 − 1) on top, so w = (−0.1, 0.05), b = −0.05, and w·x + b = −0.3.
    head.relabel(&x, 1.0, 0.0, 0.1);
    assert!((head.predict(&x) - 0.425_557_483_188_341).abs() < 1e-14);
    assert_eq!(head.labels(), 1);
    head.unlearn(&x, 0.0, 0.1);
    assert_eq!(head.labels(), 0);
    // A prior is what an untaught head says everywhere.
    assert!((LogisticHead::new(2, 0.9).predict(&x) - 0.9).abs() < 1e-15);
}

/// V ĉ + Q (α − ŝ) with ĉ = (1/4, 1) of the most expensive and ŝ = (0.6, 0.9) at α = 0.8:
/// Q = 2 gives 0.25 + 0.4 = 0.65 against 1 − 0.2 = 0.8, Q = 4 gives 1.05 against 0.6; they meet at Q = 2.5.
#[test]
fn drift_plus_penalty_weighs_cost_against_the_queue() {
    for (initial_queue, v, scores, best) in
        [(2.0, 1.0, [0.65, 0.8], 0), (4.0, 1.0, [1.05, 0.6], 1), (4.0, 2.0, [1.3, 1.6], 0), (0.0, 1.0, [0.25, 1.0], 0)]
    {
        let mut zoo = models(&[1.0, 4.0]);
        (zoo[0].prior, zoo[1].prior) = (Some(0.6), Some(0.9));
        let params = SlaRouterParams { v, initial_queue, ..SlaRouterParams::default() };
        let learner = route::learner(zoo, 0.8, slarouter(params), 1);
        let context = Context { features: &[3.0], input_tokens: 1_000.0, excluded: &[] };
        let decision = learner.router().decide(&context, &mut decision_rng(0, DecisionId(0))).unwrap();
        for (i, candidate) in decision.candidates.iter().enumerate() {
            assert!((candidate.score - scores[i]).abs() < 1e-12, "Q = {initial_queue}: {}", candidate.score);
            let probability = if i == best { 0.95 } else { 0.05 };
            assert!((candidate.probability - probability).abs() < 1e-12);
        }
        // 1,000 tokens in and the prior 200 out, at 1 and 4 USD per million.
        assert!((decision.candidates[1].cost - 0.0048).abs() < 1e-15);
    }
}

#[test]
fn costs_are_scaled_by_the_most_expensive_seen_so_far() {
    let mut learner = route::learner(models(&[1.0, 4.0]), 0.8, slarouter(SlaRouterParams::default()), 0);
    let mut score = |input_tokens: f64| {
        let context = Context { features: &[], input_tokens, excluded: &[] };
        let decision = learner.router().decide(&context, &mut decision_rng(0, DecisionId(0))).unwrap();
        learner.decided(&decision, Timestamp(0));
        decision.candidates[1].score
    };
    assert_eq!([score(200.0), score(600.0), score(200.0)], [1.0, 1.0, 0.5]);
}

/// Probability with which model m satisfies a prompt of kind k: the cheap one is good at the first kind only.
const SKILL: [[f64; 4]; 4] =
    [[0.92, 0.35, 0.25, 0.2], [0.93, 0.85, 0.45, 0.3], [0.94, 0.9, 0.85, 0.5], [0.96, 0.95, 0.94, 0.92]];
const PRICES: [f64; 4] = [0.1, 0.5, 2.0, 10.0];
const LABELLED: f64 = 0.2;
const DELTA: f64 = 1e-9;

struct Stream {
    learner: Learner,
    satisfied: f64,
    /// Sum of (s − α)² over all answers.
    spread: f64,
    most_expensive_cost: f64,
}

/// `length` requests of four kinds; every answer is rated with probability [`LABELLED`], whatever it was like.
fn stream(policy: PolicySpec, alpha: f64, length: u64, seed: u64) -> Stream {
    let learner = route::learner(models(&PRICES), alpha, policy, 8);
    let mut stream = Stream { learner, satisfied: 0.0, spread: 0.0, most_expensive_cost: 0.0 };
    for t in 0..length {
        let mut world = decision_rng(!seed, DecisionId(t.into()));
        let kind = (world.next_u64() % 4) as usize;
        // The kind, in one feature each, and four features of noise.
        let mut features = [0.0; 8];
        features[kind] = 1.0;
        features[4..].fill_with(|| uniform(&mut world) as f32 - 0.5);
        let input_tokens = 50.0 + 500.0 * uniform(&mut world);
        let context = Context { features: &features, input_tokens, excluded: &[] };
        let learner = &mut stream.learner;
        let decision = learner.router().decide(&context, &mut decision_rng(seed, DecisionId(t.into()))).unwrap();
        learner.decided(&decision, Timestamp(t));
        let cost = |model: usize| learner_cost(PRICES[model], input_tokens);
        let model = &*decision.choice().model;
        let outcome = Outcome {
            model,
            ok: true,
            input_tokens: None,
            output_tokens: Some(200.0),
            cost: cost(decision.chosen),
            pinned: false,
        };
        stream.most_expensive_cost += cost(3);
        learner.finished(&outcome).unwrap();
        let s = f64::from(u8::from(uniform(&mut world) < SKILL[decision.chosen][kind]));
        stream.satisfied += s;
        stream.spread += (s - alpha).powi(2);
        if uniform(&mut world) < LABELLED {
            let feedback = Feedback {
                decision: DecisionId(t.into()),
                decided_at: Timestamp(t),
                model,
                reason: decision.reason,
                features: &features,
                predicted: decision.choice().satisfaction,
                source: Source::User,
                rater: Rater(0),
                rating: Some(Rating::new(s).unwrap()),
                order: t,
            };
            learner.observe(&feedback, Timestamp(t)).unwrap();
        }
    }
    stream
}

fn learner_cost(price: f64, input_tokens: f64) -> f64 {
    price * (input_tokens + 200.0) / 1e6
}

/// What can be said for certain, and what with probability 1 − δ:
///
/// 1. A queue that starts at 0 has Q_T ≥ Σ (α − s) over the labels, so their mean is at least α − Q_T/n. Always.
/// 2. With L_t = 1 where answer t is labelled, an independent coin of bias φ, Σ (L_t − φ)(s_t − α) is a martingale. Its steps
///    upwards are at most b = max(φα, (1 − φ)(1 − α)) and its variance is W = φ(1 − φ) Σ (s_t − α)². By Freedman's inequality it
///    exceeds ε = Lb/3 + √((Lb/3)² + 2Lw), L = ln(1/δ), while W ≤ w, with probability at most δ. Then
///    φT·(mean − α) ≥ Σ L_t (s_t − α) − ε ≥ −Q_T − ε.
///
/// Azuma–Hoeffding for labels alone would not do: which answers there are depends on the labels before.
#[test]
fn satisfaction_approaches_the_target_on_a_stationary_stream() {
    const T: u64 = 20_000;
    for (alpha, seed) in [(0.8, 1), (0.8, 2), (0.7, 3)] {
        let stream = stream(slarouter(SlaRouterParams::default()), alpha, T, seed);
        let (account, total) = (stream.learner.account(), T as f64);
        let queue = stream.learner.router().policy().queue().unwrap();
        let (labels, realised) = (account.labels as f64, stream.satisfied / total);
        println!(
            "α {alpha}: realised {realised:.4}, labelled {:.4}, Q {queue:.2}, labels {labels}, cost {:.3} of the most expensive",
            account.satisfied / labels,
            account.cost / stream.most_expensive_cost
        );

        assert!(account.satisfied / labels >= alpha - queue / labels - 1e-9);
        assert!(queue / labels < 0.02, "Q_T/n = {}", queue / labels);

        // w is fixed beforehand, for at most 35 % unsatisfactory answers; that it held is checked.
        let w = LABELLED * (1.0 - LABELLED) * total * 0.25;
        assert!(LABELLED * (1.0 - LABELLED) * stream.spread <= w);
        let log = (1.0 / DELTA).ln();
        let step = f64::max(LABELLED * alpha, (1.0 - LABELLED) * (1.0 - alpha)) * log / 3.0;
        let epsilon = step + (step * step + 2.0 * log * w).sqrt();
        let floor = alpha - (queue + epsilon) / (LABELLED * total);
        assert!(floor > alpha - 0.075, "the bound says something: {floor}");
        assert!(realised >= floor, "{realised} below {floor}");

        // It does not simply buy the most expensive, which satisfies 94 %.
        assert!(realised <= alpha + 0.05, "{realised}");
        assert!(account.cost < 0.6 * stream.most_expensive_cost, "{} of {}", account.cost, stream.most_expensive_cost);
    }
}

/// The certificate is the bound: at assurance 1 − 1e-6 a correct one is wrong in one of three streams with probability
/// at most 3e-6. That it says something, and what the mix costs, is deterministic given the seeds.
#[test]
fn certified_keeps_the_target_at_a_fraction_of_the_cost() {
    const T: u64 = 20_000;
    for (alpha, seed) in [(0.8, 1), (0.8, 2), (0.7, 3)] {
        let certified = PolicySpec::Certified(CertifiedParams { assurance: 1.0 - 1e-6, ..CertifiedParams::default() });
        let stream = stream(certified, alpha, T, seed);
        let account = stream.learner.account();
        let certificate = stream.learner.router().certificate().unwrap();
        let realised = stream.satisfied / T as f64;
        let share = account.cost / stream.most_expensive_cost;
        println!("α {alpha}: realised {realised:.4}, {certificate:?}, cost {share:.3} of the most expensive");
        assert!(certificate.lower <= realised && realised <= certificate.upper);
        assert!(certificate.lower >= alpha - 0.06, "{}", certificate.lower);
        // What an assurance as high as that keeps in hand: 0.03.
        assert!(realised >= alpha && realised <= alpha + 0.035, "{realised}");
        // The paper's policy pays more for the same streams: see the test above.
        assert!(share < 0.25, "{share}");
        assert_eq!(stream.learner.router().policy().is_feasible(), Some(true));
    }
}

/// No mixture reaches 0.99, as the best model satisfies 93 %: the most satisfying one has to serve, and the operator is told.
#[test]
fn certified_serves_the_best_model_when_the_target_is_out_of_reach() {
    let stream = stream(PolicySpec::parse("certified").unwrap(), 0.99, 4_000, 4);
    assert_eq!(stream.learner.router().policy().is_feasible(), Some(false));
    let status = stream.learner.router().status(None).unwrap();
    assert!(status <= Status::Broken, "{status:?}");
    let most_expensive = stream.learner.account().models["m3"].requests;
    assert!(most_expensive > 3_400, "{most_expensive} of 4,000 on the best model");
}

/// With nothing known the fallback serves, and says that it is one; nothing is decided on a single label.
#[test]
fn certified_starts_on_the_fallback() {
    let learner = route::learner(models(&PRICES), 0.8, PolicySpec::parse("certified").unwrap(), 0);
    let context = Context { features: &[], input_tokens: 10.0, excluded: &[] };
    let decision = learner.router().decide(&context, &mut decision_rng(0, DecisionId(0))).unwrap();
    let probabilities: Vec<f64> = decision.candidates.iter().map(|c| c.probability).collect();
    assert!((probabilities[3] - 0.7).abs() < 1e-12 && probabilities[..3].iter().all(|p| (p - 0.1).abs() < 1e-12));
    let named = PolicySpec::Certified(CertifiedParams {
        fallback: Some("m1".into()),
        exploration: 0.0,
        ..CertifiedParams::default()
    });
    let learner = route::learner(models(&PRICES), 0.8, named, 0);
    let decision = learner.router().decide(&context, &mut decision_rng(0, DecisionId(0))).unwrap();
    assert_eq!((&*decision.choice().model, decision.reason.as_str(), decision.propensity()), ("m1", "fallback", 1.0));
}
