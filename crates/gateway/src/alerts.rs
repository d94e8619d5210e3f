//! Alerts from the process itself: what is wrong, for how long, and who is told.
//!
//! `docs/alerts.md` is the runbook; the names and the times are those of `deploy/prometheus/slarouter.rules.yml`.

mod book;
mod memory;
mod outbox;
mod payload;
mod rules;
mod signature;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use serde::Serialize;
use slarouter_config::Webhook;
use slarouter_core::Timestamp;
use slarouter_store::StoreError;

use crate::clock::Clock;
pub(crate) use book::AlertLine;
use book::{Book, Held};
use memory::{Heard, Memory};
use outbox::{Delivery, Outbox, locked};
use payload::Notice;
pub(crate) use rules::View;

/// What its file's name ends in, after the database's.
const ENDING: &str = ".alerts";

/// What is wrong now, and the webhooks that are told. Outlives configurations, and with a file also restarts.
#[derive(Default)]
pub(crate) struct Alerts {
    book: Mutex<Book>,
    outboxes: Mutex<Vec<Outbox>>,
    /// What webhooks had heard before the start that are not told anything yet.
    heard: Mutex<BTreeMap<String, Vec<Heard>>>,
    /// Where all this is remembered, and as what.
    file: Option<(PathBuf, Mutex<String>)>,
}

/// For who asks: every alert that is pending or fires, and every webhook.
#[derive(Serialize)]
pub(crate) struct AlertsView {
    alerts: Vec<Held>,
    webhooks: Vec<Delivery>,
}

impl Alerts {
    /// Goes on with what an earlier process has left beside the database with this URL.
    ///
    /// # Errors
    /// [`StoreError::Url`]
    pub(crate) fn beside(url: &str) -> Result<Self, StoreError> {
        Ok(Self::remembering(slarouter_store::beside(url, ENDING)?))
    }

    fn remembering(path: PathBuf) -> Self {
        let memory = Memory::load(&path);
        let file = Some((path, Mutex::new(text(&memory))));
        let book = Mutex::new(Book::after(memory.since));
        Self { book, heard: Mutex::new(memory.heard), file, ..Self::default() }
    }

    /// Writes to the file what has changed since the last time. Waits for the disk.
    pub(crate) fn remember(&self) {
        let Some((path, written)) = &self.file else { return };
        // A process that ends before its first look leaves what it has found.
        let mut heard = locked(&self.heard).clone();
        heard.extend(locked(&self.outboxes).iter().map(|outbox| (outbox::key(outbox.webhook()), outbox.heard())));
        heard.retain(|_, alerts| !alerts.is_empty());
        let now = text(&Memory { since: locked(&self.book).since(), heard });
        let mut written = locked(written);
        if *written == now {
            return;
        }
        match memory::write(path, &now) {
            Ok(()) => *written = now,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "what webhooks have heard cannot be written: a restart forgets it");
            }
        }
    }

    /// Tells these webhooks from now on. Those that stay know what they have been told; a new one hears of all that fires.
    pub(crate) fn tell(&self, webhooks: &[Webhook], clock: &Arc<Clock>) {
        let mut outboxes = locked(&self.outboxes);
        let mut held = std::mem::take(&mut *outboxes);
        for webhook in webhooks {
            let place = held.iter().position(|outbox| outbox.webhook().is(webhook));
            let kept = place.map(|place| held.swap_remove(place));
            outboxes.push(kept.unwrap_or_else(|| {
                let heard = locked(&self.heard).remove(&outbox::key(webhook)).unwrap_or_default();
                Outbox::start(webhook.clone(), clock.clone(), heard)
            }));
        }
        // What is left was for webhooks that are configured no more.
        locked(&self.heard).clear();
    }

    /// Looks at how things stand, and tells what has begun, what goes on and what is over. Some hundred microseconds per route.
    pub(crate) fn look(&self, view: &View<'_>) {
        let firing = {
            let mut book = locked(&self.book);
            book.look(rules::conditions(view), view.now);
            book.firing(view.now)
        };
        for outbox in locked(&self.outboxes).iter() {
            outbox.offer(&firing, view.now);
        }
    }

    /// Every alert that is pending or fires.
    pub(crate) fn lines(&self, now: Timestamp) -> Vec<AlertLine> {
        locked(&self.book).lines(now)
    }

    pub(crate) fn view(&self, now: Timestamp) -> AlertsView {
        AlertsView {
            alerts: locked(&self.book).held(now),
            webhooks: locked(&self.outboxes).iter().map(Outbox::delivery).collect(),
        }
    }
}

fn text(memory: &Memory) -> String {
    // Names, numbers and times can always be written.
    serde_json::to_string(memory).unwrap_or_default()
}

/// Sends an alert that fires and is over to each webhook, without trying again. Returns its host, its shape and how it went.
///
/// # Errors
/// Of each webhook why it did not take them.
pub async fn test_alert(webhooks: &[Webhook]) -> Vec<(String, &'static str, Result<(), String>)> {
    let clock = Clock::default();
    let mut told = Vec::new();
    for webhook in webhooks {
        let now = clock.now();
        let firing = Notice::test(now);
        let over = Notice { ends: Some(now), ..firing.clone() };
        let sent = async {
            outbox::post(webhook, &[firing], now).await?;
            outbox::post(webhook, &[over], now).await
        };
        told.push((webhook.host(), webhook.shape.as_str(), sent.await));
    }
    told
}
