//! What is known of models, apart from any SLA: what routes share.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::policy::Predictor;
use crate::router::check_features;
use crate::{Change, CostModel, Learner, ObserveError, Policy, Rating, Router, Source, Zoo};

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

/// An answer that was judged before there was a route to serve it.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// Features of the prompt.
    pub features: Vec<f32>,
    /// Place in the zoo of the model that answered.
    pub model: usize,
    /// How satisfactory the answer was, in \[0, 1\].
    pub satisfaction: f64,
}

impl Knowledge {
    /// Learns from `examples`, in their order: shuffle them. All examples of a model together count for at most `worth` labels, however
    /// many there are, as the users to come may be of another mind; their likelihood is raised to the power that makes it so.
    /// `features` are the length and version of the vectors. O(examples · dim²).
    ///
    /// # Errors
    /// [`ObserveError`] if an example's features do not fit, its satisfaction is not in \[0, 1\], or its model is not in the zoo.
    pub fn train(zoo: &Zoo, features: (usize, u32), examples: &[Example], worth: f64) -> Result<Self, ObserveError> {
        let mut counts = vec![0_u64; zoo.models().len()];
        for example in examples {
            check_features(&example.features, features.0)?;
            Rating::new(example.satisfaction)?;
            *counts.get_mut(example.model).ok_or(ObserveError::Model(example.model))? += 1;
        }
        let mut predictor = Predictor::new(zoo, features.0);
        for example in examples {
            let prompt = predictor.prepare(&example.features, Source::Audit);
            let lesson = Change { old: None, new: Some(example.satisfaction) };
            let share = (worth / counts[example.model] as f64).clamp(0.0, 1.0);
            predictor.learn_in_part(&prompt, example.model, lesson, share);
        }
        let models = zoo.models().iter().map(|model| model.name.clone()).collect();
        Ok(Self { features, models, predictor, costs: CostModel::default() })
    }

    /// Length and version of the features that it was learnt on.
    #[must_use]
    pub fn features(&self) -> (usize, u32) {
        self.features
    }

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

    /// Begins with `knowledge`, unless anything has been learnt already. Answer lengths are not taken over. Returns whether it could.
    pub fn begin_with(&mut self, knowledge: &Knowledge) -> bool {
        let router = self.router_mut();
        let usable = router.features() == knowledge.features;
        let Some(own) = router.policy.predictor().filter(|own| usable && own.labels() == 0) else { return false };
        let begun = knowledge.predictor.rearranged(&knowledge.models, own, &router.spec.zoo);
        router.policy.set_predictor(begun);
        true
    }

    /// Whether it is what [`Learner::without_knowledge`] left: it cannot decide before it has adopted some.
    #[must_use]
    pub fn lacks_knowledge(&self) -> bool {
        self.router().policy.predictor().is_some_and(|own| own.is_emptied())
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
