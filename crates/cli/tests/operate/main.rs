//! Operating the real binary: signals, logs, `doctor`, and the files of `deploy/`.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly")]

mod backup;
mod chaos;
mod crowd;
mod cut;
mod deploy;
mod doctor;
mod explain;
mod postgres;
mod replicas;
#[path = "../common/rng.rs"]
mod rng;
mod serve;
mod shorten;
mod spool;
mod upgrade;

use std::path::{Path, PathBuf};

use slarouter_testkit::Daemon;

const BIN: &str = env!("CARGO_BIN_EXE_slarouter");

/// A configuration for `serve`, with these keys of `[server]` and one model per name at this upstream.
fn configuration(folder: &Path, base_url: &str, server: &str, models: &[&str]) -> String {
    let model = |(place, name): (usize, &&str)| {
        format!(
            "[[models]]\nname = \"{name}\"\nbase_url = \"{base_url}\"\nupstream_model = \"ok\"\n\
             price = {{ input = {place}.5, output = 1 }}\n"
        )
    };
    let names: Vec<_> = models.iter().map(|name| format!("\"{name}\"")).collect();
    format!(
        "[server]\n{server}\n[store]\nurl = 'sqlite://{}'\n{}[routes.default]\nmodels = [{}]\nsla = {{ satisfaction = 0.9 }}\n",
        folder.join("log.db").display(),
        models.iter().enumerate().map(model).collect::<String>(),
        names.join(", "),
    )
}

fn write(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("slarouter.toml");
    std::fs::write(&path, text).unwrap();
    path
}

async fn serve(config: &Path, more: &[&str]) -> Daemon {
    Daemon::spawn(&mut serving(config, more)).await.unwrap()
}

fn serving(config: &Path, more: &[&str]) -> tokio::process::Command {
    serving_by(Path::new(BIN), config, more)
}

/// The same by another binary.
fn serving_by(binary: &Path, config: &Path, more: &[&str]) -> tokio::process::Command {
    let mut command = tokio::process::Command::new(binary);
    command.args(["serve", "--config"]).arg(config).args(more);
    command.env_remove("SLAROUTER_LOG").env_remove("SLAROUTER_LOG_FORMAT");
    // What lies beside a database on a server.
    command.env("STATE_DIRECTORY", config.parent().unwrap());
    command
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}
