//! Many requests through the real binary, with an upstream that fails in every way and clients that go away: at the end the log, the
//! metrics, the clients and the upstream must agree, and nothing may be left over.
//!
//! 3,000 requests by default; `make soak` sends 200,000. `SOAK_REQUESTS` and `SOAK_SEED` change that. And honest clients beside hostile
//! ones, with 150 idle connections by default and 10,000 in `make soak`, which `SOAK_IDLE` changes.
#![expect(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test may fail loudly, and says what it measured"
)]

mod beside;
mod clients;
mod faults;
mod hostile;
mod memory;
mod process;

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use serde_json::Value;
use slarouter_core::DecisionId;
use slarouter_store::{Event, OutcomeRecord, Spending};
use slarouter_testkit::{Daemon, Upstream, until};
use tokio::sync::watch;
use tokio::task::JoinSet;

use clients::{KEY, Load, Seen};
use process::Process;

const BIN: &str = env!("CARGO_BIN_EXE_slarouter");
const CLIENTS: u64 = 16;
/// Samples of memory in a run.
const SAMPLES: u64 = 20;
/// 17 s: the ratings in the window are what the gateway keeps of the past in memory, and that must not hide what it should not keep.
const WINDOW_DAYS: f64 = 0.0002;
/// Guards against a hang, not measures.
const PATIENCE: Duration = Duration::from_secs(120);
const PER_REQUEST: Duration = Duration::from_millis(10);

/// What the log holds, all of it.
#[derive(Default)]
struct Log {
    decisions: HashMap<DecisionId, u64>,
    outcomes: HashMap<DecisionId, Vec<OutcomeRecord>>,
    ratings: u64,
    spent: Vec<Spending>,
}

fn number(name: &str, standard: u64) -> u64 {
    std::env::var(name)
        .map_or(standard, |value| value.parse().unwrap_or_else(|_| panic!("{name} is no number: {value}")))
}

fn config(folder: &Path, upstream: &str) -> String {
    let model = |name: &str, price: f64, more: &str| {
        format!(
            "[[models]]\nname = \"{name}\"\nbase_url = \"{upstream}\"\nprice = {{ input = {price}, output = {price} }}\n{more}\n"
        )
    };
    format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[store]\nurl = \"sqlite://{}\"\nsnapshot_every = 5000\n\
         [feedback]\nwindow_days = {WINDOW_DAYS}\n\
         [upstream]\nresponse_timeout_s = 1\nfirst_token_timeout_s = 1\nidle_timeout_s = 1\nbackoff_s = 0.001\n\
         breaker_open_s = 0.05\nretry_after_max_s = 0.05\nhedge = {{ quantile = 0.95, to = \"next\", min_s = 0.05 }}\n\
         [[keys]]\nname = \"soak\"\nkey = \"{KEY}\"\nscopes = [\"inference\", \"feedback\", \"view\"]\nlimits = {{ usd_per_month = 1000000.0 }}\n\
         {}{}[routes.default]\nmodels = [\"small\", \"large\"]\nfallback = \"large\"\nsla = {{ satisfaction = 0.8 }}\n",
        folder.join("soak.db").display(),
        model("small", 0.1, "health_check = { path = \"/health\", interval_s = 0.2 }"),
        model("large", 5.0, "max_concurrency = 12"),
    )
}

async fn log(url: &str) -> Log {
    let store = slarouter_store::open(url).await.unwrap();
    let (mut log, mut seq) = (Log::default(), 0);
    loop {
        let events = store.events_after(seq, 4_096).await.unwrap();
        let Some(last) = events.last() else { break };
        let after = last.seq();
        for event in events {
            match event {
                Event::Decided { id, .. } => *log.decisions.entry(id).or_default() += 1,
                Event::Finished { outcome, .. } => log.outcomes.entry(outcome.decision).or_default().push(outcome),
                Event::Rated { .. } => log.ratings += 1,
                _ => {}
            }
        }
        seq = after;
    }
    log.spent = store.spending(0).await.unwrap();
    store.close().await;
    log
}

/// The sum of a metric over all its labels.
fn sum(metrics: &str, name: &str) -> f64 {
    let value = |line: &str| -> Option<f64> {
        let rest = line.strip_prefix(name)?;
        let rest = if rest.starts_with('{') { rest.split_once("} ")?.1 } else { rest.strip_prefix(' ')? };
        rest.parse().ok()
    };
    metrics.lines().filter_map(value).sum()
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 + 1e-6 * a.abs().max(b.abs())
}

