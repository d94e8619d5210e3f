//! The demo: a simulated zoo over real HTTP, a real gateway on SQLite, simulated users, and a live terminal view.
//!
//! All on loopback. The models and users are simulated; the gateway, its store and its learning are what production runs.

mod options;
mod stats;
mod users;
mod view;
mod zoo;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context;
use slarouter_config::Config;
use slarouter_gateway::Gateway;
use slarouter_lab::simulate::World;
use tokio::time::Instant;

pub use options::DemoOptions;
use stats::Stats;
pub use stats::Summary;

/// Runs the demo to its end and sums up. With `live`, draws on the terminal and stops on q, Esc or Ctrl-C.
///
/// # Errors
/// If something cannot be started, or the terminal cannot be drawn on.
pub async fn run(options: DemoOptions, live: bool) -> anyhow::Result<Summary> {
    let world = Arc::new(World::new(options.seed));
    let zoo = zoo::Zoo::start(world.clone()).await.context("the simulated models cannot listen")?;
    let scratch = match &options.data {
        Some(folder) => {
            std::fs::create_dir_all(folder).with_context(|| format!("{}", folder.display()))?;
            None
        }
        None => Some(tempfile::tempdir().context("no temporary folder")?),
    };
    let folder = options.data.as_deref().or(scratch.as_ref().map(tempfile::TempDir::path)).unwrap_or(Path::new("."));
    let text = config(&options, &world, &zoo.base_url(), &folder.join("demo.db"));
    let gateway = Gateway::start(Config::parse(&text, &|_| None)?).await?;
    let stats = Arc::new(Mutex::new(Stats::new(world.models().iter().map(|model| model.name.to_owned()).collect())));
    let (requests_before, labels_before) = learnt(&gateway);
    let began = Instant::now();

    let base = format!("http://{}", gateway.addr());
    let mut users = tokio::spawn(users::run(options.clone(), world, base, stats.clone()));
    if live {
        tokio::select! {
            ended = &mut users => ended??,
            stopped = view::run(&options, &gateway, &stats, began) => stopped?,
        }
    } else {
        tokio::select! {
            ended = &mut users => ended??,
            interrupted = tokio::signal::ctrl_c() => interrupted?,
        }
    }
    users.abort();
    let (requests, rated) = stats.lock().map_or((0, 0), |stats| (stats.requests, stats.rated));
    settle(&gateway, requests_before + requests, labels_before + rated).await;
    let routes = gateway.routes();
    gateway.shutdown().await;
    zoo.stop().await;
    let stats = stats.lock().map_err(|_| anyhow::anyhow!("a user of the demo panicked"))?;
    Ok(stats.summary(options.alpha, routes.first(), began.elapsed().as_secs_f64()))
}

/// Gives the learner, which works behind the answers, up to five seconds to take in what was answered and acknowledged.
async fn settle(gateway: &Gateway, requests: u64, labels: u64) {
    for _ in 0..100 {
        let learnt = learnt(gateway);
        if learnt.0 >= requests && learnt.1 >= labels {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Requests and labels that the learner knows of.
fn learnt(gateway: &Gateway) -> (u64, u64) {
    gateway.routes().first().map_or((0, 0), |route| (route.account.requests, route.account.labels))
}

/// The operator trusts the frontier model, which serves until there is evidence. Nothing is tuned to this zoo.
fn config(options: &DemoOptions, world: &World, base_url: &str, database: &Path) -> String {
    let mut text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nseed = {}\n[store]\nurl = 'sqlite://{}'\n",
        options.seed,
        database.display()
    );
    for model in world.models() {
        text += &format!(
            "[[models]]\nname = \"{}\"\nbase_url = \"{base_url}\"\nprice = {{ input = {}, output = {} }}\n",
            model.name, model.price.input, model.price.output
        );
    }
    text + &format!(
        "[routes.default]\nmodels = [\"small\", \"medium\", \"large\", \"frontier\"]\nfallback = \"frontier\"\n\
         sla = {{ satisfaction = {} }}\npolicy = \"certified\"\n",
        options.alpha
    )
}
