//! Several SLAs over one zoo: each keeps its own, all learn from everything.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

#[path = "common/route.rs"]
mod route;

use rand_core::Rng;
use slarouter_core::{
    AnyPolicy, Context, Decision, DecisionId, Example, Feedback, Knowledge, Learner, ModelSpec, Outcome, PolicySpec,
    Rater, Rating, Reason, RouteSpec, Source, Timestamp, Zoo, decision_rng, uniform,
};

/// Probability with which model m satisfies a prompt of kind k.
const SKILL: [[f64; 3]; 3] = [[0.92, 0.4, 0.3], [0.93, 0.9, 0.5], [0.96, 0.95, 0.93]];
const PRICES: [f64; 3] = [0.1, 1.0, 10.0];
const DIM: usize = 3;

/// One route with its own α, and what came of it.
struct Tenant {
    learner: Learner,
    requests: u64,
    satisfied: f64,
    cost: f64,
}

fn certified() -> PolicySpec {
    PolicySpec::parse("certified").unwrap()
}

fn zoo() -> Vec<ModelSpec> {
    route::models(&PRICES)
}

fn tenant(alpha: f64, models: Vec<ModelSpec>) -> Tenant {
    Tenant { learner: route::learner(models, alpha, certified(), DIM), requests: 0, satisfied: 0.0, cost: 0.0 }
}

impl Tenant {
    /// Request `id`, of a kind that follows from `id`, rated with probability `labelled`.
    fn serve(&mut self, seed: u64, id: u64, labelled: f64) -> Decision {
        let (key, now) = (DecisionId(id.into()), Timestamp(id));
        let mut world = decision_rng(!seed, key);
        let kind = (world.next_u64() % 3) as usize;
        let mut features = [0.0; DIM];
        features[kind] = 1.0;
        let context = Context { features: &features, input_tokens: 100.0, excluded: &[] };
        let decision = self.learner.router().decide(&context, &mut decision_rng(seed, key)).unwrap();
        self.learner.decided(&decision, now);
        let model = &*decision.choice().model;
        let place: usize = model[1..].parse().unwrap();
        let cost = PRICES[place] * 300.0 / 1e6;
        let (input_tokens, output_tokens) = (None, Some(200.0));
        self.learner.finished(&Outcome { model, ok: true, input_tokens, output_tokens, cost, pinned: false }).unwrap();
        let s = f64::from(u8::from(uniform(&mut world) < SKILL[place][kind]));
        self.requests += 1;
        self.satisfied += s;
        self.cost += cost;
        if uniform(&mut world) < labelled {
            let feedback = Feedback {
                decision: key,
                decided_at: now,
                model,
                reason: decision.reason,
                features: &features,
                predicted: decision.choice().satisfaction,
                source: Source::User,
                rater: Rater(0),
                rating: Some(Rating::new(s).unwrap()),
                order: id,
            };
            self.learner.observe(&feedback, now).unwrap();
        }
        decision
    }

    fn take_over(&mut self, other: &Self) {
        assert!(self.learner.adopt(&other.learner.router().knowledge().unwrap()));
    }

    fn satisfaction(&self) -> f64 {
        self.satisfied / self.requests as f64
    }
}

fn bytes(learner: &Learner) -> Vec<u8> {
    learner.router().knowledge().unwrap().to_bytes().unwrap()
}

#[test]
fn knowledge_goes_by_name_and_is_complete() {
    let mut first = tenant(0.8, zoo());
    (0..400).for_each(|id| drop(first.serve(1, id, 0.5)));

    // The other way round, and without the middle one.
    let mut second = tenant(0.6, zoo().into_iter().rev().filter(|model| &*model.name != "m1").collect());
    second.take_over(&first);
    assert_eq!(bytes(&second.learner), bytes(&first.learner), "what the second has no use for is kept for others");
    let mut third = tenant(0.6, zoo());
    third.take_over(&second);
    assert_eq!(bytes(&third.learner), bytes(&first.learner));

    // Equal predictions, in whatever order; neither second nor third has seen a label that could correct them.
    let context = Context { features: &[0.0, 1.0, 0.0], input_tokens: 100.0, excluded: &[] };
    let judge = |tenant: &Tenant| {
        let decision = tenant.learner.router().decide(&context, &mut decision_rng(0, DecisionId(0))).unwrap();
        decision.candidates.into_iter().map(|c| (c.model.to_string(), c.satisfaction, c.cost)).collect::<Vec<_>>()
    };
    let (second, third) = (judge(&second), judge(&third));
    assert_eq!((&second[0], &second[1]), (&third[2], &third[0]));
    assert!(third[2].1 > third[0].1 + 0.2, "it is knowledge: {third:?}");

    // Accounts are nobody else's business.
    assert_eq!(first.learner.account().labels, first.learner.router().certificate().unwrap().labels);
}

