//! `slarouter backup`: a copy of the database, whether or not a gateway has it.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use slarouter_config::Config;

#[derive(clap::Args)]
pub(crate) struct BackupArgs {
    /// The file of the copy, which must not exist.
    file: PathBuf,
    /// The configuration file.
    #[arg(long, short, value_name = "FILE", default_value = "slarouter.toml")]
    config: PathBuf,
}

pub(crate) async fn run(args: BackupArgs) -> anyhow::Result<ExitCode> {
    let config = match Config::load(&args.config) {
        Ok(config) => config,
        Err(errors) => return crate::check::refuse(&errors),
    };
    let made = slarouter_store::backup(&config.store.url, &args.file).await?;
    let report = serde_json::json!({ "file": args.file, "bytes": made.bytes, "log_seq": made.log_seq });
    writeln!(std::io::stdout(), "{report:#}")?;
    Ok(ExitCode::SUCCESS)
}
