//! Clients of several gateways, who ask at one and rate at another; what they were told; and that the log says the same.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};
use slarouter_core::{DecisionId, Timestamp};
use slarouter_store::{Calendar, Event, Selection, Totals};
use slarouter_testkit::{Daemon, Database, until};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::{BIN, client, configuration};

pub(crate) const ADMIN: &str = "an-administrators-secret";
pub(crate) const KEY: &str = "a-clients-secret";

/// A guard against a hang, not a measure.
const PATIENCE: Duration = Duration::from_secs(90);
/// How often a rating is said again that was not acknowledged.
const ATTEMPTS: u32 = 40;
/// Events read in one go.
const PAGE: usize = 20_000;

/// What a client knows of an answer that it got.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Said {
    /// What it said of it, if it has said something.
    pub(crate) rating: Option<f64>,
    /// Whether that got its 202. If not it may or may not be in the log.
    pub(crate) is_acknowledged: bool,
}

/// How far the clients are.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// Calls that came to an end, good or bad.
    pub(crate) calls: usize,
    pub(crate) answered: usize,
    pub(crate) rated: usize,
}

/// Where the gateways are, and what the clients were told.
pub(crate) struct Crowd {
    pub(crate) bases: Mutex<Vec<String>>,
    pub(crate) said: Mutex<HashMap<DecisionId, Said>>,
    pub(crate) counts: watch::Sender<Counts>,
    /// How long a client waits for an answer.
    patience: Duration,
    /// What it does between two answers.
    pause: Duration,
    stop: AtomicBool,
}

impl Crowd {
    pub(crate) fn new(patience: Duration, pause: Duration) -> Arc<Self> {
        let counts = watch::channel(Counts::default()).0;
        let stop = AtomicBool::new(false);
        Arc::new(Self { bases: Mutex::default(), said: Mutex::default(), counts, patience, pause, stop })
    }

    /// Where the gateways are from now on.
    pub(crate) fn are_at(&self, daemons: &[Daemon]) {
        *self.bases.lock().unwrap() = daemons.iter().map(|daemon| format!("http://{}", daemon.addr())).collect();
    }

    /// One of the gateways; which one is nobody's choice.
    fn base(&self, turn: usize) -> String {
        let bases = self.bases.lock().unwrap();
        bases[turn % bases.len()].clone()
    }

    /// Waits until so many more ratings are acknowledged.
    pub(crate) async fn until_rated(&self, more: usize) {
        let enough = self.counts.borrow().rated + more;
        self.until("clients have rated", |counts| counts.rated >= enough).await;
    }

    /// Waits until so many more calls have ended.
    pub(crate) async fn until_called(&self, more: usize) {
        let enough = self.counts.borrow().calls + more;
        self.until("clients have called", |counts| counts.calls >= enough).await;
    }

    async fn until(&self, what: &str, holds: impl Fn(&Counts) -> bool) {
        let mut counts = self.counts.subscribe();
        let waited = timeout(PATIENCE, counts.wait_for(holds)).await;
        assert!(waited.is_ok(), "waited in vain until {what}: {:?}", self.counts.borrow());
    }

