//! What is wrong, and since when.

use std::collections::BTreeMap;

use serde::Serialize;
use slarouter_core::Timestamp;

use super::payload::{Notice, fingerprint};
use super::rules::Condition;

/// The conditions that hold, by fingerprint.
#[derive(Default)]
pub(super) struct Book {
    held: BTreeMap<String, (Condition, Timestamp)>,
    /// Since when each held before this process began; until the first look.
    before: BTreeMap<String, Timestamp>,
}

/// One of them, for who asks.
#[derive(Serialize)]
pub(super) struct Held {
    #[serde(flatten)]
    notice: Notice,
    /// `firing`, or `pending` while it has not held for long enough.
    state: &'static str,
}

/// An alert as people are shown it.
pub(crate) struct AlertLine {
    pub(crate) name: &'static str,
    /// The route that it is of; `None` for one of the gateway.
    pub(crate) route: Option<String>,
    pub(crate) summary: String,
    pub(crate) since: Timestamp,
    /// `critical`, `warning` or `info`.
    pub(crate) severity: &'static str,
    /// Whether it has held for long enough to be told.
    pub(crate) fires: bool,
}

impl Book {
    /// One that goes on with what held before.
    pub(super) fn after(before: BTreeMap<String, Timestamp>) -> Self {
        Self { before, ..Self::default() }
    }

    /// Since when each condition has held; before the first look, what held before this process began.
    pub(super) fn since(&self) -> BTreeMap<String, Timestamp> {
        let held = self.held.iter().map(|(fingerprint, (_, since))| (fingerprint.clone(), *since));
        self.before.clone().into_iter().chain(held).collect()
    }

    /// Takes over what holds at `now`; what does not any more is forgotten, and begins anew when it comes back.
    pub(super) fn look(&mut self, conditions: Vec<Condition>, now: Timestamp) {
        let mut before = self.since();
        (self.before, self.held) = Default::default();
        for condition in conditions {
            let fingerprint = fingerprint(condition.rule.name, &condition.labels);
            // The clock may have been put back between two processes.
            let since = before.remove(&fingerprint).map_or(now, |since| since.min(now));
            self.held.insert(fingerprint, (condition, since));
        }
    }

    /// What has held for long enough to be told.
    pub(super) fn firing(&self, now: Timestamp) -> Vec<Notice> {
        self.notices(now).filter_map(|(notice, fires)| fires.then_some(notice)).collect()
    }

    pub(super) fn held(&self, now: Timestamp) -> Vec<Held> {
        let state = |fires| if fires { "firing" } else { "pending" };
        self.notices(now).map(|(notice, fires)| Held { notice, state: state(fires) }).collect()
    }

    pub(super) fn lines(&self, now: Timestamp) -> Vec<AlertLine> {
        let line = |(notice, fires): (Notice, bool)| AlertLine {
            name: notice.name,
            route: notice.labels.get("route").cloned(),
            summary: notice.summary,
            since: notice.starts,
            severity: notice.severity,
            fires,
        };
        self.notices(now).map(line).collect()
    }

    fn notices(&self, now: Timestamp) -> impl Iterator<Item = (Notice, bool)> {
        self.held.iter().map(move |(fingerprint, (condition, since))| {
            let fires = now.0.saturating_sub(since.0) >= condition.rule.minutes * 60_000;
            (Notice::of(fingerprint.clone(), condition, *since), fires)
        })
    }
}
