//! What holds after any log of events, under every policy.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

#[path = "common/route.rs"]
mod route;
#[path = "common/run.rs"]
mod run;

use proptest::prelude::*;
use rand_core::Rng;
use run::{DIM, Run, any_alpha, any_policy, any_steps};
use slarouter_core::policy::SlaRouterParams;
use slarouter_core::{
    Context, CostModel, DecideError, DecisionId, Feedback, Learner, ModelSpec, ObserveError, Outcome, Policy,
    PolicySpec, Price, Rater, Rating, Reason, Router, Source, SpecError, Timestamp, Zoo, decision_rng, uniform,
};

const NOT_FINITE: [f64; 3] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];

fn context<'a>(features: &'a [f32], excluded: &'a [&'a str]) -> Context<'a> {
    Context { features, input_tokens: 100.0, excluded }
}

fn exploring(c: f64) -> PolicySpec {
    PolicySpec::SlaRouter(SlaRouterParams { c, ..SlaRouterParams::default() })
}

proptest! {
    #[test]
    fn invariants_hold_after_every_step(policy in any_policy(), alpha in any_alpha(), steps in any_steps(80)) {
        let mut run = Run::new(&policy, alpha);
        for step in &steps {
            run.play(step);
            let (router, account) = (run.learner.router(), run.learner.account());
            if let Some(queue) = router.policy().queue() {
                prop_assert!(queue >= 0.0 && queue.is_finite(), "queue {queue}");
            }
            prop_assert!(account.satisfied >= -1e-9 && account.satisfied <= account.labels as f64 + 1e-9);
            prop_assert_eq!(account.labels, account.models.values().map(|model| model.labels).sum::<u64>());
            prop_assert_eq!(account.requests, account.models.values().map(|model| model.requests).sum::<u64>());
        }
        for decision in &run.made {
            // A uniform draw has no best choice to exploit.
            prop_assert!(policy != PolicySpec::Random || decision.reason != Reason::Exploit);
            prop_assert!(decision.candidates.iter().all(|c| (0.0..=1.0).contains(&c.probability)));
            prop_assert!(decision.candidates.iter().all(|c| (0.0..=1.0).contains(&c.satisfaction)));
            prop_assert!(decision.candidates.iter().all(|c| c.cost.is_finite() && c.score.is_finite()));
            let sum: f64 = decision.candidates.iter().map(|c| c.probability).sum();
            prop_assert!((sum - 1.0).abs() < 1e-12, "sum {sum}");
            prop_assert!(decision.propensity() > 0.0);
            prop_assert_eq!(decision.alternatives().len() + 1, decision.candidates.len());
        }
    }

    #[test]
    fn same_seed_and_log_give_the_same(policy in any_policy(), alpha in any_alpha(), steps in any_steps(80)) {
        let (mut one, mut other) = (Run::new(&policy, alpha), Run::new(&policy, alpha));
        steps.iter().for_each(|step| one.play(step));
        steps.iter().for_each(|step| other.play(step));
        prop_assert_eq!(&one.made, &other.made);
        prop_assert_eq!(one.learner.to_bytes().unwrap(), other.learner.to_bytes().unwrap());
    }

    #[test]
    fn an_excluded_model_is_never_chosen(
        policy in any_policy(), steps in any_steps(40), out in prop::collection::vec(any::<bool>(), 4), seed in any::<u64>(),
    ) {
        let mut run = Run::new(&policy, 0.8);
        steps.iter().for_each(|step| run.play(step));
        let spec = route::spec(route::models(&[1.0; 4]), 0.8, policy);
        run.learner.reconfigure(spec).unwrap();
        let names = ["m0", "m1", "m2", "m3"];
        let excluded: Vec<&str> = names.into_iter().zip(&out).filter(|&(_, &out)| out).map(|(name, _)| name).collect();
        let decide = |excluded: &[&str]| {
            run.learner.router().decide(&context(&[0.25; DIM], excluded), &mut decision_rng(seed, DecisionId(9))).unwrap()
        };
        let decision = decide(&excluded);
        if excluded.len() == names.len() {
            let mut ignored = decision;
            // That they were excluded is kept for the log.
            prop_assert!(ignored.candidates.iter().all(|c| c.excluded));
            ignored.candidates.iter_mut().for_each(|c| c.excluded = false);
            prop_assert_eq!(ignored, decide(&[]), "with nothing left the list is ignored");
        } else {
            prop_assert!(!excluded.contains(&&*decision.choice().model));
            prop_assert!(decision.candidates.iter().all(|c| !excluded.contains(&&*c.model) || c.probability == 0.0));
        }
    }

    #[test]
    fn pinned_requests_change_nothing(policy in any_policy(), steps in any_steps(40), model in 0..4_usize) {
        let mut run = Run::new(&policy, 0.8);
        steps.iter().for_each(|step| run.play(step));
        let name = format!("m{model}");
        let Some(decision) = run.learner.router().pinned(&name, &context(&[1.0; DIM], &[&name])) else { return Ok(()) };
        prop_assert_eq!((&*decision.choice().model, decision.propensity(), decision.reason), (&*name, 1.0, Reason::Pinned));
        let before = run.learner.clone();
        run.learner.decided(&decision, Timestamp(0));
        prop_assert_eq!(&run.learner, &before);
        let cut = Outcome { model: &name, ok: false, input_tokens: None, output_tokens: Some(3.0), cost: 0.5, pinned: true };
        run.learner.finished(&cut).unwrap();
        prop_assert_eq!(&run.learner, &before);
        run.learner.observe(&feedback(&name, Reason::Pinned, &[1.0; DIM], 7), Timestamp(0)).unwrap();
        prop_assert_eq!(run.learner.router(), before.router());
    }
}

