//! `kill -9` at random moments under load: no acknowledged feedback is lost, none counts twice, and the state equals what
//! replaying the log gives.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

#[path = "common/rng.rs"]
mod rng;

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rng::Rng;
use serde_json::{Value, json};
use slarouter_core::{DecisionId, Rater, Timestamp};
use slarouter_store::{Calendar, Event, Selection, Totals};
use slarouter_testkit::{Daemon, Upstream, until};

const ROUNDS: u64 = 12;
const CLIENTS: u64 = 8;
const BIN: &str = env!("CARGO_BIN_EXE_slarouter");

/// What a client knows of its rating of one answer.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Known {
    /// The last rating that got its 202.
    acknowledged: f64,
    /// A later one whose answer never came: it may or may not be in force.
    in_doubt: Option<f64>,
}

type Ledger = Arc<Mutex<HashMap<String, Known>>>;

fn config(dir: &Path, upstream: &str) -> String {
    let model = |name: &str, price: f64| {
        format!(
            "[[models]]\nname = \"{name}\"\nbase_url = \"{upstream}\"\nupstream_model = \"ok\"\n\
             price = {{ input = {price}, output = {price} }}\n"
        )
    };
    format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[store]\nurl = \"sqlite://{}\"\nsnapshot_every = 50\n{}{}\
         [routes.default]\nmodels = [\"small\", \"large\"]\nfallback = \"large\"\nsla = {{ satisfaction = 0.8 }}\n",
        dir.join("kill.db").display(),
        model("small", 0.1),
        model("large", 5.0),
    )
}

