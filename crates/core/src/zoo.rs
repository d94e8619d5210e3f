//! The models a route may choose from, their prices, and the satisfaction target.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::SpecError;

/// The share of answers that must satisfy the users, in \[0, 1\].
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Alpha(f64);

/// List prices of a model in USD per million tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// USD per million input tokens.
    pub input: f64,
    /// USD per million output tokens.
    pub output: f64,
}

/// One model of a zoo.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelSpec {
    /// The name the operator gave it; unique in a zoo and the key of everything learnt about the model.
    pub name: Arc<str>,
    /// List prices.
    pub price: Price,
    /// What the operator believes its satisfaction to be before any evidence, in (0, 1); `None` = 0.5, as in the paper.
    pub prior: Option<f64>,
}

/// A non-empty list of models with distinct names and sound prices, in the operator's order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<ModelSpec>", into = "Vec<ModelSpec>")]
pub struct Zoo(Vec<ModelSpec>);

// === impl Alpha ===

impl Alpha {
    /// # Errors
    /// [`SpecError::Alpha`] unless `0 <= value <= 1` (NaN is refused too).
    pub fn new(value: f64) -> Result<Self, SpecError> {
        if (0.0..=1.0).contains(&value) { Ok(Self(value)) } else { Err(SpecError::Alpha(value)) }
    }

    /// The value, in \[0, 1\].
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Alpha {
    type Error = SpecError;
    fn try_from(value: f64) -> Result<Self, SpecError> {
        Self::new(value)
    }
}

impl From<Alpha> for f64 {
    fn from(alpha: Alpha) -> f64 {
        alpha.0
    }
}

// === impl Price ===

impl Price {
    /// The highest that a zoo takes, in USD per million tokens; a thousand times what any provider asks. Sums of costs stay
    /// far from overflow, and a slip of a few zeros is caught.
    pub const MAX: f64 = 1e6;

    /// Whether a figure can be a price.
    #[must_use]
    pub fn allows(value: f64) -> bool {
        (0.0..=Self::MAX).contains(&value)
    }

    /// USD for a request of `input` and `output` tokens.
    #[must_use]
    pub fn cost(&self, input: f64, output: f64) -> f64 {
        (input * self.input + output * self.output) / 1e6
    }

    /// One figure to order models by: the customary blend of three input tokens to one output token.
    #[must_use]
    pub fn blended(&self) -> f64 {
        (3.0 * self.input + self.output) / 4.0
    }
}

// === impl ModelSpec ===

impl ModelSpec {
    /// A model with no prior belief about its quality.
    #[must_use]
    pub fn new(name: &str, price: Price) -> Self {
        Self { name: name.into(), price, prior: None }
    }
}

// === impl Zoo ===

impl Zoo {
    /// # Errors
    /// [`SpecError`] if the list is empty, a name is empty or repeated, a price is not between 0 and [`Price::MAX`], or a prior is
    /// not strictly between 0 and 1.
    pub fn new(models: Vec<ModelSpec>) -> Result<Self, SpecError> {
        if models.is_empty() {
            return Err(SpecError::EmptyZoo);
        }
        for (i, model) in models.iter().enumerate() {
            let name = &model.name;
            if name.is_empty() || models[..i].iter().any(|other| other.name == *name) {
                return Err(SpecError::ModelName(name.to_string()));
            }
            for value in [model.price.input, model.price.output] {
                if !Price::allows(value) {
                    return Err(SpecError::Price { model: name.to_string(), value });
                }
            }
            if let Some(value) = model.prior
                && !(value > 0.0 && value < 1.0)
            {
                return Err(SpecError::Prior { model: name.to_string(), value });
            }
        }
        Ok(Self(models))
    }

    /// The models, in the operator's order.
    #[must_use]
    pub fn models(&self) -> &[ModelSpec] {
        &self.0
    }

    /// Place of the model called `name`.
    #[must_use]
    pub fn position(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|model| &*model.name == name)
    }

    /// Place of the model with the lowest (or highest) blended list price; the first of equals.
    #[must_use]
    pub fn by_price(&self, most_expensive: bool) -> usize {
        let mut best = 0;
        for (i, model) in self.0.iter().enumerate() {
            let (price, held) = (model.price.blended(), self.0[best].price.blended());
            if if most_expensive { price > held } else { price < held } {
                best = i;
            }
        }
        best
    }
}

impl TryFrom<Vec<ModelSpec>> for Zoo {
    type Error = SpecError;
    fn try_from(models: Vec<ModelSpec>) -> Result<Self, SpecError> {
        Self::new(models)
    }
}

impl From<Zoo> for Vec<ModelSpec> {
    fn from(zoo: Zoo) -> Self {
        zoo.0
    }
}
