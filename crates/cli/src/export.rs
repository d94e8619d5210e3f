//! `slarouter export`: the log as files, whether or not a gateway writes to it.

use std::io::Write;
use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, ValueEnum};
use serde_json::{Map, json};
use slarouter_config::KeyPlace;
use slarouter_core::{Timestamp, told_count};
use slarouter_export::{Form, Manifest, Order, export};
use slarouter_store::Calendar;

use crate::print::print;
use crate::report::period;

/// Rows that cannot be read of which more is said than their number; all are in the manifest.
const MOST_TOLD: usize = 10;

#[derive(Args)]
pub(crate) struct ExportArgs {
    /// The folder to write, which must not exist.
    folder: PathBuf,
    /// The configuration file, which names the database.
    #[arg(long, short, value_name = "FILE", default_value = "slarouter.toml")]
    config: PathBuf,
    /// In which form.
    #[arg(long, value_enum, default_value = "parquet")]
    format: Written,
    /// The first day, as 2026-11-01, or a month, as 2026-11; all since the start if left out.
    #[arg(long, value_name = "DATE")]
    from: Option<String>,
    /// The first day that is no longer in it, or a month likewise; all until now if left out.
    #[arg(long, value_name = "DATE")]
    to: Option<String>,
    /// By the log up to this event, to write an export again; all of it if left out.
    #[arg(long, value_name = "SEQ")]
    until: Option<u64>,
    /// With the messages of requests, where they were kept.
    #[arg(long)]
    prompts: bool,
    /// With what raters wrote.
    #[arg(long)]
    comments: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Written {
    /// Parquet, with all columns.
    Parquet,
    /// Comma-separated values, without features.
    Csv,
}

impl From<Written> for Form {
    fn from(written: Written) -> Self {
        match written {
            Written::Parquet => Self::Parquet,
            Written::Csv => Self::Csv,
        }
    }
}

pub(crate) async fn run(args: ExportArgs) -> anyhow::Result<ExitCode> {
    let store = slarouter_store::open_to_read(&KeyPlace::load(&args.config)?.url).await?;
    let period = days(&store.calendar().await?, args.from.as_deref(), args.to.as_deref())?;
    let ExportArgs { folder, format, until, prompts, comments, .. } = args;
    let order = Order { folder, form: format.into(), period, until, prompts, comments };
    // What is written so far goes with the work.
    let made = tokio::select! {
        made = export(store.as_ref(), &order) => made?,
        signal = tokio::signal::ctrl_c() => {
            signal?;
            bail!("cut off: nothing was exported");
        }
    };
    store.close().await;
    tell(&order, &made)?;
    Ok(ExitCode::SUCCESS)
}

/// The days that two options name, either of which may be left out.
fn days(calendar: &Calendar, from: Option<&str>, to: Option<&str>) -> anyhow::Result<Range<Timestamp>> {
    let start = from.unwrap_or("1970-01-01");
    Ok(match to {
        Some(to) => period(calendar, start, Some(to))?,
        None => period(calendar, start, None)?.start..Timestamp(u64::MAX),
    })
}

fn tell(order: &Order, made: &Manifest) -> anyhow::Result<()> {
    // With standard error gone there is nobody left to tell.
    let mut err = std::io::stderr();
    for row in made.unreadable.iter().take(MOST_TOLD) {
        let _ = writeln!(err, "slarouter: left out: {} {}: {}", row.table, row.seq, row.what);
    }
    if made.unreadable_rows > MOST_TOLD as u64 {
        let all = told_count(made.unreadable_rows);
        let _ = writeln!(err, "slarouter: {all} rows cannot be read and were left out; manifest.json names them");
    }
    let rows: Map<_, _> = made.tables.iter().map(|table| (table.name.to_owned(), table.rows.into())).collect();
    let report = json!({
        "folder": order.folder,
        "log_seq": made.log.seq,
        "rows": rows,
        "files": made.files.len(),
        "bytes": made.files.iter().map(|file| file.bytes).sum::<u64>(),
        "unreadable": made.unreadable_rows,
    });
    print(|out| writeln!(out, "{report:#}"))?;
    Ok(())
}
