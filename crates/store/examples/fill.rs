//! Fills the log of a gateway with decisions, to measure and to test how people see a long one.
//!
//!     cargo run --release -p slarouter-store --example fill -- slarouter.db 1000000 $(date -d '30 days ago' +%s%3N) $(date +%s%3N) 7
//!
//! The arguments are a database that a gateway has been started on once, so that it holds the routes; how many decisions are added;
//! between which times, in milliseconds since 1970; and a seed, which with the others decides everything. All but the first route get one
//! decision in a hundred thousand each. Features, candidates, errors, reroutes and ratings have the sizes and shares of real ones; their
//! values mean nothing. The sums are made up as well.

use std::error::Error;
use std::io::Write;
use std::sync::Arc;

use rand_core::Rng;
use serde::Deserialize;
use slarouter_core::{
    AuditDraw, Candidate, Decision, DecisionId, ModelSpec, Rater, Rating, Reason, RouteSpec, Source, Timestamp,
    decision_rng,
};
use slarouter_store::{DecisionRecord, Entry, Event, FeedbackRecord, OutcomeRecord, Payer, Store, open};

/// Decisions between two waits for the disk.
const BATCH: u64 = 8_192;
/// Events among which the configurations of the routes are looked for.
const HEAD: usize = 512;
/// Features of a decision that are not 0.
const WORDS: usize = 24;

/// A route as the log holds it.
#[derive(Deserialize)]
struct Route {
    #[serde(skip)]
    name: Arc<str>,
    #[serde(flatten)]
    spec: RouteSpec,
    features: Features,
}

#[derive(Deserialize)]
struct Features {
    version: u32,
    dim: usize,
}

/// A decision with what comes of it.
struct Request {
    entries: Vec<Entry>,
    rating: Option<FeedbackRecord>,
}

/// Numbers that one decision is made of.
struct Draws<R>(R);

// On one thread tasks begin in the order in which they were made: so do the ratings, whose order is part of the log.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, count, from, to, seed] = &arguments[..] else {
        return Err("usage: fill DATABASE DECISIONS FROM_MS TO_MS SEED".into());
    };
    let (count, seed): (u64, u64) = (count.parse()?, seed.parse()?);
    let (from, to): (u64, u64) = (from.parse()?, to.parse()?);
    let store = open(&format!("sqlite://{path}")).await?;
    let routes = routes(store.as_ref()).await?;
    for first in (0..count).step_by(BATCH as usize) {
        let state_seq = *store.committed().borrow();
        let time = |n: u64| Timestamp(from + to.saturating_sub(from) * n / count);
        let requests = (first..count.min(first + BATCH)).map(|n| request(&routes, n, time(n), seed, state_seq));
        add(&store, requests.collect()).await?;
    }
    let calendar = store.calendar().await?;
    while store.roll_up(&calendar, Vec::new()).await?.more {}
    let held = store.counts().await?;
    store.close().await;
    writeln!(std::io::stdout(), "{} decisions, {} ratings", held.decisions, held.feedback)?;
    Ok(())
}

/// The routes that the log knows, in the order in which it came to know them.
async fn routes(store: &dyn Store) -> Result<Vec<Route>, Box<dyn Error>> {
    let mut routes: Vec<Route> = Vec::new();
    for event in store.events_after(0, HEAD).await? {
        if let Event::Configured { route, spec, .. } = event {
            routes.retain(|known| known.name != route);
            routes.push(Route { name: route, ..serde_json::from_str(&spec)? });
        }
    }
    if routes.is_empty() {
        return Err("the database holds no route: start a gateway on it once, and stop it".into());
    }
    Ok(routes)
}

async fn add(store: &Arc<dyn Store>, requests: Vec<Request>) -> Result<(), Box<dyn Error>> {
    let mut ratings = Vec::new();
    for Request { entries, rating } in requests {
        entries.into_iter().try_for_each(|entry| store.log(entry))?;
        ratings.extend(rating);
    }
    // Ratings that come at the same time share a commit.
    let ratings = ratings.into_iter().map(|rating| {
        let store = store.clone();
        tokio::spawn(async move { store.rate(rating, u64::MAX).await })
    });
    for rated in ratings.collect::<Vec<_>>() {
        rated.await??;
    }
    Ok(store.flush().await?)
}

