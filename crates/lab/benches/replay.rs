//! Decisions per second of a whole replay: decide, decided, finished and, for 5 % of the answers, observe.
#![expect(clippy::unwrap_used, reason = "a bench may fail loudly")]

use std::fmt::Write as _;

use divan::counter::ItemsCount;
use slarouter_core::{Alpha, PolicySpec};
use slarouter_lab::{Dataset, Fallback, Order, Replay, Selection};

const ROWS: usize = 20_000;

fn main() {
    divan::main();
}

/// Prompts of a few kinds; the dearer the model, the more often it satisfies.
fn generated(models: usize) -> Dataset {
    let mut text = "prompt_id,prompt".to_owned();
    for model in 0..models {
        write!(text, ",score:m{model},cost:m{model}").unwrap();
    }
    for row in 0..ROWS {
        write!(text, "\n{row},Solve problem {row} of set {} and explain every step", row % 7).unwrap();
        for model in 0..models {
            let score = u8::from((row * 31 + model * 17) % (models + 1) <= model);
            write!(text, ",{score},{}", 1e-5 * 4_f64.powi(i32::try_from(model).unwrap())).unwrap();
        }
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    Dataset::load(file.path(), &Selection::default()).unwrap()
}

#[divan::bench(args = [4, 24], sample_count = 10)]
fn decisions(bencher: divan::Bencher<'_, '_>, models: usize) {
    let data = generated(models);
    let replay = Replay {
        data: &data,
        alpha: Alpha::new(0.6).unwrap(),
        feedback_rate: 0.05,
        policy: PolicySpec::parse("slarouter").unwrap(),
        seeds: 1,
        fallback: Fallback::default(),
        order: Order::Shuffled,
        limit: None,
    };
    bencher.counter(ItemsCount::new(ROWS)).bench(|| replay.run_seed(divan::black_box(0)).unwrap());
}
