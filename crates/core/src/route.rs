//! Routes as they are configured.

use serde::{Deserialize, Serialize};

use crate::{Alpha, PolicySpec, SpecError, Zoo};

/// What an operator says about a route.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RouteSpec {
    /// The share of answers that must satisfy.
    pub alpha: Alpha,
    /// The models to choose from.
    pub zoo: Zoo,
    /// How to choose.
    pub policy: PolicySpec,
    /// How long after a decision its feedback is taken, in milliseconds.
    pub feedback_window_ms: u64,
    /// Probability with which an answer is drawn for audit, in \[0, 1\]; 0 for no audits.
    pub audit_rate: f64,
    /// How many ratings of one named rater count per day; 0 for no limit.
    pub rater_limit: u64,
    /// How much of the ratings of a model one named rater may be, in \[0, 1\], once there are others; 0 for no limit.
    pub rater_share: f64,
    /// Whether it keeps what it learns about models to itself; else routes share it.
    pub alone: bool,
    /// Whether a request that no model answered whole counts as one that did not satisfy; else it counts as none.
    pub failures_count: bool,
}

impl RouteSpec {
    /// A route that takes feedback for ever, without audits, with no limit on any rater, that shares what it learns and does not
    /// count failures.
    #[must_use]
    pub fn new(alpha: Alpha, zoo: Zoo, policy: PolicySpec) -> Self {
        Self {
            alpha,
            zoo,
            policy,
            feedback_window_ms: u64::MAX,
            audit_rate: 0.0,
            rater_limit: 0,
            rater_share: 0.0,
            alone: false,
            failures_count: false,
        }
    }

    /// Place of the model that serves where nothing may be chosen, with which savings are compared: the policy's fallback, or else the
    /// most expensive one by list price.
    #[must_use]
    pub fn fallback(&self) -> usize {
        let named = match &self.policy {
            PolicySpec::Certified(params) => params.fallback.as_deref(),
            PolicySpec::Fixed(model) => Some(model.as_str()),
            _ => None,
        };
        named.and_then(|name| self.zoo.position(name)).unwrap_or_else(|| self.zoo.by_price(true))
    }

    /// Whether it is only observed: its policy decides and learns, and the fallback serves.
    #[must_use]
    pub fn is_observed(&self) -> bool {
        matches!(&self.policy, PolicySpec::Certified(params) if params.observe)
    }

    /// Whether the policy can run with these numbers on this zoo.
    ///
    /// # Errors
    /// [`SpecError`] if the audit rate, the rater's share or a policy parameter is out of range or the policy names a model that is
    /// not in the zoo.
    pub fn check(&self) -> Result<(), SpecError> {
        for (name, value) in [("audit_rate", self.audit_rate), ("rater_share", self.rater_share)] {
            if !(0.0..=1.0).contains(&value) {
                return Err(SpecError::Parameter { name, range: "between 0 and 1", value });
            }
        }
        self.policy.check(&self.zoo)
    }
}
