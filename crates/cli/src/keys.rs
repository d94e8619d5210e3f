//! `slarouter keys`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::Value;
use slarouter_config::{Config, Grants, Limits, Scope};
use slarouter_gateway::keys::{KeyBook, NewKey};
use slarouter_store::StoreError;

use crate::remote_book::RemoteBook;

#[derive(Args)]
pub(crate) struct KeysArgs {
    /// The configuration file, which names the database.
    #[arg(long, short, value_name = "FILE", default_value = "slarouter.toml", global = true)]
    config: PathBuf,
    /// The admin API of the running gateway; where its configuration says if left out. Used while the gateway holds the database.
    #[arg(long, value_name = "URL", global = true)]
    url: Option<String>,
    /// A key with the scope admin for it; the first of server.admin_keys if left out.
    #[arg(long, env = "SLAROUTER_ADMIN_KEY", hide_env_values = true, value_name = "KEY", global = true)]
    admin_key: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a key and show it, this once.
    Create(CreateArgs),
    /// List all keys that there ever were.
    List,
    /// Make another key for the same account; the old one ends after a while.
    Rotate {
        /// The key's id, as the list has it.
        id: String,
        /// Hours for which the old key still works.
        #[arg(long, value_name = "HOURS", default_value_t = 24.0)]
        grace_hours: f64,
    },
    /// End a key at once.
    Revoke {
        /// The key's id, as the list has it.
        id: String,
    },
}

#[derive(Args)]
struct CreateArgs {
    /// Whose it is: a-z, 0-9, - and _.
    #[arg(long)]
    name: String,
    /// What it may be used for: inference, feedback, audit, admin; several with commas.
    #[arg(long, value_name = "SCOPES", value_delimiter = ',', default_value = "inference,feedback", value_parser = scope)]
    scope: Vec<Scope>,
    /// The tenant whose key it is.
    #[arg(long)]
    tenant: Option<String>,
    /// What `model` may say, as in auto:support,small; anything if left out.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    models: Option<Vec<String>>,
    /// Days until it ends; never if left out.
    #[arg(long, value_name = "DAYS")]
    expires_days: Option<f64>,
    /// Requests per minute.
    #[arg(long, value_name = "N")]
    requests_per_minute: Option<u64>,
    /// Tokens per minute, of questions and answers.
    #[arg(long, value_name = "N")]
    tokens_per_minute: Option<u64>,
    /// USD per day (UTC).
    #[arg(long, value_name = "USD")]
    usd_per_day: Option<f64>,
    /// USD per calendar month (UTC).
    #[arg(long, value_name = "USD")]
    usd_per_month: Option<f64>,
}

fn scope(word: &str) -> Result<Scope, String> {
    Scope::parse(word).ok_or_else(|| "a scope is inference, feedback, audit or admin".to_owned())
}

/// The keys, wherever they can be reached.
enum Book {
    /// No gateway runs.
    Stored(KeyBook, std::sync::Arc<dyn slarouter_store::Store>),
    Running(RemoteBook),
}

pub(crate) async fn run(args: KeysArgs) -> anyhow::Result<ExitCode> {
    let config = match Config::load(&args.config) {
        Ok(config) => config,
        Err(errors) => return crate::check::refuse(&errors),
    };
    let book = match &args.url {
        Some(url) => Book::Running(RemoteBook::new(url, admin_key(&args, &config))?),
        None => match slarouter_store::open(&config.store.url).await {
            Ok(store) => {
                let taken = config.keys.iter().map(|key| key.name.clone()).collect();
                Book::Stored(KeyBook::new(store.clone(), taken), store)
            }
            Err(StoreError::InUse(_)) => Book::Running(RemoteBook::new(&own_url(&config)?, admin_key(&args, &config))?),
            Err(error) => return Err(error.into()),
        },
    };
    let done = match args.command {
        Command::Create(create) => book.create(create.into()).await,
        Command::List => book.list().await,
        Command::Rotate { id, grace_hours } => book.rotate(&id, grace_hours).await,
        Command::Revoke { id } => book.revoke(&id).await,
    };
    if let Book::Stored(_, store) = &book {
        store.close().await;
    }
    writeln!(std::io::stdout(), "{:#}", done?)?;
    Ok(ExitCode::SUCCESS)
}

/// Where the gateway of this configuration has its admin API.
fn own_url(config: &Config) -> anyhow::Result<String> {
    let server = &config.server;
    let addr = server.admin_listen.unwrap_or(server.listen);
    // An address is not what a certificate is for.
    if server.tls.is_some() && !server.admin_listen.is_some_and(|addr| addr.ip().is_loopback()) {
        anyhow::bail!(
            "the gateway runs and speaks TLS: say its name with --url, as in https://gateway.example:{}",
            addr.port()
        );
    }
    Ok(format!("http://{addr}"))
}

fn admin_key(args: &KeysArgs, config: &Config) -> Option<slarouter_gateway::keys::SecretString> {
    args.admin_key.clone().map(Into::into).or_else(|| config.server.admin_keys.first().cloned())
}

impl Book {
    async fn create(&self, new: NewKey) -> anyhow::Result<Value> {
        Ok(match self {
            Self::Stored(book, _) => book.create(new).await?,
            Self::Running(book) => book.create(&new).await?,
        })
    }

    async fn list(&self) -> anyhow::Result<Value> {
        Ok(Value::Array(match self {
            Self::Stored(book, _) => book.list().await?,
            Self::Running(book) => book.list().await?,
        }))
    }

    async fn rotate(&self, id: &str, grace_hours: f64) -> anyhow::Result<Value> {
        Ok(match self {
            Self::Stored(book, _) => book.rotate(id, grace_hours).await?,
            Self::Running(book) => book.rotate(id, grace_hours).await?,
        })
    }

    async fn revoke(&self, id: &str) -> anyhow::Result<Value> {
        Ok(match self {
            Self::Stored(book, _) => book.revoke(id).await?,
            Self::Running(book) => book.revoke(id).await?,
        })
    }
}

impl From<CreateArgs> for NewKey {
    fn from(args: CreateArgs) -> Self {
        let limits = Limits {
            requests_per_minute: args.requests_per_minute,
            tokens_per_minute: args.tokens_per_minute,
            usd_per_day: args.usd_per_day,
            usd_per_month: args.usd_per_month,
        };
        let grants = Grants { scopes: args.scope, tenant: args.tenant, models: args.models, limits };
        Self { name: args.name, grants, expires_days: args.expires_days }
    }
}
