//! `slarouter compact`: a log as short as it is to be, in a file as short as the log.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;
use slarouter_config::Config;
use slarouter_gateway::{now, retention};
use slarouter_store::Shortened;

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
    let before = size(url)?;
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
    let compacted = slarouter_store::compact(url).await?;
    let report = json!({
        "before_bytes": before.max(compacted.before_bytes), "after_bytes": compacted.after_bytes, "archived": all.archived,
        "deleted": {
            "decisions": all.decisions, "outcomes": all.outcomes, "feedback": all.feedback, "prompts": all.prompts,
            "sums": all.sums,
        },
        "whole_from_event": held.shortened_to + 1,
    });
    print(|out| writeln!(out, "{report:#}"))?;
    Ok(ExitCode::SUCCESS)
}

/// Of the file before anything is done to it.
fn size(url: &str) -> anyhow::Result<u64> {
    let path = slarouter_store::beside(url, "")?;
    Ok(std::fs::metadata(&path).map_err(|_| slarouter_store::StoreError::Missing(path.display().to_string()))?.len())
}
