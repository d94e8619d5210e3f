//! Several processes on one log: what each of them is told, and that nothing is lost, doubled or out of order.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly")]

#[path = "common/outcomes.rs"]
mod outcomes;
#[path = "common/records.rs"]
mod records;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use outcomes::outcome;
use records::{decision, rating};
use slarouter_core::{DecisionId, Rater, Receipt, Timestamp};
use slarouter_store::{
    DecisionRecord, Entry, Event, FeedbackRecord, KeyChange, KeyRecord, LimitUsage, OutcomeRecord, Role, Spending,
    Store, StoreError, Term, Together, join, open,
};
use slarouter_testkit::{Database, Postgres, until};

const WINDOW: u64 = 1_000;
/// Words that wait for their decisions wait by the database's clock, at which the times of these tests are long over.
const NO_END: u64 = 1 << 62;
/// Ids of one process are apart from those of another.
const OF_A: u128 = 1_000_000;
const OF_B: u128 = 2_000_000;

type Shared = Arc<dyn Store>;

async fn joined(database: &Database) -> Shared {
    join(&database.url(), 65_536, None).await.unwrap()
}

/// One that holds the log, and two that follow.
async fn three(database: &Database) -> [Shared; 3] {
    let all = [joined(database).await, joined(database).await, joined(database).await];
    let roles: Vec<_> = all.iter().map(|store| *store.role().borrow()).collect();
    assert_eq!(roles, [Role::Holder, Role::Follower, Role::Follower]);
    all
}

async fn events(store: &dyn Store) -> Vec<Event> {
    store.events_after(0, usize::MAX).await.unwrap()
}

async fn until_decided(store: &dyn Store, count: u64) {
    until("all decisions are in the log", async || store.counts().await.unwrap().decisions == count).await;
}

/// Makes `store` hold the log, as if whoever has it had not been heard of for long.
async fn until_it_holds(database: &Database, store: &dyn Store) {
    until("it holds the log", async || {
        let holds = store.role().borrow().is_holder();
        if !holds {
            database.run("UPDATE head SET expires = now() - interval '1 second'");
        }
        holds
    })
    .await;
}

