//! The log as its users see it, on real SQLite files.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly")]

#[path = "common/dump.rs"]
mod dump;
#[path = "common/stores.rs"]
mod stores;

use std::sync::Arc;

use rusqlite::Connection;
use slarouter_core::{
    AuditDraw, Candidate, Decision, DecisionId, Rater, Rating, Reason, Receipt, Source, Timestamp, half,
};
use slarouter_store::{
    DecisionRecord, Entry, Event, FeedbackRecord, KeyChange, KeyRecord, OutcomeRecord, Payer, Spending, Store,
    StoreError, inspect, open, open_with_queue,
};
use stores::{Place, on_both_stores};
use tempfile::TempDir;

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/v1.sql");
const VERSION_5: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/v5.sql");
const HOUR: u64 = 3_600_000;

fn url(folder: &TempDir) -> String {
    format!("sqlite://{}", folder.path().join("log.db").display())
}

fn candidate(model: &str, probability: f64) -> Candidate {
    // Values that survive only if every bit does.
    let (satisfaction, cost) = (0.1 + 0.2, 1.0e-7 / 3.0);
    let score = -f64::MIN_POSITIVE / 2.0;
    Candidate { model: model.into(), probability, satisfaction, cost, score, ..Candidate::default() }
}

fn record(id: u128) -> DecisionRecord {
    DecisionRecord {
        id: DecisionId(id),
        time: Timestamp(1_000),
        route: "default".into(),
        decision: Decision {
            candidates: vec![candidate("small", 1.0 / 3.0), candidate("large", 2.0 / 3.0)],
            chosen: 1,
            reason: Reason::Explore,
        },
        features: vec![-0.0, f32::MIN_POSITIVE / 2.0, 1.0 / 3.0, f32::MAX],
        feature_version: u32::MAX,
        input_tokens: 0.1 + 0.7,
        state_seq: 7,
        prompt: None,
        audit: AuditDraw::default(),
        payer: Payer::default(),
        fallback: None,
        trace: None,
    }
}

fn outcome(id: u128) -> OutcomeRecord {
    OutcomeRecord {
        decision: DecisionId(id),
        time: Timestamp(u64::MAX),
        model: "large".into(),
        status: 200,
        ok: true,
        streamed: true,
        attempts: 2,
        input_tokens: Some(17.0),
        cached_tokens: None,
        cache_write_tokens: Some(0.0),
        output_tokens: Some(0.1 + 0.2),
        reasoning_tokens: Some(0.7 / 3.0),
        cost: 1.0e-9 / 7.0,
        latency_ms: 12.5,
        ttft_ms: Some(f64::MIN_POSITIVE),
        error: Some("gone\0 \u{1f600}".to_owned()),
    }
}

fn thumb(id: u128, rating: Option<f64>) -> FeedbackRecord {
    FeedbackRecord {
        decision: DecisionId(id),
        time: Timestamp(2_000),
        source: Source::User,
        rater: Rater(u64::MAX),
        rating: rating.map(|value| Rating::new(value).unwrap()),
        comment: Some("so\nso".to_owned()),
    }
}

async fn all(store: &dyn Store, page: usize) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    loop {
        let next = store.events_after(events.last().map_or(0, Event::seq), page).await.unwrap();
        if next.is_empty() {
            return events;
        }
        assert!(next.len() <= page);
        events.extend(next);
    }
}