#[test]
fn a_state_without_knowledge_is_whole_again_with_it() {
    let mut first = tenant(0.8, zoo());
    let mut second = tenant(0.6, zoo().into_iter().filter(|model| &*model.name != "m2").collect());
    for id in 0..300 {
        first.serve(1, 2 * id, 0.5);
        second.take_over(&first);
        second.serve(1, 2 * id + 1, 0.5);
        first.take_over(&second);
    }
    let knowledge = bytes(&first.learner);
    for tenant in [&first, &second] {
        let light = tenant.learner.clone().without_knowledge().to_bytes().unwrap();
        let whole = tenant.learner.to_bytes().unwrap();
        assert!(light.len() + knowledge.len() / 2 < whole.len(), "{} of {}", light.len(), whole.len());
        let mut restored: Learner = Learner::from_bytes(&light).unwrap();
        assert!(restored.adopt(&Knowledge::from_bytes(&knowledge).unwrap()));
        assert_eq!(restored.to_bytes().unwrap(), whole);
    }
}

#[test]
fn what_cannot_be_used_changes_nothing() {
    let mut first = tenant(0.8, zoo());
    (0..100).for_each(|id| drop(first.serve(1, id, 0.5)));
    let knowledge = first.learner.router().knowledge().unwrap();
    let mut other_policy = route::learner(zoo(), 0.8, PolicySpec::parse("slarouter").unwrap(), DIM);
    let mut other_features = route::learner(zoo(), 0.8, certified(), DIM + 1);
    let mut recluse = Learner::new(RouteSpec { alone: true, ..route::spec(zoo(), 0.8, certified()) }, DIM, 1).unwrap();
    assert!(!recluse.shares() && recluse.router().knowledge().is_none());
    for learner in [&mut other_policy, &mut other_features, &mut recluse] {
        let before = learner.clone();
        assert!(!learner.adopt(&knowledge));
        assert_eq!(*learner, before);
    }
    assert!(!other_policy.shares() && other_policy.router().knowledge().is_none());
}

/// Judged answers of every model to `count` prompts, by these skills.
fn examples(skill: &[[f64; 3]; 3], count: u64) -> Vec<Example> {
    let mut world = decision_rng(77, DecisionId(0));
    let mut judged = Vec::new();
    for _ in 0..count {
        let kind = (world.next_u64() % 3) as usize;
        let mut features = vec![0.0; DIM];
        features[kind] = 1.0;
        for (model, skill) in skill.iter().enumerate() {
            let satisfaction = f64::from(u8::from(uniform(&mut world) < skill[kind]));
            judged.push(Example { features: features.clone(), model, satisfaction });
        }
    }
    judged
}

fn trained(skill: &[[f64; 3]; 3], count: u64) -> Knowledge {
    let zoo = Zoo::new(zoo()).unwrap();
    Knowledge::train(&zoo, (DIM, 1), &examples(skill, count), 50.0).unwrap()
}

#[test]
fn examples_that_cannot_be_learnt_from_are_refused() {
    let zoo = Zoo::new(zoo()).unwrap();
    let good = Example { features: vec![0.0; DIM], model: 0, satisfaction: 1.0 };
    for bad in [
        Example { features: vec![0.0; DIM + 1], ..good.clone() },
        Example { features: vec![f32::NAN; DIM], ..good.clone() },
        Example { model: 3, ..good.clone() },
        Example { satisfaction: f64::NAN, ..good.clone() },
        Example { satisfaction: 1.5, ..good.clone() },
    ] {
        assert!(Knowledge::train(&zoo, (DIM, 1), &[good.clone(), bad.clone()], 50.0).is_err(), "{bad:?}");
    }
    assert_eq!(Knowledge::train(&zoo, (DIM, 1), &[], 50.0).unwrap().labels(), 0);
}

#[test]
fn a_warm_start_is_for_those_who_know_nothing() {
    let knowledge = trained(&SKILL, 500);
    let mut fresh = tenant(0.8, zoo());
    assert!(fresh.learner.begin_with(&knowledge));
    assert!(!fresh.learner.begin_with(&knowledge), "it knows something now");
    // One who learns alone may begin with it as well; one with other features may not.
    let alone = RouteSpec { alone: true, ..route::spec(zoo(), 0.8, certified()) };
    assert!(Learner::new(alone, DIM, 1).unwrap().begin_with(&knowledge));
    assert!(!route::learner(zoo(), 0.8, certified(), DIM + 1).begin_with(&knowledge));
}

