//! `slarouter verify`: is the saved state what the log says?

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use slarouter_config::Config;
use slarouter_learner::Learning;

#[derive(clap::Args)]
pub(crate) struct VerifyArgs {
    /// The configuration file.
    #[arg(long, short, value_name = "FILE", default_value = "slarouter.toml")]
    config: PathBuf,
}

pub(crate) async fn run(args: VerifyArgs) -> anyhow::Result<ExitCode> {
    let config = match Config::load(&args.config) {
        Ok(config) => config,
        Err(errors) => return crate::check::refuse(&errors),
    };
    let store = slarouter_store::open(&config.store.url).await?;
    let mut saved = Learning::load(store.as_ref()).await?;
    let from = saved.seq();
    saved.catch_up(store.as_ref()).await?;
    let mut replayed = Learning::empty();
    replayed.catch_up(store.as_ref()).await?;
    let same = saved.seq() == replayed.seq() && saved.states()? == replayed.states()?;
    let counts = store.counts().await?;
    store.close().await;

    let routes: serde_json::Map<_, _> = replayed
        .learners()
        .iter()
        .map(|(route, learner)| {
            let account = learner.account();
            let figures = serde_json::json!({
                "requests": account.requests, "labels": account.labels, "satisfied": account.satisfied,
                "cost_usd": account.cost, "models": account.models,
            });
            (route.to_string(), figures)
        })
        .collect();
    let report = serde_json::json!({
        "same": same, "saved_at": from, "log_seq": replayed.seq(), "refused": replayed.refused(),
        "decisions": counts.decisions, "outcomes": counts.outcomes, "feedback": counts.feedback, "routes": routes,
    });
    writeln!(std::io::stdout(), "{report:#}")?;
    Ok(if same { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
