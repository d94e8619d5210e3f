//! A log that ends: what stays of it, whatever was asked of the store before, between and after.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test may fail loudly")]

#[path = "common/outcomes.rs"]
mod outcomes;
#[path = "common/stores.rs"]
mod stores;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use outcomes::outcome;
use rand_core::Rng;
use rusqlite::Connection;
use slarouter_core::{
    AuditDraw, Candidate, Decision, DecisionId, Rater, Rating, Reason, Receipt, Source, Timestamp, decision_rng,
};
use slarouter_store::{
    By, Calendar, DecisionQuery, DecisionRecord, Entry, Event, FeedbackRecord, OutcomeRecord, Payer, Retention,
    Selection, Shortened, Store, StoreError, TraceId, compact, migrate, open, rater,
};
use stores::{Place, on_both_stores};
use tempfile::TempDir;

const FIXTURES: [&str; 2] = [
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/v1.sql"),
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/v5.sql"),
];
const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;
/// When the tests begin: a Sunday in November.
const BEGIN: u64 = 1_795_910_400_000;

on_both_stores!(
    whatever_is_done_sums_rows_and_replays_stay_what_they_were,
    rows_of_older_releases_go_to_the_archive_as_they_are,
    what_is_gone_is_said_and_what_is_in_the_archive_is_found,
    a_rater_is_forgotten_at_once_in_words_and_by_number_once_nothing_is_learnt_any_more,
    a_rollback_is_an_event_that_holds_what_was_known,
);

fn path(folder: &TempDir) -> std::path::PathBuf {
    folder.path().join("log.db")
}

fn url(path: &Path) -> String {
    format!("sqlite://{}", path.display())
}

fn candidate(model: &str, probability: f64) -> Candidate {
    Candidate { model: model.into(), probability, satisfaction: 0.1 + 0.2, cost: 1.0e-7 / 3.0, ..Candidate::default() }
}

/// Of two models, with features that are all their own.
fn record(id: u128, time: u64) -> DecisionRecord {
    DecisionRecord {
        // Ids are made of the time.
        id: DecisionId((u128::from(time) << 80) | id),
        time: Timestamp(time),
        route: "default".into(),
        decision: Decision {
            candidates: vec![candidate("small", 1.0 / 3.0), candidate("large", 2.0 / 3.0)],
            chosen: 1,
            reason: Reason::Explore,
        },
        features: (0..64).map(|place| if place % 3 == 0 { 0.125 } else { 0.0 }).collect(),
        feature_version: 3,
        input_tokens: 120.0,
        state_seq: 0,
        prompt: None,
        audit: AuditDraw::default(),
        payer: Payer { key: Some("team".into()), tenant: None },
        fallback: Some(1),
        trace: None,
    }
}

fn ended(decision: &DecisionRecord, cost: f64) -> OutcomeRecord {
    OutcomeRecord {
        decision: decision.id,
        model: "large".into(),
        cost,
        input_tokens: Some(118.0),
        output_tokens: Some(300.0),
        latency_ms: 2_345.0,
        ttft_ms: Some(150.0),
        ..outcome(0, decision.time.0 + 2_345, 200)
    }
}

fn thumb(decision: DecisionId, who: u64, rating: Option<f64>, time: u64) -> FeedbackRecord {
    FeedbackRecord {
        decision,
        time: Timestamp(time),
        source: Source::User,
        rater: Rater(who),
        rating: rating.map(|value| Rating::new(value).unwrap()),
        comment: Some("so so".to_owned()),
    }
}

/// Every step to the end.
async fn shorten(store: &dyn Store, retention: &Retention, now: u64) -> Shortened {
    let mut all = Shortened::default();
    loop {
        let done = store.shorten(retention, Timestamp(now)).await.unwrap();
        all.add(&done);
        if !done.more {
            return all;
        }
    }
}

async fn roll_up(store: &dyn Store) {
    while store.roll_up(&Calendar::default(), Vec::new()).await.unwrap().more {}
}

async fn save(store: &dyn Store, now: u64) -> u64 {
    store.flush().await.unwrap();
    let seq = *store.committed().borrow();
    store.save_snapshots(seq, Timestamp(now), vec![("default".into(), vec![7; 100])]).await.unwrap();
    seq
}

async fn events(store: &dyn Store, after: u64) -> Vec<Event> {
    let mut found: Vec<Event> = Vec::new();
    loop {
        let next = store.events_after(found.last().map_or(after, Event::seq), 500).await.unwrap();
        if next.is_empty() {
            return found;
        }
        found.extend(next);
    }
}

