//! A log that ends, and what was learnt put back: `compact`, `restore`, `forget`, `rollback`, `fork`.

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};
use slarouter_testkit::{Upstream, until};

use crate::{BIN, client, configuration, serve, write};

async fn slarouter(arguments: &[&str], config: &Path) -> Output {
    let mut command = tokio::process::Command::new(BIN);
    command.args(arguments).arg("--config").arg(config).output().await.unwrap()
}

/// The JSON that a command printed; it must have succeeded.
async fn told(arguments: &[&str], config: &Path) -> Value {
    let output = slarouter(arguments, config).await;
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Asks so often, and rates each answer in somebody's name.
async fn traffic(base: &str, count: usize, rater: &str) {
    let http = client();
    for n in 0..count {
        let ask = json!({ "model": "auto", "messages": [{ "role": "user", "content": format!("question {n}") }] });
        let answer = http.post(format!("{base}/v1/chat/completions")).json(&ask).send().await.unwrap();
        let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
        answer.bytes().await.unwrap();
        let rating = json!({ "id": id, "rating": f64::from(u8::from(n % 3 > 0)), "rater": rater, "comment": "by me" });
        let reply = http.post(format!("{base}/v1/feedback")).json(&rating).send().await.unwrap();
        assert_eq!(reply.status(), 202);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_rolled_back_forked_forgotten_in_part_shortened_and_restored() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start().await);
    let text = configuration(folder.path(), &upstream.base_url(), "listen = \"127.0.0.1:0\"", &["small", "large"]);
    let text = text.replace("[store]\n", "[store]\nsnapshot_every = 40\nkeep_prompts = true\n");
    let config = write(folder.path(), &text);
    let mut daemon = serve(&config, &[]).await;
    let base = format!("http://{}", daemon.addr());
    traffic(&base, 40, "anna").await;
    traffic(&base, 10, "ben").await;

    // Through the running gateway.
    let found = told(&["forget", "--rater", "anna", "--url", &base], &config).await;
    assert_eq!((&found["feedback"], &found["prompts"], &found["deleted"]), (&json!(40), &json!(40), &json!(false)));
    let found = told(&["forget", "--user", "anna", "--delete", "--url", &base], &config).await;
    assert_eq!((&found["comments"], &found["deleted"]), (&json!(40), &json!(true)));
    let found = told(&["forget", "--rater", "anna", "--url", &base], &config).await;
    assert_eq!((&found["feedback"], &found["comments"], &found["prompts"]), (&json!(40), &json!(0), &json!(0)));
    let refused = slarouter(&["compact"], &config).await;
    assert!(!refused.status.success(), "a gateway has it");
    daemon.terminate().await.unwrap();
    assert!(daemon.wait().await.unwrap().success());

    let whole = told(&["verify"], &config).await;
    assert_eq!((&whole["same"], &whole["replayed_from"]), (&json!(true), &json!(0)));
    let other = folder.path().join("other.toml");
    std::fs::write(&other, text.replace("satisfaction = 0.9", "satisfaction = 0.2")).unwrap();
    let forked = told(&["fork", "--with", other.to_str().unwrap()], &config).await;
    let route = &forked["routes"]["default"];
    assert_eq!(route["decisions"].as_u64().unwrap() + route["left_out"].as_u64().unwrap(), 50, "{forked:#}");
    let as_it_ran = told(&["fork", "--with", config.to_str().unwrap()], &config).await;
    let route = &as_it_ran["routes"]["default"];
    assert_eq!(
        route["ran_certificate"], route["forked_certificate"],
        "the same configuration knows the same: {as_it_ran:#}"
    );

    let back = told(&["rollback", "--to", "30"], &config).await;
    assert_eq!(back["rolled_back_to"], 30);
    let after = told(&["verify"], &config).await;
    assert_eq!(after["same"], true, "a replay meets the rollback too: {after:#}");
    let labels = |report: &Value| report["routes"]["default"]["labels"].as_u64().unwrap();
    assert!(labels(&after) < labels(&whole), "{after:#}");
    assert_eq!(after["feedback"], whole["feedback"], "the log stays whole");
    let nothing = slarouter(&["rollback", "--to", "100000"], &config).await;
    assert!(!nothing.status.success());

    // What a replay from one of the three newest saved states needs would stay: each run saves one at its end.
    for _ in 0..3 {
        let mut daemon = serve(&config, &[]).await;
        traffic(&format!("http://{}", daemon.addr()), 1, "ben").await;
        daemon.terminate().await.unwrap();
        assert!(daemon.wait().await.unwrap().success());
    }
    let after = told(&["verify"], &config).await;

    let copy = folder.path().join("copy.db");
    told(&["backup", copy.to_str().unwrap()], &config).await;
    let short = text
        .replace("[routes", "[store.retention]\ndetails = \"1 second\"\n[feedback]\nwindow_days = 0.00001\n[routes");
    let config = write(folder.path(), &short);
    let mut archived = 0;
    until("a second has passed since the decisions", async || {
        let compacted = told(&["compact"], &config).await;
        archived += compacted["archived"].as_u64().unwrap();
        assert!(compacted["after_bytes"].as_u64() <= compacted["before_bytes"].as_u64(), "{compacted:#}");
        archived >= 50
    })
    .await;
    let verified = slarouter(&["verify"], &config).await;
    let report: Value = serde_json::from_slice(&verified.stdout).unwrap();
    assert!(verified.status.success() && report["replayed_from"].as_u64().unwrap() > 0, "{report:#}");
    assert!(String::from_utf8_lossy(&verified.stderr).contains("the log was shortened"));
    assert_eq!(labels(&report), labels(&after), "what was learnt stays");

    let refused = slarouter(&["restore", copy.to_str().unwrap()], &config).await;
    assert!(String::from_utf8_lossy(&refused.stderr).contains("is there already"), "{refused:?}");
    std::fs::remove_file(folder.path().join("log.db")).unwrap();
    std::fs::write(folder.path().join("log.db-wal"), "of the old one").unwrap();
    told(&["restore", copy.to_str().unwrap()], &config).await;
    let restored = told(&["verify"], &config).await;
    assert_eq!((&restored["replayed_from"], &restored["log_seq"]), (&json!(0), &after["log_seq"]));
    // And it serves.
    let mut daemon = serve(&config, &[]).await;
    traffic(&format!("http://{}", daemon.addr()), 1, "anna").await;
    daemon.terminate().await.unwrap();
    assert!(daemon.wait().await.unwrap().success());
}
