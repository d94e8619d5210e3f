//! `slarouter migrate`: a log from one database to another.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use slarouter_config::KeyPlace;
use slarouter_store::{Moving, shown};

/// Rows of a table after which it is said how far it is, where nobody looks on.
const TOLD_EVERY: u64 = 1_000_000;

#[derive(clap::Args)]
pub(crate) struct MigrateArgs {
    /// Where the log is: a URL, or the configuration file whose store.url it is.
    #[arg(long, value_name = "URL|FILE")]
    from: String,
    /// Where it goes, which must hold none: a URL, or the configuration file whose store.url it is.
    #[arg(long, value_name = "URL|FILE")]
    to: String,
}

pub(crate) async fn run(args: MigrateArgs) -> anyhow::Result<ExitCode> {
    let (from, to) = (place(&args.from)?, place(&args.to)?);
    let (old, new) = (shown(&from), shown(&to));
    let moving = tokio::task::spawn_blocking(move || {
        let mut telling = Telling { terminal: io::stderr().is_terminal(), told: 0 };
        slarouter_store::migrate(&from, &to, |how_far| telling.tell(how_far))
    });
    let moved = moving.await?.with_context(|| format!("nothing was moved from {old} to {new}"))?;
    let sha256 = moved.sha256.map(|byte| format!("{byte:02x}")).concat();
    let report = serde_json::json!({
        "from": old, "to": new, "log_seq": moved.log_seq, "rows": moved.rows, "sha256": sha256,
        "decisions": moved.counts.decisions, "outcomes": moved.counts.outcomes, "feedback": moved.counts.feedback,
        "snapshots": moved.snapshots,
    });
    crate::print::print(|out| writeln!(out, "{report:#}"))?;
    Ok(ExitCode::SUCCESS)
}

/// A URL with a password would be seen in the list of processes: a configuration file may stand for it.
fn place(given: &str) -> anyhow::Result<String> {
    if given.contains("://") {
        return Ok(given.to_owned());
    }
    Ok(KeyPlace::load(Path::new(given)).with_context(|| format!("{given} is no URL, and no configuration file"))?.url)
}

/// Says on standard error how far it is.
struct Telling {
    terminal: bool,
    /// Rows of the table when it was last said.
    told: u64,
}

impl Telling {
    fn tell(&mut self, Moving { table, rows, is_checked }: Moving) {
        let what = if is_checked { "compared" } else { "moved" };
        // With standard error gone there is nobody left to tell.
        if self.terminal {
            drop(write!(io::stderr(), "\r\u{1b}[K{table}: {rows} rows {what}"));
        } else if rows < self.told || rows - self.told >= TOLD_EVERY {
            self.told = rows;
            drop(writeln!(io::stderr(), "{table}: {rows} rows {what}"));
        }
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        if self.terminal {
            drop(writeln!(io::stderr()));
        }
    }
}
