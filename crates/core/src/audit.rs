//! Which answers a trusted auditor is to judge.

use serde::{Deserialize, Serialize};

use crate::DecisionId;
use crate::rng::{audit_rng, judge_rng, uniform};

/// Whether a decision was drawn for audit, and with which probability.
///
/// The draw depends on nothing but (seed, id): neither the prompt, nor the model, nor what users say has any part in it. That is
/// what makes audits a fair sample of all answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AuditDraw {
    /// The probability, in \[0, 1\]; 0 where there was no draw.
    pub rate: f64,
    /// Whether it was drawn.
    pub drawn: bool,
}

impl AuditDraw {
    /// Draws the decision with probability `rate`. The same arguments give the same draw on every platform.
    #[must_use]
    pub fn of(seed: u64, id: DecisionId, rate: f64) -> Self {
        Self { rate, drawn: rate > 0.0 && uniform(&mut audit_rng(seed, id)) < rate }
    }

    /// Draws the decision for a judge whose verdicts are no audits, in the same way and apart from the draw for audit. Nothing is proven
    /// by this one; it spreads what is judged.
    #[must_use]
    pub fn for_judge(seed: u64, id: DecisionId, rate: f64) -> bool {
        rate > 0.0 && uniform(&mut judge_rng(seed, id)) < rate
    }
}
