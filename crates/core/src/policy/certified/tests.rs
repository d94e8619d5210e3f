use super::*;
use crate::ledger::Change;
use crate::{Alpha, ModelSpec, Price};

const HOUR: u64 = 3_600_000;

/// Models at 1, 2 … USD; the last one is the fallback.
fn spec(models: &[&str], window: Window, audit_rate: f64) -> RouteSpec {
    let model = |(i, name): (usize, &&str)| ModelSpec::new(name, Price { input: 1.0 + i as f64, output: 1.0 });
    let zoo = Zoo::new(models.iter().enumerate().map(model).collect()).unwrap();
    let params = CertifiedParams { window, ..CertifiedParams::default() };
    RouteSpec { audit_rate, ..RouteSpec::new(Alpha::new(0.8).unwrap(), zoo, PolicySpec::Certified(params)) }
}

fn policy(spec: &RouteSpec) -> Certified {
    let PolicySpec::Certified(params) = spec.policy.clone() else { panic!("the policy is another") };
    Certified::new(params, spec, 1)
}

/// Of the model at 0.
fn decision(models: usize) -> Decision {
    let candidates = vec![Candidate { satisfaction: 0.5, cost: 1.0, ..Candidate::default() }; models];
    Decision { candidates, chosen: 0, reason: crate::Reason::Exploit }
}

#[test]
fn what_was_decided_before_a_change_of_the_zoo_is_taken_after_it() {
    let zoos = [&["a", "b"][..], &["a", "b", "c"], &["b"]].map(|models| spec(models, Window::Run, 0.0));
    for (before, after) in [(0, 1), (1, 0), (1, 2)] {
        let (before, after) = (&zoos[before], &zoos[after]);
        let (mut policy, old) = (policy(before), before.zoo.models().len());
        policy.decided(&Decision { chosen: old - 1, ..decision(old) }, Timestamp(1));
        policy.reconfigured(&before.zoo, after);
        for _ in 0..20 {
            policy.decided(&Decision { chosen: old - 1, ..decision(old) }, Timestamp(2));
            policy.decided(&decision(after.zoo.models().len()), Timestamp(3));
        }
    }
}

#[test]
fn a_window_of_another_length_begins_its_own_periods() {
    let (hours, days) = [HOUR, 24 * HOUR].map(|length| spec(&["a", "b"], Window::Period(length), 0.0)).into();
    let (mut policy, now) = (policy(&hours), Timestamp(10 * 24 * HOUR));
    policy.decided(&decision(2), now);
    assert_eq!(policy.period, 240);
    policy.reconfigured(&hours.zoo, &days);
    policy.decided(&decision(2), now);
    assert_eq!(policy.period, 10);
    policy.reconfigured(&days.zoo, &days);
    assert_eq!(policy.period, 10, "the same window goes on");
}

#[test]
fn residuals_go_with_what_they_were_of() {
    let (unaudited, audited) = [0.0, 0.1].map(|rate| spec(&["a", "b"], Window::Run, rate)).into();
    let fresh = policy(&unaudited);
    let mut known = fresh.clone();
    known.correction.add(0.5);
    known.history.add(0, 0.5);
    known.safeguard.labelled(0, 0.5);
    let mut other = known.clone();
    known.reconfigured(&unaudited.zoo, &audited);
    assert_eq!(
        (known.correction, &known.history, &known.safeguard),
        (fresh.correction, &fresh.history, &fresh.safeguard)
    );
    other.levels = vec![0.1, 0.2];
    other.reset_features(2, &unaudited.zoo);
    assert_eq!(
        (other.correction, &other.history, &other.safeguard),
        (fresh.correction, &fresh.history, &fresh.safeguard)
    );
    assert_eq!(other.levels, fresh.levels);
}

#[test]
fn grounds_say_what_the_state_asks_for_and_how_sure_it_is() {
    let spec = spec(&["a", "b"], Window::Run, 0.0);
    let mut policy = policy(&spec);
    let fresh = policy.grounds(&[1.0]);
    assert_eq!((fresh.satisfaction_price, fresh.reserve, fresh.safeguarded), (0.0, 0.0, 0.0));
    for n in 0..400 {
        policy.decided(&decision(2), Timestamp(n));
        policy.labelled(&Label {
            source: Source::User,
            model: Some(0),
            features: &[1.0],
            change: Change { old: None, new: Some(1.0) },
            lesson: Some(Change { old: None, new: Some(1.0) }),
            alpha: 0.8,
            decided_at: Timestamp(n),
            predicted: 0.5,
            standing: 0.5,
            verdict: None,
        });
    }
    let known = policy.grounds(&[1.0]);
    let standing = policy.standing();
    assert!((known.reserve - 400.0 * (standing.estimate - 0.8)).abs() < 1e-9 && known.reserve > 0.0, "{known:?}");
    assert!(known.wanted_reserve > 0.0 && known.satisfaction_price > 0.0, "{known:?}");
    assert!(known.errors[0] < 0.5 * fresh.errors[0], "{} and {}", known.errors[0], fresh.errors[0]);
    assert!(known.errors[1] > known.errors[0], "nobody has rated the other model: {known:?}");
}

/// The mean of the average prompt, as one of many weights, is known better than a model's own labels can make it.
#[test]
fn no_model_is_surer_than_its_labels_make_it() {
    let spec = spec(&["a", "b"], Window::Run, 0.0);
    let mut policy = policy(&spec);
    let fresh = policy.doubts();
    assert!(fresh.iter().all(|doubt| *doubt > 0.3), "{fresh:?}");
    let rate = |policy: &mut Certified, n: u32| {
        let x = f64::from(n * 7919 % 100) / 50.0 - 1.0;
        let prompt = policy.predictor.prepare(&[x as f32], Source::User);
        let rated = Change { old: None, new: Some(f64::from(u8::from(!n.is_multiple_of(5)))) };
        policy.predictor.learn(&prompt, 1, rated);
    };
    (0..100).for_each(|n| rate(&mut policy, n));
    policy.levels = policy.predictor.levels();
    let doubts = policy.doubts();
    // 100 labels of a mean of 0.8 leave 0.04; the prior is worth a few more.
    assert!(doubts[1] > 0.036 && doubts[1] < 0.06, "{doubts:?}");
    assert!(doubts[1] >= policy.predictor.doubt()[1], "{doubts:?}");
    assert!(doubts[0] > 0.2, "labels of one model say nothing of another: {doubts:?}");
}

#[test]
fn others_are_taken_for_worse_as_far_as_nothing_makes_good_what_they_may_lose() {
    let policy = policy(&spec(&["a", "b"], Window::Run, 0.0));
    let with = |surplus| policy.wariness(&Demand { surplus, margin: 10.0, ..policy.demand() });
    let full = 0.6 * normal_quantile(0.95) * policy.doubts()[0];
    assert!((with(0.0)[0] - full).abs() < 1e-6 && with(0.0)[1] == 0.0, "the fallback is not: {:?}", with(0.0));
    assert!((with(5.0)[0] - full / 2.0).abs() < 1e-6, "half of the margin is there: {:?}", with(5.0));
    assert_eq!(with(10.0), [0.0, 0.0]);
}
