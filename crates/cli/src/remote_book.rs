//! The keys of a running gateway, which holds its database: through its admin API.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use slarouter_gateway::keys::NewKey;

const TIMEOUT: Duration = Duration::from_secs(30);

/// The admin API of a gateway.
pub(crate) struct RemoteBook {
    client: reqwest::Client,
    base: String,
    key: Option<SecretString>,
}

/// Why a gateway did not do it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RemoteError {
    /// It cannot be reached, or its answer cannot be read.
    #[error("the gateway at {base}: {source}")]
    Http {
        /// Where it was looked for.
        base: String,
        /// What went wrong.
        source: reqwest::Error,
    },
    /// It refused.
    #[error("the gateway refused with status {status}: {message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// Its words.
        message: String,
    },
}

impl RemoteBook {
    /// The admin API at this address, as in `http://127.0.0.1:8080`, with a key of scope `admin`.
    ///
    /// # Errors
    /// [`RemoteError::Http`] if no client can be made.
    pub(crate) fn new(base: &str, key: Option<SecretString>) -> Result<Self, RemoteError> {
        let base = base.trim_end_matches('/').to_owned();
        let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).timeout(TIMEOUT);
        let client = client.build().map_err(|source| RemoteError::Http { base: base.clone(), source })?;
        Ok(Self { client, base, key })
    }

    /// As [`slarouter_gateway::keys::KeyBook::list`].
    ///
    /// # Errors
    /// [`RemoteError`].
    pub(crate) async fn list(&self) -> Result<Vec<Value>, RemoteError> {
        let answer = self.send(self.client.get(self.url(""))).await?;
        Ok(answer["data"].as_array().cloned().unwrap_or_default())
    }

    /// As [`slarouter_gateway::keys::KeyBook::create`].
    ///
    /// # Errors
    /// [`RemoteError`].
    pub(crate) async fn create(&self, new: &NewKey) -> Result<Value, RemoteError> {
        self.send(self.client.post(self.url("")).json(new)).await
    }

    /// As [`slarouter_gateway::keys::KeyBook::rotate`].
    ///
    /// # Errors
    /// [`RemoteError`].
    pub(crate) async fn rotate(&self, id: &str, grace_hours: f64) -> Result<Value, RemoteError> {
        let body = json!({ "grace_hours": grace_hours });
        self.send(self.client.post(self.url(&format!("/{id}/rotate"))).json(&body)).await
    }

    /// As [`slarouter_gateway::keys::KeyBook::revoke`].
    ///
    /// # Errors
    /// [`RemoteError`].
    pub(crate) async fn revoke(&self, id: &str) -> Result<Value, RemoteError> {
        self.send(self.client.delete(self.url(&format!("/{id}")))).await
    }

    /// As [`slarouter_gateway::forget`].
    ///
    /// # Errors
    /// [`RemoteError`].
    pub(crate) async fn forget(&self, rater: &str, delete: bool) -> Result<Value, RemoteError> {
        let body = json!({ "rater": rater, "delete": delete });
        self.send(self.client.post(format!("{}/admin/forget", self.base)).json(&body)).await
    }

    fn url(&self, rest: &str) -> String {
        format!("{}/admin/keys{rest}", self.base)
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Value, RemoteError> {
        let request = match &self.key {
            Some(key) => request.bearer_auth(key.expose_secret()),
            None => request,
        };
        let http = |source| RemoteError::Http { base: self.base.clone(), source };
        let answer = request.send().await.map_err(http)?;
        let status = answer.status();
        let body: Value = answer.json().await.map_err(http)?;
        if status.is_success() {
            return Ok(body);
        }
        let message = body["error"]["message"].as_str().unwrap_or("no reason given").to_owned();
        Err(RemoteError::Refused { status: status.as_u16(), message })
    }
}
