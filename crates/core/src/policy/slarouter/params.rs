//! What can be set.

use serde::{Deserialize, Serialize};

use crate::SpecError;

/// Parameters of [`SlaRouter`](super::SlaRouter).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SlaRouterParams {
    /// V ≥ 0: the weight of cost against the virtual queue. The paper's trade-off of cost against speed of compliance.
    pub v: f64,
    /// c ≥ 0 of the exploration probability `p_t = min(1, c·t^(−1/4))`.
    pub c: f64,
    /// Step size η > 0 of the heads.
    pub learning_rate: f64,
    /// Length of the virtual queue at the start; 0 in the paper.
    pub initial_queue: f64,
}

impl Default for SlaRouterParams {
    fn default() -> Self {
        Self { v: 1.0, c: 0.1, learning_rate: 0.1, initial_queue: 0.0 }
    }
}

impl SlaRouterParams {
    pub(crate) fn check(&self) -> Result<(), SpecError> {
        let refuse = |name, range, value| Err(SpecError::Parameter { name, range, value });
        for (name, value) in [("v", self.v), ("c", self.c), ("initial_queue", self.initial_queue)] {
            if !(value.is_finite() && value >= 0.0) {
                return refuse(name, "not negative", value);
            }
        }
        if !(self.learning_rate.is_finite() && self.learning_rate > 0.0) {
            return refuse("learning_rate", "positive", self.learning_rate);
        }
        Ok(())
    }
}
