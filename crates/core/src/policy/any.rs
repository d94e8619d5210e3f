//! The policies of this crate as one type.

use serde::{Deserialize, Serialize};

use super::certified::saved::{Saved, Second};
use super::certified::{Certified, Predictor};
use super::fixed::Fixed;
use super::interface::{Believed, Judged, Label, Policy, View};
use super::slarouter::SlaRouter;
use super::spec::PolicySpec;
use crate::{Candidate, Certificate, Decision, RouteSpec, Timestamp, Zoo};

/// The policies of this crate, as one type that can be saved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum AnyPolicy {
    /// See [`SlaRouter`].
    SlaRouter(SlaRouter),
    /// See [`Fixed`].
    Fixed(Fixed),
    /// See [`Certified`].
    Certified(Box<Certified>),
}

/// [`AnyPolicy`] as version 1 of the state has it.
pub(crate) type FirstPolicy = SavedPolicy<Saved<()>>;
/// [`AnyPolicy`] as version 2 of the state has it.
pub(crate) type SecondPolicy = SavedPolicy<Saved<Second>>;

/// [`AnyPolicy`] as an older version of the state has it, with that version's form of [`Certified`].
#[derive(Deserialize)]
pub(crate) enum SavedPolicy<C> {
    /// As it is.
    SlaRouter(SlaRouter),
    /// As it is.
    Fixed(Fixed),
    /// With less.
    Certified(Box<C>),
}

impl<C: Into<Certified>> From<SavedPolicy<C>> for AnyPolicy {
    fn from(saved: SavedPolicy<C>) -> Self {
        match saved {
            SavedPolicy::SlaRouter(policy) => Self::SlaRouter(policy),
            SavedPolicy::Fixed(policy) => Self::Fixed(policy),
            SavedPolicy::Certified(policy) => Self::Certified(Box::new((*policy).into())),
        }
    }
}

impl AnyPolicy {
    /// The policy of a route, without history.
    pub(crate) fn new(spec: &RouteSpec, dim: usize) -> Self {
        match &spec.policy {
            PolicySpec::Certified(params) => Self::Certified(Box::new(Certified::new(params.clone(), spec, dim))),
            PolicySpec::SlaRouter(params) => Self::SlaRouter(SlaRouter::new(*params, &spec.zoo, dim)),
            other => Self::Fixed(Fixed::new(other, &spec.zoo)),
        }
    }

    fn inner(&self) -> &dyn Policy {
        match self {
            Self::SlaRouter(policy) => policy,
            Self::Fixed(policy) => policy,
            Self::Certified(policy) => &**policy,
        }
    }

    fn inner_mut(&mut self) -> &mut dyn Policy {
        match self {
            Self::SlaRouter(policy) => policy,
            Self::Fixed(policy) => policy,
            Self::Certified(policy) => &mut **policy,
        }
    }
}

impl Policy for AnyPolicy {
    fn judge(&self, view: &View<'_>, candidates: &mut [Candidate]) -> usize {
        self.inner().judge(view, candidates)
    }
    fn decided(&mut self, decision: &Decision, at: Timestamp) {
        self.inner_mut().decided(decision, at);
    }
    fn rerouted(&mut self, at: Timestamp, old: f64, new: f64) {
        self.inner_mut().rerouted(at, old, new);
    }
    fn failed(&mut self, at: Timestamp, predicted: f64, counts: bool) {
        self.inner_mut().failed(at, predicted, counts);
    }
    fn labelled(&mut self, label: &Label<'_>) {
        self.inner_mut().labelled(label);
    }
    fn judged(&mut self, judged: &Judged) -> Option<f64> {
        self.inner_mut().judged(judged)
    }
    fn reconfigured(&mut self, old: &Zoo, spec: &RouteSpec) {
        self.inner_mut().reconfigured(old, spec);
    }
    fn reset_features(&mut self, dim: usize, zoo: &Zoo) {
        self.inner_mut().reset_features(dim, zoo);
    }
    fn only_draws(&self) -> bool {
        self.inner().only_draws()
    }
    fn insists_on(&self) -> Option<usize> {
        self.inner().insists_on()
    }
    fn has_evidence(&self) -> bool {
        self.inner().has_evidence()
    }
    fn is_feasible(&self) -> Option<bool> {
        self.inner().is_feasible()
    }
    fn believed(&self) -> Option<Vec<Believed>> {
        self.inner().believed()
    }
    fn fallback(&self) -> Option<usize> {
        self.inner().fallback()
    }
    fn queue(&self) -> Option<f64> {
        self.inner().queue()
    }
    fn certificate(&self) -> Option<Certificate> {
        self.inner().certificate()
    }
    fn predictor(&self) -> Option<&Predictor> {
        self.inner().predictor()
    }
    fn set_predictor(&mut self, predictor: Predictor) {
        self.inner_mut().set_predictor(predictor);
    }
}
