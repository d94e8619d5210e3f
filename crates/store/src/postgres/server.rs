//! Which server, and how it is reached.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres::{Client, Config, Connection, NoTls, Socket};
use tokio_rustls::rustls::ClientConfig;

use super::tls::{Tls, trusting};
use crate::StoreError;
use crate::error::told;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);
/// How long bytes may wait for the server's word that it has them, before it counts as gone.
const UNHEARD: Duration = Duration::from_secs(15);
/// How long a connection is idle before it is asked whether it lives.
const IDLE: Duration = Duration::from_secs(30);

/// A database on a server.
#[derive(Clone)]
pub(crate) struct Server {
    config: Config,
    tls: Option<Arc<ClientConfig>>,
}

impl Server {
    /// By a URL: `postgres://user:password@host:port/database?sslmode=…`, as libpq has it.
    ///
    /// # Errors
    /// [`StoreError::Url`] and [`StoreError::Tls`], neither with the password.
    pub(crate) fn new(url: &str) -> Result<Self, StoreError> {
        let (url, mode, roots) = apart(url)?;
        let unknown = |_| StoreError::Url("postgres://…".to_owned());
        let mut config = Config::from_str(&url).map_err(unknown)?;
        if config.get_hosts().is_empty() || config.get_user().is_none() || config.get_dbname().is_none() {
            return Err(StoreError::Url("postgres://… without a user, a host or a database".to_owned()));
        }
        let is_near = config.get_hosts().iter().all(is_near);
        let is_plain = match mode.as_deref() {
            None => is_near,
            Some("disable") => true,
            Some("require" | "verify-ca" | "verify-full") => false,
            Some(_) => {
                return Err(StoreError::Url(
                    "postgres://… with an sslmode that is none of these: disable, verify-full".to_owned(),
                ));
            }
        };
        let tls = if is_plain { None } else { Some(trusting(roots.as_deref())?) };
        config.ssl_mode(if is_plain { SslMode::Disable } else { SslMode::Require });
        config.connect_timeout(CONNECT).tcp_user_timeout(UNHEARD).keepalives_idle(IDLE);
        // Of several hosts that which takes writes; a standby that was asked by mistake says so at once.
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        if config.get_application_name().is_none() {
            config.application_name("slarouter");
        }
        Ok(Self { config, tls })
    }

    /// The same, also where it takes no writes: a standby.
    pub(super) fn or_standby(mut self) -> Self {
        self.config.target_session_attrs(TargetSessionAttrs::Any);
        self
    }

    /// For people: who, where and which database, without the password.
    pub(crate) fn shown(&self) -> String {
        let hosts = self.config.get_hosts().iter().enumerate().map(|(place, host)| {
            let ports = self.config.get_ports();
            let port = ports.get(place).or_else(|| ports.first()).map_or(5432, |port| *port);
            match host {
                Host::Tcp(name) => format!("{name}:{port}"),
                Host::Unix(path) => format!("{}:{port}", path.display()),
            }
        });
        let hosts = hosts.collect::<Vec<_>>().join(",");
        let (user, name) = (self.config.get_user().unwrap_or_default(), self.config.get_dbname().unwrap_or_default());
        format!("postgres://{user}@{hosts}/{name}")
    }

    /// The ports that are connected to.
    pub(super) fn ports(&self) -> Vec<u16> {
        let ports = self.config.get_ports();
        if ports.is_empty() { vec![5432] } else { ports.to_vec() }
    }

    /// The name of the database.
    pub(crate) fn database(&self) -> &str {
        self.config.get_dbname().unwrap_or_default()
    }