async fn everything_comes_back_bit_for_bit_also_after_reopening(place: &Place) {
    let id = u128::MAX - 5;
    let payer = Payer { key: Some("ci".into()), tenant: None };
    let with_prompt = DecisionRecord { prompt: Some("[\"hé\"]".to_owned()), payer, fallback: Some(1), ..record(id) };
    let store = open(&place.url()).await.unwrap();
    store.configure(Timestamp(1), "default", "{\"alpha\":0.9}").await.unwrap();
    store.log(Entry::Decision(with_prompt.clone())).unwrap();
    store.log(Entry::Reroute { decision: DecisionId(id), model: "small".into() }).unwrap();
    store.log(Entry::Outcome(outcome(id))).unwrap();
    assert_eq!(store.rate(thumb(id, Some(0.1 + 0.2)), HOUR).await.unwrap(), Receipt::Recorded);
    store.close().await;
    if let Place::File(folder) = place {
        let left = std::fs::metadata(folder.path().join("log.db-wal")).map_or(0, |wal| wal.len());
        assert_eq!(left, 0, "after a clean close the database file holds everything");
    }

    let store = open(&place.url()).await.unwrap();
    let stored = store.decision(DecisionId(id)).await.unwrap().unwrap();
    assert_eq!(stored.record, with_prompt);
    let bits = |features: &[f32]| features.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&stored.record.features), bits(&with_prompt.features));
    assert_eq!((stored.seq, stored.rerouted.as_deref()), (2, Some("small")));
    assert_eq!(store.decision(DecisionId(1)).await.unwrap(), None);
    let events = all(store.as_ref(), 1).await;
    assert_eq!(events.iter().map(Event::seq).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert!(matches!(&events[0], Event::Configured { time: Timestamp(1), spec, .. } if spec == "{\"alpha\":0.9}"));
    assert!(matches!(&events[1], Event::Decided { decision, .. } if *decision == with_prompt.decision));
    let Event::Rerouted { decision, decided_at, old, new, .. } = &events[2] else { panic!("{:?}", events[2]) };
    assert_eq!(*decision, DecisionId(id));
    let predicted = |model: &str| with_prompt.decision.candidate(model).unwrap().satisfaction;
    assert_eq!(
        (*decided_at, *old, *new),
        (Timestamp(1_000), with_prompt.decision.choice().satisfaction, predicted("small"))
    );
    let Event::Finished { route, reason, outcome: ended, .. } = &events[3] else { panic!("{:?}", events[3]) };
    assert_eq!((&**route, *reason, ended), ("default", Reason::Explore, &outcome(id)));
    let Event::Rated { time, rated, .. } = &events[4] else { panic!("{:?}", events[4]) };
    assert_eq!((rated.predicted, rated.failed), (*new, false), "of the model that answered");
    assert_eq!((*time, rated.decided_at, &*rated.model), (Timestamp(2_000), Timestamp(1_000), "small"));
    assert_eq!((rated.rater, rated.rating.map(Rating::get)), (Rater(u64::MAX), Some(0.1 + 0.2)));
    assert_eq!((bits(&rated.features), rated.feature_version), (bits(&with_prompt.features), u32::MAX));

    store.log(Entry::Decision(record(1))).unwrap();
    store.flush().await.unwrap();
    assert_eq!(*store.committed().borrow(), 6, "numbers go on after reopening");
    let counts = store.counts().await.unwrap();
    assert_eq!((counts.decisions, counts.outcomes, counts.feedback), (2, 1, 1));
}

/// Of two models, and with a prompt so long that no feature is 0.
#[tokio::test]
async fn a_decision_takes_at_most_600_bytes() {
    const COUNT: u32 = 2_000;
    let folder = TempDir::new().unwrap();
    let length = || std::fs::metadata(folder.path().join("log.db")).unwrap().len();
    open(&url(&folder)).await.unwrap().close().await;
    let empty = length();
    let store = open(&url(&folder)).await.unwrap();
    for id in 0..COUNT {
        let features = (1..=128).map(|x| half::round((id + x) as f32 / 7_000.0)).collect();
        // Ids are made of the time, and come in its order.
        let (id, time) = (DecisionId(u128::from(id) << 80), Timestamp(1_767_225_600_000 + u64::from(id)));
        store.log(Entry::Decision(DecisionRecord { id, time, features, ..record(0) })).unwrap();
    }
    store.close().await;
    let bytes = (length() - empty) / u64::from(COUNT);
    assert!(bytes <= 600, "{bytes}");
    assert!(bytes > 256, "{bytes}: less than the features have bits");
}

