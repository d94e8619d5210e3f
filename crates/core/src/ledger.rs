//! Which ratings are in force.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{DecisionId, Feedback, Rater, Rating, Receipt, Timestamp};

/// The ratings in force of every labelled decision whose feedback window is open.
///
/// Makes feedback idempotent: late, repeated, reordered, changed and withdrawn ratings leave the ledger as if only the
/// last one of each rater had ever been given. Memory: about 100 bytes per labelled decision in the window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    window_ms: u64,
    /// Windows of decisions made before this are closed for good: it never moves back, neither with the clock nor with a
    /// longer window, since what was known of those decisions is forgotten and a repeated rating would count twice.
    horizon: Timestamp,
    /// Keyed by time first, so that closed windows lie in front.
    entries: BTreeMap<(Timestamp, DecisionId), Vec<Held>>,
    /// What the policy's heads were taught of a decision, where that is not its label: the label came or changed while the
    /// model was out of the zoo, or before this policy. Last, as version 1 of the saved form ended before it.
    taught: BTreeMap<(Timestamp, DecisionId), Option<f64>>,
}

/// What a rater last said of a decision; withdrawals are kept, so that an older rating that comes in late stays out.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Held {
    rater: Rater,
    rating: Option<Rating>,
    order: u64,
}

/// How the label of one decision changed: the mean rating of its raters before and after, `None` for unlabelled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// Before.
    pub old: Option<f64>,
    /// After.
    pub new: Option<f64>,
}

impl Ledger {
    /// A ledger that takes ratings for `window_ms` after their decision.
    #[must_use]
    pub fn new(window_ms: u64) -> Self {
        Self { window_ms, horizon: Timestamp(0), entries: BTreeMap::new(), taught: BTreeMap::new() }
    }

    /// Changes the window for what comes from now on; what has closed stays closed.
    pub fn set_window(&mut self, window_ms: u64) {
        self.window_ms = window_ms;
    }

    /// Decisions with a rating, or a withdrawn one, whose window is open.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no decision in the window has ever been rated.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Enters a rating. O(log n). The change is `None` where the label of the decision stays what it was.
    pub fn apply(&mut self, feedback: &Feedback<'_>, now: Timestamp) -> (Receipt, Option<Change>) {
        self.horizon = self.horizon.max(Timestamp(now.0.saturating_sub(self.window_ms)));
        while let Some(entry) = self.entries.first_entry().filter(|entry| entry.key().0 < self.horizon) {
            let (key, _) = entry.remove_entry();
            self.taught.remove(&key);
        }
        if feedback.decided_at < self.horizon {
            return (Receipt::Expired, None);
        }
        let held = self.entries.entry((feedback.decided_at, feedback.decision)).or_default();
        let old = label(held);
        let given = Held { rater: feedback.rater, rating: feedback.rating, order: feedback.order };
        let receipt = match held.iter_mut().find(|held| held.rater == feedback.rater) {
            Some(held) if held.order >= given.order => Receipt::Duplicate,
            Some(held) => {
                let receipt = Receipt::of(held.rating, given.rating);
                *held = given;
                receipt
            }
            None => {
                held.push(given);
                Receipt::of(None, given.rating)
            }
        };
        let new = label(held);
        (receipt, (old != new).then_some(Change { old, new }))
    }

    /// What a head is to learn from a change that [`Ledger::apply`] has just entered: it starts at what the head was taught
    /// before. `None` if there is nothing to learn, as always where nothing `can_teach`.
    pub(crate) fn lesson(&mut self, feedback: &Feedback<'_>, change: Change, can_teach: bool) -> Option<Change> {
        let key = (feedback.decided_at, feedback.decision);
        let old = self.taught.remove(&key).unwrap_or(change.old);
        let taught = if can_teach { change.new } else { old };
        if taught != change.new {
            self.taught.insert(key, taught);
        }
        (taught != old).then_some(Change { old, new: taught })
    }

    /// The heads start afresh: nothing that is in force has been taught to them.
    pub(crate) fn forget_lessons(&mut self) {
        let labelled = self.entries.iter().filter(|(_, held)| label(held).is_some());
        self.taught = labelled.map(|(&key, _)| (key, None)).collect();
    }
}

fn label(held: &[Held]) -> Option<f64> {
    let (mut sum, mut raters) = (0.0, 0_u32);
    for rating in held.iter().filter_map(|held| held.rating) {
        sum += rating.get();
        raters += 1;
    }
    (raters > 0).then(|| sum / f64::from(raters))
}
