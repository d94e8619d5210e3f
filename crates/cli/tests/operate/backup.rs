//! `slarouter backup` while the gateway serves.

use std::path::Path;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};
use slarouter_testkit::Upstream;

use crate::{BIN, client, configuration, serve, write};

/// Asks and rates until told to stop.
async fn traffic(base: String, stop: Arc<AtomicBool>, rated: Arc<AtomicUsize>) {
    let http = client();
    while !stop.load(Ordering::Relaxed) {
        let ask = json!({ "model": "auto", "messages": [{ "role": "user", "content": "hello" }] });
        let answer = http.post(format!("{base}/v1/chat/completions")).json(&ask).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
        answer.bytes().await.unwrap();
        let rating = json!({ "id": id, "rating": "up" });
        let reply = http.post(format!("{base}/v1/feedback")).json(&rating).send().await.unwrap();
        assert_eq!(reply.status(), 202);
        rated.fetch_add(1, Ordering::Relaxed);
    }
}

async fn slarouter(arguments: &[&str], config: &Path) -> Output {
    let mut command = tokio::process::Command::new(BIN);
    command.args(arguments).arg("--config").arg(config).output().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_made_under_traffic_passes_verify() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start().await);
    let text = configuration(folder.path(), &upstream.base_url(), "listen = \"127.0.0.1:0\"", &["small", "large"]);
    let text = text.replace("[store]\n", "[store]\nsnapshot_every = 20\n");
    let config = write(folder.path(), &text);
    let mut daemon = serve(&config, &[]).await;
    let (stop, rated) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let base = format!("http://{}", daemon.addr());
    let clients: Vec<_> = (0..4).map(|_| tokio::spawn(traffic(base.clone(), stop.clone(), rated.clone()))).collect();
    while rated.load(Ordering::Relaxed) < 100 {
        assert!(!clients.iter().any(|client| client.is_finished()), "a client failed");
        tokio::task::yield_now().await;
    }
    let copy = folder.path().join("copy.db");
    let made = slarouter(&["backup", copy.to_str().unwrap()], &config).await;
    let again = slarouter(&["backup", copy.to_str().unwrap()], &config).await;
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    daemon.terminate().await.unwrap();
    assert!(daemon.wait().await.unwrap().success());

    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let report: Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!(report["bytes"], std::fs::metadata(&copy).unwrap().len());
    let refusal = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(!again.status.success() && refusal.contains("copy.db is there already"), "{refusal}");

    let config = write(folder.path(), &text.replace("log.db", "copy.db"));
    let verified = slarouter(&["verify"], &config).await;
    let found: Value = serde_json::from_slice(&verified.stdout).unwrap();
    assert!(verified.status.success(), "{found:#}");
    assert_eq!((&found["same"], &found["log_seq"]), (&json!(true), &report["log_seq"]));
    assert!(found["feedback"].as_u64().unwrap() >= 100 && found["saved_at"].as_u64().unwrap() > 0, "{found:#}");
}
