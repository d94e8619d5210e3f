//! The commands that are run and end, as the real binary: `compare`, `replay`, `train`, `keys`, `export`, `check`, `verify`, `alert-test`, `init`.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly")]

mod alerts;
mod compare;
mod encoder;
mod errors;
mod export;
mod init;
mod keys;
mod replay;
mod report;
mod text;
mod train;
mod verify;
mod what_if;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use slarouter_testkit::Daemon;

const BIN: &str = env!("CARGO_BIN_EXE_slarouter");

/// A run that has ended.
struct Done {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Done {
    #[track_caller]
    fn succeeded(self) -> String {
        assert_eq!(self.code, Some(0), "{}{}", self.stdout, self.stderr);
        self.stdout
    }

    /// What it said of it, which is all that it said.
    #[track_caller]
    fn failed(self) -> String {
        assert!(
            self.code.is_some_and(|code| code != 0 && code != 101),
            "{:?}: {}{}",
            self.code,
            self.stdout,
            self.stderr
        );
        assert!(self.stdout.is_empty() && !self.stderr.is_empty(), "{}{}", self.stdout, self.stderr);
        self.stderr
    }

    #[track_caller]
    fn json(self) -> Value {
        serde_json::from_str(&self.succeeded()).unwrap()
    }
}

fn command(words: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(BIN);
    command.args(words).current_dir(folder);
    command.env_remove("SLAROUTER_LOG").env_remove("SLAROUTER_LOG_FORMAT").env_remove("SLAROUTER_ADMIN_KEY");
    // Help is as wide as the terminal says.
    command.env_remove("COLUMNS");
    command
}

/// Runs to the end, in that folder.
fn run(words: &[&str], folder: &Path) -> Done {
    finish(&mut command(words, folder))
}

fn finish(command: &mut Command) -> Done {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Done { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

/// A configuration in the folder, with two models at this upstream, and these lines before its tables and in its route.
fn configure(folder: &Path, base_url: &str, tables: &str, route: &str) -> PathBuf {
    configure_at(folder, "listen = \"127.0.0.1:0\"", base_url, tables, route)
}

/// The same with these lines in `[server]`.
fn configure_at(folder: &Path, server: &str, base_url: &str, tables: &str, route: &str) -> PathBuf {
    let mut text =
        format!("[server]\n{server}\n[store]\nurl = 'sqlite://{}'\n{tables}\n", folder.join("log.db").display());
    for (name, price) in [("small", 0.1), ("large", 10.0)] {
        writeln!(
            text,
            "[[models]]\nname = \"{name}\"\nbase_url = \"{base_url}\"\nupstream_model = \"ok\"\n\
             price = {{ input = {price}, output = {price} }}"
        )
        .unwrap();
    }
    writeln!(
        text,
        "[routes.default]\nmodels = [\"small\", \"large\"]\nsla = {{ satisfaction = 0.8 }}\nfallback = \"large\"\n{route}"
    )
    .unwrap();
    let path = folder.join("slarouter.toml");
    std::fs::write(&path, text).unwrap();
    path
}

async fn serve(folder: &Path) -> Daemon {
    let mut command = tokio::process::Command::from(command(&["serve"], folder));
    Daemon::spawn(&mut command).await.unwrap()
}

/// Ends it; what it has logged.
async fn stop(mut daemon: Daemon) -> String {
    daemon.terminate().await.unwrap();
    assert!(daemon.wait().await.unwrap().success(), "{}", daemon.stderr());
    daemon.stderr()
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// Asks, with a key if there is one: status and id of the answer, and the model that answered.
async fn ask(daemon: &Daemon, key: Option<&str>, prompt: &str) -> (u16, String, String) {
    let body = json!({ "model": "auto", "messages": [{ "role": "user", "content": prompt }] });
    let mut request = client().post(format!("http://{}/v1/chat/completions", daemon.addr())).json(&body);
    if let Some(key) = key {
        request = request.bearer_auth(key);
    }
    let answer = request.send().await.unwrap();
    let header = |name: &str| answer.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
    (answer.status().as_u16(), header("x-request-id"), header("x-slarouter-model"))
}

async fn rate(daemon: &Daemon, id: &str, rating: &str) {
    let body = json!({ "id": id, "rating": rating });
    let answer = client().post(format!("http://{}/v1/feedback", daemon.addr())).json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 202);
}
