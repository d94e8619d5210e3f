//! `slarouter forget`: what the log holds of a rater, and how it goes.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use slarouter_config::{ConfigErrors, KeyPlace, Server};
use slarouter_gateway::keys::{SecretString, first_secret};
use slarouter_store::StoreError;

use crate::keys::own_url;
use crate::print::print;
use crate::remote_book::RemoteBook;

#[derive(clap::Args)]
pub(crate) struct ForgetArgs {
    /// The name that feedback gave as `rater`.
    #[arg(long, visible_alias = "user", value_name = "NAME")]
    rater: String,
    /// Delete it. Without this, only count what there is.
    #[arg(long)]
    delete: bool,
    /// The configuration file, which names the database.
    #[arg(long, short, value_name = "FILE", default_value = "slarouter.toml")]
    config: PathBuf,
    /// The admin API of the running gateway; where its configuration says if left out. Used while the gateway holds the database.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// A key with the scope admin for it; the first of server.admin_keys, or the secret for the first key, if left out.
    #[arg(long, env = "SLAROUTER_ADMIN_KEY", hide_env_values = true, value_name = "KEY")]
    admin_key: Option<String>,
}

pub(crate) async fn run(args: ForgetArgs) -> anyhow::Result<ExitCode> {
    let found = match forget(&args).await {
        Ok(found) => found,
        Err(error) => {
            return match error.downcast::<ConfigErrors>() {
                Ok(errors) => crate::check::refuse(&errors),
                Err(error) => Err(error),
            };
        }
    };
    print(|out| writeln!(out, "{found:#}"))?;
    if !args.delete {
        // With standard error gone there is nobody left to tell.
        let _ = writeln!(std::io::stderr(), "slarouter: nothing was deleted: say --delete for that");
    }
    Ok(ExitCode::SUCCESS)
}

/// In the database, if no gateway has it; else, and with a URL, by the running gateway.
async fn forget(args: &ForgetArgs) -> anyhow::Result<serde_json::Value> {
    if args.url.is_none() {
        let place = KeyPlace::load(&args.config)?;
        match slarouter_store::open(&place.url).await {
            Ok(store) => {
                let found =
                    slarouter_gateway::forget(store.as_ref(), &args.rater, slarouter_gateway::now(), args.delete).await;
                store.close().await;
                return Ok(found?);
            }
            Err(StoreError::InUse(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let key: Option<SecretString> = args.admin_key.clone().map(Into::into);
    let server = if args.url.is_none() || key.is_none() { Some(Server::load(&args.config)?) } else { None };
    let url = match (&args.url, &server) {
        (Some(url), _) => url.clone(),
        (None, Some(server)) => own_url(server)?,
        (None, None) => anyhow::bail!("say where the gateway is with --url"),
    };
    let key = key.or_else(|| server?.admin_keys.first().cloned());
    // While there is no key at all, what lies beside the database of this configuration.
    let key = key.or_else(|| first_secret(&KeyPlace::load(&args.config).ok()?.url));
    Ok(RemoteBook::new(&url, key)?.forget(&args.rater, args.delete).await?)
}
