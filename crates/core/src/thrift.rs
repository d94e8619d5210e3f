//! What a route saves, and what stands in the way where it saves little.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::policy::Believed;
use crate::{Candidate, Decision, Policy, Router};

/// Decisions that a mean of late speaks of, and fewest to say anything by.
const LATE: u64 = 1_000;
/// Share of the fallback's cost below which a saving is little.
const LITTLE: f64 = 0.05;
/// What has to be saved for it not to be little any more.
const ENOUGH: f64 = 0.07;
/// Doubt of a model of which next to nothing is known: that of some 15 labels.
const UNTRIED: f64 = 0.1;
/// Doubt of a fallback that may not be left yet: that of some 100 labels.
const UNSURE: f64 = 0.03;

/// What the decisions of late cost by prediction, and what they would have cost on each model alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Costs {
    decisions: u64,
    /// Mean USD of the chosen models.
    spent: f64,
    models: Vec<ModelCosts>,
}

/// One model in [`Costs`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct ModelCosts {
    name: Arc<str>,
    /// Mean USD of an answer.
    cost: f64,
    /// Share of the requests that it could not be chosen for.
    excluded: f64,
}

/// Why a route saves little.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// No model costs less than the fallback.
    Price,
    /// The cheaper models cannot take most of the requests.
    Excluded,
    /// There are too few labels.
    Labels,
    /// Next to nothing is known of the cheaper models.
    Untried,
    /// The models leave nothing to give away.
    Headroom,
}

/// What a route saves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thrift {
    /// Share of what the fallback alone would have cost of late, by predictions; negative where it would have cost less.
    pub saving: f64,
    /// What stands in the way, where that is little.
    pub obstacle: Option<Obstacle>,
}

impl Costs {
    /// Takes note of a decision. O(models).
    pub(crate) fn decided(&mut self, decision: &Decision) {
        let candidates = &decision.candidates;
        if !self.models.iter().map(|model| &model.name).eq(candidates.iter().map(|candidate| &candidate.model)) {
            // Another zoo: what the old one cost is no measure any more.
            let of = |candidate: &Candidate| ModelCosts { name: candidate.model.clone(), cost: 0.0, excluded: 0.0 };
            *self = Self { decisions: 0, spent: 0.0, models: candidates.iter().map(of).collect() };
        }
        self.decisions += 1;
        let rate = 1.0 / self.decisions.min(LATE) as f64;
        self.spent += rate * (decision.choice().cost - self.spent);
        for (model, candidate) in self.models.iter_mut().zip(candidates) {
            model.cost += rate * (candidate.cost - model.cost);
            model.excluded += rate * (f64::from(u8::from(candidate.excluded)) - model.excluded);
        }
    }
}

impl Obstacle {
    /// All of them, in the order in which they are looked for.
    pub const ALL: [Self; 5] = [Self::Price, Self::Excluded, Self::Labels, Self::Untried, Self::Headroom];

    /// Its name in metrics and answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Price => "price",
            Self::Excluded => "excluded",
            Self::Labels => "labels",
            Self::Untried => "untried",
            Self::Headroom => "headroom",
        }
    }

    /// The same in words.
    #[must_use]
    pub fn cause(self) -> &'static str {
        match self {
            Self::Price => "none of its models costs less than the fallback",
            Self::Excluded => "its cheaper models cannot take most of the requests",
            Self::Labels => "there are too few labels to leave the fallback by",
            Self::Untried => "next to nothing is known of its cheaper models",
            Self::Headroom => "its models hardly reach α, so there is nothing to give away",
        }
    }

    /// What would help.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Price => "add a cheaper model, or set models.price to what is billed",
            Self::Excluded => {
                "see x-slarouter-excluded for the reasons; set models.takes, or add a cheaper model that takes them"
            }
            Self::Labels => "ask more users for ratings, or set feedback.audit_rate; a lower sla.assurance needs fewer",
            Self::Untried => "raise exploration, or begin with a prior or a warm start",
            Self::Headroom => "add a cheap model that is better, name a better fallback, or lower sla.satisfaction",
        }
    }
}

impl<P: Policy> Router<P> {
    /// What the route saves against its fallback alone; `before` is what stood in the way when last looked at. `None` for a policy
    /// without a fallback, on a route that is only observed, and before a thousand decisions.
    #[must_use]
    pub fn thrift(&self, costs: &Costs, before: Option<Obstacle>) -> Option<Thrift> {
        let (believed, fallback) = (self.policy.believed()?, self.policy.fallback()?);
        let paid = costs.models.get(fallback)?.cost;
        if self.spec.is_observed() || costs.decisions < LATE || costs.models.len() != believed.len() {
            return None;
        }
        let saving = if paid > 0.0 { 1.0 - costs.spent / paid } else { 0.0 };
        let little = if before.is_some() { ENOUGH } else { LITTLE };
        let obstacle = (saving < little).then(|| first_obstacle(&costs.models, &believed, fallback, self.alpha()));
        Some(Thrift { saving, obstacle })
    }
}