/// What analysts see: each decision, by its number. Times are kept in whole milliseconds.
fn seen(place: &Place) -> BTreeMap<i64, String> {
    let (quote, names) = place.pick(
        (
            "quote",
            "group_concat(cell, ' || '', '' || ') FROM (SELECT name AS n FROM pragma_table_info('decisions_readable'))",
        ),
        (
            "quote_nullable",
            "string_agg(cell, ' || '', '' || ') FROM (SELECT column_name::text AS n FROM information_schema.columns \
             WHERE table_name = 'decisions_readable' ORDER BY ordinal_position) c",
        ),
    );
    let cell = format!(
        "CASE WHEN n IN ('latency_ms', 'ttft_ms') THEN '{quote}(round(' || n || '))' ELSE '{quote}(' || n || ')' END"
    );
    let columns = place.rows(&format!("SELECT {}", names.replace("cell", &cell))).concat();
    let rows = place.rows(&format!("SELECT seq, {columns} FROM decisions_readable"));
    let row = |row: &String| row.split_once('|').map(|(seq, rest)| (seq.parse().unwrap(), rest.to_owned())).unwrap();
    rows.iter().map(row).collect()
}

fn number(place: &Place, query: &str) -> i64 {
    place.rows(query)[0].parse().unwrap()
}

const WINDOW: u64 = 2 * DAY;

/// What is known of a decision without the store.
struct Known {
    id: DecisionId,
    time: u64,
    cost_nano: Option<i64>,
    /// The last word of each rater that came in time.
    ratings: BTreeMap<u64, Option<f64>>,
}

/// The store and what it must say.
struct Model<R> {
    draws: R,
    store: Arc<dyn Store>,
    place: Place,
    now: u64,
    known: Vec<Known>,
    retention: Retention,
    /// Decisions of before this may be gone.
    gone_before: u64,
}

impl<R: Rng> Model<R> {
    fn one_in(&mut self, n: u64) -> bool {
        self.draws.next_u64().is_multiple_of(n)
    }

    fn place(&mut self, places: usize) -> usize {
        (self.draws.next_u64() % places as u64) as usize
    }

    fn decide(&mut self) {
        let trace = self.one_in(4).then(|| TraceId::new(&format!("run-{}", self.known.len() % 7)).unwrap());
        let prompt = self.one_in(3).then(|| "p".repeat(self.place(9_000)));
        let decided = DecisionRecord { trace, prompt, ..record(self.known.len() as u128, self.now) };
        self.known.push(Known { id: decided.id, time: self.now, cost_nano: None, ratings: BTreeMap::new() });
        self.store.log(Entry::Decision(decided)).unwrap();
    }

    /// Some requests never end, and some take long.
    fn end(&mut self) {
        let place = self.place(self.known.len());
        let held = &self.known[place];
        if held.cost_nano.is_some() || held.time + DAY < self.now {
            return;
        }
        let decided = DecisionRecord { id: held.id, ..record(0, held.time) };
        let (rerouted, cost) = (self.one_in(5), (1 + self.place(1_000)) as i64);
        let model: Arc<str> = if rerouted { "small" } else { "large" }.into();
        if rerouted {
            self.store.log(Entry::Reroute { decision: decided.id, model: model.clone() }).unwrap();
        }
        let outcome = OutcomeRecord { model, ..ended(&decided, cost as f64 * 1e-9) };
        self.store.log(Entry::Outcome(outcome)).unwrap();
        self.known[place].cost_nano = Some(cost);
    }

    async fn rate(&mut self) {
        let (place, who) = (self.place(self.known.len()), 1 + self.draws.next_u64() % 3);
        let rating = (!self.one_in(5)).then(|| self.place(5) as f64 / 4.0);
        let Known { id, time, .. } = self.known[place];
        let receipt = self.store.rate(thumb(id, who, rating, self.now), WINDOW).await;
        let in_time = self.now - time <= WINDOW;
        match receipt {
            Ok(Receipt::Expired) => assert!(!in_time, "a rating in time is taken"),
            Ok(Receipt::Duplicate) => {}
            Ok(_) => {
                assert!(in_time, "a rating that is late is not");
                self.known[place].ratings.insert(who, rating);
            }
            Err(StoreError::UnknownDecision) => assert!(time < self.gone_before, "it should still be known"),
            Err(error) => panic!("{error}"),
        }
    }

