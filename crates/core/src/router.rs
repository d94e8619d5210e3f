//! Decisions: checks, cost prediction, the policy's judgement, the draw.

use rand_core::Rng;
use serde::{Deserialize, Serialize};

use crate::policy::View;
use crate::rng::uniform;
use crate::{
    Account, AnyPolicy, AuditDraw, Candidate, Certificate, Context, CostModel, DecideError, Decision, DecisionId,
    Policy, Reason, RouteSpec, Saving, Zoo,
};

/// How far the prediction for a conversation's model may fall behind before the conversation moves: noise must not move it.
const RESTLESS: f64 = 0.05;

/// Everything a decision reads: cheap to clone, never changed by deciding, so that many threads can decide from one snapshot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Router<P = AnyPolicy> {
    pub(crate) spec: RouteSpec,
    pub(crate) dim: usize,
    pub(crate) feature_version: u32,
    pub(crate) costs: CostModel,
    pub(crate) account: Account,
    pub(crate) policy: P,
}

impl<P: Policy> Router<P> {
    /// Chooses a model. Reads only; O(models · features), plus six small allocations at most.
    ///
    /// The same state, context and draws give the same decision.
    ///
    /// # Errors
    /// [`DecideError`] if the features or the token estimate are not finite, do not fit or are beyond reason.
    pub fn decide(&self, context: &Context<'_>, rng: &mut dyn Rng) -> Result<Decision, DecideError> {
        self.decide_with(context, &[], rng)
    }

