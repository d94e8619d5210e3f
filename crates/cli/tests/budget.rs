//! `kill -9` under load with budgets: what is spent is never forgotten. It is at least what the providers billed and at most what
//! was billed or is still reserved, and the next process goes on from there.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use slarouter_store::Event;
use slarouter_testkit::{Daemon, Upstream, until};

const BIN: &str = env!("CARGO_BIN_EXE_slarouter");
const ROUNDS: u64 = 8;
const CLIENTS: u64 = 8;
const KEY: &str = "sixteen-letters-1";
/// USD per million tokens, of questions and answers.
const PRICE: f64 = 5.0;
const MAX_TOKENS: f64 = 40.0;

fn config(folder: &Path, upstream: &str, usd_per_month: f64) -> String {
    format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[store]\nurl = \"sqlite://{}\"\nkeep_prompts = true\n\
         [[keys]]\nname = \"web\"\nkey = \"{KEY}\"\nscopes = [\"inference\"]\nlimits = {{ usd_per_month = {usd_per_month} }}\n\
         [[models]]\nname = \"m\"\nbase_url = \"{upstream}\"\nupstream_model = \"ok\"\n\
         price = {{ input = {PRICE}, output = {PRICE} }}\n\
         [routes.default]\nmodels = [\"m\"]\nsla = {{ satisfaction = 0.8 }}\n",
        folder.join("budget.db").display(),
    )
}

/// What the upstream's answer to any of these requests reports: 12 tokens in, and one for each word of "You said: question n".
fn billed() -> i64 {
    ((12.0 + 4.0) * PRICE * 1e3).ceil() as i64
}

fn body(number: u64) -> Value {
    let question = json!([{ "role": "user", "content": format!("question {number}") }]);
    json!({ "model": "auto", "stream": number.is_multiple_of(2), "max_tokens": MAX_TOKENS, "messages": question })
}

/// Asks until the gateway is gone.
async fn client(base: String, numbers: Arc<AtomicUsize>, answered: Arc<AtomicUsize>) {
    let http = reqwest::Client::new();
    loop {
        let number = numbers.fetch_add(1, Ordering::Relaxed) as u64;
        let request = http.post(format!("{base}/v1/chat/completions")).bearer_auth(KEY).json(&body(number));
        let Ok(answer) = request.send().await else { return };
        assert_eq!(answer.status(), 200);
        if answer.bytes().await.is_err() {
            return;
        }
        answered.fetch_add(1, Ordering::Relaxed);
    }
}

/// What the log knows of the requests, by their question.
#[derive(Default)]
struct Known {
    /// 10⁻⁹ USD reserved.
    reserved: HashMap<String, i64>,
    /// 10⁻⁹ USD of those that ended.
    ended: HashMap<String, i64>,
}

async fn read(url: &str) -> (Known, i64) {
    let store = slarouter_store::open(url).await.unwrap();
    let (mut known, mut questions, mut seq) = (Known::default(), HashMap::new(), 0);
    loop {
        let events = store.events_after(seq, 1_000).await.unwrap();
        let Some(last) = events.last() else { break };
        let after = last.seq();
        for event in events {
            match event {
                Event::Decided { id, .. } => {
                    let record = store.decision(id).await.unwrap().unwrap().record;
                    let prompt: Value = serde_json::from_str(&record.prompt.unwrap()).unwrap();
                    let question = prompt[0]["content"].as_str().unwrap().to_owned();
                    let most = (record.input_tokens + MAX_TOKENS) * PRICE * 1e3;
                    assert!(known.reserved.insert(question.clone(), most.ceil() as i64 + 1).is_none(), "{question}");
                    questions.insert(id, question);
                }
                Event::Finished { outcome, .. } if outcome.status == 200 => {
                    known.ended.insert(questions[&outcome.decision].clone(), (outcome.cost * 1e9).ceil() as i64);
                }
                _ => {}
            }
        }
        seq = after;
    }
    let spent = store.spending(0).await.unwrap();
    store.close().await;
    assert!(spent.iter().all(|spent| &*spent.account == "key:web"));
    (known, spent.iter().map(|spent| spent.nano_usd).sum())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_gives_no_money_back() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start().await;
    let path = folder.path().join("slarouter.toml");
    let write = |usd: f64| std::fs::write(&path, config(folder.path(), &upstream.base_url(), usd)).unwrap();
    let url = format!("sqlite://{}", folder.path().join("budget.db").display());
    let serve = async || {
        let mut command = tokio::process::Command::new(BIN);
        Daemon::spawn(command.args(["serve", "--log", "error", "--config"]).arg(&path)).await.unwrap()
    };
    write(1e6);
    let numbers = Arc::new(AtomicUsize::new(0));
    let mut spent = 0;
    for round in 0..ROUNDS {
        let mut daemon = serve().await;
        let base = format!("http://{}", daemon.addr());
        let answered = Arc::new(AtomicUsize::new(0));
        let clients: Vec<_> =
            (0..CLIENTS).map(|_| tokio::spawn(client(base.clone(), numbers.clone(), answered.clone()))).collect();
        let enough = 20 + 13 * round as usize;
        until(&format!("{enough} requests are answered"), async || {
            assert!(clients.iter().any(|client| !client.is_finished()), "the load ended before the kill");
            answered.load(Ordering::Relaxed) >= enough
        })
        .await;
        daemon.kill().await.unwrap();
        for client in clients {
            client.await.unwrap();
        }
        let (known, booked) = read(&url).await;
        let arrived: Vec<String> = upstream
            .requests()
            .iter()
            .map(|request| request.json()["messages"][0]["content"].as_str().unwrap().to_owned())
            .collect();
        let lost: Vec<_> = arrived.iter().filter(|question| !known.reserved.contains_key(*question)).collect();
        assert!(lost.is_empty(), "round {round}: called, and in no log: {lost:?}");
        let true_spend = arrived.len() as i64 * billed();
        let open: i64 = known
            .reserved
            .iter()
            .filter(|(question, _)| !known.ended.contains_key(*question))
            .map(|(_, most)| most)
            .sum();
        let ended: i64 = known.ended.values().sum();
        // Per client and round, one reservation may have been written whose decision was not.
        let widest = known.reserved.values().max().copied().unwrap_or_default();
        let most = ended + open + widest * (CLIENTS * (round + 1)) as i64;
        println!("round {round}: {} calls, billed {true_spend}, booked {booked}, at most {most}", arrived.len());
        assert!(booked >= true_spend, "round {round}: {booked} booked, {true_spend} billed");
        assert!(booked <= most, "round {round}: {booked} booked, {most} billed or reserved");
        assert!(booked >= spent, "a restart gives nothing back");
        spent = booked;
    }
    // The next process knows: with no more to spend, it spends no more.
    write(spent as f64 / 1e9);
    let daemon = serve().await;
    let request = reqwest::Client::new().post(format!("http://{}/v1/chat/completions", daemon.addr()));
    let refused = request.bearer_auth(KEY).json(&body(1_000_000)).send().await.unwrap();
    assert_eq!(refused.status(), 429);
    let error: Value = refused.json().await.unwrap();
    assert_eq!(error["error"]["code"], "budget_exceeded");
}