    /// What is sure before is sure after it, for whoever reads it meanwhile and for whoever opens what a kill would have left.
    async fn shorten(&mut self) {
        let store = self.store.clone();
        store.flush().await.unwrap();
        let oldest = store.held().await.unwrap().saved.first().copied().unwrap_or(0);
        let (rows, log) = (seen(&self.place), events(store.as_ref(), oldest).await);
        let reading = Arc::new(AtomicBool::new(true));
        let reader = tokio::spawn({
            let (store, reading, log) = (store.clone(), reading.clone(), log.clone());
            async move {
                while reading.load(Ordering::Relaxed) {
                    assert!(
                        events(store.as_ref(), oldest).await == log,
                        "a replay under way reads what it would have read"
                    );
                }
            }
        });
        let cut_short = self.one_in(3).then(|| self.place(6));
        for step in 0.. {
            if cut_short == Some(step) || !store.shorten(&self.retention, Timestamp(self.now)).await.unwrap().more {
                break;
            }
        }
        reading.store(false, Ordering::Relaxed);
        reader.await.unwrap();
        assert!(events(store.as_ref(), oldest).await == log);
        self.gone_before = self.now - self.retention.decisions_ms.unwrap();
        let after = seen(&self.place);
        for (seq, row) in &rows {
            match after.get(seq) {
                Some(kept) => assert_eq!(kept, row),
                None => {
                    assert!(self.known.iter().any(|known| known.time < self.gone_before), "row {seq} is gone too early")
                }
            }
        }
        assert!(after.keys().all(|seq| rows.contains_key(seq)));
    }

    /// As after a kill: what the database holds at this moment is opened by another process.
    async fn crash(&mut self) {
        self.store.flush().await.unwrap();
        let last = *self.store.committed().borrow();
        let next = self.place.left_by_a_kill();
        self.store.close().await;
        if let Some(next) = next {
            self.place = next;
        } else {
            self.place.run("UPDATE head SET holder = NULL");
        }
        self.store = open(&self.place.url()).await.unwrap();
        assert_eq!(*self.store.committed().borrow(), last, "no number is given twice, whatever is gone");
    }

    /// The sums are those of all that ever was, once all of it is counted.
    async fn check(&mut self) {
        self.store.flush().await.unwrap();
        roll_up(self.store.as_ref()).await;
        let all = Selection { from: Timestamp(0), to: Timestamp(BEGIN + 1_000 * DAY), ..Selection::default() };
        let rows = self.store.totals(all, &[By::Route]).await.unwrap();
        let said = rows.first().map(|row| row.totals).unwrap_or_default();
        let costs: Vec<i64> = self.known.iter().filter_map(|known| known.cost_nano).collect();
        let ratings: Vec<f64> = self.known.iter().flat_map(|known| known.ratings.values().copied().flatten()).collect();
        let micro: i64 = ratings.iter().map(|rating| (rating * 1e6).round() as i64).sum();
        assert_eq!((said.requests, said.cost_nano), (costs.len() as i64, costs.iter().sum()));
        assert_eq!((said.ratings, said.rating_micro), (ratings.len() as i64, micro));
    }

    async fn step(&mut self) {
        match self.place(20) {
            0..=6 => self.decide(),
            7..=11 if !self.known.is_empty() => self.end(),
            12..=14 if !self.known.is_empty() => self.rate().await,
            15 => self.now += self.draws.next_u64() % (20 * HOUR),
            16 => drop(self.store.roll_up(&Calendar::default(), Vec::new()).await.unwrap()),
            17 => drop(save(self.store.as_ref(), self.now).await),
            18 => self.shorten().await,
            19 if self.one_in(8) => self.crash().await,
            _ => self.now += 1,
        }
    }
}