    /// [`Router::decide`] where some models cost less than by their list prices, or more; each is named once. No cost gets below 0.
    ///
    /// # Errors
    /// As [`Router::decide`], and [`DecideError::Saving`] for one that is no number of USD.
    pub fn decide_with(
        &self,
        context: &Context<'_>,
        savings: &[Saving<'_>],
        rng: &mut dyn Rng,
    ) -> Result<Decision, DecideError> {
        check_context(context, self.dim)?;
        let mut candidates = self.candidates(context.input_tokens);
        for candidate in &mut candidates {
            candidate.excluded = context.excluded.iter().any(|name| *name == &*candidate.model);
        }
        for &Saving { model, usd } in savings {
            if !(-CostModel::MAX_COST..=CostModel::MAX_COST).contains(&usd) {
                return Err(DecideError::Saving(usd));
            }
            if let Some(candidate) = candidates.iter_mut().find(|candidate| &*candidate.model == model) {
                candidate.saving = usd.min(candidate.cost);
                candidate.cost -= candidate.saving;
            }
        }
        let mut allowed: Vec<usize> = (0..candidates.len()).filter(|&i| !candidates[i].excluded).collect();
        if allowed.is_empty() {
            allowed = (0..candidates.len()).collect();
        }
        let view = View { features: context.features, allowed: &allowed, alpha: self.spec.alpha.get() };
        let best = self.policy.judge(&view, &mut candidates);
        let chosen = sample(&candidates, best, uniform(rng));
        let reason = match chosen == best && !self.policy.only_draws() {
            true if self.policy.has_evidence() => Reason::Exploit,
            true => Reason::Fallback,
            false => Reason::Explore,
        };
        Ok(Decision { candidates, chosen, reason })
    }

    /// The decision for a client that named `model`: no draw, propensity 1. `None` if it is not in the zoo.
    #[must_use]
    pub fn pinned(&self, model: &str, context: &Context<'_>) -> Option<Decision> {
        let chosen = self.spec.zoo.position(model)?;
        let mut candidates = self.candidates(context.input_tokens);
        candidates[chosen].probability = 1.0;
        Some(Decision { candidates, chosen, reason: Reason::Pinned })
    }

    /// `decision` as it stands once the conversation stays on `model`, which answered its earlier turns: nothing is drawn,
    /// propensity 1. `None` where there is a reason to move: it is not in the zoo or excluded, the policy insists on another one, or
    /// the prediction for it is more than 0.05 below both α and the choice of `decision`, and by the policy's objective, which knows
    /// what its prompt cache saves, the choice is still the better one.
    #[must_use]
    pub fn stay(&self, decision: &Decision, model: &str, excluded: &[&str]) -> Option<Decision> {
        let held = self.spec.zoo.position(model).filter(|_| !excluded.contains(&model))?;
        let insisted =
            self.policy.insists_on().filter(|&place| decision.candidates.get(place).is_some_and(|c| !c.excluded));
        if insisted.is_some_and(|place| place != held) {
            return None;
        }
        let (staying, moving) = (decision.candidates.get(held)?, decision.choice());
        let enough = moving.satisfaction.min(self.alpha()) - RESTLESS;
        if held != decision.chosen && staying.satisfaction < enough && moving.score < staying.score {
            return None;
        }
        let mut candidates = decision.candidates.clone();
        for (place, candidate) in candidates.iter_mut().enumerate() {
            candidate.probability = if place == held { 1.0 } else { 0.0 };
        }
        Some(Decision { candidates, chosen: held, reason: Reason::Affinity })
    }

    /// Draws a decision of this route for audit. One that was pinned is never drawn.
    #[must_use]
    pub fn draw_audit(&self, seed: u64, id: DecisionId, decision: &Decision) -> AuditDraw {
        let rate = if decision.reason == Reason::Pinned { 0.0 } else { self.spec.audit_rate };
        AuditDraw::of(seed, id, rate)
    }

    /// Tokens that an answer of this model is expected to have.
    #[must_use]
    pub fn output_tokens(&self, model: &str) -> f64 {
        self.costs.output_tokens(model)
    }

    /// The route as configured.
    #[must_use]
    pub fn spec(&self) -> &RouteSpec {
        &self.spec
    }

    /// The models.
    #[must_use]
    pub fn zoo(&self) -> &Zoo {
        &self.spec.zoo
    }

    /// The satisfaction target.
    #[must_use]
    pub fn alpha(&self) -> f64 {
        self.spec.alpha.get()
    }

    /// Totals so far.
    #[must_use]
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// What can be promised of the satisfaction so far, if the policy keeps such an account.
    #[must_use]
    pub fn certificate(&self) -> Option<Certificate> {
        self.policy.certificate()
    }

    /// The policy.
    #[must_use]
    pub fn policy(&self) -> &P {
        &self.policy
    }

    /// Length and version of the features that this route was made for.
    #[must_use]
    pub fn features(&self) -> (usize, u32) {
        (self.dim, self.feature_version)
    }

    fn candidates(&self, input_tokens: f64) -> Vec<Candidate> {
        let candidate = |model: &crate::ModelSpec| Candidate {
            model: model.name.clone(),
            probability: 0.0,
            satisfaction: 0.5,
            cost: self.costs.predict(model, input_tokens),
            ..Candidate::default()
        };
        self.spec.zoo.models().iter().map(candidate).collect()
    }
}

pub(crate) fn check_context(context: &Context<'_>, dim: usize) -> Result<(), DecideError> {
    if !context.features.is_empty() {
        check_features(context.features, dim)?;
    }
    if !(0.0..=CostModel::MAX_INPUT_TOKENS).contains(&context.input_tokens) {
        return Err(DecideError::Tokens(context.input_tokens));
    }
    Ok(())
}

pub(crate) fn check_features(features: &[f32], dim: usize) -> Result<(), DecideError> {
    if features.len() != dim {
        return Err(DecideError::Dimension { expected: dim, got: features.len() });
    }
    match features.iter().position(|x| !x.is_finite()) {
        Some(index) => Err(DecideError::Feature { index }),
        None => Ok(()),
    }
}

/// Inverse transform sampling. Rounding may leave the sum just below the draw: the best choice takes that sliver.
fn sample(candidates: &[Candidate], best: usize, draw: f64) -> usize {
    let mut below = 0.0;
    for (i, candidate) in candidates.iter().enumerate() {
        below += candidate.probability;
        if draw < below {
            return i;
        }
    }
    best
}
