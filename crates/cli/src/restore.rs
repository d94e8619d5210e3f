//! `slarouter restore`: a copy in the place of the database.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use slarouter_config::KeyPlace;

use crate::print::print;

#[derive(clap::Args)]
pub(crate) struct RestoreArgs {
    /// The copy, as `slarouter backup` made it. It stays as it is.
    file: PathBuf,
    /// The configuration file, which names the database.
    #[arg(long, short, value_name = "FILE", default_value = "slarouter.toml")]
    config: PathBuf,
}

pub(crate) async fn run(args: RestoreArgs) -> anyhow::Result<ExitCode> {
    let place = match KeyPlace::load(&args.config) {
        Ok(place) => place,
        Err(errors) => return crate::check::refuse(&errors),
    };
    let made = slarouter_store::restore(&place.url, &args.file).await?;
    let database = slarouter_store::shown(&place.url);
    let report = serde_json::json!({ "database": database, "bytes": made.bytes, "log_seq": made.log_seq });
    print(|out| writeln!(out, "{report:#}"))?;
    Ok(ExitCode::SUCCESS)
}
