//! How the promise of a route stands, in one word.

use crate::policy::Believed;
use crate::{Certificate, Policy, Router};

/// Labels, each of an answer of its own, below which nothing is called unreachable or broken, and nothing unproven.
const FEWEST: u64 = 50;
/// Half the width of a certificate that is too wide to tell anything by.
const WIDE: f64 = 0.10;
/// How far the evidence must have gone back before a word is taken back, as a share of what it is measured by.
const HYSTERESIS: f64 = 0.1;

/// How an SLA stands: of these words, in this order, the first that fits.
///
/// | status | certificate |
/// | --- | --- |
/// | `unreachable` | says nothing: no mix of models is known that reaches α, and no model plausibly does |
/// | `broken` | lies below α |
/// | `holds` | lies above α: a proof, at any number of labels |
/// | `insufficient` | rests on too few labels, or is too wide |
/// | `at_risk` | holds α, and the estimate is below it |
/// | `unproven` | holds α, and the estimate is not below it |
///
/// They are ordered from bad to good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// By what is known the models cannot reach α.
    Unreachable,
    /// Satisfaction is below α, with the assurance.
    Broken,
    /// Satisfaction is estimated to be below α, which is not proven.
    AtRisk,
    /// There is not enough evidence to say anything.
    Insufficient,
    /// Satisfaction is estimated to be at least α, which is not proven.
    Unproven,
    /// Satisfaction is at least α, with the assurance.
    Holds,
}

/// What a [`Status`] is judged by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evidence {
    /// The target.
    pub alpha: f64,
    /// The certificate of the window.
    pub certificate: Certificate,
    /// Labels that are known, those before the window included.
    pub labels: u64,
    /// A mix of the models is known that reaches α.
    pub planned: bool,
    /// The highest mean satisfaction that is plausible of any one model.
    pub best: f64,
}

impl Status {
    /// All of them, from bad to good.
    pub const ALL: [Self; 6] =
        [Self::Unreachable, Self::Broken, Self::AtRisk, Self::Insufficient, Self::Unproven, Self::Holds];

    /// Its name in metrics and answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Broken => "broken",
            Self::Holds => "holds",
            Self::Insufficient => "insufficient",
            Self::AtRisk => "at_risk",
            Self::Unproven => "unproven",
        }
    }

    /// The first that fits `evidence`. `before` is what it was when last looked at: except for a proof, a word once said is taken
    /// back only when the evidence has gone back by a tenth of the error budget 1 − α, or of the greatest width.
    #[must_use]
    pub fn of(evidence: &Evidence, before: Option<Self>) -> Self {
        let Evidence { alpha, certificate, labels, .. } = *evidence;
        let held = |status: Self| if before == Some(status) { HYSTERESIS } else { 0.0 };
        let raised = |status: Self| alpha + held(status) * (1.0 - alpha);
        let half_width = (certificate.upper - certificate.lower) / 2.0;
        let widest = WIDE * (1.0 + held(Self::AtRisk) + held(Self::Unproven));
        if labels >= FEWEST && evidence.is_unreachable(raised(Self::Unreachable), before == Some(Self::Unreachable)) {
            Self::Unreachable
        } else if certificate.labels >= FEWEST && certificate.upper < raised(Self::Broken) {
            Self::Broken
        } else if certificate.requests > 0 && certificate.lower >= alpha {
            Self::Holds
        } else if certificate.labels < FEWEST || half_width > widest {
            Self::Insufficient
        } else if certificate.estimate < raised(Self::AtRisk) {
            Self::AtRisk
        } else {
            Self::Unproven
        }
    }
}

impl Evidence {
    /// Once it is said, the plan alone does not take it back: the answers have to satisfy as well.
    fn is_unreachable(&self, level: f64, before: bool) -> bool {
        let planned = self.planned && (!before || self.certificate.estimate >= self.alpha);
        self.best < level && !planned
    }
}

impl<P: Policy> Router<P> {
    /// What is believed of the fallback, by policies that have one and say how sure they are.
    #[must_use]
    pub fn fallback_believed(&self) -> Option<Believed> {
        self.policy.believed()?.get(self.policy.fallback()?).copied()
    }

    /// Whether the fallback is believed to miss α, if it was `before` when last looked at: it is not plausible that it reaches it, by
    /// labels that there are enough of. What is promised rests on a fallback that keeps α.
    #[must_use]
    pub fn fallback_misses(&self, before: bool) -> bool {
        let level = self.alpha() + if before { HYSTERESIS * (1.0 - self.alpha()) } else { 0.0 };
        let labels = self.account.labels.max(self.certificate().map_or(0, |held| held.labels));
        labels >= FEWEST && self.fallback_believed().is_some_and(|believed| believed.upper() < level)
    }

