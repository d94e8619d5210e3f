//! What is saved is loaded bit for bit, or refused with the right error.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

#[path = "common/route.rs"]
mod route;
#[path = "common/run.rs"]
mod run;

use std::fs;

use proptest::prelude::*;
use proptest::sample::Index;
use run::{DIM, Run, any_alpha, any_policy, any_steps};
use slarouter_core::policy::SlaRouterParams;
use slarouter_core::{
    AnyPolicy, Context, DecisionId, Feedback, Learner, Outcome, Policy, PolicySpec, Rater, Rating, Reason, Receipt,
    RouteSpec, STATE_VERSION, Source, StateError, Timestamp, Zoo, decision_rng,
};

type Make = fn() -> Learner;

/// States as they are saved, by what made them.
const FIXTURES: [(&str, Make); 6] = [
    ("state-v1", recorded_with_audits),
    ("state-v1-certified", recorded_by_default),
    ("state-v2", recorded_with_audits),
    ("state-v2-certified", recorded_by_default),
    ("state-v3", recorded_with_audits),
    ("state-v3-certified", recorded_by_default),
];

proptest! {
    #[test]
    fn saving_and_loading_changes_nothing_now_or_later(
        policy in any_policy(), alpha in any_alpha(), steps in any_steps(80), at in any::<Index>(),
    ) {
        let (before, after) = steps.split_at(at.index(steps.len()));
        let mut run = Run::new(&policy, alpha);
        before.iter().for_each(|step| run.play(step));
        let bytes = run.learner.to_bytes().unwrap();
        let mut loaded = run.clone();
        loaded.learner = Learner::from_bytes(&bytes).unwrap();
        prop_assert_eq!(&loaded.learner, &run.learner);
        prop_assert_eq!(loaded.learner.to_bytes().unwrap(), bytes);

        after.iter().for_each(|step| { run.play(step); loaded.play(step); });
        prop_assert_eq!(&loaded.made, &run.made);
        prop_assert_eq!(loaded.learner.to_bytes().unwrap(), run.learner.to_bytes().unwrap());
    }

    #[test]
    fn new_features_reset_the_heads_and_nothing_else(policy in any_policy(), steps in any_steps(80)) {
        let mut run = Run::new(&policy, 0.8);
        steps.iter().for_each(|step| run.play(step));
        let before = run.learner.clone();
        prop_assert!(!run.learner.use_features(DIM, 1));
        prop_assert_eq!(&run.learner, &before);

        // The same length with another meaning.
        prop_assert!(run.learner.use_features(DIM, 2));
        prop_assert_eq!(run.learner.account(), before.account());
        prop_assert_eq!(run.learner.ledger().len(), before.ledger().len());
        prop_assert_eq!(run.learner.router().policy().queue(), before.router().policy().queue());
        prop_assert_eq!(run.learner.router().features(), (DIM, 2));
        let context = Context { features: &[1.0; DIM], input_tokens: 1.0, excluded: &[] };
        let decision = run.learner.router().decide(&context, &mut decision_rng(0, DecisionId(0))).unwrap();
        let fresh = Learner::new(run.learner.router().spec().clone(), DIM, 2).unwrap();
        let unlearnt = fresh.router().decide(&context, &mut decision_rng(0, DecisionId(0))).unwrap();
        let predicted = |decision: &slarouter_core::Decision| -> Vec<f64> {
            decision.candidates.iter().map(|c| c.satisfaction).collect()
        };
        prop_assert_eq!(predicted(&decision), predicted(&unlearnt));
    }
}

#[test]
fn a_label_of_older_features_counts_and_teaches_no_head() {
    let mut learner = recorded();
    assert!(learner.use_features(5, 2));
    let (labels, queue) = (learner.account().labels, learner.router().policy().queue().unwrap());
    let head = prediction(&learner, &[1.0; 5]);
    assert_eq!(rate(&mut learner, 1_000, "mid", &[], Some(0.0)), Receipt::Recorded);
    assert_eq!(learner.account().labels, labels + 1);
    assert_eq!(learner.router().policy().queue(), Some(queue + 0.75));
    assert_eq!(prediction(&learner, &[1.0; 5]), head);
}

#[test]
fn damage_anywhere_is_noticed() {
    let bytes = recorded().to_bytes().unwrap();
    for place in 0..bytes.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[place] ^= flip;
            let error = Learner::<AnyPolicy>::from_bytes(&damaged).unwrap_err();
            // A version cannot be told from damage to its two bytes.
            let version = matches!(error, StateError::Version { .. }) && (place == 4 || place == 5);
            assert!(version || matches!(error, StateError::Damaged(_)), "byte {place} ^ {flip:#x}: {error}");
        }
        let error = Learner::<AnyPolicy>::from_bytes(&bytes[..place]).unwrap_err();
        assert!(matches!(error, StateError::Damaged(_)), "cut at {place}: {error}");
    }
    let mut longer = bytes;
    longer.push(0);
    assert!(Learner::<AnyPolicy>::from_bytes(&longer).is_err());
}

