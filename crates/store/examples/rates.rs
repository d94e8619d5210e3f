//! What a log takes and gives back in a second, and how much room a decision needs: the table "The log in two databases" of docs/benchmarks.md.
//!
//!     cargo run --release -p slarouter-store --example rates -- sqlite:///tmp/rates.db 200000
//!     cargo run --release -p slarouter-store --example rates -- postgres://me@localhost/empty 200000
//!
//! The arguments are an empty store and how many decisions are logged: of two models, with 128 features of which 24 are not 0, and the end of the
//! request. One decision in ten is rated, by 256 clients that each wait for their receipt, and some more by one client alone.
//!
//!     cargo run --release -p slarouter-store --example rates -- postgres://me@localhost/empty 200000 --processes 4
//!
//! has several processes share the log. Each logs its part, and clients rate each at another process than the one that decided. What is timed ends
//! when all of it is in the log.
//!
//!     cargo run --release -p slarouter-store --example rates -- --lengths 5 sqlite:///tmp/short.db 100000 sqlite:///tmp/long.db 10000000
//!
//! fills empty stores up to so many decisions each, and then has them take turns, five times: 20,000 decisions more, 2,000 ratings at once and 200
//! alone, of decisions drawn from all that are there. What it prints are the medians.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand_core::Rng;
use slarouter_core::{
    AuditDraw, Candidate, Decision, DecisionId, Rater, Rating, Reason, Source, Timestamp, decision_rng,
};
use slarouter_store::{
    Calendar, DecisionRecord, Entry, FeedbackRecord, OutcomeRecord, Payer, Store, StoreError, inspect, join, open,
    open_to_read,
};

/// 1 January 2026.
const BEGAN: u64 = 1_767_225_600_000;
/// Clients that rate at once.
const CLIENTS: u64 = 256;
/// Ratings of the client that is alone.
const ALONE: u64 = 400;
/// Events read in one go, as the learner does.
const PAGE: usize = 4_096;
/// Entries that may wait in a process that shares the log.
const QUEUE: usize = 65_536;
/// What a store takes in one of its turns: decisions, ratings at once, and ratings alone.
const TURN: (u64, u64, u64) = (20_000, 2_000, 200);
/// How often it is looked whether all is in the log.
const LOOK: Duration = Duration::from_millis(20);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["--lengths", rounds, ref stores @ ..] if !stores.is_empty() && stores.len() % 2 == 0 => {
            by_length(rounds.parse()?, stores).await
        }
        [url, count] => alone(url, count.parse()?).await,
        [url, count, "--processes", processes] => together(url, count.parse()?, processes.parse()?).await,
        [url, count, "--member", place, of] => member(url, count.parse()?, place.parse()?, of.parse()?).await,
        _ => {
            Err("usage: rates URL DECISIONS [--processes N], or rates --lengths ROUNDS URL DECISIONS [URL DECISIONS…]"
                .into())
        }
    }
}

/// A process that shares the log, by the other end of its pipes.
struct Member {
    child: Child,
    told: ChildStdin,
    says: BufReader<ChildStdout>,
}

impl Member {
    fn start(url: &str, count: u64, place: u64, of: u64) -> Result<Self, Box<dyn Error>> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args([url, &count.to_string(), "--member", &place.to_string(), &of.to_string()]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (Some(told), Some(out)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("a process without pipes".into());
        };
        Ok(Self { child, told, says: BufReader::new(out) })
    }

    /// Its next line: that it is ready, or has done what it was told.
    fn hear(&mut self) -> Result<String, Box<dyn Error>> {
        let mut line = String::new();
        self.says.read_line(&mut line)?;
        if line.is_empty() { Err("a process ended before it was done".into()) } else { Ok(line.trim().to_owned()) }
    }
}

