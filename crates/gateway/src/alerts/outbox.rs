//! What one webhook has still to be told, and the task that tells it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use data_encoding::HEXLOWER;
use http::header;
use secrecy::ExposeSecret;
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};
use slarouter_config::{Webhook, utc};
use slarouter_core::Timestamp;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::memory::Heard;
use super::payload::{Notice, body};
use super::signature::signature;
use crate::clock::Clock;
use crate::upstream::{causes, client};

/// For the connection, and for all of one message.
const CONNECT: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(15);
/// Pause after the first message that was not taken; it doubles with each in a row.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// The alerts of one webhook. There is one entry for each alert, so a webhook that is down for long hears only of what is so when it is
/// back.
pub(super) struct Outbox {
    webhook: Webhook,
    told: Arc<Told>,
    task: JoinHandle<()>,
}

/// What the task shares with who looks.
struct Told {
    alerts: Mutex<BTreeMap<String, Entry>>,
    wake: Notify,
    last: Mutex<Last>,
}

/// One alert.
struct Entry {
    notice: Notice,
    waiting: bool,
}

/// How the last messages went.
#[derive(Clone, Default, Serialize)]
struct Last {
    /// When one was taken.
    #[serde(serialize_with = "moment")]
    sent_at: Option<Timestamp>,
    /// Why the last one was not.
    error: Option<String>,
}

/// A webhook, for who asks.
#[derive(Serialize)]
pub(super) struct Delivery {
    host: String,
    shape: &'static str,
    /// Alerts that it has still to be told of.
    waiting: usize,
    #[serde(flatten)]
    last: Last,
}

/// What a webhook is known by across restarts, without its address, which is a secret.
pub(super) fn key(webhook: &Webhook) -> String {
    let hash = Sha256::new().chain_update(webhook.shape.as_str()).chain_update(webhook.url.expose_secret());
    HEXLOWER.encode(&hash.finalize()[..16])
}

impl Outbox {
    /// Begins to tell a webhook that has heard of these.
    pub(super) fn start(webhook: Webhook, clock: Arc<Clock>, heard: Vec<Heard>) -> Self {
        let entry = |(notice, waiting): (Notice, bool)| (notice.fingerprint.clone(), Entry { notice, waiting });
        let alerts = Mutex::new(heard.into_iter().filter_map(Heard::notice).map(entry).collect());
        let told = Arc::new(Told { alerts, wake: Notify::new(), last: Mutex::default() });
        let task = tokio::spawn(told.clone().run(webhook.clone(), clock));
        Self { webhook, told, task }
    }

    pub(super) fn webhook(&self) -> &Webhook {
        &self.webhook
    }

    /// What it has heard of and is to hear of, to be remembered.
    pub(super) fn heard(&self) -> Vec<Heard> {
        locked(&self.told.alerts).values().map(|entry| Heard::of(&entry.notice, entry.waiting)).collect()
    }

    /// Takes over all that fires at `now`: what is new, what has gone on for long enough to be told again, and, of what it has heard of,
    /// what is over.
    pub(super) fn offer(&self, firing: &[Notice], now: Timestamp) {
        let repeat = self.webhook.repeat.as_millis() as u64;
        let mut alerts = locked(&self.told.alerts);
        for notice in firing {
            let again = alerts.get(&notice.fingerprint).is_none_or(|entry| {
                entry.notice.ends.is_some() || (!entry.waiting && now.0.saturating_sub(entry.notice.told.0) >= repeat)
            });
            if again {
                let notice = Notice { told: now, ..notice.clone() };
                alerts.insert(notice.fingerprint.clone(), Entry { notice, waiting: true });
            }
        }
        let fires = |entry: &Entry| firing.iter().any(|notice| notice.fingerprint == entry.notice.fingerprint);
        for entry in alerts.values_mut().filter(|entry| entry.notice.ends.is_none() && !fires(entry)) {
            (entry.notice.ends, entry.notice.told, entry.waiting) = (Some(now), now, true);
        }
        if alerts.values().any(|entry| entry.waiting) {
            self.told.wake.notify_one();
        }
    }

