//! What a route has done so far.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ledger::Change;
use crate::{Decision, Outcome, Reason};

/// Totals of one route since its first request; pinned requests are not in it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// Decisions made.
    pub requests: u64,
    /// Decisions whose model was drawn to learn from.
    pub explored: u64,
    /// Calls that have ended.
    pub finished: u64,
    /// Decisions with at least one rating in force.
    pub labels: u64,
    /// Sum of the ratings in force, one per labelled decision (the mean of its raters).
    pub satisfied: f64,
    /// USD charged.
    pub cost: f64,
    /// USD that the most expensive candidate of every request was predicted to cost: what always choosing it would come to.
    pub most_expensive_cost: f64,
    /// The same per model that answered; `requests` counts decisions for it.
    pub models: BTreeMap<Arc<str>, ModelAccount>,
}

/// Totals of one model in one route.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelAccount {
    /// Decisions that chose it.
    pub requests: u64,
    /// Labelled answers it gave.
    pub labels: u64,
    /// Sum of the ratings in force.
    pub satisfied: f64,
    /// USD charged by it.
    pub cost: f64,
}

impl Account {
    /// Mean rating in force; `None` before the first label. An estimate from those who rated, not a guarantee.
    #[must_use]
    pub fn satisfaction(&self) -> Option<f64> {
        (self.labels > 0).then(|| self.satisfied / self.labels as f64)
    }

    pub(crate) fn decided(&mut self, decision: &Decision) {
        self.requests += 1;
        self.explored += u64::from(decision.reason == Reason::Explore);
        self.most_expensive_cost += decision.most_expensive_cost().unwrap_or_default();
        self.model(&decision.choice().model).requests += 1;
    }

    pub(crate) fn finished(&mut self, outcome: &Outcome<'_>) {
        self.finished += 1;
        self.cost += outcome.cost;
        self.model(outcome.model).cost += outcome.cost;
    }

    pub(crate) fn labelled(&mut self, model: &str, change: Change) {
        let labels = i64::from(change.new.is_some()) - i64::from(change.old.is_some());
        let satisfied = change.new.unwrap_or(0.0) - change.old.unwrap_or(0.0);
        self.labels = self.labels.saturating_add_signed(labels);
        self.satisfied += satisfied;
        let entry = self.model(model);
        entry.labels = entry.labels.saturating_add_signed(labels);
        entry.satisfied += satisfied;
    }

    fn model(&mut self, name: &str) -> &mut ModelAccount {
        self.models.entry(name.into()).or_default()
    }
}
