//! One run of one contender.

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use serde::{Deserialize, Serialize};
use slarouter_core::uniform;

use super::Order;
use super::trace::{Mark, mark_after};
use crate::baseline::{Asked, Contender, Request};
use crate::replay::{SETTLED, shuffle};
use crate::{CompareError, Dataset};

/// Below α by this much, the running mean no longer counts as kept.
pub(crate) const SLACK: f64 = 0.02;

/// The certificate is looked at after every so many requests.
const LOOK_EVERY: usize = 10;

/// What came of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pass {
    /// Its seed.
    pub seed: u64,
    /// Mean true satisfaction with the answers given, seen or not.
    pub satisfaction: f64,
    /// Mean USD per request, everything that was asked included.
    pub cost: f64,
    /// Mean USD per request spent on explored requests.
    pub explored_cost: f64,
    /// Requests that were explored.
    pub explored: u64,
    /// Scores seen.
    pub labels: u64,
    /// Whether the running mean never fell below α − 0.02 from 20 % of the run on.
    pub kept_always: bool,
    /// Times at which there was a certificate to check.
    pub looks: u64,
    /// Times at which its lower bound was at most the true mean so far.
    pub covered: u64,
}

/// The rows of a run in their order, and who sees which score.
pub(crate) struct Course<'a> {
    pub(crate) data: &'a Dataset,
    pub(crate) rows: Vec<usize>,
    /// Per request: its score is seen if this is below φ.
    pub(crate) draws: Vec<f64>,
    pub(crate) seed: u64,
}

impl<'a> Course<'a> {
    /// The same rows and draws as [`crate::Replay`] has for this seed.
    pub(crate) fn new(data: &'a Dataset, order: Order, seed: u64) -> Self {
        let mut rows: Vec<usize> = (0..data.rows()).collect();
        if order == Order::Shuffled {
            shuffle(&mut rows, &mut ChaCha8Rng::seed_from_u64(seed));
        }
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(1);
        let draws = rows.iter().map(|_| uniform(&mut rng)).collect();
        Self { data, rows, draws, seed }
    }

    /// Lets `contender` route all requests; returns what came of it and where it stood on the way.
    pub(crate) fn run<C: Contender>(
        &self,
        mut contender: C,
        alpha: f64,
        rate: f64,
    ) -> Result<(Pass, Vec<Mark>), CompareError> {
        let data = self.data;
        let mut pass = Pass {
            seed: self.seed,
            satisfaction: 0.0,
            cost: 0.0,
            explored_cost: 0.0,
            explored: 0,
            labels: 0,
            kept_always: true,
            looks: 0,
            covered: 0,
        };
        let mut marks = Vec::new();
        let mut next_mark = mark_after(self.rows.len()).peekable();
        let settled = (SETTLED * self.rows.len() as f64).ceil() as usize;
        for (t, (&row, &draw)) in self.rows.iter().zip(&self.draws).enumerate() {
            let request = Request { t, features: data.features(row), input_tokens: data.input_tokens(row) };
            let choice = contender.choose(&request)?;
            let asked = match choice.asked {
                Asked::One => choice.model..choice.model + 1,
                Asked::All | Asked::AllLabelled => 0..data.models(),
            };
            let seen = draw < rate || choice.asked == Asked::AllLabelled;
            let mut cost = 0.0;
            for model in asked.clone() {
                cost += data.cost(row, model);
                contender.answered(&request, model, data.output_tokens(row, model), data.cost(row, model))?;
            }
            if seen {
                for model in asked {
                    contender.labelled(&request, model, data.score(row, model))?;
                    pass.labels += 1;
                }
            }
            pass.satisfaction += data.score(row, choice.model);
            pass.cost += cost;
            if choice.explored {
                pass.explored += 1;
                pass.explored_cost += cost;
            }
            let mean = pass.satisfaction / (t + 1) as f64;
            if t + 1 >= settled && mean < alpha - SLACK {
                pass.kept_always = false;
            }
            if (t + 1).is_multiple_of(LOOK_EVERY)
                && let Some(certificate) = contender.certificate()
            {
                pass.looks += 1;
                // The sum of a run has rounding errors of some 1e-12.
                pass.covered += u64::from(certificate.lower <= mean + 1e-9);
            }
            if next_mark.next_if_eq(&(t + 1)).is_some() {
                marks.push(Mark {
                    labels: pass.labels,
                    satisfaction: pass.satisfaction,
                    cost: pass.cost,
                    explored_cost: pass.explored_cost,
                    lower: contender.certificate().map(|certificate| certificate.lower),
                });
            }
        }
        let n = self.rows.len() as f64;
        pass.satisfaction /= n;
        pass.cost /= n;
        pass.explored_cost /= n;
        Ok((pass, marks))
    }
}
