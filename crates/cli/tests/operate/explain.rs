//! `slarouter explain` while the gateway serves.

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};
use slarouter_testkit::Upstream;

use crate::{BIN, client, configuration, serve, write};

async fn explain(id: &str, more: &[&str], config: &Path) -> Output {
    let mut command = tokio::process::Command::new(BIN);
    command.args(["explain", id]).args(more).arg("--config").arg(config).output().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_says_the_same_as_the_gateway_that_has_it_open() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start().await);
    let text = configuration(folder.path(), &upstream.base_url(), "listen = \"127.0.0.1:0\"", &["small", "large"]);
    let config = write(folder.path(), &text);
    let mut daemon = serve(&config, &[]).await;
    let base = format!("http://{}", daemon.addr());
    let ask = json!({ "model": "auto", "messages": [{ "role": "user", "content": "hello" }] });
    let answer = client().post(format!("{base}/v1/chat/completions")).json(&ask).send().await.unwrap();
    let id = answer.json::<Value>().await.unwrap()["id"].as_str().unwrap().to_owned();
    let told = client().get(format!("{base}/admin/decisions/{id}")).send().await.unwrap();
    let told: Value = told.json().await.unwrap();

    let printed = explain(&id, &["--json"], &config).await;
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    assert_eq!(serde_json::from_slice::<Value>(&printed.stdout).unwrap(), told);
    let text = String::from_utf8(explain(&id, &[], &config).await.stdout).unwrap();
    assert!(text.contains(told["sentence"].as_str().unwrap()) && text.contains("the same to the last bit"), "{text}");

    for (id, why) in [("x", "is no id of a decision"), ("01890a5d-ac96-774b-bcce-b302099a8056", "is in the log")] {
        let refused = explain(id, &[], &config).await;
        let said = String::from_utf8(refused.stderr).unwrap();
        assert!(!refused.status.success() && said.contains(why), "{said}");
    }
    daemon.terminate().await.unwrap();
    assert!(daemon.wait().await.unwrap().success());
}