async fn soak(requests: u64, seed: u64) {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::answering(move |request| faults::answer(seed, request)).await;
    let path = folder.path().join("slarouter.toml");
    std::fs::write(&path, config(folder.path(), &upstream.base_url())).unwrap();
    let mut command = tokio::process::Command::new(BIN);
    command.args(["serve", "--log", "error", "--config"]).arg(&path);
    let mut daemon = Daemon::spawn(&mut command).await.unwrap();
    let base = format!("http://{}", daemon.addr());
    let process = Process::new(daemon.id().unwrap());
    let operator = reqwest::Client::new();
    let metrics =
        async || operator.get(format!("{base}/metrics")).bearer_auth(KEY).send().await.unwrap().text().await.unwrap();
    let tasks = sum(&metrics().await, "slarouter_tasks");
    let (sockets, files) = process.open();

    let (done, mut progress) = watch::channel(0_u64);
    let load = Arc::new(Load { base: base.clone(), seed, requests, next: AtomicU64::new(0), done });
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(clients::run(load.clone()));
    }
    let mut memory = Vec::new();
    for sample in 1..=SAMPLES {
        let share = (requests * sample).div_ceil(SAMPLES);
        progress.wait_for(|done| *done >= share).await.unwrap();
        memory.push(process.memory());
    }
    let seen: Vec<Seen> = clients.join_all().await.into_iter().flatten().collect();

    // Nothing is under way any more, and what was held open is given back.
    until("no request is under way", async || sum(&metrics().await, "slarouter_in_flight") == 0.0).await;
    // A pool has a task of its own, whatever went through it; what leaks does so with every so many requests.
    until("sockets and tasks are given back", async || {
        // Health checks connect again.
        upstream.disconnect();
        process.open().0 <= sockets && sum(&metrics().await, "slarouter_tasks") <= tasks + 4.0
    })
    .await;
    let files_after = process.open().1;
    // The readers of the database are opened as they are needed, three files each.
    assert!(files_after <= files + 12, "{files} files were open, now {files_after}");
    let last = metrics().await;
    daemon.terminate().await.unwrap();
    assert!(daemon.wait().await.unwrap().success(), "{}", daemon.stderr());

    let log = log(&format!("sqlite://{}", folder.path().join("soak.db").display())).await;
    agree(&log, &last, &seen, seed);
    let output = Command::new(BIN).args(["verify", "--config"]).arg(&path).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    assert!(output.status.success() && report["same"] == true, "{report:#}{}", String::from_utf8_lossy(&output.stderr));

    let whole = seen.iter().filter(|seen| seen.whole.is_some()).count();
    let rated = seen.iter().filter(|seen| seen.rated).count();
    println!("{requests} requests: {} decided, {whole} answered whole, {rated} rated", log.decisions.len());
    for name in
        ["upstream_calls_total", "upstream_failures_total", "hedges_total", "rerouted_total", "health_checks_total"]
    {
        println!("{name}: {}", sum(&last, &format!("slarouter_{name}")));
    }
    println!("resident KiB at each {} %: {memory:?}", 100 / SAMPLES);
    let (quarter, end) = (memory[SAMPLES as usize / 4 - 1], memory[SAMPLES as usize - 1]);
    assert!(end <= quarter + quarter / 10 + 8_192, "memory grows: {memory:?} KiB");
}

/// Whether log, metrics, clients and upstream say the same.
fn agree(log: &Log, metrics: &str, seen: &[Seen], seed: u64) {
    assert_eq!((sum(metrics, "slarouter_unlogged_total"), sum(metrics, "slarouter_degraded_total")), (0.0, 0.0));
    for (id, times) in &log.decisions {
        let outcomes = log.outcomes.get(id).map_or(0, Vec::len);
        assert_eq!((*times, outcomes), (1, 1), "{:032x}: decided, and ended", id.0);
    }
    assert_eq!(log.decisions.len(), log.outcomes.len());
    assert_eq!(sum(metrics, "slarouter_requests_total"), log.outcomes.len() as f64);
    let outcomes = || log.outcomes.values().flatten();
    let cost: f64 = outcomes().map(|outcome| outcome.cost).sum();
    let counted = sum(metrics, "slarouter_cost_usd_total");
    assert!(near(cost, counted), "the log says {cost} USD, the metrics {counted}");
    // What no usage is known of stays reserved.
    let spent = log.spent.iter().filter(|spent| &*spent.account == "key:soak").map(|spent| spent.nano_usd).sum::<i64>();
    assert!(spent as f64 >= cost * 1e9, "{spent} nano-USD are booked, {cost} USD spent");
    assert!(seen.len() >= log.decisions.len(), "who else asked?");

    let mut whole = 0;
    for seen in seen {
        let Some(id) = seen.id else { continue };
        let [outcome] = &log.outcomes[&id][..] else { panic!("{:032x}", id.0) };
        let Some(answer) = seen.whole else { continue };
        whole += 1;
        let expected = faults::usage(seed, seen.number);
        assert_eq!((answer.input, answer.output), expected, "request {}", seen.number);
        assert!(outcome.ok && outcome.status == 200, "{outcome:?}");
        assert_eq!((outcome.input_tokens, outcome.output_tokens), (Some(expected.0 as f64), Some(expected.1 as f64)));
        assert!(
            near(outcome.cost, answer.cost),
            "request {}: {} in the log, {}",
            seen.number,
            outcome.cost,
            answer.cost
        );
    }
    // Who went away may have been served whole all the same.
    let ok = outcomes().filter(|outcome| outcome.ok).count();
    let gone = seen.iter().filter(|seen| seen.gone).count();
    assert!(
        (whole..=whole + gone).contains(&ok),
        "{ok} whole answers in the log, {whole} at the clients, {gone} went away"
    );
    assert_eq!(log.ratings, seen.iter().filter(|seen| seen.rated).count() as u64);
    assert!(whole as f64 > 0.7 * seen.len() as f64, "{whole} of {}", seen.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_and_nothing_is_left_over() {
    let (requests, seed) = (number("SOAK_REQUESTS", 3_000).max(SAMPLES), number("SOAK_SEED", 1));
    let patience = PATIENCE + PER_REQUEST * u32::try_from(requests).unwrap();
    tokio::time::timeout(patience, soak(requests, seed)).await.expect("the soak does not come to its end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn honest_clients_are_served_beside_hostile_ones() {
    let idle = usize::try_from(number("SOAK_IDLE", 150)).unwrap();
    let patience = PATIENCE + PER_REQUEST * u32::try_from(idle).unwrap() * 10;
    let soak = beside::soak(beside::Scale::of(idle));
    tokio::time::timeout(patience, soak).await.expect("the soak does not come to its end");
}
