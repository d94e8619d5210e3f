//! `slarouter compact`: a log as short as it is to be, in a file as short as the log.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;
use slarouter_config::Config;
use slarouter_gateway::{now, retention};
use slarouter_store::{Shortened, StoreError};

use crate::print::print;

#[derive(clap::Args)]
pub(crate) struct CompactArgs {
    /// The configuration file.
    #[arg(long, short, value_name = "FILE", default_value = "slarouter.toml")]
    config: PathBuf,
}

pub(crate) async fn run(args: CompactArgs) -> anyhow::Result<ExitCode> {
    let config = match Config::load(&args.config) {
        Ok(config) => config,
        Err(errors) => return crate::check::refuse(&errors),
    };
    let url = &config.store.url;
    let before = size(url).await?;
    let store = slarouter_store::open(url).await?;
    let kept = retention(&config.store.retention, config.feedback_window_ms);
    let mut all = Shortened::default();
    loop {
        let done = store.shorten(&kept, now()).await?;
        all.add(&done);
        if !done.more {
            break;
        }
    }
    let held = store.held().await?;
    store.close().await;
    let (before, after) = match slarouter_store::compact(url).await {
        Ok(compacted) => (before.max(compacted.before_bytes), compacted.after_bytes),
        Err(StoreError::FilesOnly(why)) => {
            // With standard error gone there is nobody left to tell.
            let _ = writeln!(std::io::stderr(), "slarouter: {why}");
            (before, size(url).await?)
        }
        Err(error) => return Err(error.into()),
    };
    let report = json!({
        "before_bytes": before, "after_bytes": after, "archived": all.archived,
        "deleted": {
            "decisions": all.decisions, "outcomes": all.outcomes, "feedback": all.feedback, "prompts": all.prompts,
            "sums": all.sums,
        },
        "whole_from_event": held.shortened_to + 1,
    });
    print(|out| writeln!(out, "{report:#}"))?;
    Ok(ExitCode::SUCCESS)
}

/// Of the file, or of the database on a server.
async fn size(url: &str) -> anyhow::Result<u64> {
    let found = slarouter_store::inspect(url).await?;
    Ok(found.content.ok_or(StoreError::Missing(found.place))?.bytes)
}
