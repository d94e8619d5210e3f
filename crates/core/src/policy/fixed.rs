//! Policies that do not learn: the yardsticks.

use serde::{Deserialize, Serialize};

use super::interface::{Label, Policy, View};
use super::spec::PolicySpec;
use crate::{Candidate, Decision, RouteSpec, Timestamp, Zoo};

/// One model always, or a uniform draw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fixed {
    /// Place of the one model; `None` draws uniformly.
    model: Option<usize>,
}

impl Fixed {
    pub(crate) fn new(spec: &PolicySpec, zoo: &Zoo) -> Self {
        let model = match spec {
            PolicySpec::Cheapest => Some(zoo.by_price(false)),
            PolicySpec::MostExpensive => Some(zoo.by_price(true)),
            PolicySpec::Fixed(name) => zoo.position(name),
            PolicySpec::Random | PolicySpec::SlaRouter(_) | PolicySpec::Certified(_) => None,
        };
        Self { model }
    }
}

impl Policy for Fixed {
    fn judge(&self, view: &View<'_>, candidates: &mut [Candidate]) -> usize {
        // The order of fallback: the model itself, then the most expensive of the others.
        for (i, candidate) in candidates.iter_mut().enumerate() {
            candidate.satisfaction = 0.5;
            candidate.score = if Some(i) == self.model { f64::MIN } else { -candidate.cost };
            candidate.probability = 0.0;
        }
        match self.model {
            Some(model) => {
                let best = if view.allowed.contains(&model) {
                    model
                } else {
                    // Never empty, so the fallback value is never used.
                    view.allowed
                        .iter()
                        .copied()
                        .min_by(|&a, &b| candidates[a].score.total_cmp(&candidates[b].score))
                        .unwrap_or(model)
                };
                candidates[best].probability = 1.0;
                best
            }
            None => {
                for &i in view.allowed {
                    candidates[i].probability = 1.0 / view.allowed.len() as f64;
                }
                view.allowed[0]
            }
        }
    }

    fn decided(&mut self, _: &Decision, _: Timestamp) {}

    fn labelled(&mut self, _: &Label<'_>) {}

    fn reconfigured(&mut self, _: &Zoo, spec: &RouteSpec) {
        *self = Self::new(&spec.policy, &spec.zoo);
    }

    fn reset_features(&mut self, _: usize, _: &Zoo) {}

    fn only_draws(&self) -> bool {
        self.model.is_none()
    }
}
