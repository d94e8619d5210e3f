//! A whole gateway on a server of PostgreSQL: asked, rated, killed, started again, looked at with every command.

use std::path::Path;

use reqwest::StatusCode;
use serde_json::{Value, json};
use slarouter_testkit::{Daemon, Pooler, Postgres, Upstream, until};

use crate::{BIN, client, configuration, serve, write};

const ADMIN: &str = "an-administrators-secret";

/// A command, with what it printed as JSON.
async fn json(arguments: &[&str], config: &Path) -> Value {
    let (ok, out, err) = run(arguments, config).await;
    assert!(ok, "{arguments:?}: {err}");
    serde_json::from_str(&out).unwrap_or_else(|_| panic!("{arguments:?}: {out}"))
}

async fn run(arguments: &[&str], config: &Path) -> (bool, String, String) {
    let mut command = tokio::process::Command::new(BIN);
    command.args(arguments).arg("--config").arg(config).env("STATE_DIRECTORY", config.parent().unwrap());
    let done = command.output().await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (done.status.success(), text(&done.stdout), text(&done.stderr))
}

/// Asks and rates so often.
async fn traffic(daemon: &Daemon, key: &str, times: usize) {
    let (http, base) = (client(), format!("http://{}", daemon.addr()));
    for turn in 0..times {
        let ask = json!({ "model": "auto", "messages": [{ "role": "user", "content": format!("hello {turn}") }] });
        let answer = http.post(format!("{base}/v1/chat/completions")).bearer_auth(key).json(&ask).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
        answer.bytes().await.unwrap();
        let rating = json!({ "id": id, "rating": if turn % 4 == 0 { "down" } else { "up" } });
        let reply = http.post(format!("{base}/v1/feedback")).bearer_auth(key).json(&rating).send().await.unwrap();
        assert_eq!(reply.status(), StatusCode::ACCEPTED);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_serves_learns_and_is_looked_at_on_postgresql() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start().await);
    let database = Postgres::shared().database();
    let pooler = Pooler::before(Postgres::shared());
    let server = format!("listen = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\nadmin_keys = [\"{ADMIN}\"]");
    let text = configuration(folder.path(), &upstream.base_url(), &server, &["small", "large"]);
    let file = format!("sqlite://{}", folder.path().join("log.db").display());
    let on = |url: &str| text.replace(&file, url).replace("[store]\n", "[store]\nsnapshot_every = 20\n");
    let config = write(folder.path(), &on(&pooler.url(&database)));

    // Before the first start, by way of a pooler.
    let (_, found, err) = run(&["doctor", "--json"], &config).await;
    assert!(err.is_empty() && found.contains("PostgreSQL ") && found.contains("will be made at the start"), "{found}");
    let made = json(&["keys", "create", "--name", "team", "--usd-per-day", "5"], &config).await;
    let key = made["key"].as_str().unwrap().to_owned();
    let daemon = serve(&config, &["--log", "error"]).await;
    traffic(&daemon, &key, 60).await;
    drop(daemon);

    // Killed: the next one takes what comes, and has the log once the term of the first is over.
    let mut daemon = serve(&config, &["--log", "error"]).await;
    traffic(&daemon, &key, 40).await;
    until("all is in the log", async || database.run("SELECT count(*) FROM feedback").trim() == "100").await;
    let admin = format!("http://{}", daemon.ready()["admin"].as_str().unwrap());
    let page = client().get(format!("{admin}/admin/decisions?limit=5")).bearer_auth(ADMIN).send().await.unwrap();
    let page: Value = page.json().await.unwrap();
    let id = page["data"][0]["id"].as_str().unwrap().to_owned();
    let explained = run(&["explain", &id], &config).await;
    assert!(explained.0 && explained.1.contains("small"), "{explained:?}");
    let beside = json(&["verify"], &config).await;
    assert_eq!((&beside["same"], beside["feedback"].as_u64()), (&json!(true), Some(100)));
    daemon.terminate().await.unwrap();
    assert!(daemon.wait().await.unwrap().success());

    let verified = json(&["verify"], &config).await;
    assert_eq!((&verified["same"], verified["decisions"].as_u64()), (&json!(true), Some(100)), "{verified:#}");
    let totals = run(&["totals", "--from", "2026-01-01", "--to", "2126-01-01", "--by", "key"], &config).await;
    assert!(totals.0 && totals.1.contains("team"), "{totals:?}");
    let (ok, _, refusal) = run(&["backup", "copy.db"], &config).await;
    assert!(!ok && refusal.contains("pg_dump"), "{refusal}");
    let (ok, compacted, told) = run(&["compact"], &config).await;
    assert!(ok && compacted.contains("\"archived\": 0") && told.contains("autovacuum"), "{compacted} {told}");

    // Over to a file, where all is the same.
    let moved = {
        let mut command = tokio::process::Command::new(BIN);
        let done = command.args(["migrate", "--to", &file, "--from"]).arg(&config).output().await.unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        serde_json::from_slice::<Value>(&done.stdout).unwrap()
    };
    assert_eq!((moved["decisions"].as_u64(), &moved["log_seq"]), (Some(100), &verified["log_seq"]));
    let config = write(folder.path(), &on(&file));
    let again = json(&["verify"], &config).await;
    assert_eq!(again["routes"], verified["routes"], "to the last bit");
}
