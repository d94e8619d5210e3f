//! Ratings in any order, repeated, changed, withdrawn and late: only the last word of each rater counts, once.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

#[path = "common/route.rs"]
mod route;

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use route::{WINDOW_MS, models};
use slarouter_core::{
    Account, Context, DecisionId, Feedback, Learner, Policy, PolicySpec, Rater, Rating, Reason, Receipt, Source,
    Timestamp, decision_rng,
};

const MODELS: [&str; 3] = ["m0", "m1", "m2"];
const FEATURES: [f32; 3] = [0.5, -1.0, 0.25];

/// A rating as given; its place in the list is its order.
#[derive(Clone, Copy, Debug)]
struct Given {
    decision: u64,
    rater: u64,
    rating: Option<Rating>,
}

fn learner() -> Learner {
    route::learner(models(&[1.0, 2.0, 3.0]), 0.8, PolicySpec::parse("slarouter").unwrap(), FEATURES.len())
}

/// Decision n was made at n, by one of two models that are in the zoo and one that has left.
fn feedback(given: Given, order: usize) -> Feedback<'static> {
    Feedback {
        decision: DecisionId(given.decision.into()),
        decided_at: Timestamp(given.decision),
        model: ["m0", "m1", "gone"][given.decision as usize % 3],
        reason: Reason::Exploit,
        features: &FEATURES,
        predicted: 0.5,
        source: Source::User,
        rater: Rater(given.rater),
        rating: given.rating,
        order: order as u64,
    }
}

fn deliver(learner: &mut Learner, given: Given, order: usize) -> Receipt {
    learner.observe(&feedback(given, order), Timestamp(100)).unwrap()
}

fn any_given() -> impl Strategy<Value = Vec<Given>> {
    let rating = prop_oneof![Just(None), Just(Some(0.0)), Just(Some(1.0)), (0.0..=1.0).prop_map(Some)];
    let given = (0..4_u64, 0..3_u64, rating).prop_map(|(decision, rater, rating)| {
        let rating = rating.map(|rating| Rating::new(rating).unwrap());
        Given { decision, rater, rating }
    });
    vec(given, 1..40)
}

/// (labels, satisfied) in all and per model, without models that have neither.
fn totals(account: &Account) -> Vec<(&str, u64, f64)> {
    let of_models = account.models.iter().map(|(name, model)| (&**name, model.labels, model.satisfied));
    let all = std::iter::once(("all", account.labels, account.satisfied)).chain(of_models);
    all.filter(|&(_, labels, satisfied)| labels > 0 || satisfied.abs() > 1e-9).collect()
}

fn same(one: &Account, other: &Account) -> bool {
    let (one, other) = (totals(one), totals(other));
    one.len() == other.len()
        && one.iter().zip(&other).all(|(a, b)| a.0 == b.0 && a.1 == b.1 && (a.2 - b.2).abs() < 1e-9)
}

