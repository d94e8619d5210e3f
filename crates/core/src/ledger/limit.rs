//! How much of one rater counts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::book::{Held, Key};
use crate::{DecisionId, Rater, Rating, Timestamp};

const DAY_MS: u64 = 86_400_000;

/// Lets only so many words of one named rater count per day.
///
/// A rating and each change of one use up a word; a withdrawal needs none, and gives none back. Days are UTC, by the time at
/// which a rating reached the log. Memory: one number per rater of the day, and one entry per decision in the feedback window
/// of which a rater's last word does not count.
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
}

impl RaterLimit {
    pub(super) fn set(&mut self, per_day: u64) {
        self.per_day = per_day;
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

    /// A rater's word on a decision has changed from `before` to `given`.
    pub(super) fn said(
        &mut self,
        (time, id): Key,
        rater: Rater,
        before: Option<Rating>,
        given: Option<Rating>,
        now: Timestamp,
    ) {
        if rater == Rater(0) {
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
        if given.is_none() || self.spend(rater, now) {
            self.set_aside.remove(&place);
        } else {
            self.set_aside.insert(place, counting);
            self.total += 1;
        }
    }

    /// Whether the rater has a word left on this day, which it then uses up.
    fn spend(&mut self, rater: Rater, now: Timestamp) -> bool {
        if self.per_day == 0 {
            return true;
        }
        let today = now.0 / DAY_MS;
        // Ratings that come together may enter the log a moment out of order: midnight must not give two allowances.
        if today != self.day && today + 1 != self.day {
            self.day = today;
            self.spent.clear();
        }
        let spent = self.spent.entry(rater).or_default();
        let left = *spent < self.per_day;
        *spent += u64::from(left);
        left
    }
}
