//! Which policy a route has.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::certified::CertifiedParams;
use super::slarouter::SlaRouterParams;
use crate::{SpecError, Zoo};

/// Which policy, with its parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum PolicySpec {
    /// The paper's.
    SlaRouter(SlaRouterParams),
    /// Uniform over the zoo.
    Random,
    /// Always the model with the lowest list price.
    Cheapest,
    /// Always the model with the highest list price.
    MostExpensive,
    /// Always the model named.
    Fixed(String),
    /// The default: keeps α with a certificate.
    Certified(CertifiedParams),
}

impl PolicySpec {
    /// Reads `certified`, `slarouter`, `random`, `cheapest`, `most-expensive` or `fixed:<model>`; parameters are the paper's.
    ///
    /// # Errors
    /// [`SpecError::Policy`] for anything else.
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        match text {
            "certified" => Ok(Self::Certified(CertifiedParams::default())),
            "slarouter" => Ok(Self::SlaRouter(SlaRouterParams::default())),
            "random" => Ok(Self::Random),
            "cheapest" => Ok(Self::Cheapest),
            "most-expensive" => Ok(Self::MostExpensive),
            _ => match text.strip_prefix("fixed:") {
                Some(model) if !model.is_empty() => Ok(Self::Fixed(model.to_owned())),
                _ => Err(SpecError::Policy(text.to_owned())),
            },
        }
    }

    pub(crate) fn check(&self, zoo: &Zoo) -> Result<(), SpecError> {
        match self {
            Self::Certified(params) => params.check(zoo),
            Self::SlaRouter(params) => params.check(),
            Self::Fixed(model) if zoo.position(model).is_none() => Err(SpecError::FixedModel(model.clone())),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for PolicySpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certified(_) => f.write_str("certified"),
            Self::SlaRouter(_) => f.write_str("slarouter"),
            Self::Random => f.write_str("random"),
            Self::Cheapest => f.write_str("cheapest"),
            Self::MostExpensive => f.write_str("most-expensive"),
            Self::Fixed(model) => write!(f, "fixed:{model}"),
        }
    }
}
