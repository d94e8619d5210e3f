//! One run of one contender.

use std::collections::VecDeque;

use super::Pass;
use super::trace::{Mark, mark_after};
use crate::CompareError;
use crate::baseline::contender::{Asked, Contender, Request};
use crate::course::Course;
use crate::windows::Windows;

/// Below α by this much, the running mean no longer counts as kept.
pub(crate) const SLACK: f64 = 0.02;

/// Requests in the stretches whose lowest mean is looked for.
const STRETCH: usize = 3_000;

/// The certificate is looked at after every so many requests.
const LOOK_EVERY: usize = 10;

impl Course<'_> {
    /// Lets `contender` route all requests; returns what came of it and where it stood on the way.
    pub(crate) fn run<C: Contender>(
        &self,
        mut contender: C,
        alpha: f64,
        rate: f64,
    ) -> Result<(Pass, Vec<Mark>), CompareError> {
        let mut pass = Pass { seed: self.seed, kept_always: true, ..Pass::default() };
        let mut marks = Vec::new();
        let mut next_mark = mark_after(self.rows.len()).peekable();
        let (mut windows, mut stretch) = (Windows::new(self.window), Stretch::default());
        for t in 0..self.rows.len() {
            let (satisfaction, cost) = self.serve(&mut contender, t, rate, &mut pass)?;
            windows.add(satisfaction, cost);
            if t >= self.window {
                stretch.add(satisfaction);
            }
            let mean = windows.mean();
            if windows.is_settled() && mean < alpha - SLACK {
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
        (pass.windows, pass.lowest_stretch) = (windows.finish(), stretch.lowest);
        Ok((pass, marks))
    }

    /// Lets `contender` route the request at place `t`, and adds what came of it to `pass`. Returns its satisfaction and cost.
    fn serve<C: Contender>(
        &self,
        contender: &mut C,
        t: usize,
        rate: f64,
        pass: &mut Pass,
    ) -> Result<(f64, f64), CompareError> {
        let (data, row) = (self.data, self.rows[t]);
        let request = Request { t, features: data.features(row), input_tokens: data.input_tokens(row) };
        let choice = contender.choose(&request)?;
        let asked = match choice.asked {
            Asked::One => choice.model..choice.model + 1,
            Asked::All | Asked::AllLabelled => 0..data.models(),
        };
        let mut cost = 0.0;
        for model in asked.clone() {
            cost += data.cost(row, model);
            contender.answered(&request, model, data.output_tokens(row, model), data.cost(row, model))?;
        }
        if self.draws[t] < rate || choice.asked == Asked::AllLabelled {
            for model in asked {
                contender.labelled(&request, model, data.score(row, model))?;
                pass.labels += 1;
            }
        }
        let satisfaction = data.score(row, choice.model);
        pass.satisfaction += satisfaction;
        pass.cost += cost;
        if choice.explored {
            pass.explored += 1;
            pass.explored_cost += cost;
        }
        Ok((satisfaction, cost))
    }
}

/// The mean of the latest [`STRETCH`] requests, and the lowest that it has been.
#[derive(Default)]
struct Stretch {
    latest: VecDeque<f64>,
    sum: f64,
    lowest: Option<f64>,
}

impl Stretch {
    fn add(&mut self, satisfaction: f64) {
        self.latest.push_back(satisfaction);
        self.sum += satisfaction;
        if self.latest.len() > STRETCH {
            self.sum -= self.latest.pop_front().unwrap_or_default();
        }
        if self.latest.len() == STRETCH {
            let mean = self.sum / STRETCH as f64;
            self.lowest = Some(self.lowest.map_or(mean, |lowest| lowest.min(mean)));
        }
    }
}
