//! Where alerts go: `[[alerts]]`.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

/// `[[alerts]]`: who is told of alerts.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// URL that takes `POST`. Secret, as who knows the URL of a chat can write to it.
    pub url: SecretString,
    /// What is sent.
    pub shape: WebhookShape,
    /// What messages are signed with: `whsec_` and base64, as Standard Webhooks has it.
    pub secret: Option<SecretString>,
    /// After which an alert that goes on is told again.
    pub repeat: Duration,
}

/// The form of what a webhook gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookShape {
    /// As Alertmanager's webhooks, version 4.
    Alertmanager,
    /// A message to a Slack channel, or to what takes the same.
    Slack,
    /// A list of alerts, of our own form.
    Json,
}

impl Webhook {
    /// The host of the URL, which may be shown.
    #[must_use]
    pub fn host(&self) -> String {
        let url = Url::parse(self.url.expose_secret()).ok();
        url.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
    }

    /// Whether the other one is told the same at the same place.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        let Self { url, shape, secret, repeat } = self;
        let exposed = |secret: &Option<SecretString>| secret.as_ref().map(|secret| secret.expose_secret().to_owned());
        url.expose_secret() == other.url.expose_secret()
            && exposed(secret) == exposed(&other.secret)
            && (shape, repeat) == (&other.shape, &other.repeat)
    }
}

impl WebhookShape {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Alertmanager, Self::Slack, Self::Json];

    /// As a configuration spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Alertmanager => "alertmanager",
            Self::Slack => "slack",
            Self::Json => "json",
        }
    }
}
