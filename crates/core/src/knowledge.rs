//! What is known of models, apart from any SLA: what routes share.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::policy::Predictor;
use crate::{CostModel, Learner, Policy, Router};

/// What one route has learnt about models, for others to use: predicted satisfaction and answer lengths, by model name.
///
/// Routes and tenants that take it over from each other have an α, an account of satisfaction and a price of satisfaction of
/// their own; what a prompt asks of a model is the same for all. It also knows of models that the route it came from does not
/// have, if that route took them over from another. Cloning copies pointers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Knowledge {
    /// Length and version of the features it was learnt on.
    pub(crate) features: (usize, u32),
    /// Names by place in `predictor`.
    pub(crate) models: Vec<Arc<str>>,
    pub(crate) predictor: Predictor,
    pub(crate) costs: CostModel,
}

impl Knowledge {
    /// Labels that it was learnt from.
    #[must_use]
    pub fn labels(&self) -> u64 {
        self.predictor.labels()
    }
}

impl<P: Policy> Router<P> {
    /// What this route knows of models; `None` if it keeps that to itself, or its policy does not learn in a form that can be shared.
    #[must_use]
    pub fn knowledge(&self) -> Option<Knowledge> {
        let predictor = self.policy.predictor().filter(|_| !self.spec.alone)?.clone();
        let models = self.zoo().models().iter().map(|model| model.name.clone()).collect();
        Some(Knowledge { features: self.features(), models, predictor, costs: self.costs.clone() })
    }

    /// Puts `knowledge` in the place of what this route knew of models; what that does not speak of is kept. SLA, account and price
    /// stay. Returns whether it could be used: not by a route that learns alone or has another kind
    /// of policy, nor if learnt on other features.
    /// Copies O(models) pointers, and evaluates the doubt about models that the route it came from does not have.
    pub fn adopt(&mut self, knowledge: &Knowledge) -> bool {
        let usable = !self.spec.alone && self.features() == knowledge.features;
        let Some(own) = self.policy.predictor().filter(|_| usable) else { return false };
        let adopted = knowledge.predictor.rearranged(&knowledge.models, own, &self.spec.zoo);
        self.policy.set_predictor(adopted);
        self.costs.clone_from(&knowledge.costs);
        true
    }
}

impl<P: Policy> Learner<P> {
    /// Whether it has knowledge that it can share and adopt.
    #[must_use]
    pub fn shares(&self) -> bool {
        !self.router().spec.alone && self.router().policy.predictor().is_some()
    }

    /// See [`Router::adopt`]. The ratings in force stay as well.
    pub fn adopt(&mut self, knowledge: &Knowledge) -> bool {
        self.router_mut().adopt(knowledge)
    }

    /// The rest, to be saved apart from the knowledge. [`Learner::adopt`] brings that back.
    #[must_use]
    pub fn without_knowledge(mut self) -> Self {
        let router = self.router_mut();
        if let Some(predictor) = router.policy.predictor() {
            let emptied = predictor.emptied();
            router.policy.set_predictor(emptied);
            router.costs = CostModel::default();
        }
        self
    }
}
