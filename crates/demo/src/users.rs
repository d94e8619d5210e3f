//! The simulated users: they ask, read the answer, and sometimes press a thumb.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Value, json};
use slarouter_lab::simulate::World;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::DemoOptions;
use crate::stats::{Seen, Stats};

/// Requests under way at once; more wait.
const AT_ONCE: usize = 64;
/// The slowest user takes this long to press the thumb.
const LONGEST_MS: u64 = 2_000;

/// Sends requests at the given rate until there are enough, then waits for the last answers and ratings.
pub(crate) async fn run(
    options: DemoOptions,
    world: Arc<World>,
    base: String,
    stats: Arc<Mutex<Stats>>,
) -> anyhow::Result<()> {
    // All is on loopback, whatever proxy the environment names.
    let client = reqwest::Client::builder().no_proxy().build()?;
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut users = JoinSet::new();
    let began = Instant::now();
    for n in 0..options.requests.unwrap_or(u64::MAX) {
        sleep_until(began + Duration::from_secs_f64(n as f64 / options.rate)).await;
        let place = places.clone().acquire_owned().await?;
        let (client, world, base) = (client.clone(), world.clone(), base.clone());
        let (stats, feedback_rate) = (stats.clone(), options.feedback_rate);
        users.spawn(async move {
            let asked = ask(&client, &base, &world, n).await;
            drop(place);
            let Ok((id, seen)) = asked else {
                with(&stats, |stats| stats.failures += 1);
                return;
            };
            let satisfied = seen.satisfies;
            with(&stats, |stats| stats.add(seen));
            if let Some(delay) = world.rates(n, feedback_rate, LONGEST_MS) {
                sleep(Duration::from_millis(delay)).await;
                let body = json!({ "id": id, "rating": if satisfied { "up" } else { "down" } });
                let sent = client.post(format!("{base}/v1/feedback")).json(&body).send().await;
                if sent.is_ok_and(|reply| reply.status().is_success()) {
                    with(&stats, |stats| stats.rated += 1);
                }
            }
        });
        while users.try_join_next().is_some() {}
    }
    while users.join_next().await.is_some() {}
    Ok(())
}

/// Asks, plain or streaming in turn, and judges by nothing but what came back.
async fn ask(client: &reqwest::Client, base: &str, world: &World, n: u64) -> anyhow::Result<(String, Seen)> {
    let prompt = world.prompt(n).text;
    let body = json!({
        "model": "auto",
        "messages": [{ "role": "user", "content": prompt }],
        "stream": n % 2 == 1,
        "stream_options": { "include_usage": true },
        "metadata": { "request": n.to_string() },
    });
    let reply = client.post(format!("{base}/v1/chat/completions")).json(&body).send().await?.error_for_status()?;
    let header = |name: &str| reply.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let model = header("x-slarouter-model").context("no model in the headers")?;
    let explored = header("x-slarouter-decision").as_deref() == Some("explore");
    let text = reply.text().await?;
    let (id, content, usage) = if n % 2 == 1 { read_stream(&text)? } else { read_plain(&text)? };
    let cost = usage["cost"].as_f64().context("no usage.cost")?;
    let input = usage["prompt_tokens"].as_f64().context("no usage")?;
    let dearest = world.models().len() - 1;
    let tokens = f64::from(world.answer(n, dearest).output_tokens);
    let dearest_cost = world.models()[dearest].price.cost(input, tokens);
    Ok((id, Seen { model, explored, satisfies: content.contains("good"), cost, dearest_cost }))
}

fn read_plain(text: &str) -> anyhow::Result<(String, String, Value)> {
    let body: Value = serde_json::from_str(text)?;
    let word = |value: &Value| value.as_str().map(str::to_owned);
    let id = word(&body["id"]).context("no id")?;
    let content = word(&body["choices"][0]["message"]["content"]).context("no content")?;
    Ok((id, content, body["usage"].clone()))
}

fn read_stream(text: &str) -> anyhow::Result<(String, String, Value)> {
    let (mut id, mut content, mut usage, mut done) = (String::new(), String::new(), Value::Null, false);
    for data in text.lines().filter_map(|line| line.strip_prefix("data: ")) {
        if data == "[DONE]" {
            done = true;
            continue;
        }
        let chunk: Value = serde_json::from_str(data)?;
        if let Some(piece) = chunk["choices"][0]["delta"]["content"].as_str() {
            content.push_str(piece);
        }
        if !chunk["usage"].is_null() {
            usage = chunk["usage"].clone();
        }
        chunk["id"].as_str().unwrap_or_default().clone_into(&mut id);
    }
    if !done {
        bail!("the stream did not end");
    }
    Ok((id, content, usage))
}

fn with(stats: &Mutex<Stats>, change: impl FnOnce(&mut Stats)) {
    // Counters stay sound even if a user panicked between two of them.
    change(&mut stats.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
}
