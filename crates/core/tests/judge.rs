//! Verdicts of a judge: predictions of their answers, or audits, and how they go together with what people say.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

#[path = "common/route.rs"]
#[expect(dead_code, reason = "not every test file makes its routes in every way")]
mod route;

use std::sync::atomic::{AtomicU64, Ordering};

use route::models;
use slarouter_core::{
    Agreement, Certificate, Context, DecisionId, Feedback, Learner, PolicySpec, Rater, Rating, Reason, Receipt,
    RouteSpec, Source, Timestamp, decision_rng,
};

const CONTEXT: Context<'static> = Context { features: &[1.0], input_tokens: 10.0, excluded: &[] };

fn alone(policy: &str, audit_rate: f64) -> Learner {
    let spec = RouteSpec { audit_rate, ..route::spec(models(&[1.0]), 0.7, PolicySpec::parse(policy).unwrap()) };
    Learner::new(spec, 1, 1).unwrap()
}

/// Decides and returns what was predicted.
fn decide(learner: &mut Learner, n: u64) -> f64 {
    let id = DecisionId(n.into());
    let decision = learner.router().decide(&CONTEXT, &mut decision_rng(0, id)).unwrap();
    learner.decided(&decision, Timestamp(n));
    decision.choice().satisfaction
}

/// A word on answer n, of which this was predicted.
fn say(
    learner: &mut Learner,
    n: u64,
    predicted: f64,
    (source, rater): (Source, Rater),
    rating: Option<f64>,
) -> Receipt {
    let feedback = Feedback {
        decision: DecisionId(n.into()),
        decided_at: Timestamp(n),
        model: "m0",
        reason: Reason::Exploit,
        features: &[1.0],
        predicted,
        source,
        rater,
        rating: rating.map(|rating| Rating::new(rating).unwrap()),
        order: ORDER.fetch_add(1, Ordering::Relaxed),
    };
    learner.observe(&feedback, Timestamp(n)).unwrap()
}

/// Words come in this order.
static ORDER: AtomicU64 = AtomicU64::new(0);

const PERSON: (Source, Rater) = (Source::User, Rater(0));
const JUDGE: (Source, Rater) = (Source::Judge, Rater::JUDGE);

/// Three of four answers satisfy.
fn satisfies(n: u64) -> f64 {
    if n.is_multiple_of(4) { 0.0 } else { 1.0 }
}

/// The certificate after 2,000 answers, of which every fifth is rated, and the agreement of a judge that says this.
fn live(first: &[(Source, Rater)], verdict: impl Fn(u64) -> Option<f64>) -> (Certificate, Agreement) {
    let mut learner = alone("certified", 0.0);
    for n in 0..2_000 {
        let predicted = decide(&mut learner, n);
        for who in first {
            match who.0 {
                Source::Judge => {
                    if let Some(verdict) = verdict(n) {
                        assert_eq!(say(&mut learner, n, predicted, *who, Some(verdict)), Receipt::Recorded);
                    }
                }
                _ if n % 5 == 0 => drop(say(&mut learner, n, predicted, *who, Some(satisfies(n)))),
                _ => {}
            }
        }
    }
    assert_eq!(Learner::from_bytes(&learner.to_bytes().unwrap()).unwrap(), learner);
    (learner.router().certificate().unwrap(), learner.agreement())
}

fn width(certificate: Certificate) -> f64 {
    certificate.upper - certificate.lower
}

#[test]
fn verdicts_make_the_certificate_narrower_and_count_in_either_order() {
    let right = |n: u64| Some(satisfies(n));
    let (alone, none) = live(&[PERSON], |_| None);
    assert_eq!(none, Agreement::default());
    let (before, agreement) = live(&[JUDGE, PERSON], right);
    assert_eq!(agreement, Agreement { compared: 400, agreed: 400 });
    assert_eq!(before.labels, alone.labels, "a verdict is no label");
    assert!(width(before) < 0.6 * width(alone), "{before:?} {alone:?}");
    assert!(before.lower <= 0.75 && 0.75 <= before.upper, "{before:?}");
    let (after, agreement) = live(&[PERSON, JUDGE], right);
    assert_eq!(
        (after, agreement.agreed),
        (before, 400),
        "the label is entered anew against what the verdict made of it"
    );
    // One that lies is turned round, and one that approves of everything changes nothing.
    let (lying, agreement) = live(&[JUDGE, PERSON], |n| Some(1.0 - satisfies(n)));
    assert_eq!(agreement.agreed, 0);
    assert!(width(lying) < 0.6 * width(alone), "{lying:?}");
    let (pleased, _) = live(&[JUDGE, PERSON], |_| Some(1.0));
    assert!((width(pleased) - width(alone)).abs() < 0.02 * width(alone), "{pleased:?} {alone:?}");
}