/// With judged answers of the same kind the first thousand requests are cheap; with answers that say the opposite of the truth
/// the users' own labels overrule them.
#[test]
fn a_warm_start_saves_the_start_and_is_overruled_where_it_is_wrong() {
    let upside_down = [SKILL[2], SKILL[1], SKILL[0]];
    let (mut cold_cost, mut warm_cost) = (0.0, 0.0);
    for seed in 0..8 {
        let run = |knowledge: Option<&Knowledge>, length: u64| {
            let mut tenant = tenant(0.8, zoo());
            assert!(knowledge.is_none_or(|knowledge| tenant.learner.begin_with(knowledge)));
            (0..length).for_each(|id| drop(tenant.serve(seed, id, 0.1)));
            tenant
        };
        let right = trained(&SKILL, 2_000);
        let (cold, warm) = (run(None, 1_000), run(Some(&right), 1_000));
        let wrong = run(Some(&trained(&upside_down, 2_000)), 8_000);
        let parts = [&cold, &warm, &wrong].map(|tenant| (tenant.satisfaction(), tenant.cost));
        println!("seed {seed}: cold, warm, wrong: {parts:.4?}");
        // 1,000 answers: three standard deviations of a mean.
        assert!(warm.satisfaction() >= 0.8 - 3.0 * (0.8_f64 * 0.2 / 1_000.0).sqrt(), "{parts:?}");
        assert!(wrong.satisfaction() >= 0.8 - 0.015, "{parts:?}");
        cold_cost += cold.cost;
        warm_cost += warm.cost;
    }
    println!("first thousand: {warm_cost:.4} warm, {cold_cost:.4} cold");
    assert!(warm_cost < 0.7 * cold_cost, "{warm_cost} against {cold_cost}");
}

/// What is known of the models from elsewhere is enough for a price, and the safe start ends with the fifth request.
#[test]
fn after_a_warm_start_no_request_is_decided_without_a_price() {
    let known = trained(&SKILL, 2_000);
    for seed in 0..8 {
        let mut tenant = tenant(0.8, zoo());
        assert!(tenant.learner.begin_with(&known));
        let reasons: Vec<_> = (0..12)
            .map(|id| {
                let reason = tenant.serve(seed, id, 0.0).reason;
                let AnyPolicy::Certified(policy) = tenant.learner.router().policy() else { unreachable!() };
                let price = policy.satisfaction_price();
                assert!(id < 4 || price > 0.0, "seed {seed}, request {id}: {reason:?} at {price}");
                reason
            })
            .collect();
        assert!(reasons[5..].contains(&Reason::Exploit), "seed {seed}: {reasons:?}");
    }
}

/// A small tenant of whose answers few are rated, beside a large one. By itself it stays with the fallback for long.
#[test]
fn a_small_tenant_profits_and_every_tenant_keeps_its_own_target() {
    let (mut shared, mut alone) = (0.0, 0.0);
    for seed in 0..8 {
        let mut large = tenant(0.7, zoo());
        let mut strict = tenant(0.9, zoo());
        let (mut small, mut lonely) = (tenant(0.75, zoo()), tenant(0.75, zoo()));
        for t in 0..6_000 {
            large.serve(seed, 4 * t, 0.2);
            strict.take_over(&large);
            strict.serve(seed, 4 * t + 1, 0.2);
            if t >= 3_000 && t % 5 == 0 {
                small.take_over(&strict);
                small.serve(seed, 4 * t + 2, 0.05);
                lonely.serve(seed, 4 * t + 2, 0.05);
                strict.take_over(&small);
            }
            large.take_over(&strict);
        }
        let parts = [&large, &strict, &small, &lonely].map(|tenant| (tenant.satisfaction(), tenant.cost));
        println!("seed {seed}: {parts:.4?}");
        // At assurance 95 % each run may miss by chance; by this much none does.
        assert!(large.satisfaction() >= 0.7 - 0.01 && strict.satisfaction() >= 0.9 - 0.01, "{parts:?}");
        assert!(strict.cost > 2.0 * large.cost, "a stricter target costs more: {parts:?}");
        // 600 answers, some 30 of them rated: three standard deviations of a mean.
        assert!(small.satisfaction() >= 0.75 - 3.0 * (0.75_f64 * 0.25 / 600.0).sqrt(), "{parts:?}");
        shared += small.cost;
        alone += lonely.cost;
    }
    println!("small tenant: {shared:.4} sharing, {alone:.4} alone");
    assert!(shared < 0.8 * alone, "{shared} against {alone}");
}
