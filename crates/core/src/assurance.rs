//! How satisfied the users are, and what can be promised of it, from few labels.

mod block;
mod bound;
mod rate;
mod sums;

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::{Certificate, Timestamp};
use block::{Block, Group};
pub(crate) use bound::{root as mixture_root, weight as mixture_weight};
pub(crate) use rate::interval as rate_interval;
use sums::{Sums, to_fixed};

/// Most blocks that an account without end holds; at this number neighbours are joined in pairs.
const BLOCKS: usize = 32;
/// Blocks that a rolling window is made of.
const ROLLING_BLOCKS: usize = 16;
/// Blocks that a window of time may reach into: one of them in part.
const LASTING_BLOCKS: usize = ROLLING_BLOCKS + 1;
/// Requests in the first blocks of an account without end.
const FIRST_BLOCK: u64 = 64;

/// What stretch of time an account speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Span {
    /// Everything since the start, or since the last [`SatisfactionAccount::restart`]: a whole run, or a calendar window.
    Open,
    /// The last requests, at most so many. They go in blocks of a sixteenth, so that at times no more than 15/16 are covered.
    Rolling(u64),
    /// The requests of the last so many milliseconds, in blocks of a sixteenth of that time: up to a sixteenth more is covered.
    Lasting(u64),
}

/// A doubly robust account of satisfaction with a certificate that holds at every time at once.
///
/// Every answer counts with its predicted satisfaction p̂, corrected by the residuals y = s − p̂ of those answers that
/// were labelled. The predictions may be as wrong as they like: that costs width, never validity. They must have been fixed
/// before the answer was labelled. Statistics are sums of integers, hence labels may come, change and go in any order and leave
/// no trace but the last.
///
/// The stretch is cut into blocks by the time of decision, and a label is entered in the block of its answer. The rate of
/// labelling is estimated from the blocks, apart for early and late ones where there are enough labels.
///
/// Theorem, assumptions and proof are in `docs/guarantees.md`. Events are O(1); memory is at most 32 blocks of 200 bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SatisfactionAccount {
    assurance: f64,
    span: Span,
    /// Probability with which an answer now gets audited; `None` where ratings are all there is.
    audit_rate: Option<f64>,
    /// Decisions before this are not spoken of.
    since: Timestamp,
    /// The latest decision seen.
    latest: Timestamp,
    /// How often blocks have been joined.
    level: u32,
    /// In order of time; never empty.
    blocks: VecDeque<Block>,
}

/// Where the account stands; plain estimates, without a promise.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// Answers in the account.
    pub requests: u64,
    /// Labels (audits where there is an audit rate, else ratings) in force.
    pub labels: u64,
    /// Mean prediction over all answers; 0 if there are none.
    pub predicted: f64,
    /// Mean residual s − p̂ over the labels; 0 if there are none.
    pub residual: f64,
    /// Mean squared residual over the labels; 1, the largest there can be, if there are none.
    pub squared_residual: f64,
    /// Share of the answers that is labelled.
    pub label_rate: f64,
    /// Doubly robust estimate of the mean satisfaction, in \[0, 1\].
    pub estimate: f64,
    /// Standard error of `estimate`; for steering, too small to promise anything by.
    pub standard_error: f64,
}

impl SatisfactionAccount {
    /// An empty account. `assurance` is the probability with which the certificate holds; what is not in \[0, 1) is taken
    /// for the nearest value that is.
    #[must_use]
    pub fn new(assurance: f64, span: Span) -> Self {
        let assurance = if assurance.is_finite() { assurance.clamp(0.0, 1.0 - 1e-9) } else { 1.0 - 1e-9 };
        Self {
            assurance,
            span,
            audit_rate: None,
            since: Timestamp(0),
            latest: Timestamp(0),
            level: 0,
            blocks: VecDeque::from([Block::new(Timestamp(0), None)]),
        }
    }

    /// The probability with which the certificate holds.
    #[must_use]
    pub fn assurance(&self) -> f64 {
        self.assurance
    }

    /// The probability with which an answer now gets audited; `None` where the certificate rests on ratings.
    #[must_use]
    pub fn audit_rate(&self) -> Option<f64> {
        self.audit_rate
    }

    /// Sets the probability with which each answer from now on is audited, independently of everything else; certificates
    /// of the answers from now on rest on audits alone. `None` goes back to ratings; so does a value outside (0, 1\].
    /// Takes force with the next decision whose time is later than all before. Memory grows by a block with each change.
    pub fn set_audit_rate(&mut self, rate: Option<f64>) {
        let rate = rate.filter(|rate| *rate > 0.0 && *rate <= 1.0);
        if self.audit_rate != rate {
            self.audit_rate = rate;
            self.seal();
        }
    }

