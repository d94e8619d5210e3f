//! The operator's floor of exploration: what is drawn of every model, and what it may cost.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test may fail loudly")]

#[path = "common/route.rs"]
mod route;

use slarouter_core::policy::CertifiedParams;
use slarouter_core::{
    AnyPolicy, Context, Decision, DecisionId, Feedback, Learner, Outcome, PolicySpec, Rater, Rating, RouteSpec, Source,
    SpecError, Timestamp, decision_rng, uniform,
};

/// How often each model satisfies; the last one is the fallback.
const TRUTH: [f64; 3] = [0.7, 0.9, 0.95];
const PROMPT: [f32; 1] = [1.0];

fn policy(exploration: f64, exploration_floor: f64) -> PolicySpec {
    PolicySpec::Certified(CertifiedParams { exploration, exploration_floor, ..CertifiedParams::default() })
}

fn spec(prices: [f64; 3], exploration: f64, exploration_floor: f64) -> RouteSpec {
    route::spec(route::models(&prices), 0.8, policy(exploration, exploration_floor))
}

fn begun(prices: [f64; 3], exploration: f64, exploration_floor: f64) -> Learner {
    route::learner(route::models(&prices), 0.8, policy(exploration, exploration_floor), PROMPT.len())
}

/// Serves so many requests, every fifth of which is rated; what was decided after the first 500 with the share that the safeguard took,
/// and the mean cost.
fn serve(learner: &mut Learner, prices: [f64; 3], requests: u64) -> (Vec<(Decision, f64)>, f64) {
    let (mut made, mut paid) = (Vec::new(), 0.0);
    for n in 0..requests {
        let (id, at) = (DecisionId(n.into()), Timestamp(n));
        let AnyPolicy::Certified(policy) = learner.router().policy() else { panic!("another policy") };
        let safeguarded = policy.grounds(&PROMPT).safeguarded;
        let context = Context { features: &PROMPT, input_tokens: 100.0, excluded: &[] };
        let decision = learner.router().decide(&context, &mut decision_rng(5, id)).unwrap();
        learner.decided(&decision, at);
        let (place, model) = (decision.chosen, &*decision.choice().model);
        let outcome = Outcome {
            model,
            ok: true,
            input_tokens: None,
            output_tokens: Some(200.0),
            cost: prices[place],
            pinned: false,
        };
        learner.finished(&outcome).unwrap();
        paid += prices[place] / requests as f64;
        let mut users = decision_rng(77, id);
        let satisfied = uniform(&mut users) < TRUTH[place];
        if uniform(&mut users) < 0.2 {
            let feedback = Feedback {
                decision: id,
                decided_at: at,
                model,
                reason: decision.reason,
                features: &PROMPT,
                predicted: decision.choice().satisfaction,
                source: Source::User,
                rater: Rater(0),
                rating: Some(Rating::new(f64::from(u8::from(satisfied))).unwrap()),
                order: n,
            };
            learner.observe(&feedback, at).unwrap();
        }
        if n >= 500 {
            made.push((decision, safeguarded));
        }
    }
    (made, paid)
}

/// The prices are so near each other that the bill of exploration pays for all floors.
#[test]
fn every_model_is_drawn_at_least_as_often_as_the_operator_says() {
    let (prices, floor) = ([1.0, 1.2, 1.5], 0.02);
    let mut learner = begun(prices, 0.05, floor);
    let (made, _) = serve(&mut learner, prices, 4_000);
    for (decision, safeguarded) in &made {
        for candidate in &decision.candidates {
            assert!(candidate.probability >= floor * (1.0 - safeguarded) - 1e-12, "{decision:?}");
        }
        let sum: f64 = decision.candidates.iter().map(|candidate| candidate.probability).sum();
        assert!((sum - 1.0).abs() < 1e-12, "{sum}");
    }
    let (made, _) = serve(&mut begun(prices, 0.05, 0.0), prices, 4_000);
    let bare = |(decision, _): &&(Decision, f64)| decision.candidates.iter().any(|c| c.probability < floor / 10.0);
    assert!(made.iter().filter(bare).count() > 500, "without a floor some have next to nothing");
}

/// Of a model at a hundred times the price, 5 % would be six times the bill.
#[test]
fn the_floor_stays_within_the_bill_of_exploration() {
    let prices = [0.9, 1.0, 100.0];
    let cost = |floor: f64| serve(&mut begun(prices, 0.05, floor), prices, 12_000);
    let (bare, floored) = (cost(0.0), cost(0.05));
    let mean = |made: &[(Decision, f64)], place: usize| {
        let late = &made[made.len() - 4_000..];
        late.iter().map(|(decision, _)| decision.candidates[place].probability).sum::<f64>() / late.len() as f64
    };
    assert!(mean(&floored.0, 0) > 0.045, "the cheap one costs nothing: {}", mean(&floored.0, 0));
    assert!(mean(&floored.0, 2) < 0.01 + mean(&bare.0, 2), "{} and {}", mean(&floored.0, 2), mean(&bare.0, 2));
    assert!(floored.1 < 1.1 * bare.1, "{} and {}", floored.1, bare.1);
}

#[test]
fn without_a_bill_there_is_no_floor() {
    let prices = [1.0, 1.2, 1.5];
    let mut learner = begun(prices, 0.0, 0.05);
    let (made, _) = serve(&mut learner, prices, 800);
    let mut others = made.iter().flat_map(|(decision, _)| &decision.candidates).map(|c| c.probability);
    assert!(others.all(|p| p == 0.0 || p > 1e-6), "nothing but the plan and the fallback");
    assert!(made.iter().all(|(decision, _)| decision.candidates.iter().any(|c| c.probability == 0.0)));
}

#[test]
fn it_is_saved_and_written_down() {
    let prices = [1.0, 1.2, 1.5];
    let mut learner = begun(prices, 0.05, 0.02);
    serve(&mut learner, prices, 600);
    let again = Learner::from_bytes(&learner.to_bytes().unwrap()).unwrap();
    assert!(again == learner, "the state holds it");
    let decide = |learner: &Learner| {
        let context = Context { features: &PROMPT, input_tokens: 100.0, excluded: &[] };
        learner.router().decide(&context, &mut decision_rng(5, DecisionId(700))).unwrap()
    };
    assert_eq!(decide(&again), decide(&learner));
    let text = serde_json::to_string(again.router().spec()).unwrap();
    assert_eq!(&serde_json::from_str::<RouteSpec>(&text).unwrap(), learner.router().spec());
    assert!(!serde_json::to_string(&spec(prices, 0.05, 0.0)).unwrap().contains("floor"), "as it always was");
    learner.reconfigure(spec(prices, 0.05, 0.0)).unwrap();
    assert!(Learner::from_bytes(&learner.to_bytes().unwrap()).unwrap() == learner);
}

#[test]
fn a_floor_out_of_range_is_refused() {
    for floor in [-0.01, 0.051, f64::NAN] {
        let error = Learner::new(spec([1.0, 2.0, 3.0], 0.05, floor), 1, 1).unwrap_err();
        assert!(matches!(error, SpecError::Parameter { name: "exploration_floor", .. }), "{error}");
    }
}
