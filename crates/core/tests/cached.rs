//! A prompt that a provider still has in its cache costs less there, and the decision knows it.

#[path = "common/route.rs"]
mod route;

use route::{learner, models};
use slarouter_core::policy::SlaRouterParams;
use slarouter_core::{Context, DecideError, Decision, DecisionId, PolicySpec, Router, Saving, decision_rng};

const CONTEXT: Context<'static> = Context { features: &[], input_tokens: 1_000.0, excluded: &[] };

fn decide(router: &Router, context: &Context<'_>, saving: Option<Saving<'_>>) -> Result<Decision, DecideError> {
    router.decide_with(context, saving.as_slice(), &mut decision_rng(7, DecisionId(3)))
}

/// Without a queue this policy looks at costs alone, and without exploration it draws nothing.
fn thrifty() -> PolicySpec {
    PolicySpec::SlaRouter(SlaRouterParams { c: 0.0, initial_queue: 0.0, ..SlaRouterParams::default() })
}

#[test]
fn a_saving_lowers_one_cost_and_can_turn_the_choice() {
    let learner = learner(models(&[1.0, 1.5]), 0.8, thrifty(), 0);
    let router = learner.router();
    let plain = decide(router, &CONTEXT, None).unwrap();
    assert_eq!(plain, router.decide(&CONTEXT, &mut decision_rng(7, DecisionId(3))).unwrap());
    assert_eq!((&*plain.choice().model, plain.candidates[1].saving), ("m0", 0.0));

    // 900 of the 1,000 tokens at a tenth of the price.
    let usd = 900.0 * 0.9 * 1.5 / 1e6;
    let cached = decide(router, &CONTEXT, Some(Saving { model: "m1", usd })).unwrap();
    assert_eq!(&*cached.choice().model, "m1");
    assert_eq!(cached.candidates[0].cost, plain.candidates[0].cost);
    assert_eq!((cached.candidates[1].cost, cached.candidates[1].saving), (plain.candidates[1].cost - usd, usd));

    // Too little to make up for the list price.
    let few = decide(router, &CONTEXT, Some(Saving { model: "m1", usd: usd / 9.0 })).unwrap();
    assert_eq!(&*few.choice().model, "m0");
}

#[test]
fn a_long_question_can_make_a_model_dearer_while_another_saves() {
    let learner = learner(models(&[1.0, 1.5, 1.2]), 0.8, thrifty(), 0);
    let router = learner.router();
    let savings = [Saving { model: "m0", usd: -1e-3 }, Saving { model: "m1", usd: 1e-3 }];
    let made = router.decide_with(&CONTEXT, &savings, &mut decision_rng(7, DecisionId(3))).unwrap();
    let plain = decide(router, &CONTEXT, None).unwrap();
    assert_eq!(&*made.choice().model, "m1");
    let changed: Vec<f64> = (0..3).map(|at| made.candidates[at].cost - plain.candidates[at].cost).collect();
    assert_eq!(made.candidates.iter().map(|candidate| candidate.saving).collect::<Vec<_>>(), [-1e-3, 1e-3, 0.0]);
    assert!((changed[0] - 1e-3).abs() < 1e-15 && (changed[1] + 1e-3).abs() < 1e-15 && changed[2] == 0.0, "{changed:?}");
}

#[test]
fn what_is_logged_of_a_decision_makes_it_again() {
    let policies = ["certified", "slarouter", "random", "cheapest", "most-expensive", "fixed:m1"];
    for policy in policies {
        let learner = learner(models(&[1.0, 2.0, 4.0]), 0.8, PolicySpec::parse(policy).unwrap(), 0);
        for (excluded, saving) in
            [(&[][..], Some(("m2", 1e-4))), (&["m0"][..], Some(("m1", 5e-4))), (&["m0", "m1", "m2"][..], None)]
        {
            let context = Context { excluded, ..CONTEXT };
            let saving = saving.map(|(model, usd)| Saving { model, usd });
            let made = decide(learner.router(), &context, saving).unwrap();
            let logged: Decision = serde_json::from_str(&serde_json::to_string(&made).unwrap()).unwrap();
            assert_eq!(logged, made);
            let excluded: Vec<&str> = logged.candidates.iter().filter(|c| c.excluded).map(|c| &*c.model).collect();
            let saving = logged.savings().first().copied();
            let again = decide(learner.router(), &Context { excluded: &excluded, ..CONTEXT }, saving).unwrap();
            assert_eq!(again, made, "{policy}");
        }
    }
}

#[test]
fn no_cost_is_below_nothing_and_no_saving_is_taken_that_is_none() {
    let learner = learner(models(&[1.0, 2.0]), 0.8, thrifty(), 0);
    let router = learner.router();
    let of = |usd: f64| decide(router, &CONTEXT, Some(Saving { model: "m1", usd }));
    let (plain, most) = (of(0.0).unwrap(), of(1e10).unwrap());
    assert_eq!((most.candidates[1].cost, most.candidates[1].saving), (0.0, plain.candidates[1].cost));
    assert!(of(-1e-3).unwrap().candidates[1].cost > plain.candidates[1].cost, "a cache may cost more");
    for none in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e11] {
        assert!(matches!(of(none), Err(DecideError::Saving(_))), "{none}");
    }
    let stranger = decide(router, &CONTEXT, Some(Saving { model: "gone", usd: 1.0 })).unwrap();
    assert_eq!(stranger, plain);
    // What older releases logged has neither.
    let json = serde_json::to_string(&plain).unwrap();
    assert!(!json.contains("saving") && !json.contains("excluded"), "{json}");
}