fn first_obstacle(models: &[ModelCosts], believed: &[Believed], fallback: usize, alpha: f64) -> Obstacle {
    let (trusted, most) = (believed[fallback], models[fallback].cost);
    let cheaper = || models.iter().zip(believed).filter(|(model, _)| model.cost < most);
    let usable = || cheaper().filter(|(model, _)| model.excluded < 0.5);
    // By the cheapest mix of the two that reaches α.
    let possible = |(model, held): (&ModelCosts, &Believed)| {
        let share = if held.mean >= alpha {
            1.0
        } else {
            (trusted.mean - alpha).max(0.0) / (trusted.mean - held.mean).max(f64::MIN_POSITIVE)
        };
        share.min(1.0) * (1.0 - model.cost / most)
    };
    if cheaper().next().is_none() {
        Obstacle::Price
    } else if usable().next().is_none() {
        Obstacle::Excluded
    } else if trusted.doubt > UNSURE {
        Obstacle::Labels
    } else if usable().all(|(_, held)| held.doubt > UNTRIED) {
        Obstacle::Untried
    } else if usable().map(possible).fold(0.0, f64::max) < LITTLE {
        Obstacle::Headroom
    } else {
        Obstacle::Labels
    }
}

#[cfg(test)]
mod tests {
    use crate::{Alpha, Learner, ModelSpec, PolicySpec, Price, Reason, RouteSpec, Zoo};

    use super::*;

    const ALPHA: f64 = 0.9;

    fn model(cost: f64, excluded: f64) -> ModelCosts {
        ModelCosts { name: "m".into(), cost, excluded }
    }

    /// Of a cheap model and a fallback of the price 1.
    fn of(cheap: ModelCosts, cheap_believed: (f64, f64), fallback: (f64, f64)) -> Obstacle {
        let believed = [cheap_believed, fallback].map(|(mean, doubt)| Believed { mean, doubt });
        first_obstacle(&[cheap, model(1.0, 0.0)], &believed, 1, ALPHA)
    }

    #[test]
    fn the_first_obstacle_is_named() {
        let (good, known) = ((0.95, 0.01), (0.8, 0.02));
        assert_eq!(of(model(1.0, 1.0), known, good), Obstacle::Price);
        assert_eq!(of(model(0.1, 0.6), known, good), Obstacle::Excluded);
        assert_eq!(of(model(0.1, 0.4), (0.8, 0.2), (0.95, 0.04)), Obstacle::Labels);
        assert_eq!(of(model(0.1, 0.4), (0.8, 0.2), good), Obstacle::Untried);
        assert_eq!(of(model(0.1, 0.4), known, (0.905, 0.01)), Obstacle::Headroom, "0.9 · 0.005 / 0.105 = 4.3 %");
        assert_eq!(of(model(0.1, 0.4), known, (0.85, 0.01)), Obstacle::Headroom, "the fallback is below α");
        assert_eq!(of(model(0.1, 0.4), known, good), Obstacle::Labels, "a third could be saved, were it sure");
        assert_eq!(of(model(0.97, 0.0), (0.99, 0.02), good), Obstacle::Headroom, "as good, and as dear");
    }

    #[test]
    fn what_is_saved_is_measured_against_the_fallback() {
        let price = |price: f64| Price { input: price, output: price };
        let model = |name: &str, usd: f64| ModelSpec { name: name.into(), price: price(usd), prior: None };
        let zoo = Zoo::new(vec![model("small", 0.1), model("large", 1.0)]).unwrap();
        let spec = RouteSpec::new(Alpha::new(ALPHA).unwrap(), zoo, PolicySpec::parse("certified").unwrap());
        let learner = Learner::new(spec, 1, 1).unwrap();
        let mut costs = Costs::default();
        let mut decide = |chosen: usize, times: u64| {
            let candidates = [("small", 0.1), ("large", 1.0)].map(|(name, cost)| Candidate {
                model: name.into(),
                cost,
                ..Candidate::default()
            });
            let decision = Decision { candidates: candidates.into(), chosen, reason: Reason::Exploit };
            (0..times).for_each(|_| costs.decided(&decision));
            costs.clone()
        };
        assert_eq!(learner.router().thrift(&decide(1, LATE - 1), None), None, "too few to say");
        let costly = learner.router().thrift(&decide(1, 1), None).unwrap();
        assert_eq!((costly.saving, costly.obstacle), (0.0, Some(Obstacle::Labels)));
        let costs = decide(0, 70);
        let some = |before| learner.router().thrift(&costs, before).unwrap();
        assert!((0.055..0.065).contains(&some(None).saving), "{:?}", some(None));
        assert_eq!(some(None).obstacle, None);
        assert_eq!(some(Some(Obstacle::Labels)).obstacle, Some(Obstacle::Labels), "not much more than little");
    }
}