fn request(routes: &[Route], n: u64, time: Timestamp, seed: u64, state_seq: u64) -> Request {
    let mut draws = Draws(decision_rng(seed, DecisionId(n.into())));
    let rare = (1..routes.len()).find(|place| n % 100_000 == *place as u64);
    let route = &routes[rare.unwrap_or(0)];
    let id = draws.id(time);
    let record = DecisionRecord { state_seq, ..decision(route, id, time, &mut draws) };
    let (chosen, candidates) = (record.decision.chosen, &record.decision.candidates);
    // Another model answers one in a hundred.
    let answered = if draws.share() < 0.01 { (chosen + 1) % candidates.len() } else { chosen };
    let outcome = outcome(id, time, &candidates[answered], record.input_tokens, &mut draws);
    let rating = draws.rating(id, time, candidates[answered].satisfaction);
    let reroute = (answered != chosen).then(|| Entry::Reroute { decision: id, model: outcome.model.clone() });
    let entries = [Some(Entry::Decision(record)), reroute, Some(Entry::Outcome(outcome))];
    Request { entries: entries.into_iter().flatten().collect(), rating }
}

fn decision(
    Route { name, spec, features }: &Route,
    id: DecisionId,
    time: Timestamp,
    draws: &mut Draws<impl Rng>,
) -> DecisionRecord {
    let models = spec.zoo.models();
    let input_tokens = (20.0 + 2_000.0 * draws.share().powi(3)).round();
    let chosen = draws.place(models.len());
    let candidate = |(place, model): (usize, &ModelSpec)| Candidate {
        model: model.name.clone(),
        probability: if place == chosen { 0.95 } else { 0.05 / (models.len() - 1) as f64 },
        satisfaction: 0.75 + 0.2 * draws.share(),
        cost: model.price.cost(input_tokens, 300.0),
        score: draws.share(),
        ..Candidate::default()
    };
    let candidates = models.iter().enumerate().map(candidate).collect();
    let reason = match draws.share() {
        share if share < 0.90 => Reason::Exploit,
        share if share < 0.95 => Reason::Explore,
        share if share < 0.97 => Reason::Fallback,
        share if share < 0.99 => Reason::Affinity,
        _ => Reason::Pinned,
    };
    DecisionRecord {
        id,
        time,
        route: name.clone(),
        decision: Decision { candidates, chosen, reason },
        features: draws.features(features.dim),
        feature_version: features.version,
        input_tokens,
        state_seq: 0,
        prompt: None,
        audit: AuditDraw::default(),
        payer: Payer { key: Some(format!("team-{}", draws.place(5)).into()), tenant: None },
        fallback: (reason != Reason::Pinned).then(|| spec.fallback()),
        trace: None,
    }
}

fn outcome(
    id: DecisionId,
    time: Timestamp,
    answered: &Candidate,
    input: f64,
    draws: &mut Draws<impl Rng>,
) -> OutcomeRecord {
    let ok = draws.share() >= 0.005;
    let latency_ms = (200.0 + 4_000.0 * draws.share().powi(2)).round();
    OutcomeRecord {
        decision: id,
        time: Timestamp(time.0 + latency_ms as u64),
        model: answered.model.clone(),
        status: if ok { 200 } else { 502 },
        ok,
        streamed: true,
        attempts: 1,
        input_tokens: ok.then_some(input),
        cached_tokens: None,
        cache_write_tokens: None,
        output_tokens: ok.then_some(300.0),
        reasoning_tokens: None,
        cost: if ok { answered.cost } else { 0.0 },
        latency_ms,
        ttft_ms: ok.then_some(150.0),
        error: (!ok).then(|| "the upstream answered 502".to_owned()),
    }
}

impl<R: Rng> Draws<R> {
    /// Evenly from 0 to 1.
    fn share(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// One of so many places, the first ones most often.
    fn place(&mut self, places: usize) -> usize {
        (self.share().powi(2) * places as f64) as usize
    }

    /// A UUID of version 7, as the gateway's own ids: its last bit is 0.
    fn id(&mut self, Timestamp(ms): Timestamp) -> DecisionId {
        let (first, last) = (self.0.next_u64() & 0xfff, (self.0.next_u64() >> 2) & !1);
        DecisionId((u128::from(ms) << 80) | (7 << 76) | (u128::from(first) << 64) | (1 << 63) | u128::from(last))
    }

    fn features(&mut self, dim: usize) -> Vec<f32> {
        let mut features = vec![0.0; dim];
        if dim > 0 {
            (0..WORDS).for_each(|_| features[(self.share() * dim as f64) as usize] = 0.125);
        }
        features
    }

    /// What a user says of three in a hundred answers.
    fn rating(&mut self, id: DecisionId, time: Timestamp, satisfaction: f64) -> Option<FeedbackRecord> {
        if self.share() >= 0.03 {
            return None;
        }
        let rating = Rating::new(f64::from(u8::from(self.share() < satisfaction))).ok();
        let (time, rater) = (Timestamp(time.0 + 60_000), Rater(self.0.next_u64()));
        Some(FeedbackRecord { decision: id, time, source: Source::User, rater, rating, comment: None })
    }
}
