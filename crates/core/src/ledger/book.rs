//! What was last said of each decision by one kind of source.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::change::Change;
use crate::{DecisionId, Feedback, Rater, Rating, Receipt, Timestamp};

/// A decision, by time first, so that closed windows lie in front.
pub(crate) type Key = (Timestamp, DecisionId);

/// The ratings of every labelled decision whose window is open.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Book {
    entries: BTreeMap<Key, Vec<Held>>,
    /// What the policy's heads were taught of a decision, where that is not its label: the label came or changed while the
    /// model was out of the zoo, or before this policy.
    taught: BTreeMap<Key, Option<f64>>,
}

/// What a rater last said of a decision; withdrawals are kept, so that an older rating that comes in late stays out.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Held {
    pub(super) rater: Rater,
    pub(super) rating: Option<Rating>,
    order: u64,
}

impl Book {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Forgets decisions made before `horizon`.
    pub(super) fn close(&mut self, horizon: Timestamp) {
        while let Some(entry) = self.entries.first_entry().filter(|entry| entry.key().0 < horizon) {
            let (key, _) = entry.remove_entry();
            self.taught.remove(&key);
        }
    }

    /// Enters a rating. Returns what this rater had said before.
    pub(super) fn enter(&mut self, key: Key, feedback: &Feedback<'_>) -> (Receipt, Option<Rating>) {
        let held = self.entries.entry(key).or_default();
        let given = Held { rater: feedback.rater, rating: feedback.rating, order: feedback.order };
        match held.iter_mut().find(|held| held.rater == feedback.rater) {
            Some(held) if held.order >= given.order => (Receipt::Duplicate, held.rating),
            Some(held) => {
                let before = std::mem::replace(held, given).rating;
                (Receipt::of(before, given.rating), before)
            }
            None => {
                held.push(given);
                (Receipt::of(None, given.rating), None)
            }
        }
    }

    /// The mean of what counts of each rater's word; `None` if nothing does.
    pub(super) fn label(&self, key: Key, counts: impl Fn(&Held) -> Option<Rating>) -> Option<f64> {
        self.entries.get(&key).and_then(|held| mean(held.iter().filter_map(counts)))
    }

    /// See [`super::Ledger::lesson`].
    pub(super) fn lesson(&mut self, key: Key, change: Change, can_teach: bool) -> Option<Change> {
        let old = self.taught.remove(&key).unwrap_or(change.old);
        let taught = if can_teach { change.new } else { old };
        if taught != change.new {
            self.taught.insert(key, taught);
        }
        (taught != old).then_some(Change { old, new: taught })
    }

    /// Nothing that is in force has been taught.
    pub(super) fn forget_lessons(&mut self, counts: impl Fn(Key, &Held) -> Option<Rating>) {
        let labelled = self.entries.iter().filter(|(key, held)| held.iter().any(|held| counts(**key, held).is_some()));
        self.taught = labelled.map(|(&key, _)| (key, None)).collect();
    }
}

fn mean(ratings: impl Iterator<Item = Rating>) -> Option<f64> {
    let (mut sum, mut raters) = (0.0, 0_u32);
    for rating in ratings {
        sum += rating.get();
        raters += 1;
    }
    (raters > 0).then(|| sum / f64::from(raters))
}
