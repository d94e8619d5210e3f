//! `slarouter rollback`: what was learnt, as it was at an earlier event.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;
use slarouter_config::KeyPlace;
use slarouter_gateway::now;
use slarouter_learner::Learning;
use slarouter_store::Store;

use crate::print::print;

#[derive(clap::Args)]
pub(crate) struct RollbackArgs {
    /// The last event that is to be known again; `slarouter verify` and the list of decisions show numbers of events.
    #[arg(long, value_name = "EVENT")]
    to: u64,
    /// The configuration file, which names the database.
    #[arg(long, short, value_name = "FILE", default_value = "slarouter.toml")]
    config: PathBuf,
}

pub(crate) async fn run(args: RollbackArgs) -> anyhow::Result<ExitCode> {
    let place = match KeyPlace::load(&args.config) {
        Ok(place) => place,
        Err(errors) => return crate::check::refuse(&errors),
    };
    let store = slarouter_store::open(&place.url).await?;
    let done = roll_back(store.as_ref(), args.to).await;
    store.close().await;
    let report = done?;
    print(|out| writeln!(out, "{report:#}"))?;
    Ok(ExitCode::SUCCESS)
}

async fn roll_back(store: &dyn Store, to: u64) -> anyhow::Result<serde_json::Value> {
    let last = *store.committed().borrow();
    if to == 0 || to >= last {
        anyhow::bail!("there is nothing to put back to event {to}: the last event of the log is {last}");
    }
    let Some(then) = Learning::at(store, to).await? else {
        let held = store.held().await?;
        let oldest = held.saved.first().copied().unwrap_or_default();
        anyhow::bail!(
            "the log was shortened up to event {}, and the oldest saved state is of event {oldest}: name an event from there on",
            held.shortened_to
        );
    };
    store.roll_back(to, now(), then.states()?).await?;
    let mut learning = Learning::load(store).await?;
    learning.catch_up(store).await?;
    store.save_snapshots(learning.seq(), now(), learning.states()?).await?;
    Ok(json!({ "rolled_back_to": to, "log_seq": learning.seq() }))
}