/// Has several processes log and rate, and prints the same figures as one would.
async fn together(url: &str, count: u64, processes: u64) -> Result<(), Box<dyn Error>> {
    let mut members = Vec::new();
    for place in 0..processes {
        let mut member = Member::start(url, count, place, processes)?;
        member.hear()?;
        members.push(member);
    }
    let reader = open_to_read(url).await?;
    let empty = bytes(url).await?;
    let logging = clock();
    tell(&mut members, "log")?;
    until_in_log(reader.as_ref(), 2 * count).await?;
    let logged = logging.elapsed();
    answers(&mut members)?;
    let full = bytes(url).await?;
    let rating = clock();
    tell(&mut members, "rate")?;
    answers(&mut members)?;
    let acknowledged = rating.elapsed();
    until_in_log(reader.as_ref(), 2 * count + count / 10).await?;
    let rated = rating.elapsed();
    tell(&mut members, "end")?;
    let dropped = answers(&mut members)?;
    for mut member in members {
        member.child.wait()?;
    }
    let out = &mut std::io::stdout();
    let per_second = |count: u64, time: Duration| (count as f64 / time.as_secs_f64()).round();
    writeln!(out, "processes | {processes}")?;
    writeln!(out, "decisions with their ends in the log, a second | {}", per_second(count, logged))?;
    writeln!(out, "bytes a decision with its end, of all tables | {}", full.saturating_sub(empty) / count)?;
    writeln!(out, "ratings acknowledged a second, {CLIENTS} at once | {}", per_second(count / 10, acknowledged))?;
    writeln!(out, "ratings in the log, a second | {}", per_second(count / 10, rated))?;
    writeln!(out, "entries dropped | {}", dropped.join(" + "))?;
    Ok(())
}

fn tell(members: &mut [Member], what: &str) -> Result<(), Box<dyn Error>> {
    for member in members {
        writeln!(member.told, "{what}")?;
        member.told.flush()?;
    }
    Ok(())
}

fn answers(members: &mut [Member]) -> Result<Vec<String>, Box<dyn Error>> {
    members.iter_mut().map(Member::hear).collect()
}

