//! What large bodies take of the gateway's memory.

use std::sync::Arc;

use reqwest::Client;
use slarouter_testkit::{Daemon, Received, Script, Upstream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::BIN;
use crate::beside::{answer, config};
use crate::process::Process;

const BODIES: usize = 8;
const MIB: usize = 1 << 20;
/// Of each body.
const SIZE: usize = 8 * MIB;
/// What a body may take, in units of its size: itself, and no copy of it.
const MOST: f64 = 1.5;

fn body(content: &str) -> String {
    format!(r#"{{"model":"auto","messages":[{{"role":"user","content":"{content}"}}]}}"#)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_are_held_once() {
    let (folder, gate) = (tempfile::tempdir().unwrap(), Arc::new(Semaphore::new(1)));
    let held = gate.clone();
    let slow = move |_: &Received| {
        let head = Script::new(200).header("content-type", "application/json");
        head.gate(&held).whole(answer().to_string())
    };
    let upstream = Upstream::answering(slow).await;
    let path = folder.path().join("slarouter.toml");
    std::fs::write(&path, config(folder.path(), &upstream.base_url(), 100)).unwrap();
    let mut command = tokio::process::Command::new(BIN);
    command.args(["serve", "--log", "error", "--config"]).arg(&path);
    let mut daemon = Daemon::spawn(&mut command).await.unwrap();
    let (url, process) = (format!("http://{}/v1/chat/completions", daemon.addr()), Process::new(daemon.id().unwrap()));
    let http = Client::builder().no_proxy().build().unwrap();
    assert_eq!(http.post(&url).body(body("warms up")).send().await.unwrap().status(), 200);

    let before = process.memory();
    let content = "words ".repeat(SIZE / 6);
    let mut asked = JoinSet::new();
    for _ in 0..BODIES {
        asked.spawn(http.post(&url).body(body(&content)).send());
    }
    upstream.arrived(1 + BODIES).await;
    let taken = (process.peak() - before) as f64 * 1024.0 / (BODIES * SIZE) as f64;
    gate.add_permits(BODIES);
    for answer in asked.join_all().await {
        assert_eq!(answer.unwrap().status(), 200);
    }
    println!("{BODIES} bodies of {} MiB at once take {taken:.2} times their size", SIZE / MIB);
    assert!(taken <= MOST, "{taken} times their size, and {MOST} are enough");
    daemon.terminate().await.unwrap();
    assert!(daemon.wait().await.unwrap().success(), "{}", daemon.stderr());
}
