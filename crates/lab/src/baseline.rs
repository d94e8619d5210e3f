//! Contenders: everything that the comparison can put to the test.

mod best_single;
mod carrot;
mod core_policy;
mod costs;
mod draws;
mod epsilon_greedy;
mod knn;
mod lagrangian;
mod lin_ucb;
mod mess_plus;
mod thompson;
mod threshold;
mod trained;

use std::fmt;

use slarouter_core::policy::SlaRouterParams;
use slarouter_core::{Alpha, Certificate, PolicySpec, SpecError, Zoo};

pub(crate) use best_single::BestSingle;
pub(crate) use carrot::Carrot;
pub(crate) use core_policy::CorePolicy;
use costs::Costs;
use draws::Draws;
pub(crate) use epsilon_greedy::EpsilonGreedy;
pub(crate) use knn::Knn;
use lagrangian::Lagrangian;
pub(crate) use lin_ucb::LinUcb;
pub(crate) use mess_plus::MessPlus;
pub(crate) use thompson::Thompson;
pub(crate) use threshold::Threshold;
use trained::Forecast;
pub(crate) use trained::{Trained, Warmed, training_share};

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
    pub(crate) dim: usize,
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
    /// `best-single`: the model with the highest mean satisfaction, known in hindsight.
    BestSingle,
    /// `messplus`: explores by asking all models (arXiv 2505.19947).
    MessPlus,
    /// `egreedy`: ε-greedy with a Lagrangian on α.
    EpsilonGreedy,
    /// `linucb`: LinUCB with a Lagrangian on α.
    LinUcb,
    /// `thompson`: Thompson sampling with a Lagrangian on α.
    Thompson,
    /// `threshold`: a two-model threshold router in the manner of RouteLLM (arXiv 2406.18665).
    Threshold,
    /// `knn`: a nearest-neighbour router in the manner of RouterBench (arXiv 2403.12031).
    Knn,
    /// `carrot`: a plug-in router in the manner of CARROT (arXiv 2502.03261).
    Carrot,
}

/// Names of the baselines that are no core policies.
const NAMES: [(&str, Rival); 8] = [
    ("best-single", Rival::BestSingle),
    ("messplus", Rival::MessPlus),
    ("egreedy", Rival::EpsilonGreedy),
    ("linucb", Rival::LinUcb),
    ("thompson", Rival::Thompson),
    ("threshold", Rival::Threshold),
    ("knn", Rival::Knn),
    ("carrot", Rival::Carrot),
];

/// All contenders of the protocol, in the order of the tables.
const STANDARD: [&str; 17] = [
    "certified",
    "slarouter",
    "slarouter:V=0.01",
    "slarouter:V=0.1",
    "slarouter:V=10",
    "slarouter:V=100",
    "messplus",
    "egreedy",
    "linucb",
    "thompson",
    "threshold",
    "knn",
    "carrot",
    "random",
    "cheapest",
    "dearest",
    "best-single",
];

// === impl Rival ===

impl Rival {
    /// Reads a name: a baseline's, `slarouter:V=<number>`, or any that [`PolicySpec::parse`] knows.
    ///
    /// # Errors
    /// What is wrong with the name, and which there are.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some((_, rival)) = NAMES.iter().find(|(name, _)| *name == text) {
            return Ok(rival.clone());
        }
        if let Some(v) = text.strip_prefix("slarouter:V=") {
            return match v.parse() {
                Ok(v) if f64::is_finite(v) && v >= 0.0 => {
                    Ok(Self::Core(PolicySpec::SlaRouter(SlaRouterParams { v, ..SlaRouterParams::default() })))
                }
                _ => Err(format!("{v:?} is no V: write a number from 0 on, as in slarouter:V=10")),
            };
        }
        PolicySpec::parse(text).map(Self::Core).map_err(|error: SpecError| {
            let names: Vec<_> = NAMES.iter().map(|(name, _)| *name).collect();
            format!("{error}, slarouter:V=<number>, or one of the baselines {}", names.join(", "))
        })
    }

    /// All contenders of the protocol that this release knows, in the order of the tables.
    #[must_use]
    pub fn standard() -> Vec<Self> {
        STANDARD.iter().filter_map(|name| Self::parse(name).ok()).collect()
    }

    /// Whether it is trained on a first share of the run and told no scores later, so that φ changes nothing.
    pub(crate) fn is_trained(&self) -> bool {
        matches!(self, Self::Threshold | Self::Knn | Self::Carrot)
    }
}

impl fmt::Display for Rival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Core(PolicySpec::SlaRouter(params)) if *params != SlaRouterParams::default() => {
                write!(f, "slarouter:V={}", params.v)
            }
            Self::Core(spec) => spec.fmt(f),
            other => f.write_str(NAMES.iter().find(|(_, rival)| rival == other).map_or("", |(name, _)| name)),
        }
    }
}
