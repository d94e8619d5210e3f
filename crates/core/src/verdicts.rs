//! A judge's verdicts, beside what people say of the same answers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::assurance::rate_interval;
use crate::ledger::Key;

/// The verdicts on answers whose feedback window is open. Memory: some 80 bytes each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Verdicts {
    entries: BTreeMap<Key, Verdict>,
    /// Decisions before this were made by another policy, and the account does not know of them. `None` until the policy that has taken its
    /// place has decided something.
    since: Option<Timestamp>,
    agreement: Agreement,
}

/// One verdict.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Verdict {
    /// In \[0, 1\]; 1 if the answer satisfies.
    pub(crate) verdict: f64,
    /// What it made of the answer's prediction; `None` where it is no more than an audit.
    pub(crate) standing: Option<f64>,
    /// Whether people say the same; `None` if they say nothing, or are of two minds.
    agrees: Option<bool>,
}

/// How often a judge and people say the same of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreement {
    /// Answers that both have judged.
    pub compared: u64,
    /// Those of which both say that they satisfy, or both that they do not.
    pub agreed: u64,
}

// === impl Agreement ===

impl Agreement {
    /// The share that agrees; `None` without any to compare.
    #[must_use]
    pub fn share(&self) -> Option<f64> {
        (self.compared > 0).then(|| self.agreed as f64 / self.compared as f64)
    }

    /// Where the judge's usual share lies: an interval that holds at every time at once with probability `assurance`, if that share is
    /// the same all the time.
    #[must_use]
    pub fn interval(&self, assurance: f64) -> (f64, f64) {
        rate_interval(self.agreed, self.compared, (1.0 - assurance).clamp(1e-9, 1.0))
    }

    fn count(&mut self, before: Option<bool>, now: Option<bool>) {
        for (agrees, count) in [(before, u64::wrapping_sub as fn(u64, u64) -> u64), (now, u64::wrapping_add)] {
            if let Some(agrees) = agrees {
                self.compared = count(self.compared, 1);
                self.agreed = count(self.agreed, u64::from(agrees));
            }
        }
    }
}

// === impl Verdicts ===

impl Default for Verdicts {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), since: Some(Timestamp(0)), agreement: Agreement::default() }
    }
}

impl Verdicts {
    pub(crate) fn agreement(&self) -> Agreement {
        self.agreement
    }

    pub(crate) fn decided(&mut self, at: Timestamp) {
        // Others may have been decided in the same millisecond.
        self.since.get_or_insert(Timestamp(at.0.saturating_add(1)));
    }

    /// Another policy decides from now on: of the answers so far, no verdict is of use as a prediction.
    pub(crate) fn begin(&mut self) {
        self.since = None;
        self.entries.values_mut().for_each(|entry| entry.standing = None);
    }

    /// Whether a verdict may stand as the prediction of an answer decided at `at`.
    pub(crate) fn speak_of(&self, at: Timestamp) -> bool {
        self.since.is_some_and(|since| at >= since)
    }

    pub(crate) fn of(&self, key: Key) -> Option<&Verdict> {
        self.entries.get(&key)
    }

    /// Enters the first verdict on a decision.
    pub(crate) fn enter(&mut self, key: Key, verdict: f64, standing: Option<f64>) {
        self.entries.insert(key, Verdict { verdict, standing, agrees: None });
    }

    /// What people say of a decision came, changed or went.
    pub(crate) fn compare(&mut self, key: Key, people: Option<f64>) {
        if let Some(entry) = self.entries.get_mut(&key) {
            let side = |value: f64| if value == 0.5 { None } else { Some(value > 0.5) };
            let agrees = side(entry.verdict).zip(people.and_then(side)).map(|(judge, people)| judge == people);
            self.agreement.count(std::mem::replace(&mut entry.agrees, agrees), agrees);
        }
    }

    /// Forgets decisions made before `horizon`.
    pub(crate) fn close(&mut self, horizon: Timestamp) {
        while let Some(entry) = self.entries.first_entry().filter(|entry| entry.key().0 < horizon) {
            entry.remove();
        }
    }
}
