//! Blocks of answers in order of time, and groups of them that are taken to have one rate of labelling.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::sums::{Sums, from_fixed};
use crate::Timestamp;

/// Fewest labels of a group. Each group costs about two more residuals' worth of width, since its rate is only known to
/// about ±5/√labels; at this size that is a tenth of the whole.
const GROUP_LABELS: i64 = 512;
/// Groups that the labels are at most divided among.
const GROUPS: i64 = 8;

/// The answers decided from `start` until the next block's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Block {
    pub(super) start: Timestamp,
    pub(super) requests: u64,
    /// Σ p̂ in fixed point.
    pub(super) predicted: i64,
    pub(super) audit_rate: Option<f64>,
    /// No decision after the latest one seen belongs to it any more.
    pub(super) sealed: bool,
    pub(super) ratings: Sums,
    pub(super) audits: Sums,
}

/// Answers with one rate of labelling.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group {
    pub(super) requests: u64,
    /// Σ p̂.
    pub(super) predicted: f64,
    pub(super) sums: Sums,
    /// The rate, where it is known.
    pub(super) rate: Option<f64>,
    /// Share of the error probability for rates that its interval may use up.
    pub(super) share: f64,
}

impl Block {
    pub(super) fn new(start: Timestamp, audit_rate: Option<f64>) -> Self {
        let (ratings, audits) = (Sums::default(), Sums::default());
        Self { start, requests: 0, predicted: 0, audit_rate, sealed: false, ratings, audits }
    }

    /// Whether `next` may be joined to this one without exceeding `size`.
    pub(super) fn joins(&self, next: &Self, size: u64) -> bool {
        self.audit_rate == next.audit_rate && self.requests < size && next.requests <= size - self.requests
    }

    pub(super) fn join(&mut self, next: &Self) {
        self.requests += next.requests;
        self.predicted += next.predicted;
        self.sealed = next.sealed;
        self.ratings.add(&next.ratings);
        self.audits.add(&next.audits);
    }

    fn sums(&self) -> &Sums {
        if self.audit_rate.is_some() { &self.audits } else { &self.ratings }
    }
}

/// Neighbouring blocks put together until each group has enough labels to know its rate by. Where to cut depends on how many
/// labels there are, never on what they say.
///
/// The interval of a rate may begin at any of `most` blocks, at any `level` of joining. The shares of all of them sum to 1; the
/// first block has half, as every account begins there.
pub(super) fn groups(blocks: &VecDeque<Block>, level: u32, most: usize) -> Vec<Group> {
    let level = f64::from(level);
    let other = 0.5 / (most as f64 * (level + 1.0) * (level + 2.0));
    let unknown = blocks.iter().filter(|block| block.audit_rate.is_none());
    let mut left: i64 = unknown.map(|block| block.ratings.labels).sum();
    let enough = GROUP_LABELS.max(left / GROUPS);
    let mut groups: Vec<Group> = Vec::with_capacity(GROUPS as usize + 2);
    for (place, block) in blocks.iter().enumerate().filter(|(_, block)| block.requests > 0) {
        let rate = block.audit_rate;
        match groups.last_mut() {
            // A last group that is too small to stand alone goes to the one before.
            Some(last) if last.rate == rate && (rate.is_some() || last.sums.labels < enough || left < enough) => {
                last.requests += block.requests;
                last.predicted += from_fixed(block.predicted);
                last.sums.add(block.sums());
            }
            _ => groups.push(Group {
                requests: block.requests,
                predicted: from_fixed(block.predicted),
                sums: *block.sums(),
                rate,
                // More blocks than `most` come from many changes of the audit rate alone; those get no interval.
                share: match place {
                    0 => 0.5,
                    place if place < most => other,
                    _ => 0.0,
                },
            }),
        }
        if rate.is_none() {
            left -= block.ratings.labels;
        }
    }
    groups
}
