//! How large what is learnt is: it grows with the labels whose window is open and with the routes, and with nothing else.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use slarouter_core::{
    Alpha, DecisionId, Feedback, Learner, ModelSpec, PolicySpec, Price, Rater, Rating, Reason, RouteSpec, Source,
    Timestamp, Zoo,
};

const WINDOW: u64 = 1_000_000;

fn learner(models: usize) -> Learner {
    let zoo = (0..models).map(|n| ModelSpec::new(&format!("model-{n}"), Price { input: 1.0, output: 1.0 + n as f64 }));
    let zoo = Zoo::new(zoo.collect()).unwrap();
    let mut spec = RouteSpec::new(Alpha::new(0.9).unwrap(), zoo, PolicySpec::parse("certified").unwrap());
    spec.feedback_window_ms = WINDOW;
    Learner::new(spec, 128, 1).unwrap()
}

/// So many labels, by so many raters in turn, each of a decision at its own time.
fn rate(learner: &mut Learner, labels: std::ops::Range<u64>, raters: u64, begin: u64) {
    let features: Vec<f32> = (0..128).map(|place| if place % 5 == 0 { 0.2 } else { 0.0 }).collect();
    for n in labels {
        let at = Timestamp(begin + n);
        let feedback = Feedback {
            decision: DecisionId(u128::from(n) << 80),
            decided_at: at,
            model: "model-1",
            reason: Reason::Exploit,
            features: &features,
            predicted: 0.5,
            source: Source::User,
            rater: Rater(1 + n % raters),
            rating: Rating::new((n % 2) as f64).ok(),
            order: n,
        };
        learner.observe(&feedback, at).unwrap();
    }
}

fn size(learner: &Learner) -> usize {
    learner.to_bytes().unwrap().len()
}

#[test]
fn a_state_is_bounded_by_the_labels_in_the_window() {
    let mut one = learner(2);
    let empty = size(&one);
    rate(&mut one, 0..2_000, 1, 0);
    let some = size(&one);
    rate(&mut one, 2_000..4_000, 1, 0);
    let twice = size(&one);
    let each = (twice - some) as f64 / 2_000.0;
    // After the window a further label closes all of them.
    rate(&mut one, 4_000..4_001, 1, 10 * WINDOW);
    let closed = size(&one);
    let mut many = learner(2);
    rate(&mut many, 0..4_000, 1_000, 0);
    let raters = size(&many);
    println!(
        "empty {empty}, 2,000 labels {some}, 4,000 {twice} ({each:.1} bytes each), of 1,000 raters {raters}, once closed {closed}"
    );
    println!("four models, empty: {}", size(&learner(4)));
    assert!(each < 100.0, "{each}");
    assert!(raters < twice + 1_000 * 60, "{raters}: a rater is a number and counts of the window");
    assert!(closed < empty + 4_096, "{closed} of {empty}: nothing of what is closed is kept one by one");
}
