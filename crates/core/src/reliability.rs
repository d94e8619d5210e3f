//! What a judge's verdicts are worth as predictions.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::{Timestamp, sigmoid};

/// Answers with a label that are looked back on: a judge or its rubric may change.
const MEMORY: f64 = 500.0;
/// Answers' worth of belief that verdicts say nothing, for the satisfying answers and for the others.
const DISBELIEF: f64 = 4.0;
/// What was learnt is used once there is so much more of it: so many answers, and this share of those looked back on.
const STEP: f64 = 4.0;
const STEP_SHARE: f64 = 0.125;
/// Changes of what is used that are looked back on. A verdict on an answer from before them comes too late.
const KEPT: usize = 64;
/// Predictions are taken to be no surer than this: by certainty, no verdict could move them.
const SUREST: f64 = 0.99;

/// How far verdicts and labels go together, and what a verdict makes of a prediction.
///
/// Of answers that satisfy, the judge approves the share t, and of the others the share f. Both are learnt from answers with a verdict
/// and a label. By Bayes' rule
///
/// ```text
/// logit p̂ = logit ŝ + ln(t/f)             for an answer that it approves
/// logit p̂ = logit ŝ + ln((1 − t)/(1 − f))  for another
/// ```
///
/// so verdicts of a judge that guesses move nothing, and those of one that says the opposite are turned round. At first t = f.
///
/// The certificate stands on this: what either verdict would make of the prediction is settled **when the decision is made**, from what
/// was known then. So it does not matter whether the verdict comes before the answer's label or after it. Memory: some kB.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reliability {
    satisfying: Hits,
    others: Hits,
    /// Labels that came since what is used was settled.
    fresh: f64,
    /// The latest decision seen.
    latest: Timestamp,
    /// In order of time.
    settled: VecDeque<Settled>,
}

/// Verdicts on answers of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Hits {
    answers: f64,
    approved: f64,
}

/// What verdicts on answers decided from `since` on are worth, in log-odds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Settled {
    since: Timestamp,
    approved: f64,
    disapproved: f64,
}

impl Reliability {
    /// Takes note of a decision made at `at`: what verdicts on it are worth is settled from here on. O(1).
    pub fn decided(&mut self, at: Timestamp) {
        let known = self.satisfying.answers + self.others.answers;
        // A decision finds again by its time alone what was settled, so that may only change where time has moved on.
        if at > self.latest && self.fresh >= STEP.max(STEP_SHARE * known) {
            self.fresh = 0.0;
            if self.settled.len() == KEPT {
                self.settled.pop_front();
            }
            let settled = self.settle(at);
            self.settled.push_back(settled);
        }
        self.latest = self.latest.max(at);
    }

    /// What `verdict`, in \[0, 1\] and 1 for approval, makes of the satisfaction that was `predicted` of an answer decided at `at`. O(log).
    #[must_use]
    pub fn revised(&self, at: Timestamp, predicted: f64, verdict: f64) -> f64 {
        let place = self.settled.partition_point(|settled| settled.since <= at);
        let Some(settled) = place.checked_sub(1).and_then(|place| self.settled.get(place)) else { return predicted };
        let sure = predicted.clamp(1.0 - SUREST, SUREST);
        let odds = libm::log(sure / (1.0 - sure));
        let verdict = verdict.clamp(0.0, 1.0);
        verdict * sigmoid(odds + settled.approved) + (1.0 - verdict) * sigmoid(odds + settled.disapproved)
    }

    /// The label of an answer with this verdict came (`old` is `None`), changed, or was withdrawn (`new` is `None`); or the verdict came
    /// after the label. O(1).
    pub fn compared(&mut self, verdict: f64, old: Option<f64>, new: Option<f64>) {
        if old.is_none() && new.is_some() {
            self.satisfying.fade();
            self.others.fade();
            self.fresh += 1.0;
        }
        for (label, sign) in [(old, -1.0), (new, 1.0)] {
            if let Some(label) = label {
                self.satisfying.add(sign * label, verdict);
                self.others.add(sign * (1.0 - label), verdict);
            }
        }
    }

    fn settle(&self, since: Timestamp) -> Settled {
        let (answers, approved) =
            (self.satisfying.answers + self.others.answers, self.satisfying.approved + self.others.approved);
        let usual = (approved + 1.0) / (answers + 2.0);
        let (t, f) = (self.satisfying.share(usual), self.others.share(usual));
        Settled { since, approved: libm::log(t / f), disapproved: libm::log((1.0 - t) / (1.0 - f)) }
    }
}

impl Hits {
    fn fade(&mut self) {
        let keep = 1.0 - 1.0 / MEMORY;
        self.answers *= keep;
        self.approved *= keep;
    }

