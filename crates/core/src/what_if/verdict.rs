//! What an evaluation comes to, in a word, and what would have to be known to say more.

use serde::Serialize;

use super::estimate::{Estimate, Evaluated};

/// Differences of satisfaction that are none in practice.
const POINT: f64 = 0.01;
/// Half-width of an interval of satisfaction that says too little to act on.
const WIDEST: f64 = 0.10;
/// Share of choices without any support beyond which predictions would be all that is said.
const MOST_UNSUPPORTED: f64 = 0.2;

/// Share of requests without an answer beyond which those that are left say too little of all.
const MOST_UNANSWERED: f64 = 0.01;

/// How the satisfaction of a target compares with that of what ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is higher.
    Better,
    /// It is lower.
    Worse,
    /// It is no more than a point higher or lower.
    Same,
    /// The log does not say.
    CannotTell,
}

/// Why the log says too little of a target.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "reason")]
pub enum Refusal {
    /// So large a share of its choices could not have been drawn.
    Unsupported {
        /// From 0 to 1.
        share: f64,
    },
    /// So large a share of the requests that were drawn got no answer, and counts nowhere.
    Unanswered {
        /// From 0 to 1.
        share: f64,
    },
    /// The interval of its satisfaction is this wide to each side.
    Wide {
        /// From 0 to 1.
        half_width: f64,
        /// About so many labels would do, all else being equal.
        labels: u64,
    },
}

impl Verdict {
    /// By the difference to what ran.
    #[must_use]
    pub fn of(difference: &Estimate) -> Self {
        match difference {
            Estimate { lower, upper, .. } if *lower >= -POINT && *upper <= POINT => Self::Same,
            Estimate { lower, .. } if *lower > 0.0 => Self::Better,
            Estimate { upper, .. } if *upper < 0.0 => Self::Worse,
            _ => Self::CannotTell,
        }
    }

    /// In words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::Same => "same within a point",
            Self::CannotTell => "cannot tell",
        }
    }
}

impl Evaluated {
    /// How it compares with what ran.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        Verdict::of(&self.satisfaction_difference)
    }

    /// Why its satisfaction is not known well enough to be told; none if it is.
    #[must_use]
    pub fn refusals(&self) -> Vec<Refusal> {
        let mut refusals = Vec::new();
        if self.unsupported > MOST_UNSUPPORTED {
            refusals.push(Refusal::Unsupported { share: self.unsupported });
        }
        if self.unanswered > MOST_UNANSWERED {
            refusals.push(Refusal::Unanswered { share: self.unanswered });
        }
        let half_width = self.satisfaction.half_width();
        if half_width > WIDEST {
            refusals.push(Refusal::Wide { half_width, labels: self.labels_for(half_width / WIDEST) });
        }
        refusals
    }

    /// About how many labels would tell it from what ran, at the difference that is estimated; `None` where that is told.
    #[must_use]
    pub fn labels_to_tell(&self) -> Option<u64> {
        let difference = &self.satisfaction_difference;
        let wanted = difference.estimate.abs().max(POINT);
        (self.verdict() == Verdict::CannotTell).then(|| self.labels_for(difference.half_width() / wanted))
    }

    /// A bound narrows with the root of the labels.
    fn labels_for(&self, narrower: f64) -> u64 {
        (self.labels.max(1) as f64 * (narrower * narrower).max(1.0)).round() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate(lower: f64, estimate: f64, upper: f64) -> Estimate {
        Estimate { estimate, lower, upper }
    }

    fn evaluated(satisfaction: Estimate, difference: Estimate, unsupported: f64) -> Evaluated {
        Evaluated {
            labels: 400,
            effective_labels: 100.0,
            largest_weight: 40.0,
            unsupported,
            unanswered: 0.0,
            satisfaction,
            satisfaction_difference: difference,
            cost: None,
            cost_difference: None,
            ips: None,
            snips: None,
        }
    }

    #[test]
    fn a_verdict_needs_the_whole_interval() {
        for (lower, upper, verdict) in [
            (0.001, 0.2, Verdict::Better),
            (-0.2, -0.001, Verdict::Worse),
            (-0.01, 0.01, Verdict::Same),
            (0.001, 0.009, Verdict::Same),
            (0.0, 0.2, Verdict::CannotTell),
            (-0.2, 0.01, Verdict::CannotTell),
            (-1.0, 1.0, Verdict::CannotTell),
        ] {
            assert_eq!(Verdict::of(&estimate(lower, 0.0, upper)), verdict, "{lower} to {upper}");
        }
    }

    #[test]
    fn a_refusal_says_what_would_do() {
        let told = evaluated(estimate(0.75, 0.8, 0.875), estimate(-0.02, 0.04, 0.1), 0.2);
        assert_eq!((told.verdict(), told.refusals()), (Verdict::CannotTell, vec![]));
        // From ± 0.06 to ± 0.04: 2¼ times as many.
        assert_eq!(told.labels_to_tell(), Some(900));
        let wide = evaluated(estimate(0.5, 0.8, 0.9), estimate(0.02, 0.04, 0.1), 0.25);
        let refusals = wide.refusals();
        assert_eq!(refusals[0], Refusal::Unsupported { share: 0.25 });
        let Refusal::Wide { half_width, labels } = refusals[1] else { panic!("{refusals:?}") };
        assert!((half_width - 0.2).abs() < 1e-12 && labels == 1_600, "{refusals:?}");
        assert_eq!(wide.labels_to_tell(), None);
        let failing = Evaluated { unanswered: 0.02, ..told };
        assert_eq!(failing.refusals(), [Refusal::Unanswered { share: 0.02 }]);
        assert_eq!(Evaluated { unanswered: 0.01, ..failing }.refusals(), []);
    }
}
