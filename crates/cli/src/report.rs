//! `slarouter report`.

use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, ValueEnum};
use slarouter_config::KeyPlace;
use slarouter_core::Timestamp;
use slarouter_report::{Format, Terms, report};
use slarouter_store::{Calendar, Store};

use crate::print::print;

#[derive(Args)]
pub(crate) struct ReportArgs {
    /// The configuration file, which names the database.
    #[arg(long, short, value_name = "FILE", default_value = "slarouter.toml")]
    config: PathBuf,
    /// The first day, as 2026-11-01, or a month, as 2026-11.
    #[arg(long, value_name = "DATE", required_unless_present = "verify")]
    from: Option<String>,
    /// The first day that is no longer in it, or a month likewise; the end of the month of --from if left out.
    #[arg(long, value_name = "DATE")]
    to: Option<String>,
    /// How it is written.
    #[arg(long, value_enum, default_value = "html")]
    format: Written,
    /// Make this report again from the log, and say whether it is the same.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["from", "to", "format"])]
    verify: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Written {
    /// One file without scripts, for screen and paper.
    Html,
    /// Markdown.
    Md,
    /// All facts.
    Json,
}

impl From<Written> for Format {
    fn from(written: Written) -> Self {
        match written {
            Written::Html => Self::Html,
            Written::Md => Self::Markdown,
            Written::Json => Self::Json,
        }
    }
}

pub(crate) async fn run(args: ReportArgs) -> anyhow::Result<ExitCode> {
    let store = slarouter_store::open_to_read(&KeyPlace::load(&args.config)?.url).await?;
    if let Some(file) = &args.verify {
        return verify(store.as_ref(), file).await;
    }
    let period = period(&store.calendar().await?, args.from.as_deref().unwrap_or_default(), args.to.as_deref())?;
    let until = *store.committed().borrow();
    let text = report(store.as_ref(), period, until).await?.write(args.format.into())?;
    print(|out| out.write_all(text.as_bytes()))?;
    Ok(ExitCode::SUCCESS)
}

/// The days that two options name.
pub(crate) fn period(calendar: &Calendar, from: &str, to: Option<&str>) -> anyhow::Result<Range<Timestamp>> {
    slarouter_report::period(calendar, from, to).map_err(|error| anyhow::anyhow!("--{error}"))
}

async fn verify(store: &dyn Store, file: &Path) -> anyhow::Result<ExitCode> {
    let held = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let terms = Terms::of(&held).with_context(|| format!("{} is no report of `slarouter report`", file.display()))?;
    let (zone, committed) = (store.calendar().await?.name().to_owned(), *store.committed().borrow());
    anyhow::ensure!(
        terms.time_zone == zone,
        "the report has the days of {}, and the sums of this database those of {zone}: set server.time_zone and start the gateway once",
        terms.time_zone
    );
    anyhow::ensure!(
        terms.log_seq <= committed,
        "the report is of the log up to event {}, and this database ends at {committed}: it is another one, or older",
        terms.log_seq
    );
    let format = if held.starts_with('{') {
        Format::Json
    } else if held.starts_with("<!doctype html>") {
        Format::Html
    } else {
        Format::Markdown
    };
    let made = report(store, terms.period(), terms.log_seq).await?.write(format)?;
    if made == held {
        print(|out| writeln!(out, "the same, to the byte: {}", file.display()))?;
        return Ok(ExitCode::SUCCESS);
    }
    let lines = held.lines().zip(made.lines()).enumerate();
    let differing = lines.into_iter().find(|(_, (held, made))| held != made);
    let place = differing.map_or_else(
        || "one ends before the other".to_owned(),
        |(line, (held, made))| format!("line {}:\n  in the file   {held}\n  from the log  {made}", line + 1),
    );
    let shortened = store.held().await?.shortened_to > 0;
    let other = match (terms.version == env!("CARGO_PKG_VERSION"), shortened) {
        (false, _) => "; it was made by another release",
        (true, true) => {
            "; the log was shortened (store.retention, slarouter forget), and if that was after the report its hash is another one, whatever else is the same"
        }
        (true, false) => "",
    };
    // With standard error gone there is nobody left to tell.
    let _ = writeln!(std::io::stderr(), "slarouter: {} is not what the log says{other}; {place}", file.display());
    Ok(ExitCode::FAILURE)
}
