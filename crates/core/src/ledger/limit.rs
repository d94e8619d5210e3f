//! How much of one rater counts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::book::{Held, Key};
use super::share::RaterShare;
use crate::{DecisionId, Feedback, Rater, Rating, Reason, Timestamp};

const DAY_MS: u64 = 86_400_000;

/// Lets only so many words of one named rater count per day, and of these no more than a share of what is said of a model.
///
/// A rating and each change of one use up a word; a withdrawal needs none, and gives none back. A change of what counts is not
/// held against the share, as it is the same label. Days are UTC, by the time at which a rating reached the log. Memory: one
/// number per rater of the day, one entry per decision in the feedback window of which a rater's last word does not count,
/// and what [`RaterShare`] holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct RaterLimit {
    /// 0 for no limit.
    per_day: u64,
    day: u64,
    /// Words that counted on that day.
    spent: BTreeMap<Rater, u64>,
    /// What counts of a rater on a decision, where it is not the last word. `None`: never anything, as the first word came
    /// beyond the limit.
    set_aside: BTreeMap<(Timestamp, DecisionId, Rater), Option<Rating>>,
    /// Words set aside since the start.
    total: u64,
    share: RaterShare,
}

impl RaterLimit {
    pub(super) fn set(&mut self, per_day: u64, share: f64) {
        self.per_day = per_day;
        self.share.set(share);
    }

    /// Words that were set aside since the start.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Forgets decisions made before `horizon`.
    pub(super) fn close(&mut self, horizon: Timestamp) {
        while let Some(entry) = self.set_aside.first_entry().filter(|entry| entry.key().0 < horizon) {
            entry.remove();
        }
    }

    /// What counts of a rater's last word on a decision.
    pub(super) fn counts(&self, (time, id): Key, held: &Held) -> Option<Rating> {
        if self.set_aside.is_empty() {
            return held.rating;
        }
        self.set_aside.get(&(time, id, held.rater)).copied().unwrap_or(held.rating)
    }

    /// A rater's word on a decision, which was `before`, has changed; `rated` answers have ratings.
    pub(super) fn said(
        &mut self,
        (time, id): Key,
        feedback: &Feedback<'_>,
        before: Option<Rating>,
        rated: usize,
        now: Timestamp,
    ) {
        let Feedback { rater, rating: given, .. } = *feedback;
        // What is not learnt from takes no share.
        let shared = self.share.limits() && feedback.reason != Reason::Pinned;
        if rater == Rater(0) {
            if shared && before.is_none() {
                self.turn(now);
                self.share.unnamed(feedback.model);
            }
            return;
        }
        let place = (time, id, rater);
        let counting = match self.set_aside.get(&place) {
            Some(None) => {
                self.total += 1;
                return;
            }
            Some(counting) => *counting,
            None => before,
        };
        let new = shared && counting.is_none();
        if given.is_none() || self.spend(feedback, new, rated, now) {
            self.set_aside.remove(&place);
        } else {
            self.set_aside.insert(place, counting);
            self.total += 1;
        }
    }

    /// Whether the rater has a word left, which is then used up.
    fn spend(&mut self, feedback: &Feedback<'_>, new: bool, rated: usize, now: Timestamp) -> bool {
        if self.per_day == 0 && !new {
            return true;
        }
        self.turn(now);
        let Feedback { rater, model, .. } = *feedback;
        let spent = *self.spent.entry(rater).or_default();
        let left = self.per_day == 0 || spent < self.per_day;
        if !left || new && !self.share.admits(model, rater, self.spent.len(), rated) {
            return false;
        }
        self.spent.insert(rater, spent + 1);
        if new {
            self.share.enter(model, rater);
        }
        true
    }

    /// Begins another day, if it is one.
    fn turn(&mut self, now: Timestamp) {
        let today = now.0 / DAY_MS;
        // Ratings that come together may enter the log a moment out of order: midnight must not give two allowances.
        if today != self.day && today + 1 != self.day {
            if self.share.limits() {
                self.share.days_passed(today.abs_diff(self.day), self.spent.len());
            }
            self.day = today;
            self.spent.clear();
        }
    }
}