    /// Lets the clients end what they are at.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

pub(crate) fn decision_id(written: &str) -> DecisionId {
    DecisionId(u128::from_str_radix(&written.strip_prefix("chatcmpl-").unwrap().replace('-', ""), 16).unwrap())
}

/// Asks for an answer; its id, if it came whole.
pub(crate) async fn ask(http: &reqwest::Client, base: &str, words: &str) -> Option<String> {
    let ask = json!({ "model": "auto", "messages": [{ "role": "user", "content": words }] });
    let asked = http.post(format!("{base}/v1/chat/completions")).bearer_auth(KEY).json(&ask).send().await.ok()?;
    let id = asked.headers().get("x-request-id")?.to_str().unwrap().to_owned();
    let is_good = asked.status().is_success();
    (is_good && asked.bytes().await.is_ok()).then_some(id)
}

/// Asks at one gateway and rates at another, again and again until it is acknowledged.
pub(crate) async fn ask_and_rate(crowd: Arc<Crowd>, mut turn: usize) {
    let http = reqwest::Client::builder().no_proxy().timeout(crowd.patience).build().unwrap();
    while !crowd.stop.load(Ordering::Relaxed) {
        turn += 1;
        tokio::time::sleep(crowd.pause).await;
        let asked = ask(&http, &crowd.base(turn), &format!("hello {turn}")).await;
        crowd.counts.send_modify(|counts| {
            counts.calls += 1;
            counts.answered += usize::from(asked.is_some());
        });
        let Some(written) = asked else { continue };
        let (id, rating) = (decision_id(&written), f64::from(u8::from(!turn.is_multiple_of(3))));
        let mut said = Said::default();
        crowd.said.lock().unwrap().insert(id, said);
        for attempt in 1..=ATTEMPTS {
            said.rating = Some(rating);
            crowd.said.lock().unwrap().insert(id, said);
            let body = json!({ "id": written, "rating": rating });
            let base = crowd.base(turn + attempt as usize);
            let rated = http.post(format!("{base}/v1/feedback")).bearer_auth(KEY).json(&body).send().await;
            said.is_acknowledged = rated.is_ok_and(|reply| reply.status() == StatusCode::ACCEPTED);
            crowd.said.lock().unwrap().insert(id, said);
            crowd.counts.send_modify(|counts| {
                counts.calls += 1;
                counts.rated += usize::from(said.is_acknowledged);
            });
            if said.is_acknowledged {
                break;
            }
            tokio::time::sleep(Duration::from_millis(2 * u64::from(attempt))).await;
        }
    }
}

/// The process that holds the log, as the database has it.
pub(crate) fn holder(database: &Database) -> Option<u32> {
    let host = database.try_run("SELECT host FROM head WHERE holder IS NOT NULL AND expires >= now()")?;
    host.trim().rsplit(' ').next().and_then(|id| id.parse().ok())
}

pub(crate) async fn until_another_holds(database: &Database, old: u32) {
    until("another gateway holds the log", async || holder(database).is_some_and(|now| now != old)).await;
}

pub(crate) async fn signal(signal: &str, id: u32) {
    let sent = tokio::process::Command::new("kill").arg(signal).arg(id.to_string()).status().await.unwrap();
    assert!(sent.success());
}

pub(crate) async fn verify(config: &Path) -> Value {
    let mut command = tokio::process::Command::new(BIN);
    let done = command.args(["verify", "--config"]).arg(config).output().await.unwrap();
    serde_json::from_slice(&done.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&done.stderr)))
}

/// A configuration of a gateway on a database.
pub(crate) fn on(url: &str, folder: &Path, upstream: &str, snapshot_every: u32) -> String {
    let server = format!(
        "listen = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\nadmin_keys = [\"{ADMIN}\"]\napi_keys = [\"{KEY}\"]"
    );
    let text = configuration(folder, upstream, &server, &["small", "large"]);
    let file = format!("sqlite://{}", folder.join("log.db").display());
    text.replace(&file, url).replace("[store]\n", &format!("[store]\nsnapshot_every = {snapshot_every}\n"))
}

async fn get(daemon: &Daemon, path: &str) -> Option<String> {
    let url = format!("http://{}{path}", daemon.ready()["admin"].as_str().unwrap());
    let reply = client().get(url).bearer_auth(ADMIN).send().await.ok()?;
    if reply.status().is_success() { reply.text().await.ok() } else { None }
}

