//! Honest clients, first by themselves and then beside hostile ones: all are answered, and in full runs about as fast.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::Client;
use serde_json::{Value, json};
use slarouter_testkit::{Daemon, Script, Upstream, until};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::hostile::{Hostiles, Numbers, WORDS_PER_ANSWER};
use crate::process::Process;
use crate::{BIN, number, sum};

const CLIENTS: usize = 8;
/// Honest requests of a round.
const ROUND: usize = 200;
/// The honest ones' p99 beside hostile ones, in units of their p99 alone: somewhat more than was measured, docs/benchmarks.md. Only full
/// runs hold it to that: a short one is a guess.
const WORST: f64 = 2.5;
/// What an idle connection may keep of the gateway's memory, and all else together.
const KIB_PER_CONNECTION: u64 = 32;
const KIB: u64 = 160 << 10;

/// How much there is of everything.
#[derive(Clone, Copy)]
pub(crate) struct Scale {
    pub(crate) numbers: Numbers,
    /// Least honest requests with and without the others.
    pub(crate) requests: usize,
    pub(crate) holds_p99: bool,
}

impl Scale {
    /// With so many idle connections; from 1,000 on it is a full run.
    pub(crate) fn of(idle: usize) -> Self {
        let full = idle >= 1_000;
        let (slow, words, requests) = if full { (100, 100_000, 20_000) } else { (10, 200, 400) };
        // To find out which of them costs what, a full run can be told to leave some out.
        let some = |name: &str, standard: usize| usize::try_from(number(name, standard as u64)).unwrap();
        let (slow, words) = (some("SOAK_SLOW", slow), some("SOAK_WORDS", words));
        let bombs = u32::try_from(some("SOAK_BOMBS", 20)).unwrap();
        Self { numbers: Numbers { idle, slow, words, bombs }, requests, holds_p99: full }
    }
}

pub(crate) fn config(folder: &Path, upstream: &str, connections: usize) -> String {
    let model = |name: &str, price: f64| {
        format!(
            "[[models]]\nname = \"{name}\"\nbase_url = \"{upstream}\"\nprice = {{ input = {price}, output = {price} }}\n"
        )
    };
    format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nmax_connections = {connections}\nbody_timeout_s = 5\n[store]\nurl = \"sqlite://{}\"\n\
         {}{}[routes.default]\nmodels = [\"small\", \"large\"]\nfallback = \"large\"\nsla = {{ satisfaction = 0.8 }}\n",
        folder.join("soak.db").display(),
        model("small", 0.1),
        model("large", 5.0),
    )
}