/// Asks and rates until the gateway is gone.
async fn client(base: String, seed: u64, ledger: Ledger, acknowledged: Arc<AtomicUsize>) {
    let http = reqwest::Client::new();
    let mut rng = Rng(seed);
    let mut mine: Vec<String> = Vec::new();
    loop {
        let streamed = rng.below(2) == 0;
        let ask = json!({ "model": "auto", "stream": streamed, "messages": [{ "role": "user", "content": "hello" }] });
        let Ok(answer) = http.post(format!("{base}/v1/chat/completions")).json(&ask).send().await else { return };
        let id = answer.headers().get("x-request-id").map(|id| id.to_str().unwrap().to_owned());
        if answer.bytes().await.is_err() {
            return;
        }
        mine.extend(id);
        for _ in 0..2 {
            let id = mine[rng.below(mine.len())].clone();
            let rating = rng.below(2) as f64;
            let known = ledger.lock().unwrap().get(&id).copied();
            let body = json!({ "id": id, "rating": rating });
            let reply = http.post(format!("{base}/v1/feedback")).json(&body).send().await;
            let Some(202) = reply.as_ref().ok().map(|reply| reply.status().as_u16()) else {
                // Without an answer nothing is promised.
                let doubt = known.map_or(Known { acknowledged: f64::NAN, in_doubt: Some(rating) }, |known| Known {
                    in_doubt: Some(rating),
                    ..known
                });
                ledger.lock().unwrap().insert(id, doubt);
                return;
            };
            ledger.lock().unwrap().insert(id, Known { acknowledged: rating, in_doubt: None });
            acknowledged.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The ratings in force by the log alone, worked out without the learner; of the sums, what they say is the same.
async fn ratings_in_force(url: &str) -> (HashMap<DecisionId, f64>, u64) {
    let store = slarouter_store::open(url).await.unwrap();
    // What was not added before the kill is added at the next start.
    while store.roll_up(&Calendar::default(), Vec::new()).await.unwrap().more {}
    let ever = Selection { to: Timestamp(u64::MAX), ..Selection::default() };
    let summed = store.totals(ever, &[]).await.unwrap().first().map_or_else(Totals::default, |row| row.totals);
    let mut outcomes = 0;
    let mut held: HashMap<(DecisionId, Rater), f64> = HashMap::new();
    let (mut seq, mut decisions) = (0, 0);
    loop {
        let events = store.events_after(seq, 1_000).await.unwrap();
        if events.is_empty() {
            break;
        }
        for event in events {
            assert!(event.seq() > seq, "the log is in order");
            seq = event.seq();
            match event {
                Event::Decided { .. } => decisions += 1,
                Event::Finished { .. } => outcomes += 1,
                Event::Rated { rated, .. } => {
                    held.insert((rated.decision, rated.rater), rated.rating.unwrap().get());
                }
                _ => {}
            }
        }
    }
    store.close().await;
    let up = held.values().filter(|rating| **rating > 0.5).count();
    assert_eq!((summed.requests, summed.ratings, summed.up), (outcomes, held.len() as i64, up as i64));
    (held.into_iter().map(|((id, _), rating)| (id, rating)).collect(), decisions)
}

/// Serves clients who ask and rate, until so many ratings are acknowledged, and kills the gateway.
async fn serve_and_kill(config: &Path, round: u64, enough: usize, ledger: &Ledger) {
    let mut command = tokio::process::Command::new(BIN);
    command.args(["serve", "--log", "error", "--config"]).arg(config);
    let mut daemon = Daemon::spawn(&mut command).await.unwrap();
    let base = format!("http://{}", daemon.addr());
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|n| tokio::spawn(client(base.clone(), round * 100 + n, ledger.clone(), acknowledged.clone())))
        .collect();
    until(&format!("{enough} ratings are acknowledged"), async || {
        assert!(clients.iter().any(|client| !client.is_finished()), "the load ended before the kill");
        acknowledged.load(Ordering::Relaxed) >= enough
    })
    .await;
    daemon.kill().await.unwrap();
    for client in clients {
        client.await.unwrap();
    }
}

/// What is sure of a log that is shortened while it is killed: the sums and the rows say the same.
async fn rows_and_sums(url: &str) -> (i64, i64) {
    let store = slarouter_store::open(url).await.unwrap();
    while store.roll_up(&Calendar::default(), Vec::new()).await.unwrap().more {}
    let ever = Selection { to: Timestamp(u64::MAX), ..Selection::default() };
    let summed = store.totals(ever, &[]).await.unwrap().first().map_or_else(Totals::default, |row| row.totals);
    let counted = store.counts().await.unwrap();
    let short = store.held().await.unwrap().shortened_to;
    store.close().await;
    assert_eq!(summed.requests, counted.outcomes as i64);
    (summed.requests, short as i64)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_while_the_log_is_shortened_loses_nothing_and_counts_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    let upstream = Upstream::start().await;
    let path = dir.path().join("slarouter.toml");
    let kept = "[store.retention]\ndetails = \"1 second\"\n[feedback]\nwindow_days = 0.00001\n[routes.default]\n";
    let text = config(dir.path(), &upstream.base_url()).replace("[routes.default]\n", kept);
    std::fs::write(&path, text.replace("snapshot_every = 50", "snapshot_every = 20")).unwrap();
    let url = format!("sqlite://{}", dir.path().join("kill.db").display());
    let (mut rng, mut requests, mut shortened) = (Rng(11), 0, 0);
    for round in 0..ROUNDS {
        serve_and_kill(&path, round, 20 + rng.below(120), &Ledger::default()).await;
        let (now, short) = rows_and_sums(&url).await;
        assert!(now >= requests, "round {round}: {now} requests after {requests}");
        verify(&path);
        (requests, shortened) = (now, shortened.max(short));
    }
    assert!(shortened > 0 && requests > 100, "nothing was shortened: {requests} requests");
}

fn verify(config: &Path) -> Value {
    let output = Command::new(BIN).args(["verify", "--config"]).arg(config).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!report.is_null(), "verify said: {errors}");
    assert!(output.status.success() && report["same"] == true, "saved state and log differ: {report:#}");
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_or_counted_twice() {
    let dir = tempfile::tempdir().unwrap();
    let upstream = Upstream::start().await;
    let path = dir.path().join("slarouter.toml");
    std::fs::write(&path, config(dir.path(), &upstream.base_url())).unwrap();
    let url = format!("sqlite://{}", dir.path().join("kill.db").display());
    let ledger = Ledger::default();
    let mut rng = Rng(7);

    for round in 0..ROUNDS {
        serve_and_kill(&path, round, 20 + rng.below(150), &ledger).await;

        let (held, decisions) = ratings_in_force(&url).await;
        let report = verify(&path);
        let route = &report["routes"]["default"];
        assert_eq!(route["requests"], decisions);
        assert_eq!(route["labels"], held.len() as u64, "round {round}: one label per rated decision");
        let satisfied: f64 = held.values().sum();
        assert!((route["satisfied"].as_f64().unwrap() - satisfied).abs() < 1e-6, "round {round}");
        for (id, known) in ledger.lock().unwrap().iter() {
            let raw = u128::from_str_radix(&id.strip_prefix("chatcmpl-").unwrap().replace('-', ""), 16).unwrap();
            let in_force = held.get(&DecisionId(raw)).copied();
            if !known.acknowledged.is_nan() {
                let right = in_force == Some(known.acknowledged) || (in_force.is_some() && in_force == known.in_doubt);
                assert!(right, "round {round}: {id} {known:?}, in the log {in_force:?}");
            }
        }
    }
    assert!(ledger.lock().unwrap().len() > 100, "the load rated too little to prove anything");
}