fn feedback<'a>(model: &'a str, reason: Reason, features: &'a [f32], decision: u128) -> Feedback<'a> {
    Feedback {
        decision: DecisionId(decision),
        decided_at: Timestamp(u64::MAX),
        model,
        reason,
        features,
        predicted: 0.5,
        source: Source::User,
        rater: Rater(0),
        rating: Some(Rating::new(1.0).unwrap()),
        order: 1,
    }
}

/// Frequencies of 100,000 draws against the vector. Hoeffding with a union over two sides and five models: a correct sampler
/// fails with probability 1e-9 per state.
#[test]
fn the_propensity_is_the_probability_sampled() {
    const DRAWS: u64 = 100_000;
    let bound = ((2.0 * 5.0 / 1e-9_f64).ln() / (2.0 * DRAWS as f64)).sqrt();
    for (policy, excluded) in [
        (exploring(0.7), vec![]),
        (exploring(0.7), vec!["m0", "m3"]),
        (exploring(5.0), vec![]),
        (PolicySpec::Random, vec!["m1"]),
        (PolicySpec::Cheapest, vec!["m0"]),
    ] {
        let learner = route::learner(route::models(&[1.0, 2.0, 3.0, 4.0, 5.0]), 0.8, policy, 2);
        let context = context(&[0.5, -0.5], &excluded);
        let mut counts = [0_u64; 5];
        let mut probabilities = [0.0; 5];
        for draw in 0..DRAWS {
            let decision = learner.router().decide(&context, &mut decision_rng(3, DecisionId(draw.into()))).unwrap();
            counts[decision.chosen] += 1;
            probabilities = std::array::from_fn(|i| decision.candidates[i].probability);
        }
        for (count, probability) in counts.into_iter().zip(probabilities) {
            let frequency = count as f64 / DRAWS as f64;
            assert!((frequency - probability).abs() <= bound, "{frequency} against {probability}, bound {bound}");
            assert!(probability > 0.0 || count == 0);
        }
    }
}

/// Computed by another implementation of ChaCha8. If this fails, decisions already logged can no longer be replayed.
#[test]
fn the_stream_of_draws_never_changes() {
    let id = DecisionId(0x0190_1234_5678_7abc_8def_0123_4567_89ab);
    let mut rng = decision_rng(7, id);
    let draws: [u64; 4] = std::array::from_fn(|_| rng.next_u64());
    assert_eq!(draws, [0xdd56_f0ca_401c_3fc9, 0x27f3_f36f_5123_c077, 0xd196_e7ad_4f73_4184, 0x047e_70e9_b6f6_8cff]);
    assert_eq!(uniform(&mut decision_rng(7, id)), 0.864_607_858_064_219);
    assert_ne!(decision_rng(8, id).next_u64(), draws[0]);
    assert_ne!(decision_rng(7, DecisionId(id.0 + 1)).next_u64(), draws[0]);
}