proptest! {
    #[test]
    fn only_the_last_word_of_each_rater_counts(
        given in any_given(), arrival in vec(any::<Index>(), 0..80),
    ) {
        // Whatever order `arrival` says, with repetitions, and then everything once more, so that nothing is missing.
        let mut learner = learner();
        for order in arrival.iter().map(|index| index.index(given.len())).chain(0..given.len()) {
            deliver(&mut learner, given[order], order);
        }
        let mut last = BTreeMap::new();
        for (order, given) in given.iter().enumerate() {
            last.insert((given.decision, given.rater), (order, *given));
        }
        let mut only_last = self::learner();
        for &(order, given) in last.values() {
            deliver(&mut only_last, given, order);
        }
        prop_assert!(same(learner.account(), only_last.account()), "{:?}\n{:?}", learner.account(), only_last.account());

        // And against a sum done by hand: the mean of the raters of each decision.
        let mut decisions: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
        for (_, given) in last.values() {
            decisions.entry(given.decision).or_default().extend(given.rating.map(Rating::get));
        }
        decisions.retain(|_, ratings| !ratings.is_empty());
        let satisfied: f64 = decisions.values().map(|ratings| ratings.iter().sum::<f64>() / ratings.len() as f64).sum();
        prop_assert_eq!(learner.account().labels, decisions.len() as u64);
        prop_assert!((learner.account().satisfied - satisfied).abs() < 1e-9);
    }

    #[test]
    fn a_repeated_delivery_changes_no_byte(given in any_given(), again in vec(any::<Index>(), 1..40)) {
        let mut learner = learner();
        for (order, &given) in given.iter().enumerate() {
            deliver(&mut learner, given, order);
        }
        let before = learner.to_bytes().unwrap();
        for order in again.iter().map(|index| index.index(given.len())) {
            prop_assert_eq!(deliver(&mut learner, given[order], order), Receipt::Duplicate);
        }
        prop_assert_eq!(learner.to_bytes().unwrap(), before);
    }

    #[test]
    fn receipts_say_what_became_of_the_rating(given in any_given()) {
        let mut learner = learner();
        let mut held: BTreeMap<(u64, u64), Rating> = BTreeMap::new();
        for (order, &given) in given.iter().enumerate() {
            let before = learner.router().clone();
            let receipt = deliver(&mut learner, given, order);
            let key = (given.decision, given.rater);
            let old = match given.rating {
                Some(rating) => held.insert(key, rating),
                None => held.remove(&key),
            };
            let expected = match (old, given.rating) {
                (None, None) => Receipt::Duplicate,
                (None, Some(_)) => Receipt::Recorded,
                (Some(_), None) => Receipt::Withdrawn,
                (Some(old), Some(new)) if old == new => Receipt::Duplicate,
                (Some(_), Some(_)) => Receipt::Replaced,
            };
            prop_assert_eq!(receipt, expected);
            prop_assert!(receipt != Receipt::Duplicate || *learner.router() == before);
        }
    }
}

fn thumb(decision: u64, rater: u64, rating: f64) -> Given {
    Given { decision, rater, rating: Some(Rating::new(rating).unwrap()) }
}

/// An auditor's word on the same terms.
fn audited(learner: &mut Learner, given: Given, order: usize) -> Receipt {
    let feedback = Feedback { source: Source::Audit, ..feedback(given, order) };
    learner.observe(&feedback, Timestamp(100)).unwrap()
}

#[test]
fn audits_and_ratings_of_one_decision_stand_beside_each_other() {
    use Receipt::{Duplicate, Expired, Recorded, Replaced, Withdrawn};
    let mut spec = route::spec(models(&[1.0, 2.0, 3.0]), 0.8, PolicySpec::parse("certified").unwrap());
    spec.audit_rate = 0.5;
    let mut learner = Learner::new(spec, FEATURES.len(), 1).unwrap();
    let context = Context { features: &FEATURES, input_tokens: 1.0, excluded: &[] };
    let decision = learner.router().decide(&context, &mut decision_rng(0, DecisionId(0))).unwrap();
    learner.decided(&decision, Timestamp(0));
    let labels = |learner: &Learner| (learner.account().labels, learner.router().certificate().unwrap().labels);
    let withdrawn = Given { rating: None, ..thumb(0, 0, 0.0) };
    assert_eq!(deliver(&mut learner, thumb(0, 0, 1.0), 1), Recorded);
    assert_eq!(labels(&learner), (1, 0), "the certificate rests on audits alone");
    assert_eq!(audited(&mut learner, thumb(0, 0, 0.0), 2), Recorded, "the same rater, another slot");
    assert_eq!(labels(&learner), (1, 1));
    assert_eq!(learner.account().satisfaction(), Some(1.0), "the account is the users'");
    assert_eq!(audited(&mut learner, thumb(0, 0, 0.0), 2), Duplicate);
    assert_eq!(audited(&mut learner, thumb(0, 0, 1.0), 1), Duplicate, "older, and late");
    assert_eq!(audited(&mut learner, thumb(0, 0, 1.0), 3), Replaced);
    assert_eq!(deliver(&mut learner, withdrawn, 4), Withdrawn);
    assert_eq!(labels(&learner), (0, 1), "the audit stays");
    assert_eq!(audited(&mut learner, withdrawn, 5), Withdrawn);
    assert_eq!(labels(&learner), (0, 0));
    let late = Feedback { source: Source::Audit, ..feedback(thumb(0, 0, 1.0), 6) };
    assert_eq!(learner.observe(&late, Timestamp(WINDOW_MS + 1)).unwrap(), Expired);
    assert_eq!(labels(&learner), (0, 0));
}

