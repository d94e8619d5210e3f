//! Three gateways on one database: killed, stopped and sent away while clients ask and rate at any of them.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use reqwest::StatusCode;
use serde_json::{Value, json};
use slarouter_core::DecisionId;
use slarouter_store::Event;
use slarouter_testkit::{Daemon, Database, Postgres, Upstream, until};

use crate::{BIN, client, configuration, serve, write};

/// What gateways have in one minute, of requests by the key of the team.
const PER_MINUTE: usize = 60;
const TEAM: &str = "the-secret-of-a-team";

const ADMIN: &str = "an-administrators-secret";
const KEY: &str = "a-clients-secret";

/// Where the gateways are, and what was acknowledged of each answer's rating.
#[derive(Default)]
struct Crowd {
    bases: Mutex<Vec<String>>,
    acknowledged: Mutex<HashMap<u128, f64>>,
    rated: AtomicUsize,
    stop: AtomicBool,
}

impl Crowd {
    /// One of the gateways; which one is nobody's choice.
    fn base(&self, turn: usize) -> String {
        let bases = self.bases.lock().unwrap();
        bases[turn % bases.len()].clone()
    }
}

/// Asks at one gateway and rates at another, again and again until it is acknowledged.
async fn ask_and_rate(crowd: Arc<Crowd>, mut turn: usize) {
    let http = reqwest::Client::builder().no_proxy().timeout(std::time::Duration::from_secs(20)).build().unwrap();
    while !crowd.stop.load(Ordering::Relaxed) {
        turn += 1;
        let ask = json!({ "model": "auto", "messages": [{ "role": "user", "content": format!("hello {turn}") }] });
        let asked = http.post(format!("{}/v1/chat/completions", crowd.base(turn))).bearer_auth(KEY).json(&ask).send();
        let Ok(answer) = asked.await else { continue };
        let Some(id) = answer.headers().get("x-request-id").map(|id| id.to_str().unwrap().to_owned()) else { continue };
        if !answer.status().is_success() || answer.bytes().await.is_err() {
            continue;
        }
        let rating = u8::from(!turn.is_multiple_of(3));
        for attempt in 1..40 {
            let body = json!({ "id": id, "rating": rating });
            let base = crowd.base(turn + attempt);
            let rated = http.post(format!("{base}/v1/feedback")).bearer_auth(KEY).json(&body).send().await;
            if rated.is_ok_and(|reply| reply.status() == StatusCode::ACCEPTED) {
                let raw = u128::from_str_radix(&id.strip_prefix("chatcmpl-").unwrap().replace('-', ""), 16).unwrap();
                crowd.acknowledged.lock().unwrap().insert(raw, rating.into());
                crowd.rated.fetch_add(1, Ordering::Relaxed);
                break;
            }
        }
    }
}

/// The process that holds the log, as the database has it.
fn holder(database: &Database) -> Option<u32> {
    let host = database.run("SELECT host FROM head WHERE holder IS NOT NULL AND expires >= now()");
    host.trim().rsplit(' ').next().and_then(|id| id.parse().ok())
}

async fn until_another_holds(database: &Database, old: u32) {
    until("another gateway holds the log", async || holder(database).is_some_and(|now| now != old)).await;
}

async fn signal(signal: &str, id: u32) {
    let sent = tokio::process::Command::new("kill").arg(signal).arg(id.to_string()).status().await.unwrap();
    assert!(sent.success());
}

async fn until_rated(crowd: &Crowd, more: usize) {
    let enough = crowd.rated.load(Ordering::Relaxed) + more;
    until("clients have rated", async || crowd.rated.load(Ordering::Relaxed) >= enough).await;
}

async fn verify(config: &Path) -> Value {
    let mut command = tokio::process::Command::new(BIN);
    let done = command.args(["verify", "--config"]).arg(config).output().await.unwrap();
    serde_json::from_slice(&done.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&done.stderr)))
}

