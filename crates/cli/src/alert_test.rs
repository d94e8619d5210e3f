//! `slarouter alert-test`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use slarouter_config::Config;
use slarouter_gateway::test_alert;

use crate::print::print;

#[derive(clap::Args)]
pub(crate) struct AlertTestArgs {
    /// The configuration file.
    #[arg(long, short, value_name = "FILE", default_value = "slarouter.toml")]
    config: PathBuf,
}

pub(crate) async fn run(args: AlertTestArgs) -> anyhow::Result<ExitCode> {
    let config = match Config::load(&args.config) {
        Ok(config) => config,
        Err(errors) => return crate::check::refuse(&errors),
    };
    anyhow::ensure!(!config.alerts.is_empty(), "{} has no [[alerts]]: nobody is told of any", args.config.display());
    let told = test_alert(&config.alerts).await;
    print(|out| {
        told.iter().try_for_each(|(host, shape, sent)| match sent {
            Ok(()) => writeln!(out, "ok    {host} ({shape}): took an alert and its end"),
            Err(error) => writeln!(out, "fail  {host} ({shape}): {error}"),
        })
    })?;
    let all = told.iter().all(|(_, _, sent)| sent.is_ok());
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