    /// An empty account of another promise: what was decided up to now, and labels of it, do not count.
    #[must_use]
    pub fn renewed(&self, assurance: f64, span: Span) -> Self {
        let mut renewed = Self::new(assurance, span);
        renewed.set_audit_rate(self.audit_rate);
        if self.blocks.iter().any(|block| block.requests > 0) || self.latest > Timestamp(0) {
            renewed.restart(Timestamp(self.latest.0.saturating_add(1)));
        }
        renewed
    }

    /// Whether answers decided at `at` count.
    pub(crate) fn speaks_of(&self, at: Timestamp) -> bool {
        at >= self.since
    }

    /// Forgets everything; decisions before `at` no longer count, nor do their labels. What does not count already never will. For
    /// calendar windows.
    pub fn restart(&mut self, at: Timestamp) {
        let at = at.max(self.since);
        self.since = at;
        self.latest = self.latest.max(at);
        self.level = 0;
        self.blocks.clear();
        self.blocks.push_back(Block::new(at, self.audit_rate));
    }

    /// Enters an answer: decided at `at`, with predicted satisfaction `predicted` in \[0, 1\] of the model that serves it.
    /// O(1), and O(blocks) once per block.
    pub fn answered(&mut self, at: Timestamp, predicted: f64) {
        // A decision's block is found again by its time alone, so a block may only begin where time has moved on.
        if at > self.latest && self.blocks.back().is_some_and(|last| last.sealed || self.is_full(last, at)) {
            self.open(at);
        }
        self.latest = self.latest.max(at);
        if let Some(block) = self.block(at) {
            block.requests += 1;
            block.predicted += to_fixed(predicted);
        }
    }

    /// Another model served the answer after all: its prediction takes the place of the old one. Only before its first label. O(1).
    pub fn rerouted(&mut self, at: Timestamp, old: f64, new: f64) {
        if let Some(block) = self.block(at) {
            block.predicted += to_fixed(new) - to_fixed(old);
        }
    }

    /// There was no answer after all: the decision no longer counts. Only before its first label, and none may follow. O(1).
    pub fn failed(&mut self, at: Timestamp, predicted: f64) {
        if let Some(block) = self.block(at)
            && block.requests > 0
        {
            block.requests -= 1;
            block.predicted -= to_fixed(predicted);
        }
    }

    /// A user's label of the answer decided at `at` came (`old` is `None`), changed, or was withdrawn (`new` is `None`).
    /// `predicted` is what [`SatisfactionAccount::answered`] was told. O(1).
    pub fn labelled(&mut self, at: Timestamp, predicted: f64, old: Option<f64>, new: Option<f64>) {
        if let Some(block) = self.block(at) {
            block.ratings.change(predicted, old, new);
        }
    }

    /// The same for the label by a trusted auditor of an answer that was drawn for audit.
    pub fn audited(&mut self, at: Timestamp, predicted: f64, old: Option<f64>, new: Option<f64>) {
        if let Some(block) = self.block(at) {
            block.audits.change(predicted, old, new);
        }
    }

    /// A judge's verdict on the answer decided at `at` makes `new` of its prediction, which was `old`; `rating` and `audit` are its labels,
    /// if it has them already. What `new` is must not depend on whether there are any, nor on what they say. O(1).
    pub fn judged(&mut self, at: Timestamp, old: f64, new: f64, rating: Option<f64>, audit: Option<f64>) {
        if let Some(block) = self.block(at) {
            block.predicted += to_fixed(new) - to_fixed(old);
            for (sums, label) in [(&mut block.ratings, rating), (&mut block.audits, audit)] {
                sums.change(old, label, None);
                sums.change(new, None, label);
            }
        }
    }

    /// The account as it stands at `now`, which for a window of time may be without what it was told last. O(blocks).
    #[must_use]
    pub fn as_of(&self, now: Timestamp) -> Self {
        let mut account = self.clone();
        if let Span::Lasting(window) = self.span {
            let begin = Timestamp(now.0.saturating_sub(window));
            if self.latest < begin { account.restart(begin) } else { account.expire(begin) }
        }
        account
    }

    /// Since when there are answers in it, to within a block.
    #[must_use]
    pub fn start(&self) -> Timestamp {
        self.blocks.front().map_or(self.since, |first| first.start)
    }

    /// What can be promised of the satisfaction in the span. Tens of microseconds.
    ///
    /// With probability `assurance` the true mean satisfaction lies between `lower` and `upper` at every time at once, and may
    /// hence be looked at, and acted on, at any time. Of rolling windows and restarts this is said of each by itself.
    #[must_use]
    pub fn certificate(&self) -> Certificate {
        let groups = self.groups();
        let standing = Standing::of(&groups);
        let bounds = bound::bounds(&groups, 1.0 - self.assurance);
        Certificate {
            requests: standing.requests,
            labels: standing.labels,
            estimate: standing.estimate.clamp(bounds.lower, bounds.upper),
            lower: bounds.lower,
            upper: bounds.upper,
        }
    }