async fn until_in_log(store: &dyn Store, seq: u64) -> Result<(), StoreError> {
    while store.events_after(seq - 1, 1).await?.is_empty() {
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

/// One of several: does what its standard input says, and says when it is done. The decisions that it makes are `place`, `place + of`, …
async fn member(url: &str, count: u64, place: u64, of: u64) -> Result<(), Box<dyn Error>> {
    let store = join(url, QUEUE, None).await?;
    let say = |what: &str| writeln!(std::io::stdout(), "{what}");
    say("ready")?;
    for line in std::io::stdin().lines() {
        match &*line? {
            "log" => {
                log_all(store.as_ref(), (place..count).step_by(of as usize)).await?;
                say("logged")?;
            }
            "rate" => {
                // The first `count / 10` decisions, each at the process after the one that made it.
                let mine = (0..count / 10).filter(|n| (n + 1) % of == place).collect();
                rate_together(&store, mine, CLIENTS / of).await?;
                say("rated")?;
            }
            _ => break,
        }
    }
    let dropped = store.dropped();
    store.close().await;
    say(&dropped.to_string())?;
    Ok(())
}

/// One process that has the store for itself.
async fn alone(url: &str, count: u64) -> Result<(), Box<dyn Error>> {
    let store = open(url).await?;
    let empty = bytes(url).await?;
    let logging = clock();
    log_all(store.as_ref(), 0..count).await?;
    let logged = logging.elapsed();
    let full = bytes(url).await?;
    let rating = clock();
    rate_together(&store, (0..count / 10).map(|n| n * 10).collect(), CLIENTS).await?;
    let rated = rating.elapsed();
    let mut alone = rate_alone(store.as_ref(), (0..ALONE.min(count)).collect()).await?;
    alone.sort_unstable();
    let reading = clock();
    let (mut seq, mut read) = (0, 0_u64);
    while let Some(last) = {
        let events = store.events_after(seq, PAGE).await?;
        read += events.len() as u64;
        events.last().map(slarouter_store::Event::seq)
    } {
        seq = last;
    }
    let reading = reading.elapsed();
    let summing = clock();
    while store.roll_up(&Calendar::default(), Vec::new()).await?.more {}
    let summing = summing.elapsed();
    let dropped = store.dropped();
    store.close().await;
    let per_second = |count: u64, time: Duration| (count as f64 / time.as_secs_f64()).round();
    let out = &mut std::io::stdout();
    writeln!(out, "decisions with their ends, a second | {}", per_second(count, logged))?;
    writeln!(out, "bytes a decision with its end | {}", full.saturating_sub(empty) / count)?;
    writeln!(out, "ratings a second, {CLIENTS} at once | {}", per_second(count / 10, rated))?;
    writeln!(out, "a rating alone, median and 99th | {:?}, {:?}", at(&alone, 0.5), at(&alone, 0.99))?;
    writeln!(out, "events read a second | {}", per_second(read, reading))?;
    writeln!(out, "events summed a second | {}", per_second(read, summing))?;
    writeln!(out, "entries dropped | {dropped}")?;
    Ok(())
}

/// A store of a given length, and what its turns have come to.
struct Long {
    store: Arc<dyn Store>,
    first: u64,
    decisions: u64,
    logged: Vec<Duration>,
    rated: Vec<Duration>,
    alone: Vec<Duration>,
}

impl Long {
    async fn fill(url: &str, decisions: u64) -> Result<Self, Box<dyn Error>> {
        let store = open(url).await?;
        log_all(store.as_ref(), 0..decisions).await?;
        Ok(Self { store, first: decisions, decisions, logged: Vec::new(), rated: Vec::new(), alone: Vec::new() })
    }

    /// `turn` decides with the length which decisions are rated.
    async fn turn(&mut self, turn: u64) -> Result<(), Box<dyn Error>> {
        let logging = clock();
        log_all(self.store.as_ref(), self.decisions..self.decisions + TURN.0).await?;
        self.logged.push(logging.elapsed());
        self.decisions += TURN.0;
        let mut draws = decision_rng(turn, DecisionId(self.first.into()));
        let mut drawn = |count: u64| (0..count).map(|_| draws.next_u64() % self.decisions).collect::<Vec<_>>();
        let (together, one_by_one) = (drawn(TURN.1), drawn(TURN.2));
        let rating = clock();
        rate_together(&self.store, together, CLIENTS).await?;
        self.rated.push(rating.elapsed());
        self.alone.extend(rate_alone(self.store.as_ref(), one_by_one).await?);
        Ok(())
    }
}

/// Whether what a store takes in a second depends on its length.
async fn by_length(rounds: u64, stores: &[&str]) -> Result<(), Box<dyn Error>> {
    let mut all = Vec::new();
    for pair in stores.chunks_exact(2) {
        all.push(Long::fill(pair[0], pair[1].parse()?).await?);
    }
    for round in 0..rounds {
        for long in &mut all {
            long.turn(round).await?;
        }
    }
    let out = &mut std::io::stdout();
    let per_second = |count: u64, time: Duration| (count as f64 / time.as_secs_f64()).round();
    for Long { store, first, mut logged, mut rated, mut alone, .. } in all {
        [&mut logged, &mut rated, &mut alone].into_iter().for_each(|times| times.sort_unstable());
        writeln!(out, "decisions before | {first}")?;
        writeln!(out, "decisions with their ends, a second | {}", per_second(TURN.0, at(&logged, 0.5)))?;
        writeln!(out, "ratings a second, {CLIENTS} at once | {}", per_second(TURN.1, at(&rated, 0.5)))?;
        writeln!(out, "a rating alone, median and 99th | {:?}, {:?}", at(&alone, 0.5), at(&alone, 0.99))?;
        writeln!(out, "entries dropped | {}", store.dropped())?;
        store.close().await;
    }
    Ok(())
}

fn at(times: &[Duration], share: f64) -> Duration {
    times[((times.len() - 1) as f64 * share) as usize]
}

async fn bytes(url: &str) -> Result<u64, StoreError> {
    Ok(inspect(url).await?.content.map_or(0, |content| content.bytes))
}

/// A gateway that is ahead of its database waits here, and would drop entries.
async fn log(store: &dyn Store, entry: Entry) -> Result<(), StoreError> {
    match store.log(entry.clone()) {
        Err(StoreError::Full) => {
            store.flush().await?;
            store.log(entry)
        }
        logged => logged,
    }
}

/// Logs these decisions with their ends, and waits until they are written.
async fn log_all(store: &dyn Store, decisions: impl Iterator<Item = u64>) -> Result<(), StoreError> {
    for n in decisions {
        let (decision, outcome) = request(n);
        log(store, Entry::Decision(decision)).await?;
        log(store, Entry::Outcome(outcome)).await?;
    }
    store.flush().await
}

/// Rates these decisions, by so many clients that each wait for their receipts.
async fn rate_together(store: &Arc<dyn Store>, decisions: Vec<u64>, clients: u64) -> Result<(), Box<dyn Error>> {
    let decisions: Arc<[u64]> = decisions.into();
    let clients = (0..clients as usize).map(|client| {
        let (store, decisions) = (store.clone(), decisions.clone());
        tokio::spawn(async move {
            for n in decisions.iter().skip(client).step_by(clients as usize) {
                store.rate(word(*n, 1), u64::MAX).await?;
            }
            Ok::<_, StoreError>(())
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await??;
    }
    Ok(())
}

async fn rate_alone(store: &dyn Store, decisions: Vec<u64>) -> Result<Vec<Duration>, StoreError> {
    let mut times = Vec::new();
    for n in decisions {
        let asked = clock();
        store.rate(word(n, 2), u64::MAX).await?;
        times.push(asked.elapsed());
    }
    Ok(times)
}

fn id(n: u64) -> DecisionId {
    // As version 7 of UUIDs: by time, and drawn within a millisecond.
    let drawn = decision_rng(7, DecisionId(n.into())).next_u64() >> 2;
    DecisionId((u128::from(BEGAN + n) << 80) | (7 << 76) | (1 << 63) | u128::from(drawn))
}

fn word(n: u64, rater: u64) -> FeedbackRecord {
    FeedbackRecord {
        decision: id(n),
        time: Timestamp(BEGAN + n + 1),
        source: Source::User,
        rater: Rater(rater),
        rating: Rating::new(1.0).ok(),
        comment: None,
    }
}

fn request(n: u64) -> (DecisionRecord, OutcomeRecord) {
    let mut draws = decision_rng(11, DecisionId(n.into()));
    let mut share = || (draws.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
    let mut features = vec![0.0; 128];
    (0..24).for_each(|_| features[(share() * 128.0) as usize] = 0.125);
    let candidate = |model: &str, satisfaction, cost| Candidate {
        model: model.into(),
        probability: 0.5,
        satisfaction,
        cost,
        score: satisfaction,
        ..Candidate::default()
    };
    let candidates = vec![candidate("small", share(), 1e-4 * share()), candidate("large", share(), 1e-3 * share())];
    let cost = candidates[1].cost;
    let decision = DecisionRecord {
        id: id(n),
        time: Timestamp(BEGAN + n),
        route: "default".into(),
        decision: Decision { candidates, chosen: 1, reason: Reason::Exploit },
        features,
        feature_version: 1,
        input_tokens: 100.0,
        state_seq: n,
        prompt: None,
        audit: AuditDraw::default(),
        payer: Payer { key: Some("team".into()), tenant: None },
        fallback: Some(1),
        trace: None,
    };
    let outcome = OutcomeRecord {
        decision: id(n),
        time: Timestamp(BEGAN + n + 900),
        model: "large".into(),
        status: 200,
        ok: true,
        streamed: true,
        attempts: 1,
        input_tokens: Some(104.0),
        cached_tokens: None,
        cache_write_tokens: None,
        output_tokens: Some(300.0),
        reasoning_tokens: None,
        cost,
        latency_ms: 900.0,
        ttft_ms: Some(200.0),
        error: None,
    };
    (decision, outcome)
}

#[expect(clippy::disallowed_methods, reason = "it measures")]
fn clock() -> Instant {
    Instant::now()
}