    fn add(&mut self, weight: f64, verdict: f64) {
        self.answers = (self.answers + weight).max(0.0);
        self.approved = (self.approved + weight * verdict).clamp(0.0, self.answers);
    }

    /// The share that is approved, where `usual` is that of all answers.
    fn share(self, usual: f64) -> f64 {
        (self.approved + DISBELIEF * usual) / (self.answers + DISBELIEF)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After `labels` labels, of which three quarters satisfy, by a judge that says this of the label at place n.
    fn after(labels: u64, verdict: impl Fn(u64, f64) -> f64) -> Reliability {
        let mut reliability = Reliability::default();
        for n in 0..labels {
            reliability.decided(Timestamp(n));
            let label = if n % 4 == 0 { 0.0 } else { 1.0 };
            reliability.compared(verdict(n, label), None, Some(label));
        }
        reliability.decided(Timestamp(labels));
        reliability
    }

    #[test]
    fn a_verdict_moves_a_prediction_by_what_it_has_been_worth() {
        let now = Timestamp(400);
        let right = after(400, |_, label| label);
        assert!(right.revised(now, 0.75, 1.0) > 0.98 && right.revised(now, 0.75, 0.0) < 0.05, "{right:?}");
        let lying = after(400, |_, label| 1.0 - label);
        assert!(lying.revised(now, 0.75, 1.0) < 0.05 && lying.revised(now, 0.75, 0.0) > 0.98, "{lying:?}");
        let pleased = after(400, |_, _| 1.0);
        assert!((pleased.revised(now, 0.75, 1.0) - 0.75).abs() < 1e-3, "it says the same of all: {pleased:?}");
        // It says no to every fifth, whatever the label.
        let guessing = after(400, |n, _| if n % 5 == 0 { 0.0 } else { 1.0 });
        assert!((guessing.revised(now, 0.75, 1.0) - 0.75).abs() < 0.02, "{guessing:?}");
        assert!((guessing.revised(now, 0.75, 0.0) - 0.75).abs() < 0.05, "{guessing:?}");
        // By hand: t = 14/15 and f = 1/5 turn odds of 3 into 3 · 14/3 and 3 / 12.
        let fair = after(40_000, |n, label| f64::from(u8::from(if label > 0.5 { n % 10 > 0 } else { n % 20 == 0 })));
        assert!((fair.revised(Timestamp(40_000), 0.75, 1.0) - 14.0 / 15.0).abs() < 0.02, "{fair:?}");
        assert!((fair.revised(Timestamp(40_000), 0.75, 0.0) - 0.2).abs() < 0.05, "{fair:?}");
        let half = fair.revised(Timestamp(40_000), 0.75, 0.5);
        let both = fair.revised(Timestamp(40_000), 0.75, 1.0) + fair.revised(Timestamp(40_000), 0.75, 0.0);
        assert!((half - both / 2.0).abs() < 1e-12);
    }

    /// The label of an answer, known before its verdict or after, moves nothing that the verdict on it is turned into.
    #[test]
    fn what_a_verdict_will_be_worth_is_settled_with_the_decision() {
        let mut reliability = after(400, |_, label| label);
        let then = (reliability.revised(Timestamp(400), 0.6, 1.0), reliability.revised(Timestamp(400), 0.6, 0.0));
        for n in 401..600 {
            reliability.compared(0.0, None, Some(1.0));
            reliability.decided(Timestamp(n));
        }
        assert_eq!(then.0, reliability.revised(Timestamp(400), 0.6, 1.0));
        assert_eq!(then.1, reliability.revised(Timestamp(400), 0.6, 0.0));
        assert!(reliability.revised(Timestamp(600), 0.6, 0.0) > then.1 + 0.2, "later ones are worth something else");
        assert_eq!(Reliability::default().revised(Timestamp(9), 0.6, 1.0), 0.6, "nothing is known");
    }

    #[test]
    fn memory_is_bounded_and_answers_from_before_it_keep_their_prediction() {
        let reliability = after(100_000, |_, label| label);
        assert_eq!(reliability.settled.len(), KEPT);
        assert!(reliability.satisfying.answers + reliability.others.answers <= MEMORY + 1e-6);
        assert_eq!(reliability.revised(Timestamp(5), 0.6, 0.0), 0.6);
    }

    #[test]
    fn a_withdrawn_label_leaves_nothing_and_a_changed_one_changes_sides() {
        let mut reliability = Reliability::default();
        reliability.compared(1.0, None, Some(1.0));
        reliability.compared(1.0, Some(1.0), Some(0.0));
        assert_eq!((reliability.satisfying, reliability.others.answers), (Hits::default(), 1.0));
        reliability.compared(1.0, Some(0.0), None);
        assert_eq!((reliability.satisfying, reliability.others), (Hits::default(), Hits::default()));
    }
}
