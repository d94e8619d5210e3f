//! What a decision is made from, and what it is.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// One request as the router sees it.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Feature vector of the prompt, of the length and version that the route was made with.
    pub features: &'a [f32],
    /// Estimated input tokens.
    pub input_tokens: f64,
    /// Names of models that must not be chosen now (an open circuit, a missing capability). If that leaves none, the
    /// list is ignored: trying beats refusing.
    pub excluded: &'a [&'a str],
}

/// One model as the decision saw it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Name of the model.
    pub model: Arc<str>,
    /// Probability with which this model was to be chosen.
    pub probability: f64,
    /// Predicted satisfaction, in \[0, 1\].
    pub satisfaction: f64,
    /// Predicted cost of this request in USD.
    pub cost: f64,
    /// The policy's objective, lower is better: the order in which to fall back when a model fails.
    pub score: f64,
}

/// Why a model was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reason {
    /// The policy's best choice.
    Exploit,
    /// Drawn at random, to learn.
    Explore,
    /// The model first chosen failed, or there was no evidence to choose by.
    Fallback,
    /// The client named the model; such requests bypass account and learner.
    Pinned,
}

/// A choice, with everything off-policy evaluation needs to know about it later.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// Every model of the zoo, in zoo order.
    pub candidates: Vec<Candidate>,
    /// Place of the chosen model in `candidates`.
    pub chosen: usize,
    /// Why.
    pub reason: Reason,
}

// === impl Decision ===

impl Decision {
    /// The chosen candidate.
    #[must_use]
    pub fn choice(&self) -> &Candidate {
        &self.candidates[self.chosen]
    }

    /// Probability with which the chosen model was drawn, in (0, 1].
    #[must_use]
    pub fn propensity(&self) -> f64 {
        self.choice().probability
    }

    /// The candidates other than the chosen one, best score first: the order of fallback.
    #[must_use]
    pub fn fallbacks(&self) -> Vec<&Candidate> {
        let mut rest: Vec<_> =
            self.candidates.iter().enumerate().filter(|&(i, _)| i != self.chosen).map(|(_, c)| c).collect();
        rest.sort_by(|a, b| a.score.total_cmp(&b.score));
        rest
    }
}

// === impl Reason ===

impl Reason {
    /// The word for headers, logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exploit => "exploit",
            Self::Explore => "explore",
            Self::Fallback => "fallback",
            Self::Pinned => "pinned",
        }
    }

    /// The inverse of [`Reason::as_str`].
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Exploit, Self::Explore, Self::Fallback, Self::Pinned].into_iter().find(|reason| reason.as_str() == word)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