/// In milliseconds.
const DAY: u64 = 86_400_000;

fn limited(per_day: u64) -> Learner {
    let mut spec = route::spec(models(&[1.0, 2.0, 3.0]), 0.8, PolicySpec::parse("slarouter").unwrap());
    (spec.rater_limit, spec.feedback_window_ms) = (per_day, 10 * DAY);
    Learner::new(spec, FEATURES.len(), 1).unwrap()
}

fn on_day(learner: &mut Learner, given: Given, order: usize, day: u64) -> Receipt {
    learner.observe(&feedback(given, order), Timestamp(day * DAY + 10)).unwrap()
}

#[test]
fn beyond_the_limit_of_a_day_a_rater_changes_nothing() {
    use Receipt::{Recorded, Replaced, Withdrawn};
    let mut learner = limited(2);
    let gone = |decision| Given { rating: None, ..thumb(decision, 7, 0.0) };
    assert_eq!(on_day(&mut learner, thumb(0, 7, 1.0), 1, 3), Recorded);
    assert_eq!(on_day(&mut learner, thumb(3, 7, 1.0), 2, 3), Recorded);
    let full = learner.router().clone();
    let counted = |learner: &Learner| (learner.account().labels, learner.account().satisfied);

    // New, changed, withdrawn and new again: acknowledged as always, and without effect.
    for (order, (given, receipt)) in
        [(thumb(6, 7, 0.0), Recorded), (thumb(6, 7, 1.0), Replaced), (gone(6), Withdrawn), (thumb(6, 7, 0.0), Recorded)]
            .into_iter()
            .enumerate()
    {
        assert_eq!(on_day(&mut learner, given, 10 + order, 3), receipt);
        assert_eq!(*learner.router(), full, "{given:?}");
    }
    // A change of what counts needs a word as well.
    assert_eq!(on_day(&mut learner, thumb(0, 7, 0.0), 20, 3), Replaced);
    assert_eq!(*learner.router(), full);
    assert_eq!(learner.ledger().set_aside(), 5);

    // Others, and those without a name, are not touched by it.
    assert_eq!(on_day(&mut learner, thumb(6, 8, 0.0), 21, 3), Recorded);
    for decision in 6..12 {
        on_day(&mut learner, thumb(decision, 0, 0.0), 30, 3);
    }
    assert_eq!(counted(&learner), (8, 2.0));

    // To take back what counts is always free.
    assert_eq!(on_day(&mut learner, gone(3), 40, 3), Withdrawn);
    assert_eq!(counted(&learner), (7, 1.0));

    // Another day, other words: but what came beyond the limit stays out for good.
    assert_eq!(on_day(&mut learner, thumb(6, 7, 1.0), 50, 4), Replaced);
    assert_eq!(counted(&learner), (7, 1.0));
    assert_eq!(on_day(&mut learner, thumb(0, 7, 0.5), 51, 4), Replaced, "this one counts since the third day");
    assert_eq!(counted(&learner), (7, 0.5));
    assert_eq!(on_day(&mut learner, thumb(15, 7, 1.0), 52, 4), Recorded);
    assert_eq!(counted(&learner), (8, 1.5));

    // A rating that reaches the log just after midnight, by a clock still before it, gives no second allowance.
    assert_eq!(on_day(&mut learner, thumb(18, 7, 1.0), 53, 3), Recorded);
    assert_eq!(counted(&learner), (8, 1.5));
}

#[test]
fn limits_survive_a_restart_and_leave_audits_alone() {
    let mut learner = limited(1);
    on_day(&mut learner, thumb(0, 7, 1.0), 1, 0);
    on_day(&mut learner, thumb(3, 7, 1.0), 2, 0);
    let mut again = Learner::from_bytes(&learner.to_bytes().unwrap()).unwrap();
    for learner in [&mut learner, &mut again] {
        on_day(learner, thumb(6, 7, 1.0), 3, 0);
        assert_eq!((learner.account().labels, learner.ledger().set_aside()), (1, 2));
        for decision in [0, 3, 6] {
            assert_eq!(audited(learner, thumb(decision, 7, 1.0), 4), Receipt::Recorded);
        }
        assert_eq!(learner.ledger().set_aside(), 2);
    }
    assert_eq!(learner, again);
    // Without a limit everything from now on counts.
    let mut spec = learner.router().spec().clone();
    spec.rater_limit = 0;
    learner.reconfigure(spec).unwrap();
    for decision in [9, 12, 15] {
        on_day(&mut learner, thumb(decision, 7, 1.0), 5, 0);
    }
    assert_eq!(learner.account().labels, 4);
}

