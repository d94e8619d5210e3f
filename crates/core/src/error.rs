//! Everything that can be wrong with what a caller passes in.

/// A route that cannot be built. The operator's configuration is at fault.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// α outside \[0, 1\].
    #[error("the satisfaction target must lie between 0 and 1, not {0}")]
    Alpha(f64),
    /// A zoo without models.
    #[error("a zoo needs at least one model")]
    EmptyZoo,
    /// A model name that is empty or used twice.
    #[error("model name {0:?} is empty or used twice")]
    ModelName(String),
    /// A price outside \[0, [`Price::MAX`](crate::Price::MAX)\].
    #[error("the price {value} of model {model:?} must lie between 0 and 1000000 USD per million tokens")]
    Price {
        /// The model.
        model: String,
        /// Its price.
        value: f64,
    },
    /// A prior outside (0, 1).
    #[error("the prior {value} of model {model:?} must lie strictly between 0 and 1")]
    Prior {
        /// The model.
        model: String,
        /// Its prior.
        value: f64,
    },
    /// A policy name that means nothing.
    #[error("unknown policy {0:?}: use certified, slarouter, random, cheapest, most-expensive or fixed:<model>")]
    Policy(String),
    /// `fixed:<model>` names a model that is not in the zoo.
    #[error("policy fixed:{0}: there is no such model in the zoo")]
    FixedModel(String),
    /// The fallback is not in the zoo.
    #[error("the fallback {0:?} is not in the zoo")]
    Fallback(String),
    /// A parameter out of range.
    #[error("parameter {name} must be finite and {range}, not {value}")]
    Parameter {
        /// Its name.
        name: &'static str,
        /// What is allowed.
        range: &'static str,
        /// What was given.
        value: f64,
    },
}

/// A request that cannot be decided on. The caller is at fault.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DecideError {
    /// Features of another length than the route was made for.
    #[error("expected {expected} features, got {got}")]
    Dimension {
        /// Length the route was made for.
        expected: usize,
        /// Length given.
        got: usize,
    },
    /// A feature is NaN or infinite.
    #[error("feature {index} is not finite")]
    Feature {
        /// Its place.
        index: usize,
    },
    /// The token estimate is NaN, negative, or above [`CostModel::MAX_INPUT_TOKENS`](crate::CostModel::MAX_INPUT_TOKENS).
    #[error("the input token estimate {0} does not lie between 0 and 1e9")]
    Tokens(f64),
    /// A saving that is NaN or beyond [`CostModel::MAX_COST`](crate::CostModel::MAX_COST).
    #[error("the saving of {0} USD does not lie between -1e10 and 1e10")]
    Saving(f64),
}

/// An outcome or a rating that cannot be learnt from; nothing has changed. The caller is at fault.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ObserveError {
    /// An example of a model that is not in the zoo.
    #[error("there is no model at place {0} of the zoo")]
    Model(usize),
    /// A rating outside \[0, 1\].
    #[error("a rating must lie between 0 and 1, not {0}")]
    Rating(f64),
    /// A prediction that is not finite.
    #[error("the prediction {0} at the time of the decision is not finite")]
    Predicted(f64),
    /// The features do not fit.
    #[error(transparent)]
    Features(#[from] DecideError),
    /// A cost that is NaN, negative, or above [`CostModel::MAX_COST`](crate::CostModel::MAX_COST).
    #[error("the cost of {0} USD does not lie between 0 and 1e10")]
    Cost(f64),
    /// A token count that is NaN, negative, or more than one answer can have:
    /// [`CostModel::MAX_OUTPUT_TOKENS`](crate::CostModel::MAX_OUTPUT_TOKENS).
    #[error("a token count of {0} does not lie between 0 and 1e9 (input) or 1e7 (output)")]
    Tokens(f64),
}

/// Saved state that cannot be loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// Not state of ours at all, or cut short, or altered.
    #[error("this is no saved router state, or it is damaged: {0}")]
    Damaged(String),
    /// Written by a newer release.
    #[error("the state has version {found}, this release reads up to {supported}: use the newer release")]
    Version {
        /// Version found.
        found: u16,
        /// The newest version that this release reads.
        supported: u16,
    },
}
