//! Contenders by name.

use std::fmt;

use slarouter_core::policy::{CertifiedParams, HIGHEST_FLOOR, SlaRouterParams};
use slarouter_core::{PolicySpec, SpecError};

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
    "most-expensive",
    "best-single",
];

// === impl Rival ===

impl Rival {
    /// Reads a name: a baseline's, `slarouter:V=<number>`, `certified:assurance=<number>`, `certified:exploration_floor=<number>`, or any that
    /// [`PolicySpec::parse`] knows.
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
        if let Some(assurance) = text.strip_prefix("certified:assurance=") {
            return match assurance.parse() {
                Ok(assurance) if assurance > 0.0 && assurance < 1.0 => Ok(Self::certified(assurance)),
                _ => Err(format!(
                    "{assurance:?} is no assurance: write a number between 0 and 1, as in certified:assurance=0.9"
                )),
            };
        }
        if let Some(floor) = text.strip_prefix("certified:exploration_floor=") {
            return match floor.parse() {
                Ok(exploration_floor) if (0.0..=HIGHEST_FLOOR).contains(&exploration_floor) => {
                    Ok(Self::Core(PolicySpec::Certified(CertifiedParams {
                        exploration_floor,
                        ..CertifiedParams::default()
                    })))
                }
                _ => Err(format!(
                    "{floor:?} is no floor of exploration: write a number from 0 to 0.05, as in certified:exploration_floor=0.005"
                )),
            };
        }
        PolicySpec::parse(text).map(Self::Core).map_err(|error: SpecError| {
            let names: Vec<_> = NAMES.iter().map(|(name, _)| *name).collect();
            format!(
                "{error}, slarouter:V=<number>, certified:assurance=<number>, certified:exploration_floor=<number>, or one of the baselines {}",
                names.join(", ")
            )
        })
    }

    /// Policy `certified` with an assurance, strictly between 0 and 1.
    #[must_use]
    pub fn certified(assurance: f64) -> Self {
        Self::Core(PolicySpec::Certified(CertifiedParams { assurance, ..CertifiedParams::default() }))
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
            Self::Core(PolicySpec::Certified(params)) if params.exploration_floor > 0.0 => {
                write!(f, "certified:exploration_floor={}", params.exploration_floor)
            }
            Self::Core(PolicySpec::Certified(params)) if *params != CertifiedParams::default() => {
                write!(f, "certified:assurance={}", params.assurance)
            }
            Self::Core(spec) => spec.fmt(f),
            other => f.write_str(NAMES.iter().find(|(_, rival)| rival == other).map_or("", |(name, _)| name)),
        }
    }
}
