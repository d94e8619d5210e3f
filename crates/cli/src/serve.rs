//! `slarouter serve`.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use slarouter_config::{Config, LogFormat};
use slarouter_gateway::{Gateway, Inherited};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::check::BAD_CONFIG;
use crate::next::Doors;

/// What shells take for the end by an interrupt.
const INTERRUPTED: u8 = 130;

#[derive(clap::Args)]
pub(crate) struct ServeArgs {
    /// The configuration file.
    #[arg(long, short, value_name = "FILE", default_value = "slarouter.toml")]
    config: PathBuf,
    /// Which log lines to write to standard error: error, warn, info, debug, or a tracing filter.
    #[arg(long, value_name = "FILTER", default_value = "info", env = "SLAROUTER_LOG")]
    log: String,
    /// How to write them; as server.log_format says if left out, and without that text on a terminal and JSON elsewhere.
    #[arg(long, value_name = "FORMAT", env = "SLAROUTER_LOG_FORMAT")]
    log_format: Option<Format>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Json,
    Text,
}

pub(crate) async fn run(args: ServeArgs) -> anyhow::Result<ExitCode> {
    // First of all, as it changes the environment.
    let inherited = Inherited::from_env();
    let config = match Config::load(&args.config) {
        Ok(config) => config,
        Err(errors) => return crate::check::refuse(&errors),
    };
    let inherited = match inherited.and_then(|inherited| inherited.check(&config).map(|()| inherited)) {
        Ok(inherited) => inherited,
        Err(error) => {
            writeln!(std::io::stderr(), "slarouter: {error}")?;
            return Ok(ExitCode::from(BAD_CONFIG));
        }
    };
    let shows_steps = log(&args, config.server.log_format)?;
    // Registered before anything is promised to anybody, so that an early signal is not lost.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let server = &config.server;
    let keyed = !(server.api_keys.is_empty() && server.admin_keys.is_empty() && config.keys.is_empty());
    let tls = server.tls.is_some();
    let gateway = tokio::select! {
        started = Gateway::start_on(config, inherited) => started?,
        // What was learnt by then is saved but for the last second or two.
        _ = terminate.recv() => return Ok(ExitCode::SUCCESS),
        _ = interrupt.recv() => return Ok(ExitCode::from(INTERRUPTED)),
    };
    let mut ready = serde_json::json!({ "listening": gateway.addr().to_string() });
    if let Some(admin) = gateway.admin_addr() {
        ready["admin"] = admin.to_string().into();
    }
    writeln!(std::io::stdout(), "{ready}")?;
    tracing::info!(addr = %gateway.addr(), "listening");
    if shows_steps {
        let doors = Doors { public: gateway.addr(), admin: gateway.admin_addr(), tls, keyed };
        write!(std::io::stderr(), "{}", doors.steps())?;
    }
    let reloads = gateway.reloads();
    let reloading = async {
        while hangup.recv().await.is_some() {
            // The gateway itself logs how it went.
            let _ = reloads.reload().await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        _ = terminate.recv() => {},
        _ = interrupt.recv() => {},
        () = reloading => {},
    }
    tracing::info!("stopping: open requests may finish; interrupt again to stop at once");
    tokio::select! {
        () = gateway.shutdown() => Ok(ExitCode::SUCCESS),
        _ = interrupt.recv() => {
            tracing::warn!("interrupted again: stopped at once, as by a kill");
            Ok(ExitCode::from(INTERRUPTED))
        }
    }
}

/// Begins to write log lines; whether a person reads them who may want to know how to go on.
fn log(args: &ServeArgs, configured: Option<LogFormat>) -> anyhow::Result<bool> {
    let logs = tracing_subscriber::fmt().with_env_filter(EnvFilter::try_new(&args.log)?).with_writer(std::io::stderr);
    let asked = args.log_format.map(|format| matches!(format, Format::Json));
    let configured = configured.map(|format| format == LogFormat::Json);
    let on_terminal = std::io::stderr().is_terminal();
    let as_json = asked.or(configured).unwrap_or(!on_terminal);
    if as_json {
        logs.json().flatten_event(true).init();
    } else {
        logs.with_ansi(on_terminal).init();
    }
    Ok(on_terminal && !as_json)
}