    pub(super) fn delivery(&self) -> Delivery {
        Delivery {
            host: self.webhook.host(),
            shape: self.webhook.shape.as_str(),
            waiting: self.told.waiting().len(),
            last: locked(&self.told.last).clone(),
        }
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Told {
    async fn run(self: Arc<Self>, webhook: Webhook, clock: Arc<Clock>) {
        let mut pause = FIRST_PAUSE;
        loop {
            let waiting = self.waiting();
            if waiting.is_empty() {
                self.wake.notified().await;
                continue;
            }
            let sent = post(&webhook, &waiting, clock.now()).await;
            let taken = sent.is_ok();
            self.note(&webhook, sent, clock.now());
            if taken {
                self.remove(&waiting);
                pause = FIRST_PAUSE;
            } else {
                sleep(pause).await;
                pause = (2 * pause).min(LONGEST_PAUSE);
            }
        }
    }

    fn waiting(&self) -> Vec<Notice> {
        locked(&self.alerts).values().filter(|entry| entry.waiting).map(|entry| entry.notice.clone()).collect()
    }

    /// These were taken; what has changed meanwhile still waits.
    fn remove(&self, sent: &[Notice]) {
        let mut alerts = locked(&self.alerts);
        for notice in sent {
            let Some(entry) = alerts.get_mut(&notice.fingerprint).filter(|entry| entry.notice == *notice) else {
                continue;
            };
            entry.waiting = false;
            if notice.ends.is_some() {
                alerts.remove(&notice.fingerprint);
            }
        }
    }

    fn note(&self, webhook: &Webhook, sent: Result<(), String>, now: Timestamp) {
        let mut last = locked(&self.last);
        let host = webhook.host();
        match &sent {
            Ok(()) if last.error.is_some() => tracing::info!(host, "the webhook takes alerts again"),
            Err(error) if last.error.is_none() => {
                tracing::warn!(host, error, "the webhook does not take alerts: they wait")
            }
            _ => {}
        }
        if sent.is_ok() {
            last.sent_at = Some(now);
        }
        last.error = sent.err();
    }
}

/// Sends one message of these alerts, of which there is at least one, once.
///
/// # Errors
/// Why it was not taken.
pub(super) async fn post(webhook: &Webhook, notices: &[Notice], now: Timestamp) -> Result<(), String> {
    let body = body(webhook.shape, notices).to_string();
    let client = client(CONNECT).timeout(TIMEOUT).build().map_err(|error| causes(&error))?;
    let (id, seconds) = (message_id(notices), now.0 / 1_000);
    let mut request = client
        .post(webhook.url.expose_secret())
        .header(header::CONTENT_TYPE, "application/json")
        .header("webhook-id", &id)
        .header("webhook-timestamp", seconds);
    if let Some(signature) = webhook.secret.as_ref().and_then(|key| signature(key, &id, seconds, body.as_bytes())) {
        request = request.header("webhook-signature", signature);
    }
    let answer = request.body(body).send().await.map_err(|error| causes(&error))?;
    let status = answer.status();
    if status.is_success() { Ok(()) } else { Err(format!("it answered {status}")) }
}

/// The same for each try to send the same, so that who got it already can tell; another one when it is told again.
fn message_id(notices: &[Notice]) -> String {
    let mut hash = Sha256::new();
    for Notice { fingerprint, told, ends, .. } in notices {
        hash.update(format!("{fingerprint} {} {} ", told.0, ends.is_some()));
    }
    format!("msg_{}", HEXLOWER.encode(&hash.finalize()[..16]))
}

/// A lock whose holder cannot leave anything half done.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn moment<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    at.map(utc).serialize(serializer)
}