    /// A new connection, which a task of this runtime serves until the client is dropped.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`]
    pub(super) async fn connect(&self) -> Result<Client, StoreError> {
        let connecting = async {
            match &self.tls {
                None => {
                    let (client, connection) = self.config.connect(NoTls).await?;
                    serve(connection);
                    Ok(client)
                }
                Some(tls) => {
                    let (client, connection) = self.config.connect(Tls::new(tls.clone())).await?;
                    serve(connection);
                    Ok(client)
                }
            }
        };
        // Its own limit is for the socket alone: a server may take the connection and say nothing.
        match tokio::time::timeout(CONNECT.saturating_mul(2), connecting).await {
            Ok(Ok(client)) => Ok(client),
            Ok(Err(error)) => Err(self.unreachable(&told(&error))),
            Err(_) => Err(self.unreachable("it does not answer")),
        }
    }

    fn unreachable(&self, why: &str) -> StoreError {
        StoreError::Unreachable { server: self.shown(), why: why.to_owned() }
    }
}

/// Whether nobody can listen on the way there.
fn is_near(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => name == "localhost" || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback()),
    }
}

fn serve<T>(connection: Connection<Socket, T>)
where
    T: tokio_postgres::tls::TlsStream + Unpin + Send + 'static,
{
    // An end is seen by whoever asks the next time.
    tokio::spawn(async move { drop(connection.await) });
}

/// The URL without what the client library does not know, and that: `sslmode` and `sslrootcert`.
fn apart(url: &str) -> Result<(String, Option<String>, Option<String>), StoreError> {
    let Some((place, query)) = url.split_once('?') else { return Ok((url.to_owned(), None, None)) };
    let (mut mode, mut roots, mut rest) = (None, None, Vec::new());
    for pair in query.split('&') {
        let decoded = |value: &str| {
            let value = percent_decode_str(value).decode_utf8();
            value.map(String::from).map_err(|_| StoreError::Url("postgres://… that is no UTF-8".to_owned()))
        };
        match pair.split_once('=') {
            Some(("sslmode", value)) => mode = Some(decoded(value)?),
            Some(("sslrootcert", value)) => roots = Some(decoded(value)?),
            _ => rest.push(pair),
        }
    }
    let url = if rest.is_empty() { place.to_owned() } else { format!("{place}?{}", rest.join("&")) };
    Ok((url, mode, roots))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_shown_without_the_password() {
        for (url, shown) in [
            ("postgres://me:s3cret@h/d", "postgres://me@h:5432/d"),
            ("postgresql://me:s3cret@h1:1,h2:2/d?sslmode=verify-full", "postgres://me@h1:1,h2:2/d"),
            ("postgres://me:s3cret@%2Frun%2Fpg/d?application_name=x", "postgres://me@/run/pg:5432/d"),
            ("postgres://me@localhost:6432/d?sslmode=disable", "postgres://me@localhost:6432/d"),
        ] {
            assert_eq!(Server::new(url).unwrap().shown(), shown);
        }
    }

    #[test]
    fn what_is_no_url_of_a_database_is_refused_without_a_word_of_it() {
        for url in [
            "postgres://",
            "postgres://me:s3cret@h",
            "postgres://h/d",
            "postgres://me:s3cret@h:port/d",
            "postgres://me:s3cret@h/d?sslmode=s3cret",
            "postgres://me:s3cret@h/d?s3cret=1",
            "postgres://me:s3cret@h/d?sslrootcert=/no/such/s3cret.pem&sslmode=verify-full",
        ] {
            let Err(error) = Server::new(url) else { panic!("{url} was taken") };
            let told = format!("{error} {error:?}");
            assert!(!told.contains("me:s3cret") && matches!(error, StoreError::Url(_) | StoreError::Tls(_)), "{told}");
        }
    }

    #[test]
    fn what_goes_over_a_network_is_encrypted_unless_that_is_forbidden() {
        let is_plain = |url: &str| Server::new(url).unwrap().tls.is_none();
        assert!(is_plain("postgres://me@localhost/d") && is_plain("postgres://me@[::1]/d"));
        assert!(is_plain("postgres://me@db.internal/d?sslmode=disable"));
        assert!(!is_plain("postgres://me@db.internal/d"));
        assert!(!is_plain("postgres://me@localhost,db.internal/d"));
        assert!(!is_plain("postgres://me@localhost/d?sslmode=require"));
    }
}