#[test]
fn the_first_verdict_holds_and_labels_may_change_under_it() {
    let mut learner = alone("certified", 0.0);
    for n in 0..100 {
        let predicted = decide(&mut learner, n);
        say(&mut learner, n, predicted, JUDGE, Some(satisfies(n)));
        say(&mut learner, n, predicted, PERSON, Some(satisfies(n)));
    }
    let predicted = decide(&mut learner, 100);
    let without = learner.router().certificate().unwrap();
    assert_eq!(say(&mut learner, 100, predicted, JUDGE, Some(0.0)), Receipt::Recorded);
    let held = learner.router().certificate().unwrap();
    assert!(held.estimate < without.estimate, "what is predicted of it is less: {held:?} {without:?}");
    let before = learner.clone();
    for again in [Some(0.0), Some(1.0), None] {
        assert_eq!(say(&mut learner, 100, predicted, JUDGE, again), Receipt::Duplicate);
    }
    assert_eq!(learner, before);
    // A label that changes and is taken back leaves the account as it was.
    for (rating, agreed) in [(Some(0.0), 101), (Some(1.0), 100)] {
        let mut labelled = before.clone();
        say(&mut labelled, 100, predicted, PERSON, rating);
        assert_eq!(labelled.agreement(), Agreement { compared: 101, agreed });
    }
    let pinned = Feedback {
        decision: DecisionId(100),
        decided_at: Timestamp(100),
        model: "m0",
        reason: Reason::Pinned,
        features: &[1.0],
        predicted,
        source: Source::Judge,
        rater: Rater::JUDGE,
        rating: Rating::new(1.0).ok(),
        order: 1,
    };
    let mut fresh = alone("certified", 0.0);
    decide(&mut fresh, 100);
    let before = fresh.clone();
    assert_eq!(fresh.observe(&pinned, Timestamp(100)).unwrap(), Receipt::Recorded);
    assert_eq!(fresh, before, "nothing is learnt from pinned answers");
}

/// Verdicts on answers of another policy are of no use to the account, which does not know of them.
#[test]
fn a_verdict_that_comes_after_its_policy_went_changes_nothing() {
    let mut learner = alone("slarouter", 0.0);
    let predicted = decide(&mut learner, 1);
    assert_eq!(say(&mut learner, 1, predicted, PERSON, Some(1.0)), Receipt::Recorded);
    let spec = RouteSpec { policy: PolicySpec::parse("certified").unwrap(), ..learner.router().spec().clone() };
    learner.reconfigure(spec).unwrap();
    let before = learner.clone();
    assert_eq!(say(&mut learner, 1, predicted, JUDGE, Some(0.0)), Receipt::Recorded);
    assert_eq!(learner, before);
    decide(&mut learner, 2);
    let predicted = decide(&mut learner, 3);
    let before = learner.clone();
    say(&mut learner, 3, predicted, JUDGE, Some(0.0));
    assert_ne!(learner, before);
}

#[test]
fn a_judge_that_audits_makes_labels_and_is_held_against_people_all_the_same() {
    let auditor = (Source::Audit, Rater::JUDGE);
    let mut learner = alone("certified", 0.5);
    for n in 0..40 {
        let predicted = decide(&mut learner, n);
        assert_eq!(say(&mut learner, n, predicted, auditor, Some(satisfies(n))), Receipt::Recorded);
        if n % 4 == 0 {
            say(&mut learner, n, predicted, PERSON, Some(1.0));
        }
    }
    assert_eq!(learner.router().certificate().unwrap().labels, 40);
    assert_eq!(learner.agreement(), Agreement { compared: 10, agreed: 0 }, "users liked what the judge did not");
    // A person who audits counts before the users; one of two minds says nothing.
    say(&mut learner, 0, 0.5, (Source::Audit, Rater(9)), Some(0.0));
    assert_eq!(learner.agreement(), Agreement { compared: 10, agreed: 1 });
    say(&mut learner, 0, 0.5, (Source::Audit, Rater(9)), Some(0.5));
    assert_eq!(learner.agreement(), Agreement { compared: 9, agreed: 0 });
    // The label stays what it is, and they agree all the same.
    let predicted = decide(&mut learner, 40);
    say(&mut learner, 40, predicted, (Source::Audit, Rater(9)), Some(1.0));
    say(&mut learner, 40, predicted, auditor, Some(1.0));
    assert_eq!(learner.agreement(), Agreement { compared: 10, agreed: 1 });
}

#[test]
fn agreement_has_an_interval() {
    let held = Agreement { compared: 400, agreed: 360 };
    let (low, high) = held.interval(0.95);
    assert!(low > 0.8 && low < 0.9 && high > 0.9 && high < 0.96, "{low} {high}");
    assert_eq!((held.share(), Agreement::default().share()), (Some(0.9), None));
    assert_eq!(Agreement::default().interval(0.95), (0.0, 1.0));
}