fn on(database: &Database, folder: &Path, upstream: &str, more: &str) -> String {
    let server = format!(
        "listen = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\nadmin_keys = [\"{ADMIN}\"]\napi_keys = [\"{KEY}\"]{more}"
    );
    let text = configuration(folder, upstream, &server, &["small", "large"]);
    let file = format!("sqlite://{}", folder.join("log.db").display());
    text.replace(&file, &database.url()).replace("[store]\n", "[store]\nsnapshot_every = 50\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_outlives_every_gateway_and_no_label_is_lost_or_doubled() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start().await);
    let database = Postgres::shared().database();
    let config = write(folder.path(), &on(&database, folder.path(), &upstream.base_url(), ""));
    let mut daemons = Vec::new();
    for _ in 0..3 {
        daemons.push(serve(&config, &["--log", "error"]).await);
    }
    let crowd = Arc::new(Crowd::default());
    let bases = |daemons: &[Daemon]| daemons.iter().map(|daemon| format!("http://{}", daemon.addr())).collect();
    *crowd.bases.lock().unwrap() = bases(&daemons);
    let clients: Vec<_> = (0..4).map(|n| tokio::spawn(ask_and_rate(crowd.clone(), n * 7))).collect();
    until_rated(&crowd, 60).await;

    // Killed.
    let old = holder(&database).unwrap();
    let place = daemons.iter().position(|daemon| daemon.id() == Some(old)).unwrap();
    let mut killed = daemons.swap_remove(place);
    killed.kill().await.unwrap();
    *crowd.bases.lock().unwrap() = bases(&daemons);
    until_rated(&crowd, 60).await;
    until_another_holds(&database, old).await;
    daemons.push(serve(&config, &["--log", "error"]).await);
    *crowd.bases.lock().unwrap() = bases(&daemons);
    until_rated(&crowd, 60).await;

    // Stopped for longer than its term, and then it goes on.
    let old = holder(&database).unwrap();
    signal("-STOP", old).await;
    until_another_holds(&database, old).await;
    signal("-CONT", old).await;
    until_rated(&crowd, 60).await;

    // Sent away.
    let old = holder(&database).unwrap();
    let place = daemons.iter().position(|daemon| daemon.id() == Some(old)).unwrap();
    let mut leaving = daemons.swap_remove(place);
    *crowd.bases.lock().unwrap() = bases(&daemons);
    leaving.terminate().await.unwrap();
    assert!(leaving.wait().await.unwrap().success());
    until_another_holds(&database, old).await;
    until_rated(&crowd, 60).await;

    crowd.stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    // The holder goes last, so that it takes what the other one sends.
    let last = holder(&database).unwrap();
    daemons.sort_by_key(|daemon| daemon.id() == Some(last));
    for mut daemon in daemons {
        until("the holder has taken all", async || database.run("SELECT count(*) FROM inbox").trim() == "0").await;
        daemon.terminate().await.unwrap();
        assert!(daemon.wait().await.unwrap().success(), "{}", daemon.stderr());
    }
    check(&database, &config, &crowd).await;
}

/// What was acknowledged is in the log once, and what was learnt is what the log says.
async fn check(database: &Database, config: &Path, crowd: &Crowd) {
    let store = slarouter_store::open_to_read(&database.url()).await.unwrap();
    let (mut decided, mut held) = (HashMap::new(), HashMap::new());
    for event in store.events_after(0, usize::MAX).await.unwrap() {
        match event {
            Event::Decided { id, seq, .. } => assert_eq!(decided.insert(id, seq), None, "{id:?} is there twice"),
            Event::Rated { rated, .. } => {
                let before = held.insert(rated.decision, rated.rating.unwrap().get());
                assert_eq!(before, None, "{:?} was rated once", rated.decision);
            }
            _ => {}
        }
    }
    let mut lost = 0;
    for (id, rating) in crowd.acknowledged.lock().unwrap().iter() {
        let id = DecisionId(*id);
        if decided.contains_key(&id) {
            assert_eq!(held.get(&id), Some(rating), "the rating of {id:?} was acknowledged");
        } else {
            // The answer of a gateway that was killed a moment later.
            lost += 1;
        }
    }
    let waiting: usize = database.run("SELECT count(DISTINCT decision_id) FROM waiting").trim().parse().unwrap();
    assert!(lost <= waiting && lost < 40, "{lost} decisions are not in the log, of which {waiting} were rated");
    assert_eq!(database.run("SELECT count(*) FROM inbox").trim(), "0");
    let verified = verify(config).await;
    assert_eq!(verified["same"], true, "{verified:#}");
    let route = &verified["routes"]["default"];
    assert_eq!((&route["labels"], &route["requests"]), (&json!(held.len()), &json!(decided.len())), "{verified:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_made_or_revoked_at_one_gateway_is_so_at_the_others() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start().await);
    let database = Postgres::shared().database();
    let config = write(folder.path(), &on(&database, folder.path(), &upstream.base_url(), ""));
    let gateways = [serve(&config, &["--log", "error"]).await, serve(&config, &["--log", "error"]).await];
    let admin = |place: usize| format!("http://{}/admin/keys", gateways[place].ready()["admin"].as_str().unwrap());
    let http = client();
    for (made, revoked) in [(0, 1), (1, 0)] {
        let wanted = json!({ "name": format!("team{made}"), "grants": { "scopes": ["inference"] } });
        let key = http.post(admin(made)).bearer_auth(ADMIN).json(&wanted).send().await.unwrap();
        assert_eq!(key.status(), StatusCode::CREATED, "{}", key.text().await.unwrap());
        let key: Value = key.json().await.unwrap();
        let (id, secret) = (key["id"].as_str().unwrap(), key["key"].as_str().unwrap());
        let status = async |place: usize| {
            let url = format!("http://{}/v1/models", gateways[place].addr());
            http.get(url).bearer_auth(secret).send().await.unwrap().status()
        };
        until("the others know the key", async || status(1 - made).await == StatusCode::OK).await;
        let url = format!("{}/{id}", admin(revoked));
        assert!(http.delete(url).bearer_auth(ADMIN).send().await.unwrap().status().is_success());
        assert_eq!(status(revoked).await, StatusCode::UNAUTHORIZED, "there it ends at once");
        until("it ends at the others", async || status(1 - revoked).await == StatusCode::UNAUTHORIZED).await;
    }
}

/// The values of a metric without labels, gateway by gateway.
async fn values(gateways: &[Daemon], name: &str) -> Vec<f64> {
    let mut values = Vec::new();
    for gateway in gateways {
        let url = format!("http://{}/metrics", gateway.ready()["admin"].as_str().unwrap());
        let text = client().get(url).bearer_auth(ADMIN).send().await.unwrap().text().await.unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("slarouter_{name} ")));
        values.push(line.unwrap_or_else(|| panic!("no {name} in\n{text}")).parse().unwrap());
    }
    values
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_per_minute_is_of_all_gateways_and_who_does_what_is_seen() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start().await);
    let database = Postgres::shared().database();
    let text = on(&database, folder.path(), &upstream.base_url(), "");
    let team = format!(
        "\n[[keys]]\nname = \"team\"\nkey = \"{TEAM}\"\nscopes = [\"inference\"]\nlimits = {{ requests_per_minute = {PER_MINUTE} }}\n"
    );
    let config = write(folder.path(), &(text + &team));
    let gateways = [serve(&config, &["--log", "error"]).await, serve(&config, &["--log", "error"]).await];
    until("each sees the other", async || values(&gateways, "gateways").await == [2.0, 2.0]).await;
    let mut holds = values(&gateways, "log_holder").await;
    holds.sort_by(f64::total_cmp);
    assert_eq!(holds, [0.0, 1.0]);

    // All of it at one of them, then as much as there is at the other.
    let http = client();
    let ask = async |place: usize| {
        let body = json!({ "model": "auto", "messages": [{ "role": "user", "content": "hello" }] });
        let url = format!("http://{}/v1/chat/completions", gateways[place].addr());
        let status = http.post(url).bearer_auth(TEAM).json(&body).send().await.unwrap().status();
        assert!(matches!(status, StatusCode::OK | StatusCode::TOO_MANY_REQUESTS), "{status}");
        usize::from(status == StatusCode::OK)
    };
    let (begun, mut taken) = (tokio::time::Instant::now(), 0);
    until("one has nearly all", async || {
        taken += ask(0).await;
        taken >= PER_MINUTE * 9 / 10
    })
    .await;
    for _ in 0..PER_MINUTE {
        taken += ask(1).await;
    }
    let back = begun.elapsed().as_secs_f64() * PER_MINUTE as f64 / 60.0;
    // The other had its share of what it knew to be left half a second before.
    let most = 1.5 * PER_MINUTE as f64 + back;
    assert!(taken as f64 <= most, "{taken} requests were let through, and {most} at most");

    let learnt = async || {
        let ages = values(&gateways, "state_age_seconds").await;
        let (logged, learnt) = (values(&gateways, "log_seq").await, values(&gateways, "learner_seq").await);
        logged == learnt && logged[0] == logged[1] && ages.iter().all(|age| *age < 5.0)
    };
    until("both know all of the log", learnt).await;
    let url = format!("http://{}/admin/health", gateways[1].ready()["admin"].as_str().unwrap());
    let health: Value = http.get(url).bearer_auth(ADMIN).send().await.unwrap().json().await.unwrap();
    let log = &health["log"];
    assert_eq!((&log["gateways"], &log["events_to_learn"]), (&json!(2), &json!(0)), "{health}");
    assert!(log["role"] == "holder" || log["role"] == "follower", "{health}");
    let mut command = tokio::process::Command::new(BIN);
    let found =
        command.args(["doctor", "--json", "--config"]).arg(&config).env("NO_PROXY", "*").output().await.unwrap();
    let found = String::from_utf8(found.stdout).unwrap();
    assert!(found.contains("holds the log") && found.contains("follows"), "{found}");
}

