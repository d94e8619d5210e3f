//! A route that is only observed: who serves, what is planned, and what is kept when it is switched on.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use slarouter_core::policy::CertifiedParams;
use slarouter_core::{
    Alpha, Context, Decision, DecisionId, Feedback, Learner, ModelSpec, Policy, PolicySpec, Price, Rater, Rating,
    Reason, RouteSpec, Source, Timestamp, Zoo, decision_rng, uniform,
};

/// How often each model satisfies; the last one is the fallback.
const TRUTH: [f64; 3] = [0.6, 0.93, 0.98];

fn spec(exploration: f64, observe: bool) -> RouteSpec {
    let model = |(name, price)| ModelSpec::new(name, Price { input: price, output: price });
    let zoo = Zoo::new([("small", 0.1), ("mid", 0.3), ("large", 1.0)].map(model).into()).unwrap();
    let params = CertifiedParams { exploration, observe, ..CertifiedParams::default() };
    RouteSpec::new(Alpha::new(0.9).unwrap(), zoo, PolicySpec::Certified(params))
}

fn context<'a>(excluded: &'a [&'a str]) -> Context<'a> {
    Context { features: &[1.0], input_tokens: 1_000.0, excluded }
}

fn decide(learner: &Learner, n: u64, excluded: &[&str]) -> Decision {
    learner.router().decide(&context(excluded), &mut decision_rng(3, DecisionId(u128::from(n)))).unwrap()
}

/// Decides these requests and has a half of the answers rated; what was decided.
fn serve(learner: &mut Learner, from: u64, to: u64) -> Vec<Decision> {
    let mut made = Vec::new();
    for n in from..to {
        let (id, at, decision) = (DecisionId(u128::from(n)), Timestamp(n), decide(learner, n, &[]));
        learner.decided(&decision, at);
        let mut users = decision_rng(77, id);
        if uniform(&mut users) < 0.5 {
            let satisfied = uniform(&mut users) < TRUTH[decision.chosen];
            let feedback = Feedback {
                decision: id,
                decided_at: at,
                model: &decision.choice().model,
                reason: decision.reason,
                features: &[1.0],
                predicted: decision.choice().satisfaction,
                source: Source::User,
                rater: Rater(0),
                rating: Some(Rating::new(f64::from(u8::from(satisfied))).unwrap()),
                order: n,
            };
            learner.observe(&feedback, at).unwrap();
        }
        made.push(decision);
    }
    made
}

fn observed(exploration: f64) -> Learner {
    Learner::new(spec(exploration, true), 1, 1).unwrap()
}

#[test]
fn the_fallback_serves_and_others_are_drawn_no_more_often_than_allowed() {
    let mut learner = observed(0.05);
    let made = serve(&mut learner, 0, 6_000);
    for decision in &made {
        let others: f64 = decision.candidates[..2].iter().map(|c| c.probability).sum();
        let planned: f64 = decision.candidates[..2].iter().map(|c| c.planned).sum();
        assert!((others - planned.min(0.05)).abs() < 1e-12, "{decision:?}");
        for (sum, what) in
            [(decision.planned(|_| 1.0), "planned"), (others + decision.candidates[2].probability, "drawn")]
        {
            assert!((sum - 1.0).abs() < 1e-12, "{what} {sum}");
        }
        // What is drawn is drawn as the plan would, so that it tells what the plan would have given.
        let [small, mid] = [0, 1].map(|place| decision.candidates[place].probability * planned / others.max(1e-300));
        assert!(
            (small - decision.candidates[0].planned).abs() < 1e-9
                && (mid - decision.candidates[1].planned).abs() < 1e-9
        );
        let expected = if decision.chosen == 2 { Reason::Fallback } else { Reason::Explore };
        assert_eq!(decision.reason, expected);
    }
    let explored = made.iter().filter(|decision| decision.chosen != 2).count();
    // Of 6,000 with 5 %: 300 ± 5 standard deviations.
    assert!((215..=385).contains(&explored), "{explored}");
}

#[test]
fn with_nothing_to_spend_the_fallback_alone_serves_and_the_plan_is_seen_all_the_same() {
    let mut learner = observed(0.0);
    for decision in serve(&mut learner, 0, 1_000) {
        assert_eq!((decision.chosen, decision.propensity(), decision.is_observed()), (2, 1.0, true));
    }
}

/// The fallback earns 0.08 an answer. To plan with that would be to plan what cannot be kept up: the cheapest model for everything.
#[test]
fn what_the_fallback_earned_is_not_planned_with() {
    let mut learner = observed(0.05);
    let late = &serve(&mut learner, 0, 8_000)[4_000..];
    let mean = |of: &dyn Fn(&Decision) -> f64| late.iter().map(of).sum::<f64>() / late.len() as f64;
    let truth = |d: &Decision| d.candidates.iter().zip(TRUTH).map(|(c, truth)| c.planned * truth).sum::<f64>();
    let (satisfied, cost) = (mean(&truth), mean(&|d| d.planned(|c| c.cost) / d.candidates[2].cost));
    // By predictions that rest on few labels of the small model; with the surplus it would be chosen for everything.
    assert!(satisfied > 0.885, "planned answers satisfy at {satisfied}");
    assert!(cost < 0.6, "it is seen that a cheaper mix does: {cost}");
}

#[test]
fn where_the_fallback_cannot_be_asked_the_most_satisfying_model_serves() {
    let mut learner = observed(0.05);
    serve(&mut learner, 0, 3_000);
    let decision = decide(&learner, 9_999, &["large"]);
    assert_eq!((decision.chosen, decision.propensity(), decision.reason), (1, 1.0, Reason::Fallback));
    assert!((decision.planned(|_| 1.0) - 1.0).abs() < 1e-12 && decision.candidates[2].planned == 0.0);
}

#[test]
fn switched_on_it_knows_the_models_and_begins_a_new_account() {
    let mut learner = observed(0.05);
    serve(&mut learner, 0, 3_000);
    let believed = learner.router().policy().believed();
    assert_eq!(learner.router().certificate().unwrap().requests, 3_000);
    learner.reconfigure(spec(0.05, false)).unwrap();
    assert_eq!(learner.router().certificate().unwrap().requests, 0, "the fallback's surplus is not there to be spent");
    let after = learner.router().policy().believed().unwrap();
    for (before, after) in believed.unwrap().iter().zip(&after) {
        assert!((before.doubt - after.doubt).abs() < 0.1 * before.doubt, "what was learnt of the models stays");
    }
    let made = serve(&mut learner, 3_000, 4_000);
    assert!(made.iter().all(|decision| !decision.is_observed()));
    let mid = made.iter().filter(|decision| decision.chosen == 1).count();
    assert!(mid > 300, "it saves at once: {mid}");
    learner.reconfigure(spec(0.05, true)).unwrap();
    assert_eq!(learner.router().certificate().unwrap().requests, 0, "nor the other way round");
}

/// States are older than observing: who saves one notes it beside.
#[test]
fn the_state_is_saved_without_it_and_goes_on_with_it() {
    let mut learner = observed(0.05);
    serve(&mut learner, 0, 500);
    let bytes = learner.to_bytes().unwrap();
    let mut again = Learner::from_bytes(&bytes).unwrap();
    assert!(!again.router().spec().is_observed());
    again.observe_on();
    assert!(again == learner && again.router().spec().is_observed());
    assert_eq!(decide(&again, 77, &[]), decide(&learner, 77, &[]));
    // A configuration in the log says it.
    let text = serde_json::to_string(&spec(0.05, true)).unwrap();
    assert_eq!(serde_json::from_str::<RouteSpec>(&text).unwrap(), spec(0.05, true));
    assert!(!serde_json::to_string(&spec(0.05, false)).unwrap().contains("observe"), "as it always was");
}
