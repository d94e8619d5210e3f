//! A disk with no room: the real binary, whose files may not grow beyond a size, which the kernel sees to.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::process::Command;

use reqwest::{Client, Response};
use serde_json::{Value, json};
use slarouter_testkit::{Daemon, Upstream, until};

const BIN: &str = env!("CARGO_BIN_EXE_slarouter");
/// 1 MiB, in the shell's blocks. A write beyond it would be a signal that ends the process; ignored, it is an error.
const CONFINED: &str = "trap '' XFSZ; ulimit -S -f 2048; exec \"$0\" \"$@\"";

async fn ask(http: &Client, base: &str) -> (String, Option<String>) {
    let body = json!({ "model": "auto", "messages": [{ "role": "user", "content": "one two" }] });
    let answer = http.post(format!("{base}/v1/chat/completions")).json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 200, "no request fails for want of a disk");
    let header = |name| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let asked = (header("x-request-id").unwrap(), header("x-slarouter-degraded"));
    answer.bytes().await.unwrap();
    asked
}

async fn rate(http: &Client, base: &str, id: &str) -> Response {
    http.post(format!("{base}/v1/feedback")).json(&json!({ "id": id, "rating": "up" })).send().await.unwrap()
}

#[tokio::test]
async fn requests_are_answered_ratings_refused_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start().await;
    let path = folder.path().join("slarouter.toml");
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[store]\nurl = \"sqlite://{}\"\n[[models]]\nname = \"m\"\nbase_url = \"{}\"\n\
         upstream_model = \"ok\"\nprice = {{ input = 1, output = 1 }}\n[routes.default]\nmodels = [\"m\"]\nsla = {{ satisfaction = 0.8 }}\n",
        folder.path().join("full.db").display(),
        upstream.base_url(),
    );
    std::fs::write(&path, text).unwrap();
    let mut command = tokio::process::Command::new("sh");
    command.args(["-c", CONFINED, BIN, "serve", "--log", "warn", "--config"]).arg(&path);
    let mut daemon = Daemon::spawn(&mut command).await.unwrap();
    let (http, base) = (Client::new(), format!("http://{}", daemon.addr()));

    let (mut asked, mut rated) = (0, 0);
    // What does not fit beside the database may for a while fit into it.
    let refused = loop {
        let (id, _) = ask(&http, &base).await;
        let answer = rate(&http, &base, &id).await;
        asked += 1;
        if answer.status() == 202 {
            rated += 1;
            continue;
        }
        assert_eq!((answer.status().as_u16(), &answer.headers()["retry-after"]), (503, &"1".parse().unwrap()));
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["error"]["code"], "store_unavailable");
        asked += 1;
        if ask(&http, &base).await.1.as_deref() == Some("store") {
            break id;
        }
    };
    assert!(asked > 20, "there was room for {asked} requests");
    let metrics = async || http.get(format!("{base}/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(metrics().await.contains("slarouter_degraded_total{reason=\"store\"}"));

    // There is room again.
    let id = daemon.id().unwrap().to_string();
    assert!(Command::new("prlimit").args(["--pid", &id, "--fsize=unlimited"]).status().unwrap().success());
    until("the rating is taken", async || rate(&http, &base, &refused).await.status() == 202).await;
    rated += 1;
    assert_eq!(ask(&http, &base).await.1, None);
    asked += 1;
    assert!(metrics().await.contains("slarouter_unlogged_total 0"));
    daemon.terminate().await.unwrap();
    assert!(daemon.wait().await.unwrap().success());
    let said = daemon.stderr();
    assert!(said.contains("the log cannot be written"), "{said}");

    let output = Command::new(BIN).args(["verify", "--config"]).arg(&path).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    assert!(output.status.success() && report["same"] == true, "{report:#}");
    let route = &report["routes"]["default"];
    assert_eq!((&route["requests"], &route["labels"]), (&json!(asked), &json!(rated)), "{report:#}");
}