#[test]
fn a_newer_version_is_named() {
    let mut bytes = recorded().to_bytes().unwrap();
    for found in [STATE_VERSION + 1, u16::MAX] {
        bytes[4..6].copy_from_slice(&found.to_le_bytes());
        let error = Learner::<AnyPolicy>::from_bytes(&bytes).unwrap_err();
        assert_eq!(error, StateError::Version { found, supported: STATE_VERSION });
    }
}

/// What a release has saved must load for ever, and go on.
#[test]
fn the_states_of_all_versions_load() {
    for (name, made) in FIXTURES {
        let bytes = fs::read(path(name)).unwrap();
        let mut learner = Learner::<AnyPolicy>::from_bytes(&bytes).unwrap();
        let version = u16::from_le_bytes([bytes[4], bytes[5]]);
        if version == STATE_VERSION {
            assert_eq!(learner, made(), "{name}: the same events now give another state");
            assert_eq!(learner.to_bytes().unwrap(), bytes, "{name}: the form has changed without a new version");
        }
        let saved = Learner::from_bytes(&learner.to_bytes().unwrap()).unwrap();
        assert_eq!(learner, saved, "{name}: it is saved in the form of today");
        rate(&mut learner, 58, "small", &[0.5; 3], Some(0.0));
        assert!(prediction(&learner, &[0.5; 3]).iter().all(|p| (0.0..=1.0).contains(p)), "{name}");
    }
}

/// The policies whose form is the same as in version 1 are the same. Version 3 was made with other predictions of costs.
#[test]
fn a_policy_of_older_versions_is_what_it_was() {
    let [first, second] =
        ["state-v1", "state-v2"].map(|name| Learner::<AnyPolicy>::from_bytes(&fs::read(path(name)).unwrap()).unwrap());
    assert_eq!(first, second);
}

/// Not only what the same code makes of it: these figures stood there when it was saved.
#[test]
fn the_state_of_version_1_says_what_it_said() {
    let mut learner = Learner::<AnyPolicy>::from_bytes(&fs::read(path("state-v1")).unwrap()).unwrap();
    let account = learner.account();
    assert_eq!((account.requests, account.explored, account.finished), (60, 20, 60));
    assert_eq!((account.labels, account.satisfied), (11, 7.0));
    assert_eq!((account.cost, account.most_expensive_cost), (0.030000000000000023, 0.2833463506379241));
    assert_eq!((account.models["small"].labels, learner.ledger().len()), (5, 21));
    assert_eq!(learner.router().policy().queue(), Some(1.5));
    assert_eq!(audit(&mut learner, 59, Some(0.0)), Receipt::Duplicate, "what the auditor said is known");
}

/// The default policy, whose form has grown since: all that version 1 knew is there, and nothing counts as ventured yet.
#[test]
fn the_default_policy_of_version_1_says_what_it_said() {
    let learner = Learner::<AnyPolicy>::from_bytes(&fs::read(path("state-v1-certified")).unwrap()).unwrap();
    let (account, certificate) = (learner.account(), learner.router().certificate().unwrap());
    assert_eq!((account.requests, account.explored, account.labels, account.satisfied), (60, 23, 16, 12.0));
    assert_eq!((certificate.requests, certificate.labels), (60, 3));
    let AnyPolicy::Certified(policy) = learner.router().policy() else { panic!("another policy") };
    assert_eq!(policy.standing().estimate, 0.922_738_138_834_635_4);
}

fn path(fixture: &str) -> String {
    format!("{}/tests/fixtures/{fixture}.bin", env!("CARGO_MANIFEST_DIR"))
}

/// Once a release has been made, what it saved is never written again: a new version of the form gets fixtures of its own.
#[test]
#[ignore = "writes the fixtures"]
fn write_the_fixtures() {
    for (name, made) in FIXTURES.iter().filter(|(name, _)| name.contains(&format!("-v{STATE_VERSION}"))) {
        fs::write(path(name), made().to_bytes().unwrap()).unwrap();
    }
}

/// What a gateway decides from when its encoder fails.
#[test]
fn a_prompt_without_features_lies_between_those_that_were_learnt() {
    for policy in ["certified", "slarouter"] {
        let policy = PolicySpec::parse(policy).unwrap();
        let mut learner = route::learner(route::models(&[1.0, 2.0]), 0.8, policy, 3);
        let (good, bad) = ([1.0, 0.0, 0.5], [-1.0, 0.0, 0.5]);
        for n in 0..200_u64 {
            let (features, rating) = if n % 2 == 0 { (good, 1.0) } else { (bad, 0.0) };
            rate(&mut learner, n, "m0", &features, Some(rating));
        }
        let of = |features: &[f32]| prediction(&learner, features)[0];
        assert!(of(&bad) < of(&[]) && of(&[]) < of(&good), "{} {} {}", of(&bad), of(&[]), of(&good));
        let before = (of(&bad), of(&good));
        rate(&mut learner, 200, "m0", &[], Some(1.0));
        assert_eq!(learner.account().labels, 201, "it counts");
        let after = (prediction(&learner, &bad)[0], prediction(&learner, &good)[0]);
        // `certified` still corrects all predictions alike by the mean residual.
        assert!((after.0 - before.0 - (after.1 - before.1)).abs() < 0.02, "no head is taught: {before:?} {after:?}");
    }
}

