//! Three gateways on one database: killed, stopped and sent away while clients ask and rate at any of them.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};
use slarouter_testkit::{Daemon, Postgres, Upstream, until};

use crate::crowd::{
    ADMIN, Crowd, all_know_the_same, ask_and_rate, check, holder, on, send_away, signal, until_another_holds,
};
use crate::{BIN, client, serve, write};

/// What gateways have in one minute, of requests by the key of the team.
const PER_MINUTE: usize = 60;
const TEAM: &str = "the-secret-of-a-team";

#[tokio::test(flavor = "multi_thread")]
async fn the_log_outlives_every_gateway_and_no_label_is_lost_or_doubled() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start().await);
    let database = Postgres::shared().database();
    let config = write(folder.path(), &on(&database.url(), folder.path(), &upstream.base_url(), 50));
    let mut daemons = Vec::new();
    for _ in 0..3 {
        daemons.push(serve(&config, &["--log", "error"]).await);
    }
    let crowd = Crowd::new(Duration::from_secs(20), Duration::ZERO);
    crowd.are_at(&daemons);
    let clients: Vec<_> = (0..4).map(|n| tokio::spawn(ask_and_rate(crowd.clone(), n * 7))).collect();
    crowd.until_rated(60).await;

    // Killed.
    let old = holder(&database).unwrap();
    let place = daemons.iter().position(|daemon| daemon.id() == Some(old)).unwrap();
    let mut killed = daemons.swap_remove(place);
    killed.kill().await.unwrap();
    crowd.are_at(&daemons);
    crowd.until_rated(60).await;
    until_another_holds(&database, old).await;
    daemons.push(serve(&config, &["--log", "error"]).await);
    crowd.are_at(&daemons);
    crowd.until_rated(60).await;

    // Stopped for longer than its term, and then it goes on.
    let old = holder(&database).unwrap();
    signal("-STOP", old).await;
    until_another_holds(&database, old).await;
    signal("-CONT", old).await;
    crowd.until_rated(60).await;

    // Sent away.
    let old = holder(&database).unwrap();
    let place = daemons.iter().position(|daemon| daemon.id() == Some(old)).unwrap();
    let mut leaving = daemons.swap_remove(place);
    crowd.are_at(&daemons);
    leaving.terminate().await.unwrap();
    assert!(leaving.wait().await.unwrap().success());
    until_another_holds(&database, old).await;
    crowd.until_rated(60).await;

    crowd.stop();
    for client in clients {
        client.await.unwrap();
    }
    all_know_the_same(&daemons, &database).await;
    send_away(daemons, &database).await;
    let found = check(&database, &config, &crowd).await;
    // Answers of the gateway that was killed a moment later.
    assert!(found.lost < 40, "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_made_or_revoked_at_one_gateway_is_so_at_the_others() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start().await);
    let database = Postgres::shared().database();
    let config = write(folder.path(), &on(&database.url(), folder.path(), &upstream.base_url(), 50));
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
    let text = on(&database.url(), folder.path(), &upstream.base_url(), 50);
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
    let config = write(folder.path(), &on(&database.url(), folder.path(), &upstream.base_url(), 50));
    let gateways = [serve(&config, &["--log", "error"]).await, serve(&config, &["--log", "error"]).await];
    let crowd = Crowd::new(Duration::from_secs(20), Duration::ZERO);
    crowd.are_at(&gateways);
    let clients: Vec<_> = (0..2).map(|n| tokio::spawn(ask_and_rate(crowd.clone(), n * 7))).collect();
    crowd.until_rated(60).await;
    database.keep();
    let kept: f64 = database.run("SELECT seq FROM head").trim().parse().unwrap();
    crowd.until_rated(80).await;
    // Ratings are acknowledged before they are in the log where its database was away.
    until("both have learnt what is going to be lost", async || {
        values(&gateways, "learner_seq").await.iter().all(|learnt| *learnt > kept + 20.0)
    })
    .await;
    database.set_back();
    // What was acknowledged since is lost with its commits.
    crowd.said.lock().unwrap().values_mut().for_each(|said| said.is_acknowledged = false);
    until("both have noticed", async || {
        values(&gateways, "log_set_back_total").await.iter().all(|times| *times >= 1.0)
    })
    .await;
    crowd.until_rated(80).await;
    crowd.stop();
    for client in clients {
        client.await.unwrap();
    }
    let learnt = async || {
        let (logged, learnt) = (values(&gateways, "log_seq").await, values(&gateways, "learner_seq").await);
        logged == learnt && logged[0] == logged[1]
    };
    until("both know all of the log", learnt).await;
    send_away(Vec::from(gateways), &database).await;
    check(&database, &config, &crowd).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_keys_of_one_name_made_at_once_one_is_refused_and_any_gateway_forgets() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start().await);
    let database = Postgres::shared().database();
    let config = write(folder.path(), &on(&database.url(), folder.path(), &upstream.base_url(), 50));
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
