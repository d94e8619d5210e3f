//! Which ratings are in force.

mod book;
mod change;
mod limit;
mod share;

use serde::{Deserialize, Serialize};

use crate::{Feedback, Rater, Receipt, Source, Timestamp};
use book::Book;
pub(crate) use book::Key;
pub use change::Change;
use limit::RaterLimit;

/// The ratings in force of every labelled decision whose feedback window is open, and the audits beside them.
///
/// Makes feedback idempotent: late, repeated, reordered, changed and withdrawn ratings leave the ledger as if only the
/// last one of each rater had ever been given. Memory: about 100 bytes per labelled decision in the window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    window_ms: u64,
    /// Windows of decisions made before this are closed for good: it never moves back, neither with the clock nor with a
    /// longer window, since what was known of those decisions is forgotten and a repeated rating would count twice.
    horizon: Timestamp,
    ratings: Book,
    audits: Book,
    limit: RaterLimit,
}

impl Ledger {
    /// A ledger that takes ratings for `window_ms` after their decision, without a limit per rater.
    #[must_use]
    pub fn new(window_ms: u64) -> Self {
        let (ratings, audits) = (Book::default(), Book::default());
        Self { window_ms, horizon: Timestamp(0), ratings, audits, limit: RaterLimit::default() }
    }

    /// Changes the window for what comes from now on; what has closed stays closed.
    pub fn set_window(&mut self, window_ms: u64) {
        self.window_ms = window_ms;
    }

    /// Changes how many ratings of one named rater count per day, and which share of the ratings of a model they may be; 0 for
    /// no limit. What has been set aside stays so.
    pub fn set_rater_limit(&mut self, per_day: u64, share: f64) {
        self.limit.set(per_day, share);
    }

    /// Ratings and changes of ratings that were beyond the limit of their rater, since the start.
    #[must_use]
    pub fn set_aside(&self) -> u64 {
        self.limit.total()
    }

    /// Decisions with a rating by a user, or a withdrawn one, whose window is open.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ratings.len()
    }

    /// Whether no decision in the window has ever been rated by a user.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ratings.len() == 0
    }

    /// Enters a rating or an audit. O(log n). The change is `None` where the label of the decision, by users or by auditors as
    /// the feedback says, stays what it was.
    pub fn apply(&mut self, feedback: &Feedback<'_>, now: Timestamp) -> (Receipt, Option<Change>) {
        if feedback.decided_at < self.close(now) {
            return (Receipt::Expired, None);
        }
        let old = self.label(feedback);
        let key = (feedback.decided_at, feedback.decision);
        let receipt = match feedback.source {
            Source::Judge => return (Receipt::Recorded, None),
            Source::Audit => self.audits.enter(key, feedback).0,
            Source::User => {
                let (receipt, before) = self.ratings.enter(key, feedback);
                if receipt != Receipt::Duplicate {
                    self.limit.said(key, feedback, before, self.ratings.len(), now);
                }
                receipt
            }
        };
        let new = self.label(feedback);
        (receipt, (old != new).then_some(Change { old, new }))
    }

    /// Forgets decisions whose window has closed at `now`. Decisions before the time that it returns are closed.
    pub(crate) fn close(&mut self, now: Timestamp) -> Timestamp {
        self.horizon = self.horizon.max(Timestamp(now.0.saturating_sub(self.window_ms)));
        self.ratings.close(self.horizon);
        self.audits.close(self.horizon);
        self.limit.close(self.horizon);
        self.horizon
    }

    /// The labels of a decision: by users, and by auditors.
    pub(crate) fn labels(&self, key: Key) -> [Option<f64>; 2] {
        [self.ratings.label(key, |held| self.limit.counts(key, held)), self.audits.label(key, |held| held.rating)]
    }

    /// What people say of a decision: its auditors, but for a judge, or else its users.
    pub(crate) fn people(&self, key: Key) -> Option<f64> {
        let audits = self.audits.label(key, |held| held.rating.filter(|_| held.rater != Rater::JUDGE));
        audits.or_else(|| self.labels(key)[0])
    }

    /// What a head is to learn from a change that [`Ledger::apply`] has just entered: it starts at what the head was taught
    /// before. `None` if there is nothing to learn, as always where nothing `can_teach`.
    pub(crate) fn lesson(&mut self, feedback: &Feedback<'_>, change: Change, can_teach: bool) -> Option<Change> {
        let book = match feedback.source {
            Source::User => &mut self.ratings,
            Source::Audit => &mut self.audits,
            Source::Judge => return None,
        };
        book.lesson((feedback.decided_at, feedback.decision), change, can_teach)
    }

    /// The heads start afresh: nothing that is in force has been taught to them.
    pub(crate) fn forget_lessons(&mut self) {
        self.ratings.forget_lessons(|key, held| self.limit.counts(key, held));
        self.audits.forget_lessons(|_, held| held.rating);
    }

    /// The label of a decision, by users or by auditors.
    fn label(&self, feedback: &Feedback<'_>) -> Option<f64> {
        let [rating, audit] = self.labels((feedback.decided_at, feedback.decision));
        match feedback.source {
            Source::User => rating,
            Source::Audit => audit,
            Source::Judge => None,
        }
    }
}
