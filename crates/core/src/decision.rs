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

/// What a request costs less on one model than its list prices say, as the provider still has a part of the prompt in its cache; or more, as
/// it asks for more where a question is long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Saving<'a> {
    /// Name of the model.
    pub model: &'a str,
    /// USD; negative where it costs more.
    pub usd: f64,
}

/// One model as the decision saw it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Name of the model.
    pub model: Arc<str>,
    /// Probability with which this model was to be chosen.
    pub probability: f64,
    /// Predicted satisfaction, in \[0, 1\].
    pub satisfaction: f64,
    /// Predicted cost of this request in USD.
    pub cost: f64,
    /// The policy's objective, lower is better.
    pub score: f64,
    /// USD by which `cost` is below that by the list prices; negative above. Logged, as it is an input of the decision.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub saving: f64,
    /// Whether it was on the list of [`Context::excluded`]. Logged for the same reason.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub excluded: bool,
    /// Probability with which the policy would have drawn it, on a route that is only [observed](Decision::is_observed); 0 elsewhere.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub planned: f64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

/// Why a model was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reason {
    /// The policy's best choice.
    Exploit,
    /// Drawn at random, to learn.
    Explore,
    /// There was too little evidence to choose by, what was learnt could not be used, or the route is only observed: the fallback was to
    /// serve.
    Fallback,
    /// The client named the model; such requests bypass account and learner.
    Pinned,
    /// Its conversation was with this model already; nothing was drawn.
    Affinity,
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

// === impl Candidate ===

impl Candidate {
    /// How much likelier it was planned than drawn: what an answer that was drawn counts by, where it is to tell of the plan. 0 where it
    /// could not be drawn.
    #[must_use]
    pub fn planned_weight(&self) -> f64 {
        if self.probability > 0.0 { self.planned / self.probability } else { 0.0 }
    }
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

    /// Whether the route was only observed: then `probability` is that of what served, and `planned` that of what would have been.
    #[must_use]
    pub fn is_observed(&self) -> bool {
        self.candidates.iter().any(|candidate| candidate.planned > 0.0)
    }

    /// The mean of `value` over what the policy would have drawn.
    #[must_use]
    pub fn planned(&self, value: impl Fn(&Candidate) -> f64) -> f64 {
        self.candidates.iter().map(|candidate| candidate.planned * value(candidate)).sum()
    }

    /// What was known of its costs beside the list prices: with this it can be made again.
    #[must_use]
    pub fn savings(&self) -> Vec<Saving<'_>> {
        let changed = self.candidates.iter().filter(|candidate| candidate.saving != 0.0);
        changed.map(|candidate| Saving { model: &candidate.model, usd: candidate.saving }).collect()
    }

    /// Predicted USD of the most expensive candidate, which a router that never saves would have taken; `None` where the client
    /// named the model, as there was nothing to save.
    #[must_use]
    pub fn most_expensive_cost(&self) -> Option<f64> {
        let most = || self.candidates.iter().map(|candidate| candidate.cost).fold(0.0, f64::max);
        (self.reason != Reason::Pinned).then(most)
    }

    /// Place of the candidate of this name.
    #[must_use]
    pub fn place(&self, model: &str) -> Option<usize> {
        self.candidates.iter().position(|candidate| &*candidate.model == model)
    }

    /// The candidate of this name.
    #[must_use]
    pub fn candidate(&self, model: &str) -> Option<&Candidate> {
        self.place(model).map(|place| &self.candidates[place])
    }

    /// Predicted satisfactions no further apart than this are taken for equal.
    pub const NEAR: f64 = 0.02;

    /// The candidates other than the chosen one, in the order in which a failed call goes on to them: always the cheapest of those that are predicted to
    /// satisfy as the chosen one would, and where none is, of those as near to it as there are. So an outage costs money
    /// before it costs satisfaction. O(models²).
    #[must_use]
    pub fn alternatives(&self) -> Vec<&Candidate> {
        let wanted = self.choice().satisfaction;
        let mut rest: Vec<_> =
            self.candidates.iter().enumerate().filter(|&(i, _)| i != self.chosen).map(|(_, c)| c).collect();
        let mut order = Vec::with_capacity(rest.len());
        while !rest.is_empty() {
            let best = rest.iter().map(|c| c.satisfaction).fold(f64::NEG_INFINITY, f64::max);
            let enough = wanted.min(best) - Self::NEAR;
            let near = rest.iter().enumerate().filter(|(_, c)| c.satisfaction >= enough);
            // The best itself is near, unless predictions are no numbers; then the order is that of the zoo.
            let next = near.min_by(|(_, a), (_, b)| a.cost.total_cmp(&b.cost)).map_or(0, |(place, _)| place);
            order.push(rest.remove(next));
        }
        order
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
            Self::Affinity => "affinity",
        }
    }

    /// The inverse of [`Reason::as_str`].
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        let all = [Self::Exploit, Self::Explore, Self::Fallback, Self::Pinned, Self::Affinity];
        all.into_iter().find(|reason| reason.as_str() == word)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