async fn prompts_are_kept_only_if_given(place: &Place) {
    let store = open(&place.url()).await.unwrap();
    store.log(Entry::Decision(record(1))).unwrap();
    store.flush().await.unwrap();
    assert_eq!(store.decision(DecisionId(1)).await.unwrap().unwrap().record.prompt, None);
}

async fn a_reroute_counts_for_the_ratings_after_it_only(place: &Place) {
    let store = open(&place.url()).await.unwrap();
    store.log(Entry::Decision(record(1))).unwrap();
    store.rate(thumb(1, Some(1.0)), HOUR).await.unwrap();
    store.log(Entry::Reroute { decision: DecisionId(1), model: "small".into() }).unwrap();
    store.rate(thumb(1, Some(0.0)), HOUR).await.unwrap();
    let models: Vec<String> = all(store.as_ref(), 10)
        .await
        .into_iter()
        .filter_map(|event| if let Event::Rated { rated, .. } = event { Some(rated.model.to_string()) } else { None })
        .collect();
    assert_eq!(models, ["large", "small"], "reading again later must give what was read at the time");
}

async fn a_configuration_is_appended_only_when_it_changes(place: &Place) {
    let store = open(&place.url()).await.unwrap();
    for (route, spec) in [("a", "1"), ("a", "1"), ("b", "1"), ("a", "2"), ("a", "1")] {
        store.configure(Timestamp(0), route, spec).await.unwrap();
    }
    assert_eq!(all(store.as_ref(), 10).await.len(), 4);
}

async fn entries_that_could_not_be_read_back_are_refused_and_harm_nothing(place: &Place) {
    let store = open(&place.url()).await.unwrap();
    let mut bad = record(1);
    bad.decision.chosen = 2;
    assert!(matches!(store.log(Entry::Decision(bad)), Err(StoreError::Entry)));
    let mut bad = record(1);
    bad.decision.candidates[0].score = f64::NAN;
    assert!(matches!(store.log(Entry::Decision(bad)), Err(StoreError::Entry)));
    let bad = OutcomeRecord { cost: f64::INFINITY, ..outcome(1) };
    assert!(matches!(store.log(Entry::Outcome(bad)), Err(StoreError::Entry)));
    let bad = OutcomeRecord { reasoning_tokens: Some(f64::NAN), ..outcome(1) };
    assert!(matches!(store.log(Entry::Outcome(bad)), Err(StoreError::Entry)));
    // The second decision with one id is ignored; what is around it is kept.
    for id in [1, 2, 1, 3] {
        store.log(Entry::Decision(record(id))).unwrap();
    }
    store.flush().await.unwrap();
    assert_eq!(store.counts().await.unwrap().decisions, 3);
}

async fn readers_see_every_event_once_and_in_order_while_writers_run(place: &Place) {
    const WRITERS: u128 = 4;
    const EACH: u128 = 300;
    let store = open(&place.url()).await.unwrap();
    let mut committed = store.committed();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                for i in 0..EACH {
                    let id = (writer << 64) | i;
                    store.log(Entry::Decision(record(id))).unwrap();
                    // Queued right behind its decision: must be known.
                    if i % 3 == 0 {
                        assert_eq!(store.rate(thumb(id, Some(1.0)), HOUR).await.unwrap(), Receipt::Recorded);
                    }
                    store.log(Entry::Outcome(outcome(id))).unwrap();
                }
            })
        })
        .collect();
    let expected = (WRITERS * (2 * EACH + EACH.div_ceil(3))) as usize;
    let (mut seen, mut after) = (0, 0);
    while seen < expected {
        let events = store.events_after(after, 97).await.unwrap();
        if events.is_empty() {
            committed.changed().await.unwrap();
        }
        for event in events {
            assert_eq!(event.seq(), after + 1, "no number is skipped, none comes twice");
            after = event.seq();
            seen += 1;
        }
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert!(store.events_after(after, 10).await.unwrap().is_empty());
    assert_eq!(store.dropped(), 0);
}