#[test]
fn an_older_rating_that_comes_late_stays_out() {
    let mut learner = learner();
    let withdrawn = Given { rating: None, ..thumb(0, 1, 1.0) };
    assert_eq!(deliver(&mut learner, withdrawn, 5), Receipt::Duplicate, "nothing to withdraw yet");
    assert_eq!(deliver(&mut learner, thumb(0, 1, 1.0), 4), Receipt::Duplicate);
    assert_eq!(learner.account().labels, 0);
    assert_eq!(deliver(&mut learner, thumb(0, 1, 1.0), 6), Receipt::Recorded);
    // Says the same later: that is now the order to beat.
    assert_eq!(deliver(&mut learner, thumb(0, 1, 1.0), 9), Receipt::Duplicate);
    assert_eq!(deliver(&mut learner, thumb(0, 1, 0.0), 8), Receipt::Duplicate);
    assert_eq!((learner.account().labels, learner.account().satisfied), (1, 1.0));
    assert_eq!(deliver(&mut learner, thumb(0, 1, 0.0), 10), Receipt::Replaced);
    assert_eq!((learner.account().labels, learner.account().satisfied), (1, 0.0));
}

#[test]
fn several_raters_of_one_decision_are_one_label_with_their_mean() {
    let mut learner = learner();
    for (order, (rater, rating)) in [(1, 1.0), (2, 0.0), (3, 0.5), (4, 0.5)].into_iter().enumerate() {
        assert_eq!(deliver(&mut learner, thumb(0, rater, rating), order), Receipt::Recorded);
        assert_eq!(learner.account().labels, 1);
    }
    assert_eq!(learner.account().satisfaction(), Some(0.5));
    // 0.8 − 1 is cut off at the floor; then the mean falls from 1 to 1/2 and stays there.
    assert_eq!(learner.router().policy().queue(), Some(0.5));
    assert_eq!(deliver(&mut learner, Given { rating: None, ..thumb(0, 2, 0.0) }, 9), Receipt::Withdrawn);
    let mean = learner.account().satisfaction().unwrap();
    assert!((mean - 2.0 / 3.0).abs() < 1e-12, "{mean}");
    assert_eq!(learner.account().models[MODELS[0]].labels, 1);
}

/// A route of that policy, with the model `m1` or without it.
fn set(learner: &mut Learner, policy: &str, with_m1: bool) {
    let mut zoo = models(&[1.0, 2.0, 3.0]);
    zoo.retain(|model| with_m1 || &*model.name != "m1");
    learner.reconfigure(route::spec(zoo, 0.8, PolicySpec::parse(policy).unwrap())).unwrap();
}

/// What the head of `m1` predicts.
fn of_m1(learner: &Learner) -> f64 {
    let context = Context { features: &FEATURES, input_tokens: 1.0, excluded: &[] };
    learner.router().decide(&context, &mut decision_rng(0, DecisionId(0))).unwrap().candidates[1].satisfaction
}