/// Random operations from seeds; the least steps that fail are found by hand, as a run is a function of its seed.
async fn whatever_is_done_sums_rows_and_replays_stay_what_they_were(place: &Place) {
    let (mut archived, mut gone) = (0_i64, 0);
    // To look into a server takes a process each time.
    for seed in 0..place.pick(24, 4) {
        let place = place.another();
        let store = open(&place.url()).await.unwrap();
        store.configure(Timestamp(BEGIN), "default", "{}").await.unwrap();
        let retention = Retention {
            window_ms: WINDOW,
            details_ms: Some(WINDOW + DAY),
            decisions_ms: Some(8 * DAY),
            prompts_ms: Some(DAY),
            feedback_ms: Some(5 * DAY),
            ..Retention::default()
        };
        let draws = decision_rng(seed, DecisionId(1));
        let mut model = Model { draws, store, place, now: BEGIN, known: Vec::new(), retention, gone_before: 0 };
        for _ in 0..600 {
            model.step().await;
        }
        model.check().await;
        save(model.store.as_ref(), model.now).await;
        model.shorten().await;
        model.crash().await;
        model.check().await;
        let held = model.store.counts().await.unwrap().decisions;
        gone += model.known.len() as u64 - held;
        archived += number(&model.place, "SELECT count(*) FROM archive");
        model.store.close().await;
    }
    let least = place.pick((200, 100), (30, 15));
    assert!(archived > least.0 && gone > least.1, "{archived} archived, {gone} gone: the runs say too little");
}

/// Those that the last release wrote, and the one before it, lose nothing that analysts see.
async fn rows_of_older_releases_go_to_the_archive_as_they_are(place: &Place) {
    for fixture in FIXTURES {
        let place = place.another();
        let folder = TempDir::new().unwrap();
        let path = path(&folder);
        Connection::open(&path).unwrap().execute_batch(&std::fs::read_to_string(fixture).unwrap()).unwrap();
        open(&url(&path)).await.unwrap().close().await;
        let (from, to) = (url(&path), place.url());
        tokio::task::spawn_blocking(move || migrate(&from, &to, |_| {})).await.unwrap().unwrap();
        let store = open(&place.url()).await.unwrap();
        roll_up(store.as_ref()).await;
        save(store.as_ref(), BEGIN).await;
        let (rows, sums) = (seen(&place), totals(store.as_ref()).await);
        let everything = Retention { details_ms: Some(0), ..Retention::default() };
        let done = shorten(store.as_ref(), &everything, BEGIN + 10_000 * DAY).await;
        let after = seen(&place);
        assert!(done.archived > 0, "{fixture}");
        assert_eq!(after, rows);
        assert_eq!(totals(store.as_ref()).await, sums);
        store.close().await;
    }
}

async fn totals(store: &dyn Store) -> Vec<slarouter_store::Row> {
    let all = Selection { from: Timestamp(0), to: Timestamp(BEGIN + 20_000 * DAY), ..Selection::default() };
    store.totals(all, &[By::Route, By::Model]).await.unwrap()
}

/// Real ones: of two models, three in a hundred of them rated.
#[tokio::test]
async fn a_decision_takes_at_most_150_bytes_once_its_window_is_over_and_the_file_shrinks_by_itself() {
    const COUNT: u64 = 6_000;
    let folder = TempDir::new().unwrap();
    let path = path(&folder);
    open(&url(&path)).await.unwrap().close().await;
    let length = || std::fs::metadata(&path).unwrap().len();
    let empty = length();
    let store = open(&url(&path)).await.unwrap();
    for n in 0..COUNT {
        let decided = record(u128::from(n), BEGIN + n);
        store.log(Entry::Decision(decided.clone())).unwrap();
        store.log(Entry::Outcome(ended(&decided, 1.0e-4 / 7.0 + n as f64 * 1e-9))).unwrap();
        if n % 33 == 0 {
            store
                .rate(FeedbackRecord { comment: None, ..thumb(decided.id, 1, Some(1.0), BEGIN + n + 5_000) }, DAY)
                .await
                .unwrap();
        }
    }
    store.flush().await.unwrap();
    roll_up(store.as_ref()).await;
    save(store.as_ref(), BEGIN).await;
    let full = length();
    let retention = Retention { window_ms: DAY, details_ms: Some(DAY), ..Retention::default() };
    let done = shorten(store.as_ref(), &retention, BEGIN + 2 * DAY).await;
    assert_eq!(done.archived, COUNT);
    store.close().await;
    assert!(done.freed_bytes > 0 && length() < full, "{} of {full} bytes, {done:?}", length());
    let compacted = compact(&url(&path)).await.unwrap();
    assert_eq!(compacted.after_bytes, length());
    let bytes = (compacted.after_bytes - empty) / COUNT;
    assert!((60..=150).contains(&bytes), "{bytes}");
}