fn prediction(learner: &Learner, features: &[f32]) -> Vec<f64> {
    let context = Context { features, input_tokens: 100.0, excluded: &[] };
    let decision = learner.router().decide(&context, &mut decision_rng(0, DecisionId(0))).unwrap();
    decision.candidates.iter().map(|candidate| candidate.satisfaction).collect()
}

fn rate(learner: &mut Learner, n: u64, model: &str, features: &[f32], rating: Option<f64>) -> Receipt {
    let feedback = Feedback {
        decision: DecisionId(n.into()),
        decided_at: Timestamp(n),
        model,
        reason: Reason::Exploit,
        features,
        predicted: 0.5,
        source: Source::User,
        rater: Rater(n % 2),
        rating: rating.map(|rating| Rating::new(rating).unwrap()),
        order: 2 * n + u64::from(rating.is_none()),
    };
    learner.observe(&feedback, Timestamp(n + 5)).unwrap()
}

/// An auditor's word on request n.
fn audit(learner: &mut Learner, n: u64, rating: Option<f64>) -> Receipt {
    let feedback = Feedback {
        decision: DecisionId(n.into()),
        decided_at: Timestamp(n),
        model: "mid",
        reason: Reason::Exploit,
        features: &[0.5; 3],
        predicted: 0.5,
        source: Source::Audit,
        rater: Rater(0),
        rating: rating.map(|rating| Rating::new(rating).unwrap()),
        order: 1_000 + n,
    };
    learner.observe(&feedback, Timestamp(n + 5)).unwrap()
}

/// A short life with something in every field: 60 requests, every third rated, one rating withdrawn, then a model that has left
/// and is rated all the same.
fn recorded() -> Learner {
    recorded_with(0.0, 0)
}

/// The same with a rater beyond the limit, and audits, of which one is of a model that has left.
fn recorded_with_audits() -> Learner {
    let learner = recorded_with(0.25, 2);
    assert!(learner.ledger().set_aside() > 0);
    audited(learner)
}

fn audited(mut learner: Learner) -> Learner {
    for n in [58, 59] {
        assert_eq!(audit(&mut learner, n, Some(1.0)), Receipt::Recorded);
    }
    learner
        .reconfigure(RouteSpec { zoo: Zoo::new(route::models(&[1.0])).unwrap(), ..learner.router().spec().clone() })
        .unwrap();
    assert_eq!(audit(&mut learner, 57, Some(0.0)), Receipt::Recorded);
    learner
}

/// The same by the default policy, with raters limited to a share as well.
fn recorded_by_default() -> Learner {
    audited(recorded_by(&PolicySpec::parse("certified").unwrap(), 0.25, 100, 0.5))
}

fn recorded_with(audit_rate: f64, rater_limit: u64) -> Learner {
    let exploring = PolicySpec::SlaRouter(SlaRouterParams { c: 1.0, ..SlaRouterParams::default() });
    recorded_by(&exploring, audit_rate, rater_limit, 0.0)
}

fn recorded_by(policy: &PolicySpec, audit_rate: f64, rater_limit: u64, rater_share: f64) -> Learner {
    let mut zoo = route::models(&[0.5, 3.0, 20.0, 1.0]);
    for (model, name) in zoo.iter_mut().zip(["small", "mid", "large", "left"]) {
        model.name = name.into();
    }
    zoo[2].prior = Some(0.9);
    let spec = |zoo| RouteSpec { audit_rate, rater_limit, rater_share, ..route::spec(zoo, 0.75, policy.clone()) };
    let mut learner = Learner::new(spec(zoo.clone()), 3, 1).unwrap();
    for n in 0..60_u32 {
        let features = [n % 2, n % 4, n % 5].map(|x| x as f32 / 4.0);
        let context = Context { features: &features, input_tokens: f64::from(100 + n), excluded: &[] };
        let mut rng = decision_rng(1, DecisionId(n.into()));
        let decision = learner.router().decide(&context, &mut rng).unwrap();
        learner.decided(&decision, Timestamp(u64::from(n)));
        let model = &*decision.choice().model;
        let output_tokens = Some(f64::from(50 + n));
        let outcome = Outcome { model, ok: n % 7 != 0, input_tokens: None, output_tokens, cost: 0.0005, pinned: false };
        learner.finished(&outcome).unwrap();
        if n % 3 == 0 {
            let satisfied = model == "large" || n % 4 == 0;
            rate(&mut learner, n.into(), model, &features, Some(f64::from(u8::from(satisfied))));
            if n == 30 {
                rate(&mut learner, n.into(), model, &features, None);
            }
        }
    }
    zoo.pop();
    learner.reconfigure(spec(zoo)).unwrap();
    rate_the_model_that_left(&mut learner);
    learner
}

/// A label that no head is taught.
fn rate_the_model_that_left(learner: &mut Learner) {
    assert_eq!(rate(learner, 61, "left", &[0.5; 3], Some(1.0)), Receipt::Recorded);
}