#[test]
fn bad_numbers_are_refused_and_change_nothing() {
    let mut learner = route::learner(route::models(&[1.0, 2.0]), 0.8, exploring(0.1), 3);
    let before = learner.to_bytes().unwrap();
    let mut rng = decision_rng(0, DecisionId(0));
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let features = [0.0, bad, 0.0];
        let refused = DecideError::Feature { index: 1 };
        assert_eq!(learner.router().decide(&context(&features, &[]), &mut rng), Err(refused.clone()));
        let rated = learner.observe(&feedback("m0", Reason::Exploit, &features, 1), Timestamp(1));
        assert_eq!(rated, Err(ObserveError::Features(refused)));
    }
    let short = DecideError::Dimension { expected: 3, got: 2 };
    assert_eq!(learner.router().decide(&context(&[0.0; 2], &[]), &mut rng), Err(short.clone()));
    let rated = learner.observe(&feedback("m0", Reason::Exploit, &[0.0; 2], 1), Timestamp(1));
    assert_eq!(rated, Err(ObserveError::Features(short)));
    for bad in NOT_FINITE.into_iter().chain([-1.0, 1.1e10]) {
        let request = Context { features: &[0.0; 3], input_tokens: bad, excluded: &[] };
        assert!(matches!(learner.router().decide(&request, &mut rng), Err(DecideError::Tokens(_))), "{bad}");
        let cost = Outcome { cost: bad, ..outcome("m0") };
        assert!(matches!(learner.finished(&cost), Err(ObserveError::Cost(_))), "{bad}");
        let input = Outcome { input_tokens: Some(bad), ..outcome("m0") };
        assert!(matches!(learner.finished(&input), Err(ObserveError::Tokens(_))), "{bad}");
        let output = Outcome { output_tokens: Some(bad), ..outcome("m0") };
        assert!(matches!(learner.finished(&output), Err(ObserveError::Tokens(_))), "{bad}");
        assert!(matches!(Rating::new(bad), Err(ObserveError::Rating(_))), "{bad}");
    }
    let babble = Outcome { output_tokens: Some(1.1e7), ..outcome("m0") };
    assert_eq!(learner.finished(&babble), Err(ObserveError::Tokens(1.1e7)));
    assert_eq!(Rating::new(1.0 + f64::EPSILON), Err(ObserveError::Rating(1.0 + f64::EPSILON)));
    assert_eq!(learner.to_bytes().unwrap(), before);
}

/// A whole answer that cost nothing and says nothing of its length.
fn outcome(model: &str) -> Outcome<'_> {
    Outcome { model, ok: true, input_tokens: None, output_tokens: None, cost: 0.0, pinned: false }
}

#[test]
fn prices_beyond_reason_are_refused_and_the_highest_do_not_overflow() {
    for bad in NOT_FINITE.into_iter().chain([-f64::MIN_POSITIVE, Price::MAX * 1.001, 1e300]) {
        for price in [Price { input: bad, output: 1.0 }, Price { input: 1.0, output: bad }] {
            let refused = Zoo::new(vec![ModelSpec::new("m", price)]).unwrap_err();
            assert!(matches!(refused, SpecError::Price { .. }), "{refused}");
            assert!(refused.to_string().contains("between 0 and 1000000 USD"), "{refused}");
        }
    }
    let mut learner = route::learner(route::models(&[Price::MAX, 0.0]), 0.8, exploring(0.1), 1);
    let most = (CostModel::MAX_INPUT_TOKENS, CostModel::MAX_OUTPUT_TOKENS);
    for _ in 0..3 {
        let cost = learner.router().zoo().models()[0].price.cost(most.0, most.1);
        let outcome = Outcome { input_tokens: Some(most.0), output_tokens: Some(most.1), cost, ..outcome("m0") };
        learner.finished(&outcome).unwrap();
    }
    let context = Context { features: &[1.0], input_tokens: most.0, excluded: &[] };
    let decision = learner.router().decide(&context, &mut decision_rng(0, DecisionId(0))).unwrap();
    assert!(decision.candidates.iter().all(|c| c.cost <= CostModel::MAX_COST && c.score.is_finite()));
}

#[test]
fn a_zoo_of_one_model_has_no_choice() {
    for name in ["slarouter", "random", "cheapest", "most-expensive", "fixed:m0"] {
        let policy = PolicySpec::parse(name).unwrap();
        assert_eq!(policy.to_string(), name);
        let mut learner = route::learner(route::models(&[3.0]), 1.0, policy, 1);
        for n in 0..200 {
            let decision = decide(learner.router(), n);
            assert_eq!((decision.0, decision.1), (0, 1.0), "{name}");
            learner.observe(&feedback("m0", Reason::Exploit, &[1.0], n), Timestamp(0)).unwrap();
        }
        assert_eq!(learner.account().satisfaction(), Some(1.0));
    }
}

fn decide(router: &Router, id: u128) -> (usize, f64) {
    let decision = router.decide(&context(&[1.0], &[]), &mut decision_rng(5, DecisionId(id))).unwrap();
    (decision.chosen, decision.propensity())
}

