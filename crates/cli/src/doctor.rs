//! `slarouter doctor`.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use slarouter_config::Config;
use slarouter_gateway::doctor::{Check, Level, examine};

use crate::print::print;

#[derive(clap::Args)]
pub(crate) struct DoctorArgs {
    /// The configuration file.
    #[arg(long, short, value_name = "FILE", default_value = "slarouter.toml")]
    config: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: DoctorArgs) -> anyhow::Result<ExitCode> {
    let checks = match Config::load(&args.config) {
        Ok(config) => {
            let (models, routes) = (config.models.len(), config.routes.len());
            let found = format!("{}: {models} models, {routes} routes", args.config.display());
            let mut checks = vec![Check::ok("configuration", found)];
            checks.extend(examine(&config).await);
            checks
        }
        Err(errors) => {
            let mend = "mend it there; docs/configuration.md explains every key";
            errors.to_string().lines().map(|line| Check::fail("configuration", line, mend)).collect()
        }
    };
    let failed = checks.iter().any(|check| check.level == Level::Fail);
    print(|out| {
        if args.json {
            let object = serde_json::json!({ "ok": !failed, "checks": checks });
            return writeln!(out, "{object:#}");
        }
        checks.iter().try_for_each(|check| line(out, check))
    })?;
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn line(out: &mut impl Write, check: &Check) -> io::Result<()> {
    let Check { name, level, found, mend } = check;
    let level = match level {
        Level::Ok => "ok  ",
        Level::Warn => "warn",
        Level::Fail => "fail",
    };
    let mend = mend.as_ref().map(|mend| format!(" → {mend}")).unwrap_or_default();
    writeln!(out, "{level}  {name}: {found}{mend}")
}
