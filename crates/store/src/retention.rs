//! For how long a store keeps what, and what it no longer holds.

use sha2::{Digest, Sha256};
use slarouter_core::{Rater, Timestamp};

/// A decision whose request has not ended so long after its window is over never will: the process was killed, or the caller keeps it to
/// himself.
pub(crate) const LOST_MS: u64 = 86_400_000;

/// For how long each kind is kept after its decision; `None` for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// For how long decisions are rated. Nothing that learning needs goes before this is over.
    pub window_ms: u64,
    /// Features, and the figures of the candidates that were not chosen. After that a decision is one short row in the archive, with how it
    /// ended and how it was rated. Where it is `None`, `decisions_ms` counts.
    pub details_ms: Option<u64>,
    /// The decision itself, and all that is known of it.
    pub decisions_ms: Option<u64>,
    /// How its request ended.
    pub outcomes_ms: Option<u64>,
    /// What was said of it, word by word; the mean of its ratings stays with the decision.
    pub feedback_ms: Option<u64>,
    /// Its messages; with the details at the latest.
    pub prompts_ms: Option<u64>,
    /// The sums that it is in.
    pub rollups_ms: Option<u64>,
}

impl Shortened {
    /// Adds what another step has done.
    pub fn add(&mut self, other: &Self) {
        let Self { archived, decisions, outcomes, feedback, prompts, sums, raters, freed_bytes, more: _ } = other;
        self.archived += archived;
        self.decisions += decisions;
        self.outcomes += outcomes;
        self.feedback += feedback;
        self.prompts += prompts;
        self.sums += sums;
        self.raters += raters;
        self.freed_bytes += freed_bytes;
    }
}

impl Retention {
    /// Whether anything ever goes.
    #[must_use]
    pub fn is_any(&self) -> bool {
        let kinds = [self.details_ms, self.decisions_ms, self.outcomes_ms, self.feedback_ms, self.prompts_ms];
        kinds.into_iter().chain([self.rollups_ms]).any(|kept| kept.is_some())
    }

    /// Decisions made before this go to the archive; `None` if none do.
    pub(crate) fn archived_before(&self, now: Timestamp) -> Option<Timestamp> {
        let kept = [self.details_ms, self.decisions_ms].into_iter().flatten().min()?;
        Some(before(now, kept.max(self.window_ms)))
    }
}

/// The moment that lies so far before `now`.
pub(crate) fn before(now: Timestamp, kept_ms: u64) -> Timestamp {
    Timestamp(now.0.saturating_sub(kept_ms))
}

/// What one step of [`crate::Store::shorten`] has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shortened {
    /// Decisions that went to the archive.
    pub archived: u64,
    /// Decisions that are gone.
    pub decisions: u64,
    /// Decisions whose outcomes are gone.
    pub outcomes: u64,
    /// Words that are gone.
    pub feedback: u64,
    /// Prompts that are gone.
    pub prompts: u64,
    /// Rows of sums that are gone.
    pub sums: u64,
    /// Words whose rater is no longer known ([`crate::Store::forget`]).
    pub raters: u64,
    /// Bytes given back to the file system.
    pub freed_bytes: u64,
    /// There is more to do now.
    pub more: bool,
}

/// How far a pass over all kinds has come.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pass {
    /// Kinds that are through.
    pub(crate) kinds: usize,
    /// The last row of this kind that was looked at.
    pub(crate) after: i64,
}

impl Pass {
    /// Takes note of a step, with `more` if the kind may have more to do; `done` is what the call has done so far. Whether the call is over: the next
    /// goes on from here.
    pub(crate) fn stepped(&mut self, more: bool, done: &mut Shortened) -> bool {
        let changed = *done != Shortened::default();
        if !more {
            *self = Self { kinds: self.kinds + 1, after: 0 };
        }
        done.more = more || changed;
        done.more
    }
}

/// What a store still holds of its log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Events up to this one are not all as they were written; 0 while all are. A replay begins with a saved state that has seen it.
    pub shortened_to: u64,
    /// The events up to which each saved state has seen, oldest first.
    pub saved: Vec<u64>,
    /// From here on each decision is whole: with features and all candidates. Time 0 while all are, as below.
    pub whole_since: Timestamp,
    /// From here on each decision is known.
    pub decisions_since: Timestamp,
    /// From here on it is known how each decision's request ended.
    pub outcomes_since: Timestamp,
    /// From here on all words are kept.
    pub feedback_since: Timestamp,
    /// From here on prompts that were kept are there.
    pub prompts_since: Timestamp,
    /// From here on there are sums.
    pub rollups_since: Timestamp,
}

/// What [`crate::Store::forget`] finds of a person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Ratings, changes of them and withdrawals.
    pub feedback: u64,
    /// Those with words of the person's own.
    pub comments: u64,
    /// Messages of decisions that the person rated.
    pub prompts: u64,
    /// Words that carry the number of the person until the window for feedback of their decisions is over.
    pub waiting: u64,
    /// They are not deleted yet: that is for the process that holds the log, for which it is noted.
    pub is_noted: bool,
}

/// The number by which the log knows a rater of this name. From it the name cannot be read, but a known name can be found again.
#[must_use]
pub fn rater(name: &str) -> Rater {
    let digest: [u8; 32] = Sha256::digest(name.as_bytes()).into();
    let [a, b, c, d, e, f, g, h, ..] = digest;
    Rater(u64::from_le_bytes([a, b, c, d, e, f, g, h]))
}

/// A file before and after [`crate::compact`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// Its size before.
    pub before_bytes: u64,
    /// Its size after.
    pub after_bytes: u64,
}
