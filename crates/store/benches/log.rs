//! Decisions logged per second, and the time of a durable rating, on a real file.
#![expect(clippy::unwrap_used, reason = "a bench may fail loudly")]

use std::sync::Arc;

use divan::counter::ItemsCount;
use slarouter_core::{AuditDraw, Candidate, Decision, DecisionId, Rater, Rating, Reason, Source, Timestamp};
use slarouter_store::{DecisionRecord, Entry, FeedbackRecord, Payer, Store, open};
use tempfile::TempDir;
use tokio::runtime::Runtime;

const FEATURES: usize = 256;

fn main() {
    divan::main();
}

struct Log {
    store: Arc<dyn Store>,
    runtime: Runtime,
    _folder: TempDir,
    next: u128,
}

impl Log {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let url = format!("sqlite://{}", folder.path().join("log.db").display());
        let runtime = Runtime::new().unwrap();
        let store = runtime.block_on(open(&url)).unwrap();
        Self { store, runtime, _folder: folder, next: 0 }
    }

    /// Logs `count` decisions of a zoo of four, without waiting.
    fn decide(&mut self, count: u128) {
        let candidate = |model: &str| Candidate {
            model: model.into(),
            probability: 0.25,
            satisfaction: 0.1 + 0.2,
            cost: 1.0e-4 / 3.0,
            score: 0.7,
            ..Candidate::default()
        };
        for id in self.next..self.next + count {
            let entry = Entry::Decision(DecisionRecord {
                id: DecisionId(id),
                time: Timestamp(0),
                route: "default".into(),
                decision: Decision {
                    candidates: ["a", "b", "c", "d"].map(candidate).to_vec(),
                    chosen: 0,
                    reason: Reason::Exploit,
                },
                features: vec![0.125; FEATURES],
                feature_version: 1,
                input_tokens: 10.0,
                state_seq: 0,
                prompt: None,
                audit: AuditDraw::default(),
                payer: Payer::default(),
                fallback: None,
                trace: None,
            });
            self.store.log(entry).unwrap();
        }
        self.next += count;
    }
}

/// From the first call until all are on disk.
#[divan::bench(sample_count = 20, sample_size = 1)]
fn decisions(bencher: divan::Bencher<'_, '_>) {
    const COUNT: u128 = 10_000;
    let mut log = Log::new();
    bencher.counter(ItemsCount::new(COUNT as usize)).bench_local(|| {
        log.decide(COUNT);
        log.runtime.block_on(log.store.flush()).unwrap();
    });
}

/// Ratings that arrive at the same time share a commit.
#[divan::bench(args = [1, 16, 256], sample_count = 50, sample_size = 1)]
fn ratings(bencher: divan::Bencher<'_, '_>, at_once: usize) {
    let mut log = Log::new();
    bencher.counter(ItemsCount::new(at_once)).bench_local(|| {
        let first = log.next;
        log.decide(at_once as u128);
        let tasks: Vec<_> = (first..log.next)
            .map(|id| {
                let store = log.store.clone();
                let rating = Some(Rating::new(1.0).unwrap());
                let (decision, time, rater) = (DecisionId(id), Timestamp(1), Rater(1));
                let feedback = FeedbackRecord { decision, time, source: Source::User, rater, rating, comment: None };
                log.runtime.spawn(async move { store.rate(feedback, 1_000).await.unwrap() })
            })
            .collect();
        for task in tasks {
            log.runtime.block_on(task).unwrap();
        }
    });
}

/// What the learner reads.
#[divan::bench(sample_count = 20, sample_size = 1)]
fn events(bencher: divan::Bencher<'_, '_>) {
    const COUNT: u128 = 10_000;
    let mut log = Log::new();
    log.decide(COUNT);
    log.runtime.block_on(log.store.flush()).unwrap();
    bencher
        .counter(ItemsCount::new(COUNT as usize))
        .bench_local(|| log.runtime.block_on(log.store.events_after(0, COUNT as usize)).unwrap());
}

/// A thousand ratings as the learner reads them, so many of each answer.
#[divan::bench(args = [1, 100, 1_000], sample_count = 20, sample_size = 1)]
fn raters_of_one_answer(bencher: divan::Bencher<'_, '_>, raters: u64) {
    const RATINGS: u64 = 1_000;
    let mut log = Log::new();
    log.decide(u128::from(RATINGS / raters));
    log.runtime.block_on(log.store.flush()).unwrap();
    let decided = *log.store.committed().borrow();
    log.runtime.block_on(async {
        for rating in 0..RATINGS {
            let decision = DecisionId(u128::from(rating / raters));
            let (time, rater, given) = (Timestamp(1), Rater(rating % raters), Some(Rating::new(1.0).unwrap()));
            let feedback = FeedbackRecord { decision, time, source: Source::User, rater, rating: given, comment: None };
            log.store.rate(feedback, 1_000).await.unwrap();
        }
    });
    bencher
        .counter(ItemsCount::new(RATINGS as usize))
        .bench_local(|| log.runtime.block_on(log.store.events_after(decided, RATINGS as usize)).unwrap());
}