/// What a gateway says of what it has learnt, to the last digit.
pub(crate) async fn learnt(daemon: &Daemon) -> BTreeMap<String, String> {
    const OF_THE_LEARNER: [&str; 7] = [
        "slarouter_learner_seq ",
        "slarouter_certificate_",
        "slarouter_satisfaction_ratio",
        "slarouter_model_satisfaction_ratio",
        "slarouter_labelled_decisions",
        "slarouter_fallback_satisfaction",
        "slarouter_rating_bias_log_odds",
    ];
    let text = get(daemon, "/metrics").await.unwrap_or_default();
    let lines = text.lines().filter(|line| OF_THE_LEARNER.iter().any(|name| line.starts_with(name)));
    lines.filter_map(|line| line.rsplit_once(' ')).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Waits until each gateway has learnt all of the log, and says that they have learnt the same. Each then decides once, by what it knows, and what
/// another one makes of that decision from the log is the same to the last bit.
pub(crate) async fn all_know_the_same(daemons: &[Daemon], database: &Database) {
    let http = client();
    // Decisions by a state that is older than all saved ones could be made again from none of these.
    know_the_log(daemons, database).await;
    for (place, daemon) in daemons.iter().enumerate() {
        let base = format!("http://{}", daemon.addr());
        let id = ask(&http, &base, "what do you know?").await.unwrap();
        let path = format!("/admin/decisions/{id}");
        // Before it explains anything it sends all that it has logged.
        drop(get(daemon, &path).await);
        let other = &daemons[(place + 1) % daemons.len()];
        let mut explained = Value::Null;
        until("the decision is in the log", async || {
            explained = get(other, &path).await.map_or(Value::Null, |text| serde_json::from_str(&text).unwrap());
            !explained["outcome"].is_null()
        })
        .await;
        assert_eq!(explained["replay"]["result"], "same", "{explained:#}");
    }
    let all = know_the_log(daemons, database).await;
    assert!(all[0].len() > 5 && all.iter().all(|known| *known == all[0]), "they have learnt otherwise: {all:#?}");
}

/// Waits until each gateway has learnt all of the log, and returns what each has learnt.
async fn know_the_log(daemons: &[Daemon], database: &Database) -> Vec<BTreeMap<String, String>> {
    let mut all = Vec::new();
    until("all that was sent is taken, and all have learnt the whole log", async || {
        all.clear();
        for daemon in daemons {
            all.push(learnt(daemon).await);
        }
        let there = database.run("SELECT seq FROM head WHERE NOT EXISTS (SELECT FROM inbox)");
        all.iter().all(|known| known.get("slarouter_learner_seq").is_some_and(|known| known == there.trim()))
    })
    .await;
    all
}

/// Stops all gateways as an operator does, the holder last, so that it takes what the others send.
pub(crate) async fn send_away(mut daemons: Vec<Daemon>, database: &Database) {
    until("a gateway holds the log", async || holder(database).is_some()).await;
    let last = holder(database);
    daemons.sort_by_key(|daemon| daemon.id() == last);
    for mut daemon in daemons {
        until("the holder has taken all", async || database.run("SELECT count(*) FROM inbox").trim() == "0").await;
        daemon.terminate().await.unwrap();
        assert!(daemon.wait().await.unwrap().success(), "{}", daemon.stderr());
        assert!(!daemon.stderr().contains("panicked"), "{}", daemon.stderr());
    }
}

/// What the log has.
#[derive(Default)]
struct Log {
    decided: HashSet<DecisionId>,
    finished: HashSet<DecisionId>,
    rated: HashMap<DecisionId, f64>,
}

/// What became of what the clients were told.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Found {
    pub(crate) decisions: usize,
    pub(crate) outcomes: usize,
    pub(crate) labels: usize,
    /// Answers that clients got whole, and whose decisions are not in the log: their gateway was killed before it could log them.
    pub(crate) lost: usize,
    /// Those of them whose rating was acknowledged: it waits.
    pub(crate) waiting: usize,
    /// Ratings that were not acknowledged and are in the log all the same.
    pub(crate) unheard: usize,
}

