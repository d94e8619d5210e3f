//! What only a server can do to a log: go away, come back, be shared, stand behind a pooler.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly")]

#[path = "common/outcomes.rs"]
mod outcomes;
#[path = "common/records.rs"]
mod records;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use outcomes::outcome;
use records::{decision, rating};
use slarouter_core::{Certificate, DecisionId, Rater, Receipt, Source, Timestamp};
use slarouter_store::{
    Calendar, Counts, DecisionQuery, Entry, Event, KeyChange, KeyRecord, LogTable, Retention, RouteCertificate,
    RowQuery, Selection, Spending, Store, StoreError, backup, beside, compact, inspect, join, migrate, open,
    open_to_read, restore, shown,
};
use slarouter_testkit::{Database, Pooler, Postgres, until};
use tempfile::TempDir;

const WINDOW: u64 = 1_000;

/// Something of everything that a log can hold.
async fn fill(store: &dyn Store, first: u128) {
    store.configure(Timestamp(1), "r", "{\"a\":\"\u{e000}\"}").await.unwrap();
    for id in first..first + 40 {
        store.log(decision(id, (id % 3 == 0).then(|| "[\"a\0b\"]".to_owned()))).unwrap();
        if id % 5 == 0 {
            store.log(Entry::Reroute { decision: DecisionId(id), model: "n".into() }).unwrap();
        }
        let mut ended = outcome(id, 7, [200, 502, 499][id as usize % 3]);
        ended.error = (id % 3 == 1).then(|| "it said \0 and no more".to_owned());
        store.log(Entry::Outcome(ended)).unwrap();
        store.log(Entry::Spend(Spending { account: "key:a".into(), day: 20_000, nano_usd: 7 })).unwrap();
    }
    for id in first..first + 10 {
        for (rater, value) in [(1, Some(1.0)), (2, Some(0.25)), (1, None)] {
            store.rate(rating(id, rater, value, 5), WINDOW).await.unwrap();
        }
    }
    while store.roll_up(&Calendar::default(), Vec::new()).await.unwrap().more {}
}