async fn the_newest_three_states_are_kept_and_the_newest_is_loaded(place: &Place) {
    let store = open(&place.url()).await.unwrap();
    for seq in 1..=5_u64 {
        let states = ["a", "b"].map(|route| (Arc::from(route), vec![seq as u8; 100_000])).to_vec();
        store.save_snapshots(seq, Timestamp(seq), states).await.unwrap();
    }
    let loaded = store.load_snapshots().await.unwrap();
    let found: Vec<_> = loaded
        .iter()
        .map(|saved| (&*saved.route, saved.seq, saved.time.0, saved.state[0], saved.state.len()))
        .collect();
    assert_eq!(found, [("a", 5, 5, 5, 100_000), ("b", 5, 5, 5, 100_000)]);
    store.close().await;
    assert_eq!(place.rows("SELECT count(*) FROM snapshots"), ["6"]);
}

/// Another program at the database.
fn intruder(folder: &TempDir) -> Connection {
    Connection::open(folder.path().join("log.db")).unwrap()
}

async fn a_full_queue_and_a_closed_store_say_so_at_once(place: &Place) {
    let store = open_with_queue(&place.url(), 2).await.unwrap();
    // Faster than anything is written.
    let refused = (1..1_000_000).find_map(|id| store.log(Entry::Decision(record(id))).err().map(|error| (id, error)));
    let Some((refused, StoreError::Full)) = refused else { panic!("{refused:?}") };
    assert!(refused > 2, "there was room for two");
    store.close().await;
    store.close().await;
    assert!(matches!(store.log(Entry::Decision(record(3))), Err(StoreError::Closed)));
    assert!(matches!(store.rate(thumb(1, None), HOUR).await, Err(StoreError::Closed)));
    let store = open(&place.url()).await.unwrap();
    assert_eq!(u128::from(store.counts().await.unwrap().decisions), refused - 1, "closing writes what waits");
}

#[tokio::test]
async fn unknown_urls_and_newer_databases_are_refused_by_name() {
    for bad in ["mysql://localhost/log", "log.db", "sqlite://", "sqlite://:memory:", ""] {
        assert!(matches!(open(bad).await, Err(StoreError::Url(url)) if url == bad), "{bad:?}");
    }
    let folder = TempDir::new().unwrap();
    open(&url(&folder)).await.unwrap().close().await;
    intruder(&folder).execute_batch("PRAGMA user_version = 9999").unwrap();
    assert!(matches!(open(&url(&folder)).await, Err(StoreError::Newer { found: 9_999, .. })));
}

#[tokio::test]
async fn a_database_of_another_program_is_left_as_it_is() {
    for theirs in ["CREATE TABLE decisions (id INTEGER)", "PRAGMA application_id = 7", "PRAGMA user_version = 1"] {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("log.db");
        intruder(&folder).execute_batch(theirs).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let Err(error) = open(&url(&folder)).await else { panic!("{theirs}: taken over") };
        assert!(matches!(&error, StoreError::Foreign(_)), "{theirs}: {error}");
        assert!(
            error.to_string().contains(path.to_str().unwrap()) && error.to_string().contains("store.url"),
            "{error}"
        );
        assert!(matches!(inspect(&url(&folder)).await, Err(StoreError::Foreign(_))), "{theirs}");
        assert!(std::fs::read(&path).unwrap() == bytes, "{theirs}: not a byte has changed");
        assert!(!folder.path().join("log.db-wal").exists(), "{theirs}");
    }
}