#[test]
fn heads_are_corrected_only_by_what_they_were_taught() {
    let withdrawn = Given { rating: None, ..thumb(1, 7, 0.0) };
    // Given while the model was out: it taught nothing, so there is nothing to take back.
    let mut out = learner();
    set(&mut out, "slarouter", false);
    deliver(&mut out, thumb(1, 7, 1.0), 1);
    out = Learner::from_bytes(&out.to_bytes().unwrap()).unwrap();
    set(&mut out, "slarouter", true);
    assert_eq!(deliver(&mut out, withdrawn, 2), Receipt::Withdrawn);
    assert_eq!((of_m1(&out), out.account().labels), (0.5, 0));

    // Changed when the model is back: the head learns it for the first time.
    let (mut late, mut once) = (learner(), learner());
    set(&mut late, "slarouter", false);
    deliver(&mut late, thumb(1, 7, 1.0), 1);
    set(&mut late, "slarouter", true);
    deliver(&mut late, thumb(1, 7, 0.0), 2);
    deliver(&mut once, thumb(1, 7, 0.0), 1);
    assert!(of_m1(&late) < 0.5);
    assert_eq!(of_m1(&late), of_m1(&once));

    // Taught, changed while the model was out, then withdrawn: what was taught is what is taken back.
    let (mut changed, mut straight) = (learner(), learner());
    for learner in [&mut changed, &mut straight] {
        deliver(learner, thumb(1, 7, 1.0), 1);
    }
    set(&mut changed, "slarouter", false);
    deliver(&mut changed, thumb(1, 7, 0.0), 2);
    set(&mut changed, "slarouter", true);
    deliver(&mut changed, withdrawn, 3);
    deliver(&mut straight, withdrawn, 3);
    assert_eq!(of_m1(&changed), of_m1(&straight));
}

#[test]
fn fresh_heads_are_not_corrected_by_labels_before_their_time() {
    let withdrawn = Given { rating: None, ..thumb(1, 7, 1.0) };
    let mut other_policy = learner();
    deliver(&mut other_policy, thumb(1, 7, 1.0), 1);
    set(&mut other_policy, "random", true);
    set(&mut other_policy, "slarouter", true);
    assert_eq!(deliver(&mut other_policy, withdrawn, 2), Receipt::Withdrawn);
    assert_eq!(of_m1(&other_policy), 0.5);

    // Features of another version and back again, as after a release that was taken back.
    let mut other_features = learner();
    deliver(&mut other_features, thumb(1, 7, 1.0), 1);
    assert!(other_features.use_features(5, 2) && other_features.use_features(FEATURES.len(), 1));
    assert_eq!(deliver(&mut other_features, withdrawn, 2), Receipt::Withdrawn);
    assert_eq!(of_m1(&other_features), 0.5);
}

/// Decided at `decided`, rated at `now`.
fn rate_at(learner: &mut Learner, decided: u64, now: u64, order: u64) -> Receipt {
    let feedback = Feedback {
        decision: DecisionId(decided.into()),
        decided_at: Timestamp(decided),
        model: "m1",
        reason: Reason::Explore,
        features: &[],
        predicted: 0.5,
        source: Source::User,
        rater: Rater(order),
        rating: Some(Rating::new(1.0).unwrap()),
        order,
    };
    learner.observe(&feedback, Timestamp(now)).unwrap()
}

#[test]
fn the_window_closes_once_and_for_all() {
    let mut learner = learner();
    let (early, later) = (5_000, 6_000);
    assert_eq!(rate_at(&mut learner, early, early + WINDOW_MS, 1), Receipt::Recorded, "the last moment");
    assert_eq!(rate_at(&mut learner, later, early, 2), Receipt::Recorded, "by a clock behind the decision");
    assert_eq!(learner.ledger().len(), 2);
    let counted = learner.account().clone();

    assert_eq!(rate_at(&mut learner, early, early + WINDOW_MS + 1, 3), Receipt::Expired);
    assert_eq!(rate_at(&mut learner, early, early, 4), Receipt::Expired, "the clock went back");
    assert_eq!((learner.account(), learner.ledger().len()), (&counted, 1), "counted, and no longer held");

    // A longer window does not open it again: the first rating is forgotten, and would count twice.
    let mut spec = learner.router().spec().clone();
    spec.feedback_window_ms *= 2;
    learner.reconfigure(spec.clone()).unwrap();
    assert_eq!(rate_at(&mut learner, early, early + WINDOW_MS + 2, 1), Receipt::Expired);
    assert_eq!(rate_at(&mut learner, later, later + 2 * WINDOW_MS, 5), Receipt::Recorded, "what was open gains");

    // A shorter one closes what it no longer covers.
    spec.feedback_window_ms = 10;
    learner.reconfigure(spec).unwrap();
    assert_eq!(rate_at(&mut learner, later, later + 2 * WINDOW_MS, 6), Receipt::Expired);
    assert!(learner.ledger().is_empty());
    assert_eq!((learner.account().labels, learner.account().satisfied), (2, 2.0));
}