/// Ratings in force by the log, and that each decision comes before what is said of it and is there once.
fn ratings(events: &[Event]) -> BTreeMap<(DecisionId, Rater), f64> {
    let (mut decided, mut held) = (HashMap::new(), BTreeMap::new());
    for event in events {
        match event {
            Event::Decided { seq, id, .. } => assert_eq!(decided.insert(*id, *seq), None, "{id:?} is there twice"),
            Event::Rated { rated, seq, .. } => {
                assert!(decided.contains_key(&rated.decision), "rating {seq} comes before its decision");
                held.insert((rated.decision, rated.rater), rated.rating.unwrap().get());
            }
            Event::Finished { outcome, .. } => assert!(decided.contains_key(&outcome.decision)),
            other => panic!("{other:?}"),
        }
    }
    held
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_followers_send_is_in_the_log_once_and_in_their_order() {
    let database = Postgres::shared().database();
    let [holder, a, b] = three(&database).await;
    for n in 0..700 {
        holder.log(decision(n, None)).unwrap();
        for (store, first) in [(&a, OF_A), (&b, OF_B)] {
            store.log(decision(first + n, (n % 50 == 0).then(|| "[\"a\0b\"]".to_owned()))).unwrap();
            store.log(Entry::Outcome(outcome(first + n, 7, 200))).unwrap();
            store.log(Entry::Spend(Spending { account: "key:a".into(), day: 20_000, nano_usd: 7 })).unwrap();
        }
    }
    for store in [&holder, &a, &b] {
        store.flush().await.unwrap();
    }
    until_decided(a.as_ref(), 2_100).await;
    until("all is taken", async || database.run("SELECT count(*) FROM inbox").trim() == "0").await;
    let log = events(b.as_ref()).await;
    assert_eq!(log, events(holder.as_ref()).await);
    assert!(log.iter().map(Event::seq).eq(1..=3_500), "numbers have no gap");
    ratings(&log);
    for first in [0, OF_A, OF_B] {
        let of_one =
            log.iter().filter_map(|event| if let Event::Decided { id, .. } = event { Some(id.0) } else { None });
        assert!(of_one.filter(|id| (first..first + 700).contains(id)).eq(first..first + 700), "their order");
    }
    assert_eq!(holder.spending(0).await.unwrap()[0].nano_usd, 2 * 700 * 7);
    let found = a.decision(DecisionId(OF_B)).await.unwrap().unwrap().record;
    assert_eq!(Entry::Decision(found), decision(OF_B, Some("[\"a\0b\"]".to_owned())));
    until("followers know how far the log is", async || *a.committed().borrow() == 3_500).await;
    for store in [b, a, holder] {
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ratings_count_at_any_process_and_before_their_decisions_too() {
    let database = Postgres::shared().database();
    let [holder, a, b] = three(&database).await;
    // What the holder looks for once a second: that there are others.
    until("the holder knows of the others", async || {
        holder.rate(rating(OF_A, 1, Some(0.0), 5), NO_END).await.is_ok_and(|receipt| receipt == Receipt::Recorded)
    })
    .await;
    assert_eq!(a.rate(rating(OF_A, 2, Some(0.5), 5), NO_END).await.unwrap(), Receipt::Recorded);
    assert_eq!(b.rate(rating(OF_A, 1, Some(1.0), 6), NO_END).await.unwrap(), Receipt::Recorded);
    // Those wait, as their decision is not there; then it comes.
    until("all words wait", async || database.run("SELECT count(*) FROM waiting").trim() == "3").await;
    a.log(decision(OF_A, None)).unwrap();
    until_decided(b.as_ref(), 1).await;
    let all = BTreeMap::from([((DecisionId(OF_A), Rater(1)), 1.0), ((DecisionId(OF_A), Rater(2)), 0.5)]);
    until("the words are in the log", async || ratings(&events(b.as_ref()).await) == all).await;
    assert_eq!(database.run("SELECT count(*) FROM waiting").trim(), "0");

    // Receipts are those of the log, and of what is on its way there.
    a.log(decision(OF_A + 1, None)).unwrap();
    assert_eq!(a.rate(rating(OF_A + 1, 1, Some(1.0), 5), WINDOW).await.unwrap(), Receipt::Recorded);
    assert_eq!(b.rate(rating(OF_A + 1, 1, Some(1.0), 6), WINDOW).await.unwrap(), Receipt::Duplicate);
    assert_eq!(b.rate(rating(OF_A + 1, 1, Some(0.0), 7), WINDOW).await.unwrap(), Receipt::Replaced);
    assert_eq!(a.rate(rating(OF_A, 3, Some(1.0), WINDOW + 1), WINDOW).await.unwrap(), Receipt::Expired);
    // It is older than any that counts, so it does not come.
    let unknown = b.rate(rating(OF_B, 1, Some(1.0), WINDOW + 1), WINDOW).await;
    assert!(matches!(unknown, Err(StoreError::UnknownDecision)), "{unknown:?}");
    let found = b.decision(DecisionId(OF_A + 1)).await.unwrap().unwrap();
    assert_eq!(Entry::Decision(found.record), decision(OF_A + 1, None));

    // Of two reports the first counts, wherever they are made.
    let reported = |id| OutcomeRecord { attempts: 0, ..outcome(id, 7, 200) };
    assert_eq!(a.report(reported(OF_A), false).await.unwrap(), Receipt::Recorded);
    assert_eq!(b.report(reported(OF_A), false).await.unwrap(), Receipt::Duplicate);
    until("the report is in the log", async || b.counts().await.unwrap().outcomes == 1).await;
    assert_eq!(holder.report(reported(OF_A), false).await.unwrap(), Receipt::Duplicate);
    for store in [b, a, holder] {
        store.close().await;
    }
}

/// It is asked once a second whether there are others. Clients may be faster.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rating_of_an_answer_of_one_that_has_just_begun_waits_for_its_decision() {
    let database = Postgres::shared().database();
    let holder = joined(&database).await;
    until("the holder knows that it is alone", async || {
        let unknown = holder.rate(rating(OF_B, 1, Some(1.0), 5), NO_END).await;
        matches!(unknown, Err(StoreError::UnknownDecision))
    })
    .await;
    let begun = joined(&database).await;
    assert_eq!(holder.rate(rating(OF_A, 1, Some(1.0), 5), NO_END).await.unwrap(), Receipt::Recorded);
    begun.log(decision(OF_A, None)).unwrap();
    let all = BTreeMap::from([((DecisionId(OF_A), Rater(1)), 1.0)]);
    until("the word is in the log", async || ratings(&events(begun.as_ref()).await) == all).await;
    for store in [begun, holder] {
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_takes_the_log_over_when_its_holder_leaves() {
    let database = Postgres::shared().database();
    let [holder, a, b] = three(&database).await;
    holder.configure(Timestamp(1), "r", "{}").await.unwrap();
    a.configure(Timestamp(1), "r", "{\"of\":\"a follower\"}").await.unwrap();
    assert!(matches!(a.save_snapshots(1, Timestamp(1), Vec::new()).await, Err(StoreError::Unavailable(_))));
    let refused = open(&database.url()).await;
    assert!(matches!(refused, Err(StoreError::InUse(_))), "who cannot share it is refused");
    holder.close().await;
    let mut roles = [a.role(), b.role()];
    let [of_a, of_b] = &mut roles;
    tokio::select! {
        held = of_a.wait_for(|role| role.is_holder()) => assert!(held.is_ok()),
        held = of_b.wait_for(|role| role.is_holder()) => assert!(held.is_ok()),
    }
    let (new, other) = if a.role().borrow().is_holder() { (a, b) } else { (b, a) };
    new.configure(Timestamp(2), "r", "{\"of\":\"the new holder\"}").await.unwrap();
    other.log(decision(OF_B, None)).unwrap();
    other.rate(rating(OF_B, 1, Some(1.0), 5), WINDOW).await.unwrap();
    until_decided(new.as_ref(), 1).await;
    new.close().await;
    until("the last one holds the log", async || other.role().borrow().is_holder()).await;
    assert_eq!(other.rate(rating(OF_B, 1, Some(0.0), 6), WINDOW).await.unwrap(), Receipt::Replaced);
    let [Event::Configured { .. }, Event::Configured { spec, .. }, rest @ ..] = &events(other.as_ref()).await[..]
    else {
        panic!("a follower's configuration is not in force")
    };
    assert!(spec.contains("the new holder"));
    assert_eq!(ratings(rest), BTreeMap::from([((DecisionId(OF_B), Rater(1)), 0.0)]));
    other.close().await;
}

/// Has nobody hold the log: one has it that is not there, and whose term ends only when the test says so.
async fn until_nobody_holds(database: &Database, all: &[Shared]) {
    database.run("UPDATE head SET epoch = epoch + 1, holder = gen_random_uuid(), expires = now() + interval '1 hour'");
    until("all follow", async || all.iter().all(|store| *store.role().borrow() == Role::Follower)).await;
}

/// The clock of one that decides is an hour ahead of the one of another, at which its answer is rated, or an hour behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clocks_of_processes_that_are_an_hour_apart_lose_no_rating_that_was_acknowledged() {
    const HOUR: u64 = 3_600_000;
    const NOW: u64 = 1_800_000_000_000;
    let id = |made: u64, n: u128| u128::from(made) << 80 | 7 << 76 | n;
    let made = |made: u64, n: u128| {
        let Entry::Decision(record) = decision(id(made, n), None) else { panic!("a decision") };
        Entry::Decision(DecisionRecord { time: Timestamp(made), ..record })
    };
    let database = Postgres::shared().database();
    let all = three(&database).await;
    let [_, a, b] = &all;
    // Nobody has made it known yet that it was made, and by this clock it was not: so it is no decision.
    let unknown = a.rate(rating(id(NOW + HOUR, 9), 1, Some(1.0), NOW), WINDOW).await;
    assert!(matches!(unknown, Err(StoreError::UnknownDecision)), "{unknown:?}");

    until_nobody_holds(&database, &all).await;
    for (n, clock) in [(1, NOW + HOUR), (2, NOW - HOUR)] {
        b.log(made(clock, n)).unwrap();
        b.flush().await.unwrap();
        let receipt = a.rate(rating(id(clock, n), 1, Some(1.0), NOW), 2 * HOUR).await.unwrap();
        assert_eq!(receipt, Receipt::Recorded, "the decision is on its way");
    }
    // Its word is taken before the decision that it is about, as the one that sent it came first.
    database.run("UPDATE head SET expires = now() - interval '1 second'");
    until_decided(a.as_ref(), 2).await;
    until("all is taken", async || database.run("SELECT count(*) FROM inbox").trim() == "0").await;
    let held = ratings(&events(b.as_ref()).await);
    assert_eq!(held.into_values().collect::<Vec<_>>(), [1.0, 1.0]);
    // Behind by more than the window, ratings of its answers come too late.
    assert_eq!(a.rate(rating(id(NOW - HOUR, 2), 2, Some(1.0), NOW), HOUR / 2).await.unwrap(), Receipt::Expired);
    for store in all {
        store.close().await;
    }
}

/// What a holder does that was stopped for longer than its term, and what it had under way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_was_taken_for_dead_goes_on_as_a_follower() {
    let database = Postgres::shared().database();
    let [first, a, b] = three(&database).await;
    let all = [first, a, b];
    let (mut id, mut acknowledged) = (0, BTreeMap::new());
    for round in 0..12 {
        until_it_holds(&database, all[round % 3].as_ref()).await;
        for (place, store) in all.iter().enumerate() {
            for _ in 0..20 {
                id += 1;
                store.log(decision(id, None)).unwrap();
                let rater = place as u64 + 1;
                let word = || rating(id, rater, Some(1.0), 5);
                until("the rating is acknowledged", async || {
                    // The one at which it is said is not the one that decided.
                    match all[(place + round) % 3].rate(word(), NO_END).await {
                        Ok(Receipt::Recorded | Receipt::Duplicate) => true,
                        // The log changes hands at this moment, or nobody knows yet that there are others.
                        Err(StoreError::Unavailable(_) | StoreError::UnknownDecision) => false,
                        other => panic!("{other:?}"),
                    }
                })
                .await;
                acknowledged.insert((DecisionId(id), Rater(rater)), 1.0);
            }
        }
    }
    for store in &all {
        until("all is sent", async || store.flush().await.is_ok()).await;
    }
    until_decided(all[0].as_ref(), id as u64).await;
    until("all ratings are in the log", async || ratings(&events(all[0].as_ref()).await) == acknowledged).await;
    assert_eq!(all[0].counts().await.unwrap().feedback, acknowledged.len() as u64, "none is doubled");
    let holders = all.iter().filter(|store| store.role().borrow().is_holder()).count();
    assert!(holders <= 1 && all.iter().all(|store| store.dropped() == 0), "{holders} hold the log");
    for store in all {
        store.close().await;
    }
}

/// As with one process, but the log changes hands all the time as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_when_connections_of_all_are_cut() {
    const ROUNDS: u128 = 10;
    const EACH: u128 = 150;
    let database = Arc::new(Postgres::shared().database());
    let all = three(&database).await;
    let mut acknowledged = BTreeMap::new();
    for round in 0..ROUNDS {
        let cutting = {
            let database = database.clone();
            tokio::task::spawn_blocking(move || {
                database.run("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()");
                database.run("UPDATE head SET expires = now() - interval '1 second'");
            })
        };
        for (store, first) in all.iter().zip([0, OF_A, OF_B]) {
            for id in first + round * EACH..first + (round + 1) * EACH {
                store.log(decision(id, None)).unwrap();
                store.log(Entry::Outcome(outcome(id, 7, 200))).unwrap();
                store.log(Entry::Spend(Spending { account: "a".into(), day: 1, nano_usd: 1 })).unwrap();
            }
            for id in first + round * EACH..first + round * EACH + 10 {
                until("the rating is acknowledged", async || {
                    match store.rate(rating(id, 1, Some(1.0), 1), WINDOW).await {
                        Ok(receipt) => matches!(receipt, Receipt::Recorded | Receipt::Duplicate),
                        Err(StoreError::Unavailable(_)) => false,
                        Err(other) => panic!("{other}"),
                    }
                })
                .await;
                acknowledged.insert((DecisionId(id), Rater(1)), 1.0);
            }
        }
        cutting.await.unwrap();
    }
    for store in &all {
        until("all is sent", async || store.flush().await.is_ok()).await;
    }
    let count = 3 * ROUNDS * EACH;
    let is_whole = async || all[0].counts().await.is_ok_and(|counts| counts.decisions == count as u64);
    until("all is in the log", is_whole).await;
    until("nothing is left", async || database.run("SELECT count(*) FROM inbox").trim() == "0").await;
    let log = events(all[1].as_ref()).await;
    assert_eq!(ratings(&log), acknowledged);
    let counts = all[2].counts().await.unwrap();
    assert_eq!((counts.outcomes, counts.feedback), (count as u64, acknowledged.len() as u64));
    assert_eq!(all[2].spending(0).await.unwrap()[0].nano_usd, count as i64, "a charge is neither lost nor doubled");
    for store in all {
        assert_eq!(store.dropped(), 0);
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_change_at_any_process_and_the_others_see_that() {
    let database = Postgres::shared().database();
    let [holder, a, b] = three(&database).await;
    let key = KeyRecord {
        id: "k1".to_owned(),
        name: "a client".to_owned(),
        digest: [7; 32],
        hint: "sr-…1234".to_owned(),
        grants: "{}".to_owned(),
        created: Timestamp(1),
        expires: None,
        revoked: None,
    };
    let before = b.key_version().await.unwrap();
    a.change_keys(vec![KeyChange::Add(key)]).await.unwrap();
    let added = b.key_version().await.unwrap();
    assert!(added > before && before.is_some());
    holder.change_keys(vec![KeyChange::Revoke("k1".to_owned(), Timestamp(9))]).await.unwrap();
    assert!(a.key_version().await.unwrap() > added);
    assert_eq!(b.keys().await.unwrap()[0].revoked, Some(Timestamp(9)));

    // Of two that have seen the same keys one is too late, wherever they are.
    for (first, second) in [(&a, &b), (&b, &holder), (&holder, &a), (&a, &a)] {
        let seen = first.key_version().await.unwrap();
        let change = || vec![KeyChange::Expire("k1".to_owned(), Timestamp(10))];
        first.change_keys_as_of(seen, change()).await.unwrap();
        let late = second.change_keys_as_of(seen, change()).await;
        assert!(matches!(late, Err(StoreError::KeysChanged)), "{late:?}");
        // What comes with it is written all the same.
        second.change_keys_as_of(second.key_version().await.unwrap(), change()).await.unwrap();
    }
    for store in [b, a, holder] {
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_uses_of_limits_per_minute_all_know() {
    let database = Postgres::shared().database();
    let [holder, a, b] = three(&database).await;
    let used = |requests_s, tokens_s| vec![LimitUsage { account: "key:\0".into(), requests_s, tokens_s }];
    let share = async |store: &Shared, used| store.share_usage(used).await.unwrap().unwrap();
    // While the test runs some of it comes back, which is stopped for what it looks at.
    let ago = |seconds: i32| {
        database.run(&format!("UPDATE limit_usage SET time = now() - make_interval(secs => {seconds})"));
    };
    assert_eq!(share(&b, Vec::new()).await, Together { gateways: 3, usage: Vec::new() });
    share(&a, used(50.0, 30.0)).await;
    share(&b, used(40.0, -10.0)).await;
    ago(20);
    let told = share(&holder, Vec::new()).await;
    let [LimitUsage { account, requests_s, tokens_s }] = &told.usage[..] else { panic!("{told:?}") };
    assert!(&**account == "key:\0" && (0.0..=70.0).contains(requests_s) && *tokens_s == 0.0, "{told:?}");
    // What was used is there, however late it is told.
    ago(1_000);
    assert_eq!(share(&holder, Vec::new()).await.usage, []);
    let told = share(&a, used(7.0, 0.0)).await;
    assert!((0.0..=7.0).contains(&told.usage[0].requests_s), "{told:?}");
    // A clock that goes back keeps nobody out for long.
    ago(-3_600);
    assert_eq!(share(&holder, Vec::new()).await.usage, []);
    let told = share(&holder, used(7.0, 0.0)).await;
    assert!((0.0..=14.0).contains(&told.usage[0].requests_s), "{told:?}");
    a.close().await;
    assert_eq!(share(&b, Vec::new()).await.gateways, 2);
    for store in [b, holder] {
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rater_is_forgotten_whichever_process_is_asked() {
    let database = Postgres::shared().database();
    let [holder, a, b] = three(&database).await;
    for (id, rater) in [(1, 7), (2, 8)] {
        holder.log(decision(id, Some("[\"a secret\"]".to_owned()))).unwrap();
        let word = FeedbackRecord { comment: Some("mine".to_owned()), ..rating(id, rater, Some(1.0), 5) };
        holder.rate(word, WINDOW).await.unwrap();
    }
    let found = a.forget(Rater(7), Timestamp(9), false).await.unwrap();
    assert_eq!((found.feedback, found.comments, found.prompts, found.is_noted), (1, 1, 1, false));
    let (forgotten, ()) = tokio::join!(a.forget(Rater(7), Timestamp(9), true), async {
        until("it is asked of the holder", async || database.run("SELECT count(*) FROM to_forget").trim() == "1").await;
        b.forget_for_others().await.unwrap();
        assert_eq!(database.run("SELECT count(*) FROM to_forget").trim(), "1", "it is not for another that follows");
        holder.forget_for_others().await.unwrap();
    });
    assert!(!forgotten.unwrap().is_noted);
    let left = b.forget(Rater(7), Timestamp(9), false).await.unwrap();
    assert_eq!((left.feedback, left.comments, left.prompts), (1, 0, 0));
    let other = b.forget(Rater(8), Timestamp(9), false).await.unwrap();
    assert_eq!((other.comments, other.prompts), (1, 1));
    for store in [b, a, holder] {
        store.close().await;
    }
}

/// Follows the log from an event, as a learner does: who appended its last one, and the decisions in it.
async fn learn(store: &dyn Store, learnt: &mut (u64, Option<Term>, Vec<DecisionId>)) -> bool {
    let read = store.following(learnt.0, learnt.1, usize::MAX).await.unwrap();
    if read.is_another {
        return false;
    }
    learnt.2.extend(
        read.events.iter().filter_map(|event| if let Event::Decided { id, .. } = event { Some(*id) } else { None }),
    );
    learnt.0 = read.events.last().map_or(learnt.0, Event::seq);
    learnt.1 = read.by(learnt.0);
    true
}

/// A standby is promoted that had not got the last commits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_has_lost_commits_is_noticed_and_nothing_is_mixed_or_doubled() {
    let database = Postgres::shared().database();
    let all = three(&database).await;
    let log = async |ids: std::ops::Range<u128>| {
        for id in ids {
            all[id as usize % 3].log(decision(id, None)).unwrap();
        }
        for store in &all {
            until("all is sent", async || store.flush().await.is_ok()).await;
        }
        until("all is in the log", async || database.run("SELECT count(*) FROM inbox").trim() == "0").await;
    };
    log(0..30).await;
    database.keep();
    log(30..60).await;
    let mut learnt = (0, None, Vec::new());
    assert!(learn(all[1].as_ref(), &mut learnt).await);
    assert_eq!((learnt.0, learnt.2.len()), (60, 60));
    let (epoch, lost) = (learnt.1.unwrap().epoch, learnt.clone());
    database.set_back();

    // New events have the numbers of those that are lost before anybody looks.
    log(60..120).await;
    let counts = all[0].counts().await.unwrap();
    assert_eq!(counts.decisions, 90, "what was not lost is there once");
    assert!(!learn(all[2].as_ref(), &mut learnt).await, "event 60 is another one");
    let states = || vec![("r".into(), vec![1])];
    let holder = all.iter().find(|store| store.role().borrow().is_holder()).unwrap();
    let refused = holder.save_learnt((lost.0, lost.1), Timestamp(1), states()).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    let mut anew = (0, None, Vec::new());
    assert!(learn(all[2].as_ref(), &mut anew).await);
    let ids = |ids: &[DecisionId]| ids.iter().map(|id| id.0).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(ids(&anew.2), (0..30).chain(60..120).collect());
    assert!(anew.1.unwrap().epoch > epoch, "an epoch that was given out is not given out again");
    holder.save_learnt((anew.0, anew.1), Timestamp(1), states()).await.unwrap();
    assert_eq!(all[1].load_snapshots().await.unwrap()[0].by, anew.1);
    let noticed = async || all.iter().all(|store| store.set_back() > 0);
    until("each has noticed", noticed).await;
    assert!(learn(all[0].as_ref(), &mut anew).await, "that is the log as it is");
    for store in all {
        assert_eq!(store.dropped(), 0);
        store.close().await;
    }
}