/// A database as release 0.1 wrote it.
#[tokio::test]
async fn a_database_of_release_0_1_opens_and_reads() {
    let folder = TempDir::new().unwrap();
    intruder(&folder).execute_batch(&std::fs::read_to_string(FIXTURE).unwrap()).unwrap();
    let store = open(&url(&folder)).await.unwrap();
    let events = all(store.as_ref(), 10).await;
    assert_eq!(events.iter().map(Event::seq).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert_eq!(store.decision(DecisionId(7)).await.unwrap().unwrap().record, drawn(7));
    assert_eq!(store.rate(thumb(7, Some(0.5)), HOUR).await.unwrap(), Receipt::Duplicate);
    assert_eq!(store.load_snapshots().await.unwrap()[0].state, [1, 2, 3]);
    let Event::Finished { outcome: ended, .. } = &events[3] else { panic!("{:?}", events[3]) };
    // A dump ends a text at its first NUL.
    assert_eq!(*ended, OutcomeRecord { error: Some("gone".to_owned()), ..outcome(7) });
    assert!(matches!(&events[4], Event::Rated { rated, .. } if rated.source == Source::User));
    assert_eq!(store.pending_audits(None, Timestamp(0), None, 10).await.unwrap().found.len(), 1);
    assert_eq!(store.keys().await.unwrap(), [key()]);
    assert_eq!(store.spending(0).await.unwrap(), [spent()]);
}

/// Fails if a migration that was released is ever edited: an old database would have other tables than a new one.
#[tokio::test]
async fn an_old_database_gets_the_tables_of_a_new_one() {
    let new = TempDir::new().unwrap();
    open(&url(&new)).await.unwrap().close().await;
    for fixture in [FIXTURE, VERSION_5] {
        let old = TempDir::new().unwrap();
        intruder(&old).execute_batch(&std::fs::read_to_string(fixture).unwrap()).unwrap();
        open(&url(&old)).await.unwrap().close().await;
        assert_eq!(dump::tables(&intruder(&old)), dump::tables(&intruder(&new)), "{fixture}");
    }
}

/// Writes the dump of a database that has something in every table. Once a release has been made, its fixture is never written again:
/// a release with another migration gets one more.
#[tokio::test]
#[ignore = "writes the fixture"]
async fn write_the_fixture() {
    let folder = TempDir::new().unwrap();
    let store = open(&url(&folder)).await.unwrap();
    store.configure(Timestamp(1), "default", "{}").await.unwrap();
    store.log(Entry::Decision(drawn(7))).unwrap();
    store.log(Entry::Reroute { decision: DecisionId(7), model: "small".into() }).unwrap();
    store.log(Entry::Outcome(outcome(7))).unwrap();
    store.log(Entry::Spend(spent())).unwrap();
    store.rate(thumb(7, Some(0.5)), HOUR).await.unwrap();
    store.change_keys(vec![KeyChange::Add(key())]).await.unwrap();
    store.save_snapshots(5, Timestamp(3), vec![("default".into(), vec![1, 2, 3])]).await.unwrap();
    store.close().await;
    let text = dump::whole(&intruder(&folder));
    std::fs::write(FIXTURE, text).unwrap();
}

/// A decision that was drawn for audit.
fn drawn(id: u128) -> DecisionRecord {
    DecisionRecord { audit: AuditDraw { rate: 0.1 + 0.2, drawn: true }, ..record(id) }
}

fn key() -> KeyRecord {
    KeyRecord {
        id: "k1".to_owned(),
        name: "a client".to_owned(),
        digest: [7; 32],
        hint: "sr-…1234".to_owned(),
        grants: "{}".to_owned(),
        created: Timestamp(1),
        expires: Some(Timestamp(2)),
        revoked: None,
    }
}

fn spent() -> Spending {
    Spending { account: "key:a client".into(), day: 20_000, nano_usd: 42 }
}

on_both_stores! {
    everything_comes_back_bit_for_bit_also_after_reopening,
    prompts_are_kept_only_if_given,
    a_reroute_counts_for_the_ratings_after_it_only,
    a_configuration_is_appended_only_when_it_changes,
    entries_that_could_not_be_read_back_are_refused_and_harm_nothing,
    readers_see_every_event_once_and_in_order_while_writers_run,
    the_newest_three_states_are_kept_and_the_newest_is_loaded,
    a_full_queue_and_a_closed_store_say_so_at_once,
}
