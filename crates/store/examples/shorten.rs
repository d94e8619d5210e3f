//! Shortens a log that `fill` has made, to measure for how long what is logged meanwhile waits, and how the file shrinks.
//!
//!     cargo run --release -p slarouter-store --example shorten -- slarouter.db $(date +%s%3N) 25
//!
//! The arguments are the database, which is changed; the time as of which all decisions go to the archive; and the pause between two steps in
//! milliseconds. A state is saved first, as nothing goes beyond one. Beside the steps, one entry after the other is logged and waited for.

use std::error::Error;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use slarouter_core::Timestamp;
use slarouter_store::{Entry, Retention, Shortened, Spending, Store, open};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, now, pause] = &arguments[..] else { return Err("usage: shorten DATABASE NOW_MS PAUSE_MS".into()) };
    let (now, pause) = (Timestamp(now.parse()?), Duration::from_millis(pause.parse()?));
    let begun = clock();
    let store = open(&format!("sqlite://{path}")).await?;
    let last = *store.committed().borrow();
    tell(&format!("opened at event {last} in {:?}", begun.elapsed()))?;
    store.save_snapshots(last, now, vec![("default".into(), vec![0; 1_000])]).await?;
    let retention = Retention { details_ms: Some(0), ..Retention::default() };
    let alone = waits(store.clone(), &AtomicBool::new(false), 500).await?;
    tell(&format!("waits without it: {}", told(alone)))?;

    let done = Arc::new(AtomicBool::new(false));
    let logging = tokio::spawn({
        let (store, done) = (store.clone(), done.clone());
        async move { waits(store, &done, usize::MAX).await }
    });
    let (begun, mut all, mut steps, mut longest) = (clock(), Shortened::default(), 0_u32, Duration::ZERO);
    loop {
        let step = clock();
        let what = store.shorten(&retention, now).await?;
        longest = longest.max(step.elapsed());
        steps += 1;
        all.add(&what);
        if !what.more {
            break;
        }
        tokio::time::sleep(pause).await;
    }
    let took = begun.elapsed();
    done.store(true, Ordering::Relaxed);
    tell(&format!("waits beside it: {}", told(logging.await??)))?;
    tell(&format!("{steps} steps in {took:?}, the longest {longest:?}: {all:?}"))?;
    store.close().await;
    tell(&format!("{} bytes", std::fs::metadata(path)?.len()))
}

/// For how long one entry after the other waits until it is durable, with a pause as between requests.
async fn waits(
    store: Arc<dyn Store>,
    done: &AtomicBool,
    most: usize,
) -> Result<Vec<Duration>, slarouter_store::StoreError> {
    let mut waits = Vec::new();
    while waits.len() < most && !done.load(Ordering::Relaxed) {
        let begun = clock();
        store.log(Entry::Spend(Spending { account: "measured".into(), day: 1, nano_usd: 1 }))?;
        store.flush().await?;
        waits.push(begun.elapsed());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(waits)
}

fn told(mut waits: Vec<Duration>) -> String {
    waits.sort_unstable();
    let at = |share: f64| waits.get(((waits.len() as f64 * share) as usize).min(waits.len().saturating_sub(1)));
    format!(
        "{} of them, p50 {:?}, p99 {:?}, p99.9 {:?}, longest {:?}",
        waits.len(),
        at(0.5),
        at(0.99),
        at(0.999),
        waits.last()
    )
}

fn tell(line: &str) -> Result<(), Box<dyn Error>> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

#[expect(clippy::disallowed_methods, reason = "it measures")]
fn clock() -> Instant {
    Instant::now()
}
