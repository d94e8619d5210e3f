//! A gateway whose database goes away, and that is killed meanwhile.

use serde_json::{Value, json};
use slarouter_testkit::{Postgres, Upstream, until};

use crate::{BIN, client, configuration, serve, write};

/// Asks and rates; the receipt.
async fn ask_and_rate(base: &str) -> Value {
    let ask = json!({ "model": "auto", "messages": [{ "role": "user", "content": "hello" }] });
    let answer = client().post(format!("{base}/v1/chat/completions")).json(&ask).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let answer: Value = answer.json().await.unwrap();
    let rating = json!({ "id": answer["id"], "rating": 1 });
    let rated = client().post(format!("{base}/v1/feedback")).json(&rating).send().await.unwrap();
    assert_eq!(rated.status(), 202);
    rated.json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_while_the_database_was_away_outlives_a_kill() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start().await);
    let server: &'static Postgres = Box::leak(Box::new(Postgres::start()));
    let database = server.database();
    let text = configuration(folder.path(), &upstream.base_url(), "listen = \"127.0.0.1:0\"", &["small", "large"]);
    let file = format!("sqlite://{}", folder.path().join("log.db").display());
    let config = write(folder.path(), &text.replace(&file, &database.url()));
    let mut gateway = serve(&config, &["--log", "error"]).await;
    let base = format!("http://{}", gateway.addr());
    assert_eq!(ask_and_rate(&base).await["status"], "recorded");

    server.stop();
    for _ in 0..20 {
        assert_eq!(ask_and_rate(&base).await["status"], "recorded");
    }
    let told = client().get(format!("{base}/readyz")).send().await.unwrap();
    assert_eq!(told.status(), 200);
    let told = told.text().await.unwrap();
    assert!(!told.contains("store"), "nothing is lost, and nothing is learnt: {told}");
    // Outcomes are logged a moment after their answers.
    until("all of it is in the file", async || {
        let metrics = client().get(format!("{base}/metrics")).send().await.unwrap().text().await.unwrap();
        let kept = metrics.lines().find_map(|line| line.strip_prefix("slarouter_spooled_records "));
        kept.is_some_and(|kept| kept.parse::<u64>().unwrap() >= 60)
    })
    .await;
    gateway.kill().await.unwrap();
    server.restart();

    let gateway = serve(&config, &["--log", "error"]).await;
    let count = |table: &str| database.run(&format!("SELECT count(*) FROM {table}"));
    until("all of it is in the log", async || count("feedback") == "21" && count("outcomes") == "21").await;
    assert_eq!(count("decisions"), "21");
    drop(gateway);
    let mut verify = tokio::process::Command::new(BIN);
    let verified = verify.args(["verify", "--config"]).arg(&config).output().await.unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}
