//! What the comparison can put to the test.

use slarouter_core::{Alpha, Certificate, Zoo};

use crate::{CompareError, Order};

/// One request, as a contender sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    /// Its number in the run, from 0.
    pub(crate) t: usize,
    pub(crate) features: &'a [f32],
    /// Estimated.
    pub(crate) input_tokens: f64,
}

/// What a contender does with a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Choice {
    /// The model whose answer the user gets.
    pub(crate) model: usize,
    /// Whether this was to learn.
    pub(crate) explored: bool,
    pub(crate) asked: Asked,
}

/// Which models answer, and are paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The chosen one.
    One,
    /// All; with probability φ all their scores are seen.
    All,
    /// All, and all their scores are seen: a training set made on purpose.
    AllLabelled,
}

/// What every contender is made from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting<'a> {
    pub(crate) alpha: Alpha,
    pub(crate) zoo: &'a Zoo,
    /// Place of the best single model: only for the baseline that is told so.
    pub(crate) best_single: usize,
    /// Name of the model that the operator trusts.
    pub(crate) fallback: &'a str,
    /// The order of the requests, with the windows of the SLA.
    pub(crate) order: Order,
    pub(crate) dim: usize,
    pub(crate) seed: u64,
}

/// A rule that routes the requests of one run, one after another.
///
/// Only [`Contender::labelled`] tells it scores: of the chosen model with probability φ, of others only where it had paid for
/// asking them.
pub(crate) trait Contender {
    fn choose(&mut self, request: &Request<'_>) -> Result<Choice, CompareError>;

    /// A model that was asked has answered.
    fn answered(
        &mut self,
        request: &Request<'_>,
        model: usize,
        output_tokens: Option<f64>,
        cost: f64,
    ) -> Result<(), CompareError>;

    /// The score of an answer is seen.
    fn labelled(&mut self, request: &Request<'_>, model: usize, score: f64) -> Result<(), CompareError>;

    /// What it promises of the satisfaction so far.
    fn certificate(&self) -> Option<Certificate> {
        None
    }
}
