//! Asking for reloads of the configuration; `serve/reload.rs` makes them.

use serde::Serialize;
use slarouter_config::ConfigErrors;
use slarouter_store::StoreError;
use tokio::sync::{mpsc, oneshot};
use utoipa::ToSchema;

use crate::tls::TlsError;
use crate::upstream::UpstreamError;

/// Reloads that may wait for the one under way.
const QUEUE: usize = 16;

/// Asks for reloads.
#[derive(Clone)]
pub struct Reloads(mpsc::Sender<oneshot::Sender<ReloadResult>>);

/// What is in force now, or why the old configuration still is.
pub(crate) type ReloadResult = Result<Reloaded, ReloadError>;

/// What is in force after a reload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Reloaded {
    /// How many models there are.
    pub models: usize,
    /// How many routes there are, tenants' included.
    pub routes: usize,
    /// What the new configuration says otherwise, a phrase each.
    pub changed: Vec<String>,
}

/// Why the old configuration is still in force.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// There is nothing to read again.
    #[error("the gateway's configuration is from no file: restart it with another one")]
    NoFile,
    /// The file is wrong, or cannot be read.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// Keys have changed that are read at the start only.
    #[error("{} changed, which needs a restart: put the old value back, or restart the gateway", .0.join(", "))]
    Restart(Vec<&'static str>),
    /// Anybody could spend the operator's money.
    #[error(
        "without keys anybody who reaches the gateway could spend your money: keep a key, or set server.allow_unauthenticated = true"
    )]
    Open,
    /// The certificates cannot be used.
    #[error("server.tls: {0}")]
    Tls(#[from] TlsError),
    /// The HTTP client cannot be made; likely the system's TLS roots.
    #[error("the HTTP client: {0}")]
    Client(#[from] UpstreamError),
    /// A route cannot be begun with; likely its warm start.
    #[error("{0}")]
    Route(String),
    /// The learner or the log is in trouble, which has to be over first.
    #[error("the {0} is in trouble, as the log says: mend that first, then reload again")]
    Trouble(&'static str),
    /// The database cannot be read or written.
    #[error("the store: {0}")]
    Store(#[from] StoreError),
    /// The gateway shuts down.
    #[error("the gateway is shutting down")]
    Stopping,
}

impl Reloads {
    pub(crate) fn channel() -> (Self, Orders) {
        let (orders, waiting) = mpsc::channel(QUEUE);
        (Self(orders), Orders(waiting))
    }

    /// Reads the configuration file again and puts it in force, or says why not. The result is also in the log and the metrics.
    /// What has begun goes on when this future is dropped.
    ///
    /// # Errors
    /// [`ReloadError`]; then everything is as it was.
    pub async fn reload(&self) -> ReloadResult {
        let (reply, answer) = oneshot::channel();
        self.0.send(reply).await.map_err(|_| ReloadError::Stopping)?;
        answer.await.map_err(|_| ReloadError::Stopping)?
    }
}

/// Reloads that were asked for.
pub(crate) struct Orders(pub(crate) mpsc::Receiver<oneshot::Sender<ReloadResult>>);