    /// How the SLA stands, where it was `before` when last looked at; `None` for a policy that gives no certificate. Tens of
    /// microseconds.
    #[must_use]
    pub fn status(&self, before: Option<Status>) -> Option<Status> {
        let certificate = self.certificate()?;
        let best = self.policy.believed().map(|models| models.into_iter().map(Believed::upper).fold(0.0, f64::max));
        let evidence = Evidence {
            alpha: self.alpha(),
            certificate,
            labels: self.account.labels.max(certificate.labels),
            planned: self.policy.is_feasible() != Some(false),
            best: best.unwrap_or(1.0),
        };
        Some(Status::of(&evidence, before))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALPHA: f64 = 0.9;

    fn evidence(lower: f64, estimate: f64, upper: f64) -> Evidence {
        let certificate = Certificate { requests: 1_000, labels: FEWEST, estimate, lower, upper };
        Evidence { alpha: ALPHA, certificate, labels: FEWEST, planned: true, best: 0.95 }
    }

    fn with_labels(labels: u64, evidence: Evidence) -> Evidence {
        Evidence { labels, certificate: Certificate { labels, ..evidence.certificate }, ..evidence }
    }

    #[test]
    fn the_first_word_that_fits_is_said() {
        let of = |lower, estimate, upper| Status::of(&evidence(lower, estimate, upper), None);
        assert_eq!(of(0.80, 0.85, 0.899), Status::Broken);
        assert_eq!(of(0.90, 0.93, 0.95), Status::Holds);
        assert_eq!(of(0.75, 0.93, 0.96), Status::Insufficient, "a half-width of 0.105");
        assert_eq!(of(0.80, 0.89, 0.95), Status::AtRisk);
        assert_eq!(of(0.80, 0.91, 0.95), Status::Unproven);
        let beyond = Evidence { planned: false, best: 0.89, ..evidence(0.90, 0.93, 0.95) };
        assert_eq!(Status::of(&beyond, None), Status::Unreachable, "before all others");
    }

    #[test]
    fn nothing_bad_is_said_of_a_few_labels_and_a_proof_needs_no_number_of_them() {
        for labels in [0, 1, FEWEST - 1] {
            let broken = with_labels(labels, evidence(0.0, 0.1, 0.2));
            assert_eq!(Status::of(&broken, None), Status::Insufficient);
            let beyond = Evidence { planned: false, best: 0.1, ..with_labels(labels, evidence(0.85, 0.93, 0.95)) };
            assert_eq!(Status::of(&beyond, None), Status::Insufficient);
        }
        assert_eq!(Status::of(&with_labels(1, evidence(0.95, 1.0, 1.0)), None), Status::Holds);
        let nothing = Certificate { requests: 0, labels: 0, estimate: 0.5, lower: 0.0, upper: 1.0 };
        let nothing = Evidence { alpha: 0.0, certificate: nothing, labels: 0, planned: true, best: 1.0 };
        assert_eq!(Status::of(&nothing, None), Status::Insufficient, "no answer is no proof");
    }

    #[test]
    fn out_of_reach_needs_both_a_plan_that_fails_and_models_that_are_known_not_to_do() {
        let noisy = Evidence { planned: false, ..evidence(0.8, 0.91, 0.95) };
        assert_eq!(Status::of(&noisy, None), Status::Unproven, "a model may still be good enough");
        let mixed = Evidence { best: 0.5, ..evidence(0.8, 0.91, 0.95) };
        assert_eq!(Status::of(&mixed, None), Status::Unproven, "prompt by prompt they are good enough");
        let beyond = Evidence { planned: false, best: 0.85, ..evidence(0.8, 0.87, 0.95) };
        assert_eq!(Status::of(&beyond, None), Status::Unreachable);
        let said = Some(Status::Unreachable);
        assert_eq!(
            Status::of(&Evidence { planned: true, ..beyond }, said),
            Status::Unreachable,
            "answers do not satisfy"
        );
        assert_eq!(
            Status::of(&Evidence { best: 0.905, ..beyond }, said),
            Status::Unreachable,
            "within a tenth of the budget"
        );
        assert_eq!(Status::of(&Evidence { best: 0.911, ..beyond }, said), Status::AtRisk);
        let mended = Evidence { planned: true, best: 0.85, ..evidence(0.8, 0.91, 0.95) };
        assert_eq!(Status::of(&mended, said), Status::Unproven);
    }

    #[test]
    fn a_word_is_taken_back_only_by_a_tenth_of_the_error_budget() {
        let of = |lower, estimate, upper, before| Status::of(&evidence(lower, estimate, upper), Some(before));
        assert_eq!(of(0.80, 0.85, 0.905, Status::Broken), Status::Broken);
        assert_eq!(of(0.80, 0.85, 0.911, Status::Broken), Status::AtRisk);
        assert_eq!(of(0.80, 0.85, 0.905, Status::Unproven), Status::AtRisk);
        assert_eq!(of(0.85, 0.905, 0.95, Status::AtRisk), Status::AtRisk);
        assert_eq!(of(0.85, 0.911, 0.95, Status::AtRisk), Status::Unproven);
        assert_eq!(of(0.75, 0.92, 0.96, Status::Unproven), Status::Unproven, "a half-width of 0.105");
        assert_eq!(of(0.74, 0.92, 0.97, Status::Unproven), Status::Insufficient);
        assert_eq!(of(0.899, 0.92, 0.95, Status::Holds), Status::Unproven, "what is not proven is not said");
    }

    #[test]
    fn every_status_has_its_place_in_the_order_and_a_name_of_its_own() {
        assert!(Status::ALL.is_sorted_by(|one, next| one < next && one.as_str() != next.as_str()));
    }
}
