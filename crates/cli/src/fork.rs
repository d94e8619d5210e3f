//! `slarouter fork`: the log replayed with another configuration.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;
use slarouter_config::{Config, KeyPlace};

use crate::print::print;

#[derive(clap::Args)]
pub(crate) struct ForkArgs {
    /// The other configuration file. Its routes are compared with those of the same names in the log.
    #[arg(long, value_name = "FILE")]
    with: PathBuf,
    /// The last event that is replayed; all of the log if left out.
    #[arg(long, value_name = "EVENT")]
    until: Option<u64>,
    /// The configuration file, which names the database. It may be in use by a gateway.
    #[arg(long, short, value_name = "FILE", default_value = "slarouter.toml")]
    config: PathBuf,
}

pub(crate) async fn run(args: ForkArgs) -> anyhow::Result<ExitCode> {
    let (place, other) = match KeyPlace::load(&args.config).and_then(|place| Ok((place, Config::load(&args.with)?))) {
        Ok(loaded) => loaded,
        Err(errors) => return crate::check::refuse(&errors),
    };
    let store = slarouter_store::open_to_read(&place.url).await?;
    let last = *store.committed().borrow();
    let until = args.until.unwrap_or(last).min(last);
    let now = slarouter_gateway::now();
    let specs = other.routes.iter().map(|(name, route)| (name.clone(), other.spec_at(route, now))).collect();
    let routes = slarouter_learner::fork(store.as_ref(), &specs, other.server.seed, until).await;
    store.close().await;
    let report = json!({ "log_seq": until, "routes": routes? });
    print(|out| writeln!(out, "{report:#}"))?;
    Ok(ExitCode::SUCCESS)
}
