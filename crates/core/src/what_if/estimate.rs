//! What an evaluation says.

use serde::Serialize;

/// A number with its interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// Doubly robust.
    pub estimate: f64,
    /// The truth is at least this.
    pub lower: f64,
    /// The truth is at most this.
    pub upper: f64,
}

/// What the log says of one target. Means per request.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluated {
    /// Labels that it rests on.
    pub labels: u64,
    /// As many labels of equal weight would be worth as much: (Σ w)²/Σ w².
    pub effective_labels: f64,
    /// The largest weight π/p of a label.
    pub largest_weight: f64,
    /// Share of its choices that could not have been drawn: of them nothing is known but predictions.
    pub unsupported: f64,
    /// Share of the requests that were drawn and count nowhere, as they got no answer: where one model fails more than another, those that
    /// are left are no sample of all.
    pub unanswered: f64,
    /// Mean satisfaction.
    pub satisfaction: Estimate,
    /// That less the mean satisfaction of what ran.
    pub satisfaction_difference: Estimate,
    /// USD; `None` where no cost is known.
    pub cost: Option<Estimate>,
    /// USD less those of what ran.
    pub cost_difference: Option<Estimate>,
    /// Mean satisfaction by inverse propensities alone; `None` without a label.
    pub ips: Option<f64>,
    /// The same, divided by the sum of the weights.
    pub snips: Option<f64>,
}

impl Estimate {
    /// No estimate lies outside of what is known.
    pub(super) fn within(estimate: f64, lower: f64, upper: f64) -> Self {
        let upper = upper.max(lower);
        Self { estimate: estimate.clamp(lower, upper), lower, upper }
    }

    fn between(&self, other: &Self, share: f64) -> Self {
        let mix = |a: f64, b: f64| a + share * (b - a);
        Self {
            estimate: mix(self.estimate, other.estimate),
            lower: mix(self.lower, other.lower),
            upper: mix(self.upper, other.upper),
        }
    }

    /// Half the width of the interval.
    #[must_use]
    pub fn half_width(&self) -> f64 {
        0.5 * (self.upper - self.lower)
    }
}

impl Evaluated {
    /// What a target comes to that draws the other one with probability `share` and this one else: its intervals hold wherever both of theirs
    /// do. The labels are those of the one that has fewer.
    #[must_use]
    pub fn between(&self, other: &Self, share: f64) -> Self {
        let costs = |a: Option<Estimate>, b: Option<Estimate>| Some(a?.between(&b?, share));
        Self {
            labels: self.labels.min(other.labels),
            effective_labels: self.effective_labels.min(other.effective_labels),
            largest_weight: self.largest_weight.max(other.largest_weight),
            unsupported: (1.0 - share) * self.unsupported + share * other.unsupported,
            unanswered: self.unanswered,
            satisfaction: self.satisfaction.between(&other.satisfaction, share),
            satisfaction_difference: self.satisfaction_difference.between(&other.satisfaction_difference, share),
            cost: costs(self.cost, other.cost),
            cost_difference: costs(self.cost_difference, other.cost_difference),
            ips: None,
            snips: None,
        }
    }
}