async fn save(store: &dyn Store) {
    let seq = *store.committed().borrow();
    let states = vec![(Arc::from("b"), vec![1; 70_000]), (Arc::from("a"), vec![2, 0, 255])];
    store.save_snapshots(seq, Timestamp(9), states).await.unwrap();
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

async fn events(store: &dyn Store) -> Vec<Event> {
    store.events_after(0, usize::MAX).await.unwrap()
}

/// Ends every connection to the database but the one that says so.
fn cut(database: &Database) {
    database.run(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_calls_give_the_same_log_in_either_database() {
    let (folder, database) = (TempDir::new().unwrap(), Postgres::shared().database());
    let file = open(&format!("sqlite://{}", folder.path().join("log.db").display())).await.unwrap();
    let server = open(&database.url()).await.unwrap();
    for store in [&file, &server] {
        fill(store.as_ref(), 1).await;
    }
    assert_eq!(events(file.as_ref()).await, events(server.as_ref()).await);
    assert_eq!(file.fingerprint(u64::MAX).await.unwrap(), server.fingerprint(u64::MAX).await.unwrap());
    assert_eq!(file.fingerprint(17).await.unwrap(), server.fingerprint(17).await.unwrap());
    let ever = Selection { to: Timestamp(u64::MAX >> 1), ..Selection::default() };
    assert_eq!(file.totals(ever.clone(), &[]).await.unwrap(), server.totals(ever.clone(), &[]).await.unwrap());
    assert_eq!(server.totals(ever.clone(), &[]).await.unwrap(), server.recount(ever, u64::MAX, &[]).await.unwrap());
    for table in [LogTable::Configurations, LogTable::Decisions, LogTable::Outcomes, LogTable::Feedback] {
        for (after, until, prompts, limit) in [(0, u64::MAX, true, 1_000), (20, 90, false, 7)] {
            let query = RowQuery { table, after, until, prompts, limit };
            let rows = file.rows(query).await.unwrap();
            assert!(after > 0 || !rows.is_empty(), "{table:?}");
            assert_eq!(rows, server.rows(query).await.unwrap(), "{table:?}");
        }
    }
    for store in [&file, &server] {
        let held = Certificate { requests: 9, labels: 3, lower: 0.1, estimate: 0.1 + 0.2, upper: 0.7 };
        let of = |route: &str, time| RouteCertificate {
            route: route.into(),
            time: Timestamp(time),
            alpha: 0.9,
            certificate: held,
        };
        store.roll_up(&Calendar::default(), vec![of("r", 90_000), of("q", 1_000_000), of("r", 95_000)]).await.unwrap();
    }
    let certificates = file.certificates(None, 100).await.unwrap();
    assert_eq!(certificates.len(), 6);
    assert_eq!(certificates, server.certificates(None, 100).await.unwrap());
    let after = Some(certificates[2].clone());
    assert_eq!(certificates[3..5], server.certificates(after, 2).await.unwrap());
    assert_eq!(
        file.calibration("r", Source::User).await.unwrap(),
        server.calibration("r", Source::User).await.unwrap()
    );
    let page = DecisionQuery { limit: 50, ..DecisionQuery::default() };
    assert_eq!(file.decisions(page.clone()).await.unwrap(), server.decisions(page).await.unwrap());
    file.close().await;
    server.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_moves_to_a_server_and_back_bit_for_bit() {
    let (folder, database) = (TempDir::new().unwrap(), Postgres::shared().database());
    let url = |name: &str| format!("sqlite://{}", folder.path().join(name).display());
    let store = open(&url("log.db")).await.unwrap();
    fill(store.as_ref(), 1).await;
    save(store.as_ref()).await;
    // Some decisions in the archive, some whole; what was learnt put back; somebody who is to be forgotten.
    let retention = Retention { window_ms: WINDOW, details_ms: Some(1), ..Retention::default() };
    while store.shorten(&retention, Timestamp(10_000_000_000)).await.unwrap().more {}
    fill(store.as_ref(), 2_000).await;
    store.roll_back(3, Timestamp(7), vec![(Arc::from("r"), vec![0, 7]), (Arc::from("a"), vec![])]).await.unwrap();
    store.forget(Rater(2), Timestamp(5), true).await.unwrap();
    let held = store.held().await.unwrap();
    assert!(held.shortened_to > 0);
    store.change_keys(vec![KeyChange::Add(key())]).await.unwrap();
    let first_counts = store.counts().await.unwrap();
    assert_eq!(first_counts, Counts { decisions: 80, outcomes: 80, feedback: 60 });
    let moving = |from: String, to: String| tokio::task::spawn_blocking(move || migrate(&from, &to, |_| {}));
    let refused = moving(url("log.db"), database.url()).await.unwrap();
    assert!(matches!(refused, Err(StoreError::InUse(_))), "a gateway has it: {refused:?}");
    store.close().await;

    let there = moving(url("log.db"), database.url()).await.unwrap().unwrap();
    assert_eq!((there.counts, there.snapshots), (first_counts, 2));
    let again = moving(url("log.db"), database.url()).await.unwrap();
    assert!(matches!(again, Err(StoreError::Exists(_))), "{again:?}");
    let server = open(&database.url()).await.unwrap();
    let refused = moving(database.url(), url("back.db")).await.unwrap();
    assert!(matches!(refused, Err(StoreError::InUse(_))), "{refused:?}");
    assert!(!folder.path().join("back.db").exists());
    server.close().await;
    let back = moving(database.url(), url("back.db")).await.unwrap().unwrap();
    assert_eq!(there, back);

    let first = open_to_read(&url("log.db")).await.unwrap();
    for url in [database.url(), url("back.db")] {
        let moved = open(&url).await.unwrap();
        assert_eq!(events(first.as_ref()).await, events(moved.as_ref()).await, "{url}");
        assert_eq!(first.fingerprint(u64::MAX).await.unwrap(), moved.fingerprint(u64::MAX).await.unwrap());
        assert_eq!(first.load_snapshots().await.unwrap(), moved.load_snapshots().await.unwrap());
        assert_eq!(first.keys().await.unwrap(), moved.keys().await.unwrap());
        assert_eq!(first.spending(0).await.unwrap(), moved.spending(0).await.unwrap());
        assert_eq!(held, moved.held().await.unwrap());
        for id in [1, 2_001] {
            assert_eq!(first.history(DecisionId(id)).await.unwrap(), moved.history(DecisionId(id)).await.unwrap());
        }
        // It goes on where it was.
        fill(moved.as_ref(), 1_000).await;
        assert_eq!(moved.counts().await.unwrap().decisions, 120);
        moved.close().await;
    }
    let mut left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    left.retain(|name| name.to_string_lossy().contains("partial"));
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_databases_have_the_same_tables_and_views() {
    let (folder, database) = (TempDir::new().unwrap(), Postgres::shared().database());
    let path = folder.path().join("log.db");
    open(&format!("sqlite://{}", path.display())).await.unwrap().close().await;
    open(&database.url()).await.unwrap().close().await;
    let query = "SELECT m.name || '.' || c.name FROM sqlite_schema m, pragma_table_info(m.name) c WHERE m.type IN ('table', 'view')";
    let connection = rusqlite::Connection::open(&path).unwrap();
    let mut statement = connection.prepare(query).unwrap();
    let file: BTreeSet<String> = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let query = "SELECT table_name || '.' || column_name FROM information_schema.columns WHERE table_schema = 'public' \
                 AND table_name NOT IN ('slarouter', 'head', 'terms', 'streams', 'inbox', 'taken', 'waiting', 'spent_by', 'limit_usage', 'key_changes', 'to_forget')";
    let server: BTreeSet<String> = database.run(query).lines().map(str::to_owned).collect();
    // The order in which rows were written, which a file has without a column, and what joins need.
    let more = [
        "api_keys.place",
        "decisions_readable.decided_ms",
        "decisions_readable.decision_id",
        "decisions_whole.decided_ms",
        "decisions_whole.decision_id",
        "rollback_states.place",
        "snapshots.epoch",
        "snapshots.place",
    ];
    assert_eq!(server.difference(&file).collect::<Vec<_>>(), more.each_ref());
    assert_eq!(file.difference(&server).count(), 0, "{file:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_works_through_a_pooler_in_transaction_mode() {
    let database = Postgres::shared().database();
    let pooler = Pooler::before(Postgres::shared());
    let url = pooler.url(&database);
    let store = open(&url).await.unwrap();
    fill(store.as_ref(), 1).await;
    // Many at once, so that connections of the server go round.
    let readers: Vec<_> = (0..16)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { events(store.as_ref()).await.len() })
        })
        .collect();
    for reader in readers {
        assert_eq!(reader.await.unwrap(), 1 + 40 + 8 + 40 + 30);
    }
    save(store.as_ref()).await;
    store.close().await;
    let store = open(&url).await.unwrap();
    assert_eq!(store.load_snapshots().await.unwrap().len(), 2);
    fill(store.as_ref(), 1_000).await;
    assert_eq!(store.counts().await.unwrap().decisions, 80);
    store.close().await;
}

/// Connections end at any moment, within a commit too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_when_connections_are_cut() {
    let database = Postgres::shared().database();
    let store = open(&database.url()).await.unwrap();
    nothing_is_lost_or_doubled(database, store, 12, cut).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_when_the_server_dies_and_recovers() {
    let server: &'static Postgres = Box::leak(Box::new(Postgres::start()));
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("log.spool");
    for spool in [None, Some((path.as_path(), 1 << 20))] {
        let database = server.database();
        let url = database.url();
        let store = if spool.is_some() { join(&url, 65_536, spool).await } else { open(&url).await };
        nothing_is_lost_or_doubled(database, store.unwrap(), 4, |_| {
            server.stop();
            server.restart();
        })
        .await;
    }
}

/// In each round harm is done under load; what was acknowledged or logged is there once at the end.
async fn nothing_is_lost_or_doubled(
    database: Database,
    store: Arc<dyn Store>,
    rounds: u128,
    harm: impl Fn(&Database) + Clone + Send + 'static,
) {
    const EACH: u128 = 400;
    let database = Arc::new(database);
    let mut acknowledged = HashMap::new();
    for round in 0..rounds {
        let cutting = {
            let (database, harm) = (database.clone(), harm.clone());
            tokio::task::spawn_blocking(move || harm(&database))
        };
        for id in round * EACH..(round + 1) * EACH {
            store.log(decision(id, None)).unwrap();
            store.log(Entry::Outcome(outcome(id, 7, 200))).unwrap();
            store.log(Entry::Spend(Spending { account: "a".into(), day: 1, nano_usd: 1 })).unwrap();
        }
        for id in round * EACH..round * EACH + 20 {
            // Who gets no receipt asks again.
            let mut told = Vec::new();
            until("the rating is acknowledged", async || match store.rate(rating(id, 1, Some(1.0), 1), WINDOW).await {
                Ok(receipt) => {
                    told.push(receipt);
                    true
                }
                Err(StoreError::Unavailable(_)) => false,
                Err(other) => panic!("{other}"),
            })
            .await;
            assert!(matches!(told[..], [Receipt::Recorded | Receipt::Duplicate]), "{told:?}");
            acknowledged.insert(id, 1.0);
        }
        cutting.await.unwrap();
    }
    until("all is written", async || store.flush().await.is_ok()).await;
    let (mut decided, mut finished, mut rated) = (0, 0, HashMap::new());
    for event in events(store.as_ref()).await {
        match event {
            Event::Decided { .. } => decided += 1,
            Event::Finished { .. } => finished += 1,
            Event::Rated { rated: word, .. } => {
                assert_eq!(rated.insert(word.decision.0, word.rating.unwrap().get()), None, "counted once");
            }
            other => panic!("{other:?}"),
        }
    }
    let all = rounds * EACH;
    assert_eq!((decided, finished, rated), (all, all, acknowledged));
    assert_eq!(store.spending(0).await.unwrap()[0].nano_usd, all as i64, "a charge is neither lost nor doubled");
    assert_eq!(store.dropped(), 0);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_logged_waits_for_a_server_that_is_away() {
    let server: &'static Postgres = Box::leak(Box::new(Postgres::start()));
    let database = server.database();
    let store = open(&database.url()).await.unwrap();
    store.log(decision(1, None)).unwrap();
    store.flush().await.unwrap();
    server.stop();
    store.log(decision(2, None)).unwrap();
    let refused = store.rate(rating(2, 1, Some(1.0), 1), WINDOW).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    assert!(store.is_failing());
    let error = store.counts().await.unwrap_err().to_string();
    assert!(error.contains("slarouter@"), "it says which server: {error}");
    server.restart();
    until("the server is found again", async || store.flush().await.is_ok()).await;
    assert!(!store.is_failing());
    assert_eq!(store.rate(rating(2, 1, Some(1.0), 1), WINDOW).await.unwrap(), Receipt::Recorded);
    assert_eq!((store.counts().await.unwrap().decisions, store.dropped()), (2, 0));
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_that_start_at_once_one_has_the_log_and_the_tables_are_made_once() {
    let database = Postgres::shared().database();
    let starting: Vec<_> = (0..6)
        .map(|_| {
            let url = database.url();
            tokio::spawn(async move { open(&url).await })
        })
        .collect();
    let mut started = Vec::new();
    for start in starting {
        match start.await.unwrap() {
            Ok(store) => started.push(store),
            Err(error) => assert!(matches!(error, StoreError::InUse(_)), "{error}"),
        }
    }
    let [store] = &started[..] else { panic!("{} have it", started.len()) };
    fill(store.as_ref(), 1).await;
    // Whoever only reads is not kept out.
    let reader = open_to_read(&database.url()).await.unwrap();
    assert_eq!(reader.counts().await.unwrap().decisions, 40);
    assert!(matches!(reader.log(decision(99, None)), Err(StoreError::Closed)));
    reader.close().await;
    store.close().await;
    let next = open(&database.url()).await.unwrap();
    assert_eq!(next.counts().await.unwrap().decisions, 40, "at once, as it was left");
    next.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_whose_log_was_taken_over_writes_nothing_more() {
    let database = Postgres::shared().database();
    let store = open(&database.url()).await.unwrap();
    store.log(decision(1, None)).unwrap();
    store.flush().await.unwrap();
    // As if it had been stopped for longer than its term, and another had come.
    database.run("UPDATE head SET epoch = epoch + 1, holder = gen_random_uuid(), expires = now() + interval '1 hour'");
    store.log(decision(2, None)).unwrap();
    let refused = store.rate(rating(1, 1, Some(1.0), 1), WINDOW).await;
    assert!(
        matches!(&refused, Err(StoreError::Unavailable(why)) if why.contains("another process uses")),
        "{refused:?}"
    );
    assert!(store.is_failing());
    assert_eq!(database.run("SELECT count(*) FROM decisions"), "1");
    // The other is gone: what waited is written, under a new epoch.
    database.run("UPDATE head SET holder = NULL");
    until("the log is its own again", async || store.flush().await.is_ok()).await;
    assert_eq!(database.run("SELECT count(*) FROM decisions"), "2");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_ours_or_not_of_today_is_left_as_it_is() {
    let theirs = Postgres::shared().database();
    theirs.run("CREATE TABLE decisions (id integer)");
    for error in
        [open(&theirs.url()).await.err(), open_to_read(&theirs.url()).await.err(), inspect(&theirs.url()).await.err()]
    {
        assert!(matches!(error, Some(StoreError::Foreign(_))), "{error:?}");
    }
    assert_eq!(
        theirs.run("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"),
        "1"
    );
    let empty = Postgres::shared().database();
    assert!(matches!(open_to_read(&empty.url()).await, Err(StoreError::Missing(_))));
    open(&empty.url()).await.unwrap().close().await;
    empty.run("UPDATE slarouter SET version = 9999");
    assert!(matches!(open(&empty.url()).await, Err(StoreError::Newer { found: 9_999, .. })));
    assert!(matches!(open_to_read(&empty.url()).await, Err(StoreError::Newer { found: 9_999, .. })));
    for (told, means) in [
        (backup(&empty.url(), "copy.db".as_ref()).await.err(), "pg_dump"),
        (restore(&empty.url(), "copy.db".as_ref()).await.err(), "pg_restore"),
        (compact(&empty.url()).await.err(), "autovacuum"),
    ] {
        assert!(matches!(&told, Some(StoreError::FilesOnly(what)) if what.contains(means)), "{told:?}");
    }
}

#[tokio::test]
async fn no_error_tells_the_password() {
    let url = "postgres://me:s3cret@127.0.0.1:1/d";
    assert_eq!(shown(url), "postgres://me@127.0.0.1:1/d");
    for error in [open(url).await.err(), open_to_read(url).await.err(), inspect(url).await.err()] {
        let error = error.unwrap();
        let told = format!("{error} {error:?}");
        assert!(told.contains("127.0.0.1:1") && told.contains("store.url") && !told.contains("s3cret"), "{told}");
    }
    assert!(beside(url, ".alerts").unwrap().ends_with("d.alerts"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_is_looked_at_and_not_touched() {
    let database = Postgres::shared().database();
    let before = inspect(&database.url()).await.unwrap();
    assert_eq!((before.in_use, before.content, before.path), (false, None, None));
    let facts = before.server.unwrap();
    assert!(facts.version_number >= 140_000 && facts.may_make_tables && !facts.is_forwarded, "{facts:?}");
    assert_eq!(database.run("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"), "0");
    let store = open(&database.url()).await.unwrap();
    fill(store.as_ref(), 1).await;
    save(store.as_ref()).await;
    let held = inspect(&database.url()).await.unwrap();
    let content = held.content.unwrap();
    assert!(held.in_use && content.version == held.newest && content.snapshots.len() == 2, "{content:?}");
    assert_eq!((content.latest, content.has_keys), (Some(Timestamp(0)), false));
    store.close().await;
    assert!(!inspect(&database.url()).await.unwrap().in_use);
}