/// That what was acknowledged is in the log once, and nothing else; that the sums say the same, and that what was learnt is what the log says.
pub(crate) async fn check(database: &Database, config: &Path, crowd: &Crowd) -> Found {
    let waiting = database.run("SELECT DISTINCT decision_id FROM waiting");
    let waiting: HashSet<DecisionId> =
        waiting.lines().map(|line| DecisionId(u128::from_str_radix(&line.replace('-', ""), 16).unwrap())).collect();
    assert_eq!(database.run("SELECT count(*) FROM inbox").trim(), "0");
    let verified = verify(config).await;
    assert_eq!(verified["same"], true, "{verified:#}");
    check_log(&database.url(), &waiting, &verified, crowd).await
}

/// The same of the log at this address, in which some ratings wait for their decisions, and of what `verify` has made of it.
pub(crate) async fn check_log(url: &str, waiting: &HashSet<DecisionId>, verified: &Value, crowd: &Crowd) -> Found {
    let log = read(url).await;
    let (decisions, outcomes, labels) = (log.decided.len(), log.finished.len(), log.rated.len());
    let mut found = Found { decisions, outcomes, labels, ..Found::default() };
    let said = crowd.said.lock().unwrap().clone();
    for (id, said) in &said {
        let there = log.rated.get(id).copied();
        assert!(there.is_none() || there == said.rating, "{id:?}: {there:?} in the log, and {said:?}");
        if log.decided.contains(id) {
            assert!(there.is_some() || !said.is_acknowledged, "the rating of {id:?} was acknowledged and is lost");
            found.unheard += usize::from(there.is_some() && !said.is_acknowledged);
        } else {
            found.lost += 1;
            found.waiting += usize::from(said.is_acknowledged);
            assert!(waiting.contains(id) || !said.is_acknowledged, "the rating of {id:?} does not wait for it");
        }
    }
    assert!(log.rated.keys().all(|id| said.contains_key(id)), "a rating is in the log that nobody gave");
    assert!(log.finished.is_subset(&log.decided));
    let route = &verified["routes"]["default"];
    assert_eq!((&route["labels"], &route["requests"]), (&json!(labels), &json!(decisions)), "{verified:#}");
    let satisfied = log.rated.values().sum::<f64>();
    assert!((route["satisfied"].as_f64().unwrap() - satisfied).abs() < 1e-6, "{verified:#}");
    let (requests, ratings) = sums(url).await;
    assert_eq!((requests, ratings), (outcomes as i64, labels as i64), "the sums");
    found
}

/// All of the log: nothing in it is there twice.
async fn read(url: &str) -> Log {
    let store = slarouter_store::open_to_read(url).await.unwrap();
    let (mut log, mut seq) = (Log::default(), 0);
    loop {
        let events = store.events_after(seq, PAGE).await.unwrap();
        let Some(last) = events.last() else { break };
        seq = last.seq();
        for event in events {
            match event {
                Event::Decided { id, .. } => assert!(log.decided.insert(id), "{id:?} is there twice"),
                Event::Finished { outcome, .. } => {
                    assert!(log.finished.insert(outcome.decision), "{:?} ended twice", outcome.decision);
                }
                Event::Rated { rated, .. } => {
                    let before = log.rated.insert(rated.decision, rated.rating.unwrap().get());
                    assert_eq!(before, None, "{:?} was rated once", rated.decision);
                }
                _ => {}
            }
        }
    }
    store.close().await;
    log
}

/// Requests and ratings by the sums.
async fn sums(url: &str) -> (i64, i64) {
    let store = slarouter_store::open(url).await.unwrap();
    while store.roll_up(&Calendar::default(), Vec::new()).await.unwrap().more {}
    let ever = Selection { to: Timestamp(u64::MAX), ..Selection::default() };
    let summed = store.totals(ever, &[]).await.unwrap().first().map_or_else(Totals::default, |row| row.totals);
    store.close().await;
    (summed.requests, summed.ratings)
}
