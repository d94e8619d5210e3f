//! A stream of answers, some of them labelled, whose true satisfaction is known.

use rand_core::Rng;
use slarouter_core::{
    Certificate, DecisionId, Reliability, SatisfactionAccount, Span, Timestamp, decision_rng, uniform,
};

/// What the predictions know.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Outlook {
    /// The probability of satisfaction before any drift.
    Calibrated,
    /// That plus the mean residual of recent labels, as a policy corrects its predictions.
    Recalibrated,
    Constant(f64),
    /// High where satisfaction is unlikely.
    Reversed,
}

/// When labels come, in requests.
#[derive(Clone, Copy)]
pub(crate) enum Delay {
    None,
    /// Between 0 and so many.
    Uniform(u64),
    /// All at once, every so many.
    Bursts(u64),
}

/// What a judge says of an answer that satisfies, or does not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Judge {
    /// The truth, with this probability.
    Right(f64),
    /// The truth until half of the run is over, and the opposite from then on.
    Turncoat,
}

/// When a verdict takes the place of a prediction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Rule {
    /// Whenever it comes, as it was settled with the decision.
    Settled,
    /// Only if the label is not there yet; what is **not** done.
    BeforeTheLabel,
}

/// One answer of a run with a judge.
#[derive(Clone, Copy)]
struct Answer {
    predicted: f64,
    /// What stands in the account.
    standing: f64,
    label: Option<f64>,
    verdict: Option<f64>,
}

#[derive(Clone, Copy)]
pub(crate) struct Stream<'a> {
    pub(crate) requests: u64,
    /// φ by the share of the run that is over.
    pub(crate) rate: &'a dyn Fn(f64) -> f64,
    pub(crate) outlook: Outlook,
    /// By how much the probability of satisfaction changes over the run.
    pub(crate) drift: f64,
    pub(crate) delay: Delay,
    /// How many times as often the dissatisfied rate.
    pub(crate) unhappy: f64,
    pub(crate) audits: Option<f64>,
    /// The better of two models serves when the certificate is low.
    pub(crate) chase: bool,
    pub(crate) span: Span,
    pub(crate) only_at_end: bool,
    /// Reads this share of the answers. A verdict comes up to 20 requests after its answer.
    pub(crate) judge: Option<(Judge, f64)>,
    pub(crate) rule: Rule,
}

impl Default for Stream<'_> {
    fn default() -> Self {
        Self {
            requests: 2_000,
            rate: &|_| 0.2,
            outlook: Outlook::Calibrated,
            drift: 0.0,
            delay: Delay::None,
            unhappy: 1.0,
            audits: None,
            chase: false,
            span: Span::Open,
            only_at_end: false,
            judge: None,
            rule: Rule::Settled,
        }
    }
}

pub(crate) struct Run {
    /// Whether the truth ever lay outside.
    pub(crate) missed: bool,
    pub(crate) last: Certificate,
    /// Of the residuals of all answers.
    pub(crate) deviation: f64,
}

impl Stream<'_> {
    pub(crate) fn run(&self, seed: u64) -> Run {
        let mut rng = decision_rng(seed, DecisionId(0));
        let mut draw = || uniform(&mut rng as &mut dyn Rng);
        let mut account = SatisfactionAccount::new(0.95, self.span);
        account.set_audit_rate(self.audits);
        // A generator of its own: streams without a judge are what they were.
        let mut judging = decision_rng(seed, DecisionId(1));
        let mut reliability = Reliability::default();
        let (mut answers, mut verdicts): (Vec<Answer>, Vec<(u64, u64, f64)>) = (Vec::new(), Vec::new());
        let mut pending: Vec<(u64, u64, f64, f64)> = Vec::new();
        let mut truth: Vec<f64> = Vec::new();
        let mut bias = 0.0;
        let (mut missed, mut squares, mut next, mut lead) = (false, 0.0, 0, 0.0);
        for t in 0..self.requests {
            let x = t as f64 / self.requests as f64;
            let ease = draw();
            let better = self.chase && lead < 0.02;
            let before = 0.55 + 0.4 * ease + if self.chase && !better { -0.25 } else { 0.0 };
            let chance = (before + self.drift * x).clamp(0.0, 1.0);
            let predicted = match self.outlook {
                Outlook::Calibrated => before,
                Outlook::Recalibrated => (before + bias).clamp(0.0, 1.0),
                Outlook::Constant(value) => value,
                Outlook::Reversed => 1.0 - before,
            };
            let satisfied = f64::from(u8::from(draw() < chance));
            reliability.decided(Timestamp(t));
            account.answered(Timestamp(t), predicted);
            answers.push(Answer { predicted, standing: predicted, label: None, verdict: None });
            truth.push(satisfied);
            if let Some((judge, share)) = self.judge {
                let mut draw = || uniform(&mut judging as &mut dyn Rng);
                let truthful = match judge {
                    Judge::Right(probability) => draw() < probability,
                    Judge::Turncoat => x < 0.5,
                };
                let verdict = if truthful { satisfied } else { 1.0 - satisfied };
                if draw() < share {
                    verdicts.push((t + (draw() * 20.0) as u64, t, verdict));
                }
            }
            squares += (satisfied - predicted) * (satisfied - predicted);
            let rate = (self.rate)(x) * if satisfied == 0.0 { self.unhappy } else { 1.0 };
            if draw() < rate {
                let at = match self.delay {
                    Delay::None => t,
                    Delay::Uniform(most) => t + (draw() * most as f64) as u64,
                    Delay::Bursts(every) => (t / every + 1) * every,
                };
                pending.push((at, t, predicted, satisfied));
            }
            if self.audits.is_some_and(|rate| draw() < rate) {
                account.audited(Timestamp(t), predicted, None, Some(satisfied));
            }
            verdicts.retain(|&(at, decided, verdict)| {
                let answer = &mut answers[decided as usize];
                if at <= t && (self.rule == Rule::Settled || answer.label.is_none()) {
                    answer.standing = reliability.revised(Timestamp(decided), answer.predicted, verdict);
                    answer.verdict = Some(verdict);
                    account.judged(Timestamp(decided), answer.predicted, answer.standing, answer.label, None);
                    reliability.compared(verdict, None, answer.label);
                }
                at > t
            });
            pending.retain(|&(at, decided, predicted, satisfied)| {
                if at <= t {
                    let answer = &mut answers[decided as usize];
                    answer.label = Some(satisfied);
                    account.labelled(Timestamp(decided), answer.standing, None, Some(satisfied));
                    if let Some(verdict) = answer.verdict {
                        reliability.compared(verdict, None, Some(satisfied));
                    }
                    bias += 0.02 * (satisfied - predicted);
                }
                at > t
            });
            if t + 1 == self.requests || (!self.only_at_end && (t < 100 || t >= next)) {
                next = t + t / 50;
                let seen = account.certificate();
                let spoken = &truth[truth.len() - seen.requests as usize..];
                let mean = spoken.iter().sum::<f64>() / spoken.len() as f64;
                missed |= mean < seen.lower - 1e-9 || mean > seen.upper + 1e-9;
                lead = seen.estimate - 0.7;
            }
        }
        Run { missed, last: account.certificate(), deviation: (squares / self.requests as f64).sqrt() }
    }
}
