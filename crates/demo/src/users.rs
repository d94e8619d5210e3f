//! The simulated users: they ask, read the answer, and sometimes press a thumb.
//!
//! Time is simulated, and passes in steps: what is asked within a step is decided one after the other, by what was learnt up to
//! its beginning, and answered at the same time; then come the ratings that are due, and the gateway learns. So a run is decided
//! by its seed and not by the machine.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Value, json};
use slarouter_core::Timestamp;
use slarouter_gateway::Simulation;
use slarouter_lab::simulate::World;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::DemoOptions;
use crate::judge::Judged;
use crate::stats::{Alternative, Seen, Stats};
use crate::zoo::Called;

/// Requests under way at once; more wait.
const AT_ONCE: usize = 64;
/// The slowest user takes this long to press the thumb.
pub(crate) const LONGEST_MS: u64 = 2_000;
/// A step of simulated time.
pub(crate) const STEP_MS: u64 = 250;

pub(crate) struct Users {
    pub(crate) options: DemoOptions,
    pub(crate) world: Arc<World>,
    /// URL of the gateway.
    pub(crate) base: String,
    pub(crate) stats: Arc<Mutex<Stats>>,
    pub(crate) simulation: Arc<Simulation>,
    pub(crate) called: Called,
    /// What the judge has done.
    pub(crate) judged: Arc<Mutex<Judged>>,
    /// Keeps to the machine's time as well, for somebody who watches.
    pub(crate) paced: bool,
}

/// A thumb that will be pressed.
struct Thumb {
    id: String,
    up: bool,
}

/// Thumbs by the time at which they are pressed, in milliseconds since the start, and the number of the request.
type Thumbs = BTreeMap<(u64, u64), Thumb>;

/// When request `n` is sent, in milliseconds since the start.
pub(crate) fn sent_at(n: u64, rate: f64) -> u64 {
    (n as f64 * 1e3 / rate) as u64
}

impl Users {
    /// Sends requests at the given rate until there are enough, then waits for the last ratings.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        // All is on loopback, whatever proxy the environment names.
        let client = reqwest::Client::builder().no_proxy().build()?;
        let requests = self.options.requests.unwrap_or(u64::MAX);
        let (mut next, mut thumbs) = (0, Thumbs::new());
        let began = Instant::now();
        for step in 0.. {
            if self.paced {
                sleep_until(began + Duration::from_millis(step * STEP_MS)).await;
            }
            let end = (step + 1) * STEP_MS;
            let last = (next..requests).find(|n| sent_at(*n, self.options.rate) >= end).unwrap_or(requests);
            self.ask(&client, next..last, &mut thumbs).await?;
            let pressed = self.press(&client, end, &mut thumbs).await?;
            if last > next || pressed {
                self.simulation.learn().await?;
                let judged = *self.judged.lock().unwrap_or_else(PoisonError::into_inner);
                self.with(|stats| stats.judged = judged);
            }
            next = last;
            if next == requests && thumbs.is_empty() {
                break;
            }
        }
        Ok(())
    }

    /// The requests of a step.
    async fn ask(
        &self,
        client: &reqwest::Client,
        numbers: std::ops::Range<u64>,
        thumbs: &mut Thumbs,
    ) -> anyhow::Result<()> {
        let places = Arc::new(Semaphore::new(AT_ONCE));
        let mut answers = JoinSet::new();
        for n in numbers {
            self.set_time(sent_at(n, self.options.rate));
            let place = places.clone().acquire_owned().await?;
            let (client, world, base) = (client.clone(), self.world.clone(), self.base.clone());
            let called = self.called.clone();
            answers.spawn(async move {
                let answer = ask(&client, &base, &world, n).await;
                drop(place);
                // Without an answer it may be that no model was called.
                called.note(n);
                (n, answer)
            });
            self.called.reached(n).await;
        }
        let mut answers = answers.join_all().await;
        answers.sort_unstable_by_key(|(n, _)| *n);
        for (n, answer) in answers {
            let Ok((id, seen)) = answer else {
                self.with(|stats| stats.failures += 1);
                continue;
            };
            let up = seen.satisfies;
            self.with(|stats| stats.add(seen));
            if let Some(delay) = self.world.rates(n, self.options.feedback_rate, LONGEST_MS) {
                thumbs.insert((sent_at(n, self.options.rate) + delay, n), Thumb { id, up });
            }
        }
        Ok(())
    }

    /// Sends the ratings that are due before `end`, one after the other. Whether there were any.
    async fn press(&self, client: &reqwest::Client, end: u64, thumbs: &mut Thumbs) -> anyhow::Result<bool> {
        let later = thumbs.split_off(&(end, 0));
        let due = std::mem::replace(thumbs, later);
        let any = !due.is_empty();
        for ((time, _), thumb) in due {
            self.set_time(time);
            let body = json!({ "id": thumb.id, "rating": if thumb.up { "up" } else { "down" } });
            let sent = client.post(format!("{}/v1/feedback", self.base)).json(&body).send().await;
            if sent.is_ok_and(|reply| reply.status().is_success()) {
                self.with(|stats| stats.rated += 1);
            }
        }
        Ok(any)
    }

    fn set_time(&self, since_start: u64) {
        self.simulation.set_time(Timestamp(self.simulation.began().0 + since_start));
        self.with(|stats| stats.lasted(since_start));
    }

    fn with(&self, change: impl FnOnce(&mut Stats)) {
        // A panic cannot leave them half changed: each change is one call.
        change(&mut self.stats.lock().unwrap_or_else(PoisonError::into_inner));
    }
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
    let each = world.models().iter().enumerate().map(|(place, model)| {
        let answer = world.answer(n, place);
        Alternative { satisfies: answer.satisfies, cost: model.price.cost(input, f64::from(answer.output_tokens)) }
    });
    Ok((id, Seen { model, explored, satisfies: content.contains("good"), cost, each: each.collect() }))
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