#[tokio::test]
async fn a_database_that_was_made_without_it_gives_back_room_after_a_compaction() {
    let folder = TempDir::new().unwrap();
    let path = path(&folder);
    Connection::open(&path).unwrap().execute_batch(&std::fs::read_to_string(FIXTURES[0]).unwrap()).unwrap();
    let vacuum =
        || Connection::open(&path).unwrap().query_row("PRAGMA auto_vacuum", [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(vacuum(), 0);
    let found = compact(&url(&path)).await.unwrap();
    assert!(found.before_bytes > 0 && found.after_bytes > 0);
    assert_eq!(vacuum(), 2);
    let store = open(&url(&path)).await.unwrap();
    assert!(matches!(compact(&url(&path)).await, Err(StoreError::InUse(_))), "a gateway has it");
    store.close().await;
    assert!(matches!(compact(&url(&folder.path().join("none.db"))).await, Err(StoreError::Missing(_))));
}

async fn what_is_gone_is_said_and_what_is_in_the_archive_is_found(place: &Place) {
    let store = open(&place.url()).await.unwrap();
    let trace = TraceId::new("run-1").unwrap();
    let old = DecisionRecord { trace: Some(trace.clone()), ..record(1, BEGIN) };
    let young = record(2, BEGIN + 50 * DAY);
    for decided in [&old, &young] {
        store.log(Entry::Decision(decided.clone())).unwrap();
        store.log(Entry::Outcome(ended(decided, 5e-9))).unwrap();
    }
    store.rate(thumb(old.id, 9, Some(1.0), BEGIN + 1), DAY).await.unwrap();
    store.flush().await.unwrap();
    let retention = Retention { window_ms: DAY, details_ms: Some(DAY), ..Retention::default() };
    let now = BEGIN + 51 * DAY;
    assert_eq!(shorten(store.as_ref(), &retention, now).await.archived, 0, "nothing is saved yet");
    save(store.as_ref(), now).await;
    assert_eq!(shorten(store.as_ref(), &retention, now).await.archived, 0, "nothing is counted yet");
    roll_up(store.as_ref()).await;
    assert_eq!(shorten(store.as_ref(), &retention, now).await.archived, 1);
    let held = store.held().await.unwrap();
    assert_eq!((held.shortened_to, held.whole_since), (held.saved[0], Timestamp(BEGIN + 1)));

    let found = store.decision(old.id).await.unwrap().unwrap();
    assert!(found.archived && found.record.features.is_empty());
    let (kept, chosen) = (found.record.decision.choice(), old.decision.choice());
    assert_eq!((&kept.model, kept.probability, kept.cost), (&chosen.model, chosen.probability, chosen.cost));
    assert_eq!((&found.record.payer, &found.record.trace), (&old.payer, &Some(trace.clone())));
    let history = store.history(old.id).await.unwrap().unwrap();
    assert_eq!((history.outcome.unwrap().cost, history.feedback.len()), (5e-9, 1));
    assert!(!store.decision(young.id).await.unwrap().unwrap().archived);
    let page = store.decisions(DecisionQuery { limit: 10, ..DecisionQuery::default() }).await.unwrap();
    assert_eq!(page.lines.iter().map(|line| line.id).collect::<Vec<_>>(), [young.id, old.id]);
    assert_eq!((page.lines[1].rating, page.next), (Some(1.0), None));
    let query = slarouter_store::TraceQuery { trace, tenant: None, rated_by: None };
    assert_eq!(store.traced(query).await.unwrap(), Some(old.id));
    let late = store.rate(thumb(old.id, 9, Some(0.0), now), u64::MAX).await.unwrap();
    assert_eq!(late, Receipt::Expired, "whatever the window is now, nothing can be learnt from it any more");
    let tenths = store.calibration("default", Source::User).await.unwrap();
    assert_eq!(tenths.iter().map(|tenth| tenth.ratings).sum::<u64>(), 1);

    let range = |from, to| Selection { from: Timestamp(from), to: Timestamp(to), ..Selection::default() };
    let until = *store.committed().borrow();
    let early = store.recount(range(BEGIN, now), until, &[]).await;
    assert!(matches!(early, Err(StoreError::Gone { before: Timestamp(b), .. }) if b == BEGIN + 1), "{early:?}");
    let whole = store.recount(range(BEGIN + 1, now), until, &[]).await.unwrap();
    assert_eq!(whole[0].totals.requests, 1);

    let all = Retention { decisions_ms: Some(2 * DAY), rollups_ms: Some(40 * DAY), ..retention };
    let done = shorten(store.as_ref(), &all, now).await;
    assert_eq!((done.decisions, done.feedback), (1, 0), "words go with their decision");
    assert!(done.sums > 0);
    assert!(matches!(store.totals(range(BEGIN, BEGIN + DAY), &[]).await, Err(StoreError::Gone { key: "rollups", .. })));
    assert_eq!(store.totals(range(BEGIN, now), &[]).await.unwrap()[0].totals.requests, 1, "what is left");
    let unknown = store.rate(thumb(old.id, 9, Some(0.0), now), DAY).await;
    assert!(matches!(unknown, Err(StoreError::UnknownDecision)));
    store.close().await;
}

async fn a_rater_is_forgotten_at_once_in_words_and_by_number_once_nothing_is_learnt_any_more(place: &Place) {
    let store = open(&place.url()).await.unwrap();
    let anna = rater("anna@example.org");
    let decided: Vec<_> =
        (0..300).map(|n| DecisionRecord { prompt: Some("hi".into()), ..record(n, BEGIN + n as u64) }).collect();
    for record in &decided {
        store.log(Entry::Decision(record.clone())).unwrap();
        store.log(Entry::Outcome(ended(record, 0.0))).unwrap();
    }
    for record in &decided[..200] {
        store.rate(thumb(record.id, anna.0, Some(1.0), BEGIN + HOUR), DAY).await.unwrap();
        store.rate(thumb(record.id, 5, Some(0.0), BEGIN + HOUR), DAY).await.unwrap();
    }
    roll_up(store.as_ref()).await;
    let count = |query: &str| number(place, query);
    let numbers = format!("SELECT count(*) FROM feedback WHERE rater = {}", anna.0.cast_signed());
    let now = Timestamp(BEGIN + 2 * HOUR);
    let found = store.forget(anna, now, false).await.unwrap();
    assert_eq!((found.feedback, found.comments, found.prompts), (200, 200, 200));
    assert_eq!(count("SELECT count(comment) FROM feedback"), 400, "counting changes nothing");
    let sums = totals(store.as_ref()).await;
    store.forget(anna, now, true).await.unwrap();
    assert_eq!(count("SELECT count(comment) FROM feedback"), 200);
    assert_eq!(count("SELECT count(prompt) FROM decisions"), 100);
    assert_eq!(count(&numbers), 200, "what can still be rated is learnt from");
    let retention = Retention { window_ms: DAY, ..Retention::default() };
    let saved = save(store.as_ref(), now.0).await;
    let log = events(store.as_ref(), saved).await;
    assert_eq!(shorten(store.as_ref(), &retention, BEGIN + 2 * HOUR).await.raters, 0);
    assert_eq!(shorten(store.as_ref(), &retention, BEGIN + 2 * DAY).await.raters, 200);
    assert_eq!(count(&numbers), 0);
    assert_eq!(count("SELECT count(*) FROM forgotten"), 0);
    assert_eq!(count("SELECT count(DISTINCT rater) FROM feedback"), 2, "one number stands for the person");
    assert_eq!(totals(store.as_ref()).await, sums);
    assert_eq!(events(store.as_ref(), saved).await, log);
    assert_eq!(
        store.held().await.unwrap().shortened_to,
        saved,
        "a replay of what comes before would read other raters"
    );
    let nobody = store.forget(Rater(0), now, true).await.unwrap();
    assert_eq!(nobody.feedback, 0);
    store.close().await;
}

async fn a_rollback_is_an_event_that_holds_what_was_known(place: &Place) {
    let store = open(&place.url()).await.unwrap();
    store.configure(Timestamp(1), "a", "1").await.unwrap();
    store.configure(Timestamp(2), "a", "2").await.unwrap();
    store.configure(Timestamp(3), "b", "1").await.unwrap();
    let states = vec![(Arc::from("a"), vec![1, 2]), (Arc::from("*a"), vec![3])];
    store.roll_back(1, Timestamp(4), states.clone()).await.unwrap();
    let found = events(store.as_ref(), 3).await;
    assert_eq!(found[0], Event::RolledBack { seq: 4, time: Timestamp(4), to: 1, states });
    let again: Vec<_> = found[1..]
        .iter()
        .map(|event| {
            if let Event::Configured { seq, route, spec, .. } = event {
                (*seq, &**route, &**spec)
            } else {
                panic!("{event:?}")
            }
        })
        .collect();
    assert_eq!(again, [(5, "a", "2"), (6, "b", "1")], "what is in force stays in force");
    store.close().await;
    let store = open(&place.url()).await.unwrap();
    assert_eq!(*store.committed().borrow(), 6);
    store.close().await;
}