    /// Estimates for the controller. Well under a microsecond.
    #[must_use]
    pub fn standing(&self) -> Standing {
        Standing::of(&self.groups())
    }

    /// Estimate of Σ (s − α): by how many satisfied answers the span is ahead of its target.
    #[must_use]
    pub fn surplus(&self, alpha: f64) -> f64 {
        let standing = self.standing();
        standing.requests as f64 * (standing.estimate - alpha)
    }

    fn groups(&self) -> Vec<Group> {
        let most = match self.span {
            Span::Open => BLOCKS,
            Span::Rolling(_) => ROLLING_BLOCKS,
            Span::Lasting(_) => LASTING_BLOCKS,
        };
        block::groups(&self.blocks, self.level, most)
    }

    /// Whether an answer at `at` begins a block of its own after `last`.
    fn is_full(&self, last: &Block, at: Timestamp) -> bool {
        let share = |window: u64| (window / ROLLING_BLOCKS as u64).max(1);
        match self.span {
            Span::Open => last.requests >= FIRST_BLOCK << self.level.min(48),
            Span::Rolling(window) => last.requests >= share(window),
            Span::Lasting(window) => at.0.saturating_sub(last.start.0) >= share(window),
        }
    }

    /// Drops the blocks that lie before `begin`; the last one stays.
    fn expire(&mut self, begin: Timestamp) {
        while self.blocks.get(1).is_some_and(|next| next.start <= begin || self.latest < begin) {
            self.blocks.pop_front();
        }
        self.since = self.since.max(self.start());
    }

    /// Has the next decision begin a block of its own.
    fn seal(&mut self) {
        if let Some(last) = self.blocks.back_mut() {
            if last.requests == 0 {
                last.audit_rate = self.audit_rate;
            } else {
                last.sealed = true;
            }
        }
    }

    fn open(&mut self, at: Timestamp) {
        self.blocks.push_back(Block::new(at, self.audit_rate));
        match self.span {
            Span::Rolling(_) => {
                while self.blocks.len() > ROLLING_BLOCKS {
                    self.blocks.pop_front();
                    self.since = self.blocks.front().map_or(self.since, |first| first.start);
                }
            }
            Span::Open if self.blocks.len() > BLOCKS => {
                self.level += 1;
                let mut joined: VecDeque<Block> = VecDeque::with_capacity(BLOCKS);
                for block in self.blocks.drain(..) {
                    match joined.back_mut() {
                        Some(last) if last.joins(&block, FIRST_BLOCK << self.level.min(48)) => last.join(&block),
                        _ => joined.push_back(block),
                    }
                }
                self.blocks = joined;
            }
            Span::Open => {}
            Span::Lasting(window) => self.expire(Timestamp(at.0.saturating_sub(window))),
        }
    }

    /// The block of decisions made at `at`, unless those are no longer spoken of.
    fn block(&mut self, at: Timestamp) -> Option<&mut Block> {
        if !self.speaks_of(at) {
            return None;
        }
        let place = match self.blocks.back() {
            Some(last) if last.start <= at => self.blocks.len(),
            _ => self.blocks.partition_point(|block| block.start <= at),
        };
        self.blocks.get_mut(place.saturating_sub(1))
    }
}

impl Standing {
    fn of(groups: &[Group]) -> Self {
        let mut all = Sums::default();
        let (mut requests, mut predicted, mut correction, mut variance) = (0.0, 0.0, 0.0, 0.0);
        for group in groups {
            requests += group.requests as f64;
            predicted += group.predicted;
            let (labels, total) = (group.sums.labels as f64, group.requests as f64);
            if labels > 0.0 {
                let mean = group.sums.residual() / labels;
                correction += total * mean;
                // One label says nothing of its own spread: the prior label of residual ±1/2 keeps it from claiming none.
                let spread =
                    (group.sums.squared_residual() + 0.25) / (labels + 1.0) - mean * mean * labels / (labels + 1.0);
                variance += total * total / labels * spread.max(0.0) * (1.0 - labels / total).max(0.0);
            } else {
                variance += total * total * 0.25;
            }
            all.add(&group.sums);
        }
        let labels = all.labels as f64;
        let per = |sum: f64, count: f64, none: f64| if count > 0.0 { sum / count } else { none };
        Self {
            requests: requests as u64,
            labels: all.labels.max(0) as u64,
            predicted: per(predicted, requests, 0.0),
            residual: per(all.residual(), labels, 0.0),
            squared_residual: per(all.squared_residual(), labels, 1.0),
            label_rate: per(labels, requests, 0.0),
            estimate: per(predicted + correction, requests, 0.5).clamp(0.0, 1.0),
            standard_error: per(libm::sqrt(variance), requests, 0.5),
        }
    }
}
