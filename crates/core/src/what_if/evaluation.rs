//! Targets evaluated along a log.

use super::estimate::Evaluated;
use super::evidence::Grounds;
use super::rates::Rates;
use super::sums::{Row, Sums, Terms};
use crate::Candidate;

/// Share of the error spent on not knowing the rates of labelling, as in a certificate.
const RATE_SHARE: f64 = 0.2;
/// A request that costs more than so many times what was predicted counts as one that costs so much.
const COST_RANGE: f64 = 8.0;
/// A prediction below this share of the first request's counts as this share: what is free may turn out not to be.
const LEAST_COST: f64 = 0.01;

/// A decision of the log that was drawn, and what came of it. What is asked is what choosing otherwise would have come to: an answer that
/// another model had to give counts for the model that was chosen.
#[derive(Clone, Copy, Debug)]
pub struct Logged<'a> {
    /// All candidates, with the probabilities that one was drawn by and what was predicted then.
    pub candidates: &'a [Candidate],
    /// Place of the one that was drawn.
    pub chosen: usize,
    /// Probability with which it was to be audited, where audits are what counts; `None` where ratings do.
    pub audit_rate: Option<f64>,
    /// What is known of its satisfaction.
    pub heard: Heard,
    /// USD charged; `None` where it is not known.
    pub cost: Option<f64>,
}

/// What is known of the satisfaction of one answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Heard {
    /// Nothing: nobody rated it.
    Nothing,
    /// Its label, in \[0, 1\].
    Label(f64),
    /// That there was no answer, which counts as one that did not satisfy.
    Unsatisfied,
    /// That there was no answer, which counts as none.
    NoAnswer,
}

/// Evaluates targets along a log. O(candidates · targets) a row; memory is 40 bytes for each label and target that it says something of.
#[derive(Clone, Debug)]
pub struct Evaluation {
    error: f64,
    rates: Rates,
    /// The audit rate of the first row.
    first_rate: Option<Option<f64>>,
    /// The mean predicted cost of the first row: USD are counted in it.
    unit: f64,
    requests: u64,
    unanswered: u64,
    priced: u64,
    /// What was charged, and what of it was beyond what counts.
    charged: [f64; 2],
    targets: Vec<Sums>,
}

impl Evaluation {
    /// Of `targets` targets, with intervals that hold with probability `assurance`: those of each quantity for all `together` targets that
    /// are looked at as one question. `assurance` outside (0, 1) is taken for the nearest value inside.
    #[must_use]
    pub fn new(assurance: f64, targets: usize, together: usize) -> Self {
        let error = (1.0 - assurance).clamp(1e-9, 1.0 - 1e-9);
        Self {
            error: error * (1.0 - RATE_SHARE) / (2 * together.max(1)) as f64,
            rates: Rates::new(error * RATE_SHARE),
            first_rate: None,
            unit: 0.0,
            requests: 0,
            unanswered: 0,
            priced: 0,
            charged: [0.0; 2],
            targets: vec![Sums::default(); targets],
        }
    }

    /// Enters the next decision of the log, with what each target would have drawn with which probability. Returns whether it was taken: one
    /// whose numbers make no sense is not.
    pub fn add(&mut self, logged: &Logged<'_>, targets: &[Vec<f64>]) -> bool {
        if !is_sound(logged) || targets.iter().any(|target| target.len() != logged.candidates.len()) {
            return false;
        }
        let of = |value: fn(&Candidate) -> f64| logged.candidates.iter().map(value).collect::<Vec<_>>();
        if self.first_rate.is_none() {
            self.first_rate = Some(logged.audit_rate);
            let costs = of(|candidate| candidate.cost);
            self.unit = (costs.iter().sum::<f64>() / costs.len() as f64).max(1e-9);
        }
        let drawn = of(|candidate| candidate.probability);
        if logged.heard == Heard::NoAnswer {
            self.unanswered += 1;
        } else {
            self.hear(logged, targets, &drawn, &of(|candidate| candidate.satisfaction));
        }
        if let Some(cost) = logged.cost {
            self.charge(logged, cost, targets, &drawn);
        }
        true
    }