#[test]
fn models_come_and_go_with_their_heads() {
    let zoo = route::models(&[1.0, 2.0, 3.0]);
    let mut learner = route::learner(zoo.clone(), 0.8, exploring(0.0), 1);
    for n in 0..50 {
        learner.observe(&feedback("m1", Reason::Exploit, &[1.0], n), Timestamp(0)).unwrap();
    }
    let predictions = |learner: &Learner| -> Vec<(String, f64)> {
        let decision = learner.router().decide(&context(&[1.0], &[]), &mut decision_rng(5, DecisionId(0))).unwrap();
        decision.candidates.iter().map(|c| (c.model.to_string(), c.satisfaction)).collect()
    };
    let before = predictions(&learner);
    assert!(before[1].1 > 0.8 && before[0].1 == 0.5);

    // m1 leaves and m3 comes, in another order: heads go by name.
    let mut other = route::models(&[1.0, 2.0, 3.0, 4.0]);
    other.remove(1);
    other.reverse();
    learner.reconfigure(route::spec(other, 0.8, exploring(0.0))).unwrap();
    assert_eq!(predictions(&learner).iter().map(|(name, _)| &**name).collect::<Vec<_>>(), ["m3", "m2", "m0"]);
    assert!(predictions(&learner).iter().all(|&(_, satisfaction)| satisfaction == 0.5));

    // Its late feedback still counts, though no head learns.
    let queue = learner.router().policy().queue().unwrap();
    let late = Feedback { rating: Some(Rating::new(0.0).unwrap()), ..feedback("m1", Reason::Exploit, &[1.0], 99) };
    learner.observe(&late, Timestamp(0)).unwrap();
    assert_eq!((learner.account().labels, learner.account().models["m1"].labels), (51, 51));
    assert_eq!(learner.router().policy().queue().unwrap(), queue + 0.8);

    learner.reconfigure(route::spec(zoo, 0.8, exploring(0.0))).unwrap();
    assert_eq!(predictions(&learner), before);
}

#[test]
fn a_refused_configuration_leaves_the_old_one_in_force() {
    let mut learner = route::learner(route::models(&[1.0, 2.0]), 0.8, exploring(0.1), 1);
    let before = learner.to_bytes().unwrap();
    for policy in [exploring(f64::NAN), exploring(-1.0), PolicySpec::Fixed("m2".into())] {
        let spec = route::spec(route::models(&[1.0, 2.0]), 0.9, policy);
        assert!(Learner::new(spec.clone(), 1, 1).is_err());
        assert!(learner.reconfigure(spec).is_err());
    }
    assert_eq!(learner.to_bytes().unwrap(), before);
}

#[test]
fn free_models_are_told_apart_by_satisfaction_alone() {
    let mut learner = route::learner(route::models(&[0.0; 3]), 0.8, exploring(0.0), 1);
    assert_eq!(decide(learner.router(), 0), (0, 1.0), "all alike: the operator's first");
    for n in 0..20 {
        let (model, rating) = if n % 2 == 0 { ("m0", 0.0) } else { ("m2", 0.9) };
        let rating = Some(Rating::new(rating).unwrap());
        learner.observe(&Feedback { rating, ..feedback(model, Reason::Exploit, &[1.0], n) }, Timestamp(0)).unwrap();
    }
    assert_eq!(decide(learner.router(), 0), (2, 1.0));
    let decision = learner.router().decide(&context(&[1.0], &[]), &mut decision_rng(0, DecisionId(0))).unwrap();
    assert!(decision.candidates.iter().all(|c| c.cost == 0.0 && c.score.is_finite()));
}

#[test]
fn alpha_zero_buys_the_cheapest_and_alpha_one_never_relents() {
    for (alpha, rating, queue) in [(0.0, 0.0, 0.0), (1.0, 1.0, 10.0), (1.0, 0.0, 110.0)] {
        let params =
            SlaRouterParams { c: 0.0, initial_queue: if alpha == 0.0 { 0.0 } else { 10.0 }, ..Default::default() };
        let mut learner = route::learner(route::models(&[1.0, 9.0]), alpha, PolicySpec::SlaRouter(params), 1);
        for n in 0..100 {
            let rating = Some(Rating::new(rating).unwrap());
            learner.observe(&Feedback { rating, ..feedback("m0", Reason::Exploit, &[1.0], n) }, Timestamp(0)).unwrap();
        }
        assert_eq!(learner.router().policy().queue(), Some(queue));
        // Unsatisfactory m0 loses to the untried m1 only where somebody must be satisfied.
        assert_eq!(decide(learner.router(), 0).0, usize::from(alpha == 1.0 && rating == 0.0));
    }
}

#[test]
fn a_policy_of_ones_own_works_behind_a_box() {
    let spec = route::spec(route::models(&[1.0, 2.0]), 0.8, PolicySpec::Random);
    let learner = Learner::new(spec.clone(), 1, 1).unwrap();
    let boxed: Box<dyn Policy> = Box::new(learner.router().policy().clone());
    let boxed = Learner::with_policy(spec, boxed, 1, 1);
    for n in 0..100 {
        let mut rng = decision_rng(2, DecisionId(n));
        let decision = boxed.router().decide(&context(&[1.0], &[]), &mut rng).unwrap();
        let same = learner.router().decide(&context(&[1.0], &[]), &mut decision_rng(2, DecisionId(n))).unwrap();
        assert_eq!(decision, same);
    }
}
