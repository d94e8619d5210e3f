//! Contenders: everything that the comparison can put to the test.

mod best_single;
mod core_policy;

use std::fmt;

use slarouter_core::policy::SlaRouterParams;
use slarouter_core::{Alpha, Certificate, PolicySpec, SpecError, Zoo};

pub(crate) use best_single::BestSingle;
pub(crate) use core_policy::CorePolicy;

/// Version of the baselines. Any change of what any of them does needs a new one, so that finished results are not taken over.
pub const VERSION: u32 = 1;

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
#[expect(dead_code, reason = "for the baselines that ask all models")]
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
#[expect(dead_code, reason = "for the baselines that train on a share of the run")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting<'a> {
    pub(crate) alpha: Alpha,
    pub(crate) zoo: &'a Zoo,
    /// Place of the best single model: only for the baseline that is told so.
    pub(crate) best_single: usize,
    pub(crate) dim: usize,
    /// Requests in the run: only for baselines that train on a share of it.
    pub(crate) requests: usize,
    pub(crate) seed: u64,
}

/// A rule that routes the requests of one run, one after another.
///
/// Only [`Contender::labelled`] tells it scores: of the chosen model with probability φ, of others only where it had paid for
/// asking them.
pub(crate) trait Contender {
    fn choose(&mut self, request: &Request<'_>) -> Result<Choice, crate::CompareError>;

    /// A model that was asked has answered.
    fn answered(
        &mut self,
        request: &Request<'_>,
        model: usize,
        output_tokens: Option<f64>,
        cost: f64,
    ) -> Result<(), crate::CompareError>;

    /// The score of an answer is seen.
    fn labelled(&mut self, request: &Request<'_>, model: usize, score: f64) -> Result<(), crate::CompareError>;

    /// What it promises of the satisfaction so far.
    fn certificate(&self) -> Option<Certificate> {
        None
    }
}

/// A contender by name.
#[derive(Clone, Debug, PartialEq)]
pub enum Rival {
    /// A policy of the core crate.
    Core(PolicySpec),
    /// The model with the highest mean satisfaction, known in hindsight.
    BestSingle,
}

// === impl Rival ===

impl Rival {
    /// Reads a name: a baseline's (`best-single`, `slarouter:V=10`, …) or any that [`PolicySpec::parse`] knows.
    ///
    /// # Errors
    /// [`SpecError`] for any other name.
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        if text == "best-single" {
            return Ok(Self::BestSingle);
        }
        if let Some(v) = text.strip_prefix("slarouter:V=") {
            let v = v.parse().map_err(|_| SpecError::Policy(text.to_owned()))?;
            let params = SlaRouterParams { v, ..SlaRouterParams::default() };
            return Ok(Self::Core(PolicySpec::SlaRouter(params)));
        }
        PolicySpec::parse(text).map(Self::Core)
    }

    /// The names of all contenders of the protocol, in the order of the tables.
    #[must_use]
    pub fn standard() -> Vec<Self> {
        let names = [
            "certified",
            "slarouter",
            "slarouter:V=0.01",
            "slarouter:V=0.1",
            "slarouter:V=10",
            "slarouter:V=100",
            "random",
            "cheapest",
            "dearest",
            "best-single",
        ];
        names.iter().filter_map(|name| Self::parse(name).ok()).collect()
    }
}

impl fmt::Display for Rival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Core(PolicySpec::SlaRouter(params)) if *params != SlaRouterParams::default() => {
                write!(f, "slarouter:V={}", params.v)
            }
            Self::Core(spec) => spec.fmt(f),
            Self::BestSingle => f.write_str("best-single"),
        }
    }
}