/// What the upstream says.
pub(crate) fn answer() -> Value {
    let choice =
        json!({ "index": 0, "message": { "role": "assistant", "content": "a few words" }, "finish_reason": "stop" });
    let usage = json!({ "prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12 });
    json!({ "id": "up", "object": "chat.completion", "model": "m", "choices": [choice], "usage": usage })
}

/// One honest request, which is answered; the id of the answer.
async fn ask(http: &Client, addr: SocketAddr) -> String {
    let body = json!({ "model": "auto", "messages": [{ "role": "user", "content": "a question" }] });
    let answer = http.post(format!("http://{addr}/v1/chat/completions")).json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 200, "an honest client is answered");
    let answer: Value = answer.json().await.unwrap();
    answer["id"].as_str().unwrap().to_owned()
}

/// Those who are to be served. They stay what they are from one round to the next: to make a client takes longer than its requests.
struct Honest {
    addr: SocketAddr,
    clients: Vec<Client>,
}

impl Honest {
    fn new(addr: SocketAddr) -> Self {
        Self { addr, clients: (0..CLIENTS).map(|_| Client::builder().no_proxy().build().unwrap()).collect() }
    }

    /// The times of a round of requests, and ids of their answers.
    async fn round(&self) -> (Vec<Duration>, Vec<String>) {
        let next = Arc::new(AtomicUsize::new(0));
        let mut asking = JoinSet::new();
        for http in &self.clients {
            let (http, addr, next) = (http.clone(), self.addr, next.clone());
            asking.spawn(async move {
                let mut seen = Vec::new();
                while next.fetch_add(1, Ordering::Relaxed) < ROUND {
                    let began = Instant::now();
                    let id = ask(&http, addr).await;
                    seen.push((began.elapsed(), id));
                }
                seen
            });
        }
        asking.join_all().await.into_iter().flatten().unzip()
    }
}

fn p99(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    times[(times.len() * 99).div_ceil(100) - 1].as_secs_f64() * 1e3
}

pub(crate) async fn soak(scale: Scale) {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::answering(|_| Script::json(200, &answer())).await;
    let path = folder.path().join("slarouter.toml");
    let connections = 2 * (scale.numbers.idle + 500);
    std::fs::write(&path, config(folder.path(), &upstream.base_url(), connections)).unwrap();
    let mut command = tokio::process::Command::new(BIN);
    command.args(["serve", "--log", "error", "--config"]).arg(&path);
    let mut daemon = Daemon::spawn(&mut command).await.unwrap();
    let (addr, process) = (daemon.addr(), Process::new(daemon.id().unwrap()));
    let http = Client::builder().no_proxy().build().unwrap();
    let metrics = async || http.get(format!("http://{addr}/metrics")).send().await.unwrap().text().await.unwrap();
    // With its pools of connections, the gateway has more sockets and tasks from the first requests on.
    Honest::new(addr).round().await;
    let (sockets, tasks) = (process.open().0, sum(&metrics().await, "slarouter_tasks"));

    let honest = Honest::new(addr);
    honest.round().await;
    let (mut alone, mut answers) = (Vec::new(), Vec::new());
    while alone.len() < scale.requests {
        let (times, ids) = honest.round().await;
        alone.extend(times);
        answers.extend(ids);
    }
    answers.truncate(scale.numbers.words.div_ceil(WORDS_PER_ANSWER));
    let mut hostiles = Hostiles::start(addr, scale.numbers, answers).await;
    let (mut beside, mut rated, mut memory) = (Vec::new(), None, 0);
    while rated.is_none() || beside.len() < scale.requests {
        let round = honest.round();
        tokio::pin!(round);
        // The rater may have said all in the middle of a round.
        let times = loop {
            tokio::select! {
                (times, _) = &mut round => break times,
                all = hostiles.rated(), if rated.is_none() => rated = Some(all),
            }
        };
        beside.extend(times);
        memory = process.memory().max(memory);
    }
    let (rated, bombs) = (rated.unwrap_or_default(), hostiles.leave().await);

    let (p99_alone, p99_beside) = (p99(&mut alone), p99(&mut beside));
    println!(
        "{} honest requests alone: p99 {p99_alone:.2} ms; {} beside {} idle connections, {} slow bodies, bombs {bombs:?} and a rater {rated:?}: \
         p99 {p99_beside:.2} ms, {:.2} times; at most {memory} KiB resident",
        alone.len(),
        beside.len(),
        scale.numbers.idle,
        scale.numbers.slow,
        p99_beside / p99_alone,
    );
    assert!((scale.numbers.bombs == 0 || !bombs.is_empty()) && bombs.keys().all(|status| *status < 500), "{bombs:?}");
    assert!(rated.keys().all(|status| [202, 429].contains(status)), "{rated:?}");
    assert!(scale.numbers.words == 0 || rated.contains_key(&202), "{rated:?}");
    let most = KIB + scale.numbers.idle as u64 * KIB_PER_CONNECTION;
    assert!(memory <= most, "{memory} KiB are resident, and {most} are enough");
    assert!(
        !scale.holds_p99 || p99_beside <= WORST * p99_alone,
        "{p99_beside} ms is over {WORST} times {p99_alone} ms"
    );
    drop(honest);
    until("sockets and tasks are given back", async || {
        upstream.disconnect();
        process.open().0 <= sockets && sum(&metrics().await, "slarouter_tasks") <= tasks + 4.0
    })
    .await;
    daemon.terminate().await.unwrap();
    assert!(daemon.wait().await.unwrap().success(), "{}", daemon.stderr());
    let output = Command::new(BIN).args(["verify", "--config"]).arg(&path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
