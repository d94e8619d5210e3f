//! What an operator writes down beside α: the model they trust, how sure they want to be, and over which answers.

use slarouter_core::policy::Window;
use slarouter_core::{PolicySpec, SpecError};

use crate::{Dataset, Order};

/// Which model is the fallback of policy `certified`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Fallback {
    /// `best`: the one with the highest mean satisfaction. Whoever writes down α serves a model today that keeps it.
    #[default]
    Best,
    /// `most-expensive`: the one with the highest list price, as in a configuration that names none: an operator who may be wrong.
    MostExpensive,
    /// The model of this name.
    Named(String),
}

impl Fallback {
    /// Reads `best`, `most-expensive` or the name of a model.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text {
            "best" => Self::Best,
            "most-expensive" => Self::MostExpensive,
            name => Self::Named(name.to_owned()),
        }
    }

    /// Its place in the zoo of `data`.
    ///
    /// # Errors
    /// [`SpecError::Fallback`] if there is no model of this name.
    pub fn place(&self, data: &Dataset) -> Result<usize, SpecError> {
        match self {
            Self::Best => Ok(data.best_single()),
            Self::MostExpensive => Ok(data.zoo.by_price(true)),
            Self::Named(name) => data.zoo.position(name).ok_or_else(|| SpecError::Fallback(name.clone())),
        }
    }
}

/// `policy` with the fallback called `fallback` and the windows of `order`, as far as it has such.
pub(crate) fn on_terms(policy: &PolicySpec, fallback: &str, order: Order) -> PolicySpec {
    let mut policy = policy.clone();
    if let PolicySpec::Certified(params) = &mut policy {
        params.fallback = Some(fallback.to_owned());
        // The lab's clock ticks once per request, so a period is a number of requests.
        params.window = order.window().map_or(params.window, Window::Period);
    }
    policy
}
