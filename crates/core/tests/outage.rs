//! What an outage does to fallback, conversations and the account.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use slarouter_core::policy::CertifiedParams;
use slarouter_core::{
    Alpha, Candidate, Context, Decision, DecisionId, Feedback, Learner, ModelSpec, Policy, PolicySpec, Price, Rater,
    Rating, Reason, RouteSpec, Source, Timestamp, Zoo, decision_rng,
};

fn decision(candidates: &[(&str, f64, f64)]) -> Decision {
    let candidate = |&(model, satisfaction, cost): &(&str, f64, f64)| Candidate {
        model: model.into(),
        probability: 0.25,
        satisfaction,
        cost,
        ..Candidate::default()
    };
    Decision { candidates: candidates.iter().map(candidate).collect(), chosen: 0, reason: Reason::Exploit }
}

#[test]
fn fallback_keeps_satisfaction_first_and_saves_second() {
    let order = |candidates: &[(&str, f64, f64)]| -> Vec<String> {
        decision(candidates).alternatives().iter().map(|candidate| candidate.model.to_string()).collect()
    };
    let zoo = [("chosen", 0.9, 1.0), ("bad", 0.5, 0.1), ("dear", 0.97, 50.0), ("good", 0.89, 2.0), ("fair", 0.8, 0.5)];
    assert_eq!(order(&zoo), ["good", "dear", "fair", "bad"]);
    assert_eq!(order(&[("chosen", 0.9, 1.0), ("a", 0.70, 3.0), ("b", 0.69, 1.0), ("c", 0.5, 0.1)]), ["b", "a", "c"]);
    assert_eq!(order(&[("chosen", 0.5, 1.0), ("a", f64::NAN, 3.0), ("b", 0.5, 2.0)]).len(), 2, "none is lost");
    assert!(order(&zoo[..1]).is_empty());
}

fn learner(failures_count: bool) -> Learner {
    let model = |name: &str, output: f64| ModelSpec::new(name, Price { input: 1.0, output });
    let params = CertifiedParams { fallback: Some("a".to_owned()), exploration: 0.0, ..CertifiedParams::default() };
    let (alpha, zoo) = (Alpha::new(0.8).unwrap(), Zoo::new(vec![model("a", 1.0), model("b", 2.0)]).unwrap());
    let spec = RouteSpec::new(alpha, zoo, PolicySpec::Certified(params));
    let spec = RouteSpec { feedback_window_ms: 1_000, failures_count, ..spec };
    Learner::new(spec, 2, 1).unwrap()
}

#[test]
fn reroutes_and_failures_are_in_the_account() {
    for failures_count in [false, true] {
        let mut learner = learner(failures_count);
        let decision = decision(&[("a", 0.9, 1.0), ("b", 0.6, 2.0)]);
        for n in 0..4 {
            learner.decided(&decision, Timestamp(n));
        }
        let estimate = |learner: &Learner| {
            let certificate = learner.router().certificate().unwrap();
            (certificate.requests, certificate.estimate)
        };
        assert_eq!(estimate(&learner).0, 4);
        assert!((estimate(&learner).1 - 0.9).abs() < 1e-3);
        learner.rerouted(Timestamp(1), 0.9, 0.6);
        assert!((estimate(&learner).1 - (3.0 * 0.9 + 0.6) / 4.0).abs() < 1e-3);
        learner.failed(Timestamp(2), 0.9);
        let (requests, mean) = estimate(&learner);
        let expected = if failures_count { (4, (2.0 * 0.9 + 0.6) / 4.0) } else { (3, (2.0 * 0.9 + 0.6) / 3.0) };
        assert_eq!(requests, expected.0);
        assert!((mean - expected.1).abs() < 1e-3, "{mean}, not {}", expected.1);
        // The state says so too.
        assert_eq!(Learner::from_bytes(&learner.to_bytes().unwrap()).unwrap(), learner);
    }
}

#[test]
fn more_failures_than_answers_leave_an_empty_account() {
    let mut learner = learner(false);
    learner.decided(&decision(&[("a", 0.9, 1.0), ("b", 0.6, 2.0)]), Timestamp(1));
    for _ in 0..3 {
        learner.failed(Timestamp(1), 0.9);
    }
    let certificate = learner.router().certificate().unwrap();
    assert_eq!((certificate.requests, certificate.lower, certificate.upper), (0, 0.0, 1.0));
}

