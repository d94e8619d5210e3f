//! Time per decision and per label, features given.

use divan::black_box;
use slarouter_core::{
    Alpha, Context, DecisionId, Feedback, Learner, ModelSpec, PolicySpec, Price, Rater, Rating, Reason, RouteSpec,
    Timestamp, Zoo, decision_rng,
};

const DIM: usize = 128;

fn main() {
    divan::main();
}

fn learner(models: usize) -> Option<Learner> {
    let model = |i: usize| ModelSpec::new(&format!("m{i}"), Price { input: i as f64, output: i as f64 });
    let spec = RouteSpec {
        alpha: Alpha::new(0.9).ok()?,
        zoo: Zoo::new((1..=models).map(model).collect()).ok()?,
        policy: PolicySpec::parse("slarouter").ok()?,
        feedback_window_ms: 1_000,
    };
    Learner::new(spec, DIM, 1).ok()
}

#[divan::bench(args = [4, 8])]
fn decide(bencher: divan::Bencher<'_, '_>, models: usize) {
    let Some(learner) = learner(models) else { return };
    let features = [0.1_f32; DIM];
    let mut id = 0;
    bencher.bench_local(|| {
        id += 1;
        let context = Context { features: black_box(&features), input_tokens: 100.0, excluded: &[] };
        learner.router().decide(&context, &mut decision_rng(0, DecisionId(id)))
    });
}

#[divan::bench]
fn observe(bencher: divan::Bencher<'_, '_>) {
    let Some(mut learner) = learner(4) else { return };
    let features = [0.1_f32; DIM];
    let mut n = 0;
    bencher.bench_local(|| {
        n += 1;
        let feedback = Feedback {
            decision: DecisionId(u128::from(n)),
            decided_at: Timestamp(n),
            model: "m1",
            reason: Reason::Exploit,
            features: black_box(&features),
            rater: Rater(0),
            rating: Rating::new((n % 2) as f64).ok(),
            order: n,
        };
        learner.observe(&feedback, Timestamp(n))
    });
}
