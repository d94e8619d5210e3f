//! `slarouter keys`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use comfy_table::{Table, presets};
use serde_json::Value;
use slarouter_config::{ConfigErrors, Grants, KeyPlace, Limits, Scope, Server};
use slarouter_core::Timestamp;
use slarouter_gateway::keys::{KeyBook, NewKey, SecretString, first_secret};
use slarouter_store::{Calendar, StoreError};

use crate::print::print;
use crate::remote_book::RemoteBook;

#[derive(Args)]
pub(crate) struct KeysArgs {
    /// The configuration file, which names the database.
    #[arg(long, short, value_name = "FILE", default_value = "slarouter.toml", global = true)]
    config: PathBuf,
    /// The admin API of the running gateway; where its configuration says if left out. Used while the gateway holds the database.
    #[arg(long, value_name = "URL", global = true)]
    url: Option<String>,
    /// A key with the scope admin for it; the first of server.admin_keys, or the secret for the first key, if left out.
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
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
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
    /// What it may be used for: inference, feedback, audit, view, admin; several with commas.
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
    /// USD per day.
    #[arg(long, value_name = "USD")]
    usd_per_day: Option<f64>,
    /// USD per calendar month.
    #[arg(long, value_name = "USD")]
    usd_per_month: Option<f64>,
}

fn scope(word: &str) -> Result<Scope, String> {
    Scope::parse(word).ok_or_else(|| format!("a scope is {}", Scope::WORDS))
}

/// The keys, wherever they can be reached.
enum Book {
    /// No gateway runs.
    Stored(KeyBook, std::sync::Arc<dyn slarouter_store::Store>),
    Running(RemoteBook),
}

pub(crate) async fn run(args: KeysArgs) -> anyhow::Result<ExitCode> {
    let book = match Book::open(&args).await {
        Ok(book) => book,
        Err(error) => {
            return match error.downcast::<ConfigErrors>() {
                Ok(errors) => crate::check::refuse(&errors),
                Err(error) => Err(error),
            };
        }
    };
    // With --url the file may be on another machine.
    let calendar = KeyPlace::load(&args.config).map(|place| Calendar::new(place.time_zone)).unwrap_or_default();
    let mut as_table = false;
    let done = match args.command {
        Command::Create(create) => book.create(create.into()).await,
        Command::List { json } => {
            as_table = !json;
            book.list().await
        }
        Command::Rotate { id, grace_hours } => book.rotate(&id, grace_hours).await,
        Command::Revoke { id } => book.revoke(&id).await,
    };
    if let Book::Stored(_, store) = &book {
        store.close().await;
    }
    let done = done?;
    print(|out| if as_table { writeln!(out, "{}", table(&done, &calendar)) } else { writeln!(out, "{done:#}") })?;
    Ok(ExitCode::SUCCESS)
}

/// The list of keys for people.
fn table(keys: &Value, calendar: &Calendar) -> Table {
    let words = |value: &Value| match value {
        Value::String(word) => word.clone(),
        Value::Array(words) => words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
        _ => String::new(),
    };
    let date = |value: &Value| value.as_u64().map(|time| calendar.moment(Timestamp(time))).unwrap_or_default();
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "id",
        "name",
        "ends in",
        "status",
        "may",
        "tenant",
        "models",
        "made",
        "ends",
        "USD this month",
        "USD",
    ]);
    for key in keys.as_array().into_iter().flatten() {
        let grants = &key["grants"];
        let ends = if key["revoked_ms"].is_null() { &key["expires_ms"] } else { &key["revoked_ms"] };
        let mut row: Vec<String> = ["id", "name", "hint", "status"].iter().map(|field| words(&key[field])).collect();
        row.extend(["scopes", "tenant", "models"].iter().map(|field| words(&grants[field])));
        row.extend([date(&key["created_ms"]), date(ends)]);
        let usd = |field: &str| key[field].as_f64().map(|usd| format!("{usd:.2}")).unwrap_or_default();
        row.extend([usd("spent_month_usd"), usd("spent_usd")]);
        table.add_row(row);
    }
    table
}

/// Where the gateway of this configuration has its admin API.
pub(crate) fn own_url(server: &Server) -> anyhow::Result<String> {
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

impl Book {
    /// The database, if no gateway has it; else, and with a URL, the running gateway. What is not needed is not read from the
    /// file, so that variables of upstreams need not be set.
    async fn open(args: &KeysArgs) -> anyhow::Result<Self> {
        let key: Option<SecretString> = args.admin_key.clone().map(Into::into);
        if let (Some(url), true) = (&args.url, key.is_some()) {
            return Ok(Self::Running(RemoteBook::new(url, key)?));
        }
        if args.url.is_none() {
            let place = KeyPlace::load(&args.config)?;
            match slarouter_store::open(&place.url).await {
                Ok(store) => return Ok(Self::Stored(KeyBook::new(store.clone(), place.taken), store)),
                Err(StoreError::InUse(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let server = Server::load(&args.config)?;
        let url = args.url.clone().map_or_else(|| own_url(&server), Ok)?;
        let key = key.or_else(|| server.admin_keys.first().cloned());
        // While there is no key at all, what lies beside the database of this configuration.
        let key = key.or_else(|| first_secret(&KeyPlace::load(&args.config).ok()?.url));
        Ok(Self::Running(RemoteBook::new(&url, key)?))
    }

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