#[test]
fn a_conversation_stays_unless_there_is_a_reason_to_move() {
    let learner = learner(false);
    let router = learner.router();
    let made = |held: f64| {
        let mut made = decision(&[("a", 0.9, 1.0), ("b", held, 2.0)]);
        // As a policy would put it that pays 10 USD for a satisfied answer.
        made.candidates.iter_mut().for_each(|c| c.score = c.cost - 10.0 * c.satisfaction);
        made
    };
    let stays = router.stay(&made(0.78), "b", &[]).unwrap();
    assert_eq!((&*stays.choice().model, stays.propensity(), stays.reason), ("b", 1.0, Reason::Affinity));
    assert_eq!(stays.candidates[0].probability, 0.0);
    assert_eq!(router.stay(&made(0.74), "b", &[]), None, "it has fallen far behind α and the choice");
    let mut cached = made(0.74);
    cached.candidates[1].score = cached.candidates[0].score;
    assert!(router.stay(&cached, "b", &[]).is_some(), "its prompt cache makes up for it");
    assert_eq!(router.stay(&made(0.9), "b", &["b"]), None, "it cannot be asked");
    assert_eq!(router.stay(&made(0.9), "c", &[]), None, "it has left the zoo");
    assert_eq!(router.stay(&made(0.9), "a", &[]).unwrap().reason, Reason::Affinity);

    let context = Context { features: &[0.0; 2], input_tokens: 10.0, excluded: &[] };
    let drawn = router.decide(&context, &mut decision_rng(1, DecisionId(1))).unwrap();
    assert!(router.stay(&drawn, "b", &[]).is_some(), "what is not known is no reason");
    assert_eq!(Reason::parse("affinity"), Some(Reason::Affinity));
}

/// Conversations that all hold on to a model that is worse by 0.3, of which nobody says anything: the fallback's lead is not known either.
#[test]
fn a_conversation_moves_when_nothing_more_may_be_lost() {
    let mut learner = learner(false);
    let context = Context { features: &[0.0; 2], input_tokens: 10.0, excluded: &[] };
    let made = Decision { chosen: 1, ..decision(&[("a", 0.9, 1.0), ("b", 0.6, 2.0)]) };
    let mut turns = 0;
    while let Some(stays) = learner.router().stay(&made, "b", &[]) {
        learner.decided(&stays, Timestamp(turns));
        turns += 1;
        assert!(turns < 100, "it never moves");
    }
    assert!(turns > 5, "a few answers may be lost without proof, and not only {turns}");
    let drawn = learner.router().decide(&context, &mut decision_rng(1, DecisionId(1))).unwrap();
    assert_eq!((drawn.chosen, drawn.propensity()), (0, 1.0), "what it moves to");
    assert!(learner.router().stay(&drawn, "a", &[]).is_some(), "who is there already stays");
    let context = Context { excluded: &["a"], ..context };
    let drawn = learner.router().decide(&context, &mut decision_rng(1, DecisionId(1))).unwrap();
    assert!(learner.router().stay(&drawn, "b", &["a"]).is_some(), "a fallback that cannot be asked moves nobody");
}

/// The fallback is chosen and another model answers: that loses as much as if the other had been chosen.
#[test]
fn turns_that_another_model_took_over_are_counted() {
    let mut learner = learner(false);
    let made = decision(&[("a", 0.9, 1.0), ("b", 0.6, 2.0)]);
    for n in 0..100 {
        // 5 + 0.001 n may be lost.
        assert_eq!(learner.router().policy().insists_on().is_some(), n >= 17, "after {n} that lost 0.3 each");
        learner.decided(&made, Timestamp(n));
        learner.rerouted(Timestamp(n), 0.9, 0.6);
    }
    // A failure of all is nobody's loss.
    let mut failed = self::learner(true);
    for n in 0..100 {
        failed.decided(&made, Timestamp(n));
        failed.failed(Timestamp(n), 0.9);
    }
    assert_eq!(failed.router().policy().insists_on(), None);
}

/// α goes up: what was answered under the old one is not held against the new one, and neither are its ratings.
#[test]
fn a_renewed_account_takes_no_ratings_of_earlier_answers() {
    let mut learner = learner(false);
    let made = decision(&[("a", 0.9, 1.0), ("b", 0.6, 2.0)]);
    for n in 0..10 {
        learner.decided(&made, Timestamp(n));
    }
    let spec = RouteSpec { alpha: Alpha::new(0.85).unwrap(), ..learner.router().spec().clone() };
    learner.reconfigure(spec).unwrap();
    let rate = |learner: &mut Learner, n: u64| {
        let feedback = Feedback {
            decision: DecisionId(n.into()),
            decided_at: Timestamp(n),
            model: "a",
            reason: Reason::Exploit,
            features: &[0.0; 2],
            predicted: 0.9,
            source: Source::User,
            rater: Rater(0),
            rating: Some(Rating::new(0.0).unwrap()),
            order: n,
        };
        learner.observe(&feedback, Timestamp(20)).unwrap();
        learner.router().certificate().unwrap()
    };
    for n in 0..10 {
        assert_eq!(rate(&mut learner, n).labels, 0);
    }
    for n in 10..12 {
        learner.decided(&made, Timestamp(n));
    }
    let certificate = rate(&mut learner, 11);
    assert_eq!((certificate.requests, certificate.labels), (2, 1));
}