/// A standby takes the place of the database that has not got the last commits. What they held is lost; all else is there once, and learnt everywhere
/// as the log says it.
#[tokio::test(flavor = "multi_thread")]
async fn gateways_go_on_from_a_database_that_has_lost_commits() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start().await);
    let database = Postgres::shared().database();
    let config = write(folder.path(), &on(&database, folder.path(), &upstream.base_url(), ""));
    let gateways = [serve(&config, &["--log", "error"]).await, serve(&config, &["--log", "error"]).await];
    let crowd = Arc::new(Crowd::default());
    *crowd.bases.lock().unwrap() = gateways.iter().map(|gateway| format!("http://{}", gateway.addr())).collect();
    let clients: Vec<_> = (0..2).map(|n| tokio::spawn(ask_and_rate(crowd.clone(), n * 7))).collect();
    until_rated(&crowd, 60).await;
    database.keep();
    until_rated(&crowd, 80).await;
    database.set_back();
    crowd.acknowledged.lock().unwrap().clear();
    until("both have noticed", async || {
        values(&gateways, "log_set_back_total").await.iter().all(|times| *times >= 1.0)
    })
    .await;
    until_rated(&crowd, 80).await;
    crowd.stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    let learnt = async || {
        let (logged, learnt) = (values(&gateways, "log_seq").await, values(&gateways, "learner_seq").await);
        logged == learnt && logged[0] == logged[1]
    };
    until("both know all of the log", learnt).await;
    let last = holder(&database).unwrap();
    let mut gateways = Vec::from(gateways);
    gateways.sort_by_key(|gateway| gateway.id() == Some(last));
    for mut gateway in gateways {
        until("the holder has taken all", async || database.run("SELECT count(*) FROM inbox").trim() == "0").await;
        gateway.terminate().await.unwrap();
        assert!(gateway.wait().await.unwrap().success(), "{}", gateway.stderr());
    }
    check(&database, &config, &crowd).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_keys_of_one_name_made_at_once_one_is_refused_and_any_gateway_forgets() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start().await);
    let database = Postgres::shared().database();
    let config = write(folder.path(), &on(&database, folder.path(), &upstream.base_url(), ""));
    let gateways = [serve(&config, &["--log", "error"]).await, serve(&config, &["--log", "error"]).await];
    let admin = |place: usize, path: &str| {
        format!("http://{}/admin/{path}", gateways[place].ready()["admin"].as_str().unwrap())
    };
    let http = client();
    for turn in 0..10 {
        let wanted = json!({ "name": format!("team{turn}"), "grants": { "scopes": ["inference"] } });
        let make = |place| http.post(admin(place, "keys")).bearer_auth(ADMIN).json(&wanted).send();
        let (one, other) = tokio::join!(make(0), make(1));
        let mut statuses = [one.unwrap().status(), other.unwrap().status()];
        statuses.sort();
        assert_eq!(statuses, [StatusCode::CREATED, StatusCode::CONFLICT]);
    }
    for place in [0, 1] {
        let ask = json!({ "rater": "somebody", "delete": true });
        let reply = http.post(admin(place, "forget")).bearer_auth(ADMIN).json(&ask).send().await.unwrap();
        assert_eq!(reply.status(), StatusCode::OK);
        let reply: Value = reply.json().await.unwrap();
        assert_eq!((&reply["deleted"], &reply["noted"]), (&json!(true), &json!(false)));
    }
}
