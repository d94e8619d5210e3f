//! A log made by a policy that learns, of which everything is known that the log does not say: how every model would have answered.

use rand_core::Rng;
use slarouter_core::what_if::{Evaluation, Heard, Logged, Target};
use slarouter_core::{Candidate, DecisionId, decision_rng, uniform};

const MODELS: [&str; 3] = ["small", "middle", "large"];
const COSTS: [f64; 3] = [1.0, 3.0, 10.0];
/// What a satisfied answer is worth to the policy that ran.
const PRICE: f64 = 12.0;
/// Kinds of requests that it tells apart.
const KINDS: usize = 4;
/// What a cost counts for at most, in predictions.
const RANGE: f64 = 8.0;
pub(crate) const ASSURANCE: f64 = 0.95;

/// How the log came about.
#[derive(Clone, Copy)]
pub(crate) struct World<'a> {
    pub(crate) requests: usize,
    /// φ by the share of the run that is over.
    pub(crate) rate: &'a dyn Fn(f64) -> f64,
    pub(crate) audits: bool,
    /// ε, half of which goes to each model that is not the best by what has been learnt.
    pub(crate) exploration: f64,
    /// By how much the small model gets worse over the run.
    pub(crate) drift: f64,
    /// Labels come up to so many requests late.
    pub(crate) delay: usize,
    /// Share of the requests that no model answers.
    pub(crate) failures: f64,
}

/// One request, with what the log says of it and what it does not.
pub(crate) struct Request {
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) chosen: usize,
    pub(crate) audit_rate: Option<f64>,
    failed: bool,
    /// Its label, and when it comes.
    label: Option<(usize, f64)>,
    /// How each model would have done.
    satisfied: [f64; 3],
    spent: [f64; 3],
}

impl Default for World<'_> {
    fn default() -> Self {
        Self { requests: 3_000, rate: &|_| 0.2, audits: false, exploration: 0.2, drift: 0.0, delay: 0, failures: 0.0 }
    }
}

impl World<'_> {
    /// The log of one run.
    pub(crate) fn run(&self, seed: u64) -> Vec<Request> {
        let mut rng = decision_rng(seed, DecisionId(1));
        let mut draw = || uniform(&mut rng as &mut dyn Rng);
        let mut learnt = [[(0.0, 0.0); KINDS]; 3];
        let mut requests: Vec<Request> = Vec::with_capacity(self.requests);
        let mut waiting: Vec<(usize, usize, usize, f64)> = Vec::new();
        for now in 0..self.requests {
            let x = now as f64 / self.requests as f64;
            waiting.retain(|&(at, model, kind, label)| {
                if at <= now {
                    learnt[model][kind].0 += label;
                    learnt[model][kind].1 += 1.0;
                }
                at > now
            });
            let hard = draw();
            let kind = (hard * KINDS as f64) as usize;
            let chances = [0.9 - 0.5 * hard - self.drift * x, 0.9 - 0.3 * hard, 0.92 - 0.1 * hard];
            let satisfied = chances.map(|chance| f64::from(u8::from(draw() < chance)));
            let spent = COSTS.map(|cost| -cost * (1.0 - draw()).ln());
            let candidates = self.candidates(&learnt.map(|kinds| kinds[kind]));
            let (mut chosen, drawn, mut below) = (0, draw(), 0.0);
            for (place, candidate) in candidates.iter().enumerate() {
                below += candidate.probability;
                chosen = if drawn < below { place } else { (place + 1).min(2) };
                if drawn < below {
                    break;
                }
            }
            let (rate, failed) = ((self.rate)(x), draw() < self.failures);
            let comes = now + 1 + (draw() * self.delay as f64) as usize;
            let label = (draw() < rate && !failed).then_some((comes, satisfied[chosen]));
            if let Some((at, label)) = label {
                waiting.push((at, chosen, kind, label));
            }
            let audit_rate = self.audits.then_some(rate);
            let satisfied = if failed { [0.0; 3] } else { satisfied };
            requests.push(Request { candidates, chosen, audit_rate, failed, label, satisfied, spent });
        }
        requests
    }

    /// What is predicted from these labels, and drawn by it.
    fn candidates(&self, learnt: &[(f64, f64); 3]) -> Vec<Candidate> {
        let mut candidates: Vec<Candidate> = (0..3)
            .map(|model| {
                let satisfaction = (learnt[model].0 + 1.4) / (learnt[model].1 + 2.0);
                let score = COSTS[model] - PRICE * satisfaction;
                let probability = 0.5 * self.exploration;
                let cost = COSTS[model];
                Candidate {
                    model: MODELS[model].into(),
                    probability,
                    satisfaction,
                    cost,
                    score,
                    ..Candidate::default()
                }
            })
            .collect();
        let best = (0..3).min_by(|&a, &b| candidates[a].score.total_cmp(&candidates[b].score)).unwrap();
        candidates[best].probability = 1.0 - self.exploration;
        candidates
    }
}

impl Request {
    /// As the log has it at that time.
    pub(crate) fn logged(&self, now: usize) -> Logged<'_> {
        let heard = match self.label {
            _ if self.failed => Heard::Unsatisfied,
            Some((at, label)) if at <= now => Heard::Label(label),
            _ => Heard::Nothing,
        };
        let cost = Some(self.spent[self.chosen]);
        Logged { candidates: &self.candidates, chosen: self.chosen, audit_rate: self.audit_rate, heard, cost }
    }

    /// What is true of the target: satisfaction and cost, and each less what ran comes to.
    pub(crate) fn truth(&self, target: &[f64]) -> [f64; 4] {
        let mut truth = [0.0; 4];
        for (place, &target) in target.iter().enumerate() {
            let ran = self.candidates[place].probability;
            let cost = self.spent[place].min(RANGE * COSTS[place]);
            truth[0] += target * self.satisfied[place];
            truth[1] += (target - ran) * self.satisfied[place];
            truth[2] += target * cost;
            truth[3] += (target - ran) * cost;
        }
        truth
    }
}

/// What each target is known to come to by the first so many requests, as of then.
pub(crate) fn evaluated(requests: &[Request], targets: &[Target]) -> Evaluation {
    let mut evaluation = Evaluation::new(ASSURANCE, targets.len(), 1);
    for request in requests {
        let probabilities: Vec<_> = targets.iter().map(|target| target.probabilities(&request.candidates)).collect();
        assert!(evaluation.add(&request.logged(requests.len()), &probabilities));
    }
    evaluation
}
