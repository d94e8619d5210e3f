//! A stream of answers, some of them labelled, whose true satisfaction is known.

use rand_core::Rng;
use slarouter_core::{Certificate, DecisionId, SatisfactionAccount, Span, Timestamp, decision_rng, uniform};

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
            account.answered(Timestamp(t), predicted);
            truth.push(satisfied);
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
            pending.retain(|&(at, decided, predicted, satisfied)| {
                if at <= t {
                    account.labelled(Timestamp(decided), predicted, None, Some(satisfied));
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