    fn hear(&mut self, logged: &Logged<'_>, targets: &[Vec<f64>], drawn: &[f64], predicted: &[f64]) {
        let scale = vec![1.0; drawn.len()];
        let low = logged.audit_rate.unwrap_or_else(|| self.rates.low());
        let stretch = self.rates.stretch();
        for (sums, target) in self.targets.iter_mut().zip(targets) {
            let row = Row { drawn, target, predicted, scale: &scale, chosen: logged.chosen };
            sums.add(&row, low);
            match (logged.heard, logged.audit_rate) {
                (Heard::Label(label), Some(rate)) => sums.label(&row, label, low, rate),
                (Heard::Label(label), None) => sums.label_of(&row, label, low, stretch),
                (Heard::Unsatisfied, _) => sums.label(&row, 0.0, low, 1.0),
                (Heard::Nothing | Heard::NoAnswer, _) => {}
            }
        }
        if logged.audit_rate.is_none() && logged.heard != Heard::Unsatisfied {
            self.rates.add(logged.heard != Heard::Nothing);
        }
        self.requests += 1;
    }

    fn charge(&mut self, logged: &Logged<'_>, cost: f64, targets: &[Vec<f64>], drawn: &[f64]) {
        // In units: the most that counts, and the prediction as a share of it.
        let costs = logged.candidates.iter().map(|candidate| candidate.cost / self.unit);
        let (scale, predicted): (Vec<_>, Vec<_>) = costs
            .map(|cost| {
                let most = COST_RANGE * cost.max(LEAST_COST);
                (most, cost / most)
            })
            .unzip();
        let most = scale[logged.chosen] * self.unit;
        for (sums, target) in self.targets.iter_mut().zip(targets) {
            let row = Row { drawn, target, predicted: &predicted, scale: &scale, chosen: logged.chosen };
            sums.spend(&row, cost.min(most) / most);
        }
        self.priced += 1;
        self.charged[0] += cost;
        self.charged[1] += (cost - most).max(0.0);
    }

    /// Decisions entered of which there was an answer, or a failure that counts.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// Share of what was charged that lies beyond eight times the predictions, and is in no estimate of costs.
    #[must_use]
    pub fn cut_off(&self) -> f64 {
        if self.charged[0] > 0.0 { self.charged[1] / self.charged[0] } else { 0.0 }
    }

    /// What is known of each target, in their order; none before the first answer. O(labels) for each.
    #[must_use]
    pub fn results(&self) -> Vec<Evaluated> {
        let (Some(first_rate), true) = (self.first_rate, self.requests > 0) else { return Vec::new() };
        let scale = first_rate.map_or_else(|| self.rates.ends(0), |rate| [rate, rate]);
        let needed = -libm::log(self.error);
        let terms = Terms {
            satisfaction: Grounds { seen: &[], rates: &self.rates, scale, needed },
            cost: Grounds { seen: &[], rates: &self.rates, scale: [1.0, 1.0], needed },
            requests: self.requests as f64,
            unanswered: self.unanswered as f64 / (self.requests + self.unanswered) as f64,
            priced: self.priced as f64,
            unit: self.unit,
        };
        self.targets.iter().map(|sums| sums.result(&terms)).collect()
    }
}

/// Whether the numbers of a row are what they should be: a damaged one must not spoil the others.
fn is_sound(logged: &Logged<'_>) -> bool {
    let share = |value: f64| (0.0..=1.0 + 1e-9).contains(&value);
    let candidate =
        |c: &Candidate| share(c.probability) && share(c.satisfaction) && c.cost.is_finite() && c.cost >= 0.0;
    let label = match logged.heard {
        Heard::Label(label) => share(label),
        _ => true,
    };
    label
        && logged.candidates.iter().all(candidate)
        && logged.candidates.get(logged.chosen).is_some_and(|chosen| chosen.probability > 0.0)
        && logged.audit_rate.is_none_or(|rate| rate > 0.0 && share(rate))
        && logged.cost.is_none_or(|cost| cost.is_finite() && cost >= 0.0)
}
