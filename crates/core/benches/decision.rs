//! Time of a decision and of learning from a rating, at 128 features; of keeping an account and of its certificate.
#![expect(clippy::unwrap_used, reason = "a bench may fail loudly")]

use divan::Bencher;
use divan::counter::ItemsCount;
use slarouter_core::{
    Alpha, Context, DecisionId, Feedback, Learner, ModelSpec, PolicySpec, Price, Rater, Rating, Reason, RouteSpec,
    SatisfactionAccount, Source, Span, Timestamp, Zoo, decision_rng,
};

const DIM: usize = 128;
const POLICIES: [&str; 2] = ["certified", "slarouter"];

fn main() {
    divan::main();
}

/// After 1,000 decisions, all rated.
fn learner(policy: &str, models: usize) -> Learner {
    let model = |i: usize| {
        let price = Price { input: 0.1 * (i + 1) as f64, output: 0.4 * (i + 1) as f64 };
        ModelSpec::new(&format!("model-{i}"), price)
    };
    let zoo = Zoo::new((0..models).map(model).collect()).unwrap();
    let policy = PolicySpec::parse(policy).unwrap();
    let spec = RouteSpec { feedback_window_ms: 1_000_000, ..RouteSpec::new(Alpha::new(0.8).unwrap(), zoo, policy) };
    let mut learner = Learner::new(spec, DIM, 1).unwrap();
    for n in 0..1_000 {
        let features = features(n);
        let context = Context { features: &features, input_tokens: 300.0, excluded: &[] };
        let decision = learner.router().decide(&context, &mut decision_rng(1, DecisionId(n.into()))).unwrap();
        learner.decided(&decision, Timestamp(n));
        rate(&mut learner, n);
    }
    learner
}

fn features(n: u64) -> Vec<f32> {
    (0..DIM as u64).map(|i| ((n * 31 + i * 17) % 97) as f32 / 97.0 - 0.5).collect()
}

fn rate(learner: &mut Learner, n: u64) {
    let feedback = Feedback {
        decision: DecisionId(n.into()),
        decided_at: Timestamp(n),
        model: ["model-0", "model-1", "model-2", "model-3"][n as usize % 4],
        reason: Reason::Exploit,
        features: &features(n),
        predicted: 0.5,
        source: Source::User,
        rater: Rater(0),
        // Depends on the prompt, so that no predictor is out of the running.
        rating: Some(Rating::new(f64::from(u8::from(features(n)[0] + features(n)[5] > 0.1))).unwrap()),
        order: n,
    };
    learner.observe(&feedback, Timestamp(n)).unwrap();
}

/// One decision, with its generator.
#[divan::bench(args = POLICIES, consts = [4, 8])]
fn decide<const MODELS: usize>(bencher: Bencher<'_, '_>, policy: &str) {
    let (learner, features) = (learner(policy, MODELS), features(7));
    let context = Context { features: &features, input_tokens: 300.0, excluded: &[] };
    let mut id = 0;
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| {
        id += 1;
        learner.router().decide(divan::black_box(&context), &mut decision_rng(1, DecisionId(id))).unwrap()
    });
}

/// A rating of a decision not rated before, with 1,000 others in the window (the features are made in it too).
#[divan::bench(args = POLICIES)]
fn observe(bencher: Bencher<'_, '_>, policy: &str) {
    let mut learner = learner(policy, 4);
    let mut n = 1_000;
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| {
        n += 1;
        rate(&mut learner, n);
    });
}

/// What the gateway does after every event: a snapshot for the deciding threads.
#[divan::bench(args = POLICIES)]
fn snapshot(bencher: Bencher<'_, '_>, policy: &str) {
    let learner = learner(policy, 8);
    bencher.bench_local(|| divan::black_box(learner.router()).clone());
}

/// Saving, with 1,000 labelled decisions in the window.
#[divan::bench(args = POLICIES)]
fn save(bencher: Bencher<'_, '_>, policy: &str) {
    let learner = learner(policy, 4);
    bencher.bench_local(|| divan::black_box(&learner).to_bytes().unwrap());
}

fn account(requests: u64) -> SatisfactionAccount {
    let mut account = SatisfactionAccount::new(0.95, Span::Open);
    for t in 0..requests {
        account.answered(Timestamp(t), 0.8);
        if t.is_multiple_of(20) {
            account.labelled(Timestamp(t), 0.8, None, Some(f64::from(u8::from(!t.is_multiple_of(100)))));
        }
    }
    account
}

/// One answer with its label in an account.
#[divan::bench]
fn account_event(bencher: Bencher<'_, '_>) {
    let (mut account, mut t) = (account(10_000), 10_000);
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| {
        t += 1;
        account.answered(Timestamp(t), divan::black_box(0.8));
        account.labelled(Timestamp(t), 0.8, None, Some(1.0));
    });
}

/// The certificate after so many answers, a twentieth of them labelled.
#[divan::bench(args = [1_000, 20_000, 1_000_000])]
fn certificate(bencher: Bencher<'_, '_>, requests: u64) {
    let account = account(requests);
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| divan::black_box(&account).certificate());
}

/// The controller's estimates.
#[divan::bench]
fn standing(bencher: Bencher<'_, '_>) {
    let account = account(1_000_000);
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| divan::black_box(&account).standing());
}
