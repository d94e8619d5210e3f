//! What outlives a restart: since when each alert has held, and what each webhook has heard. It stands in a file beside the database and not
//! in it, as one of the alerts is that the database cannot be written.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use slarouter_core::Timestamp;

use super::payload::Notice;
use super::rules::{Condition, NAMES_OF_LABELS, RULES};

/// All that is remembered.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Memory {
    /// Since when each alert has held, by its fingerprint.
    pub(super) since: BTreeMap<String, Timestamp>,
    /// By what [`super::outbox::key`] says of a webhook.
    pub(super) heard: BTreeMap<String, Vec<Heard>>,
}

/// An alert that a webhook has heard of, or is to.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Heard {
    fingerprint: String,
    name: String,
    labels: BTreeMap<String, String>,
    summary: String,
    starts: Timestamp,
    ends: Option<Timestamp>,
    told: Timestamp,
    waiting: bool,
}

impl Heard {
    pub(super) fn of(notice: &Notice, waiting: bool) -> Self {
        let Notice { fingerprint, name, labels, summary, starts, ends, told, .. } = notice;
        Self {
            fingerprint: fingerprint.clone(),
            name: (*name).to_owned(),
            labels: labels.iter().map(|(label, value)| ((*label).to_owned(), value.clone())).collect(),
            summary: summary.clone(),
            starts: *starts,
            ends: *ends,
            told: *told,
            waiting,
        }
    }

    /// The alert, and whether the webhook has still to hear of it; `None` for one that this release does not know.
    pub(super) fn notice(self) -> Option<(Notice, bool)> {
        let rule = RULES.iter().find(|rule| rule.name == self.name)?;
        let label = |(label, value)| Some((*NAMES_OF_LABELS.iter().find(|known| **known == label)?, value));
        let labels = self.labels.into_iter().filter_map(label).collect();
        let condition = Condition { rule, labels, summary: self.summary };
        let notice = Notice::of(self.fingerprint, &condition, self.starts);
        Some((Notice { ends: self.ends, told: self.told, ..notice }, self.waiting))
    }
}

impl Memory {
    /// What an earlier process wrote. One that cannot be read is told of, and nothing is remembered.
    pub(super) fn load(path: &Path) -> Self {
        let held = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Self::default(),
            read => read.and_then(|bytes| Ok(serde_json::from_slice(&bytes)?)),
        };
        held.unwrap_or_else(|error| {
            tracing::warn!(path = %path.display(), %error, "what webhooks have heard cannot be read: they hear of it anew");
            Self::default()
        })
    }
}

/// Puts this in the place of what the file holds, whole or not at all.
pub(super) fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut beside = PathBuf::from(path);
    beside.as_mut_os_string().push(".new");
    let mut file = File::create(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, path)
}
