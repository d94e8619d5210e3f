//! What can be set.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Span, SpecError, Zoo};

/// Highest least share of a model in the draw: more is a test and no exploration.
pub const HIGHEST_FLOOR: f64 = 0.05;

/// Over which answers the SLA is to hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Window {
    /// All since the route's first request.
    #[default]
    Run,
    /// The last so many.
    Requests(u64),
    /// Those of the current period of so many milliseconds, counted from the Unix epoch.
    Period(u64),
}

/// Parameters of [`Certified`](super::Certified). There is no learning rate and nothing to tune per zoo.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CertifiedParams {
    /// Probability with which the certificate holds, in (0, 1).
    pub assurance: f64,
    /// The model that serves while there is no evidence; the one with the highest list price if not given.
    pub fallback: Option<String>,
    /// Highest extra cost of exploration as a share of the spend, in \[0, 1\]; 0 turns exploration off.
    pub exploration: f64,
    /// Least share of the drawn requests for each model that may be chosen, in \[0, 0.05\], as far as `exploration` can pay for it: what
    /// was never drawn cannot be evaluated later. 0 asks for no more than what is explored to learn.
    #[serde(skip_serializing_if = "is_none", serialize_with = "written_floor", deserialize_with = "read_floor")]
    pub exploration_floor: f64,
    /// Over which answers the SLA is to hold.
    pub window: Window,
    /// Whether it is only to be seen what it would choose: the fallback serves, and others at most the share `exploration` of the
    /// requests. What is saved of a learner does not hold it: see [`Learner::observe_on`](crate::Learner::observe_on).
    #[serde(skip_serializing_if = "std::ops::Not::not", serialize_with = "written", deserialize_with = "read")]
    pub observe: bool,
}

/// Takes no room in binary forms, which are older than it: the policy saves it by itself.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
fn written_floor<S: Serializer>(floor: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if serializer.is_human_readable() { serializer.serialize_f64(*floor) } else { serializer.serialize_unit() }
}

fn read_floor<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    if deserializer.is_human_readable() { f64::deserialize(deserializer) } else { Ok(0.0) }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
fn is_none(floor: &f64) -> bool {
    *floor == 0.0
}

/// Takes no room in binary forms, which are older than it.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
fn written<S: Serializer>(observe: &bool, serializer: S) -> Result<S::Ok, S::Error> {
    if serializer.is_human_readable() { serializer.serialize_bool(*observe) } else { serializer.serialize_unit() }
}

fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    if deserializer.is_human_readable() { bool::deserialize(deserializer) } else { Ok(false) }
}

impl fmt::Display for Window {
    /// As a configuration spells it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run => f.write_str("run"),
            Self::Requests(count) => write!(f, "{count} requests"),
            Self::Period(ms) => match [(86_400_000, "days"), (3_600_000, "hours"), (60_000, "minutes")]
                .into_iter()
                .find(|(unit, _)| ms.is_multiple_of(*unit))
            {
                Some((unit, name)) => write!(f, "{} {name}", ms / unit),
                None => write!(f, "{} seconds", *ms as f64 / 1e3),
            },
        }
    }
}

impl Default for CertifiedParams {
    fn default() -> Self {
        Self {
            assurance: 0.95,
            fallback: None,
            exploration: 0.05,
            exploration_floor: 0.0,
            window: Window::Run,
            observe: false,
        }
    }
}

impl CertifiedParams {
    pub(crate) fn check(&self, zoo: &Zoo) -> Result<(), SpecError> {
        let refuse = |name, range, value| Err(SpecError::Parameter { name, range, value });
        if !(self.assurance > 0.0 && self.assurance < 1.0) {
            return refuse("assurance", "strictly between 0 and 1", self.assurance);
        }
        if !(0.0..=1.0).contains(&self.exploration) {
            return refuse("exploration", "between 0 and 1", self.exploration);
        }
        if !(0.0..=HIGHEST_FLOOR).contains(&self.exploration_floor) {
            return refuse("exploration_floor", "between 0 and 0.05", self.exploration_floor);
        }
        if let Window::Requests(0) | Window::Period(0) = self.window {
            return refuse("window", "positive", 0.0);
        }
        match &self.fallback {
            Some(name) if zoo.position(name).is_none() => Err(SpecError::Fallback(name.clone())),
            _ => Ok(()),
        }
    }

    pub(super) fn fallback(&self, zoo: &Zoo) -> usize {
        let named = self.fallback.as_ref().and_then(|name| zoo.position(name));
        named.unwrap_or_else(|| zoo.by_price(true))
    }

    pub(super) fn span(&self) -> Span {
        match self.window {
            Window::Requests(count) => Span::Rolling(count),
            Window::Run | Window::Period(_) => Span::Open,
        }
    }
}
