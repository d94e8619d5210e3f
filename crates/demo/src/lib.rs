//! The demo: a simulated zoo over real HTTP, a real gateway on SQLite, simulated users, and a live terminal view.
//!
//! All on loopback. The models and users are simulated; the gateway, its store and its learning are what production runs.

#[cfg(test)]
mod claim;
mod judge;
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
use slarouter_core::Timestamp;
use slarouter_gateway::Gateway;
use slarouter_lab::simulate::World;
use tokio::time::timeout;

pub use options::DemoOptions;
use stats::Stats;
pub use stats::Summary;

/// Requests of a run that nobody watches.
pub const REQUESTS: u64 = 3_000;
/// When the simulated time begins: 1 January 2026.
const BEGAN: Timestamp = Timestamp(1_767_225_600_000);
/// How long it waits at the end for requests that were under way.
const PATIENCE: Duration = Duration::from_secs(5);

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
    let (gateway, simulation) = Gateway::simulated(Config::parse(&text, &|_| None)?, BEGAN).await?;
    let simulation = Arc::new(simulation);
    let stats = Arc::new(Mutex::new(Stats::new(world.models().iter().map(|model| model.name.to_owned()).collect())));
    let users = users::Users {
        options: options.clone(),
        world,
        base: format!("http://{}", gateway.addr()),
        stats: stats.clone(),
        simulation: simulation.clone(),
        called: zoo.called(),
        judged: zoo.judged(),
        paced: live,
    };
    let mut users = tokio::spawn(users.run());
    if live {
        tokio::select! {
            ended = &mut users => ended??,
            stopped = view::run(&options, &gateway, &stats) => stopped?,
        }
    } else {
        tokio::select! {
            ended = &mut users => ended??,
            interrupted = tokio::signal::ctrl_c() => interrupted?,
        }
    }
    users.abort();
    // What was under way when the viewer stopped it.
    if let Ok(learnt) = timeout(PATIENCE, simulation.learn()).await {
        learnt?;
    }
    let routes = gateway.routes();
    gateway.shutdown().await;
    zoo.stop().await;
    let stats = stats.lock().map_err(|_| anyhow::anyhow!("a user of the demo panicked"))?;
    Ok(stats.summary(options.alpha, routes.first()))
}

/// The operator trusts the frontier model, which serves until there is evidence. Nothing is tuned to this zoo.
fn config(options: &DemoOptions, world: &World, base_url: &str, database: &Path) -> String {
    let mut text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\nseed = {}\n[store]\nurl = 'sqlite://{}'\n",
        options.seed,
        database.display()
    );
    for model in world.models() {
        text += &format!(
            "[[models]]\nname = \"{}\"\nbase_url = \"{base_url}\"\nprice = {{ input = {}, output = {} }}\n",
            model.name, model.price.input, model.price.output
        );
    }
    text += &judge::config(base_url);
    text + &format!(
        "[routes.default]\nmodels = [\"small\", \"medium\", \"large\", \"frontier\"]\nfallback = \"frontier\"\n\
         sla = {{ satisfaction = {}, window = \"run\" }}\npolicy = \"certified\"\n",
        options.alpha
    )
}
