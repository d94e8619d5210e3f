//! The policy as older versions of the state have it.

use serde::{Deserialize, Deserializer};

use super::drift::Drift;
use super::outlook::History;
use super::pace::Pace;
use super::residual::Residual;
use super::safeguard::{Safeguard, SecondSafeguard};
use super::spending::Spending;
use super::steering::Steering;
use super::{Certified, CertifiedParams, Predictor};
use crate::{Reliability, SatisfactionAccount, Standing};

/// What version 1 has of [`Certified`], and what a version has `added` to it.
#[derive(Deserialize)]
pub(crate) struct Saved<Added> {
    params: CertifiedParams,
    alpha: f64,
    fallback: usize,
    predictor: Predictor,
    account: SatisfactionAccount,
    standing: Standing,
    steering: Steering,
    fast: Residual,
    slow: Residual,
    period: u64,
    drift: Drift,
    added: Added,
}

/// What version 2 has added.
#[derive(Deserialize)]
pub(crate) struct Second {
    levels: Vec<f64>,
    #[serde(deserialize_with = "second_safeguard")]
    safeguard: Safeguard,
    pace: Pace,
}

fn second_safeguard<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Safeguard, D::Error> {
    SecondSafeguard::deserialize(deserializer).map(Safeguard::from)
}

/// Nothing counts as ventured in a window that began under version 1.
impl From<Saved<()>> for Certified {
    fn from(first: Saved<()>) -> Self {
        let levels = first.predictor.levels();
        let safeguard = Safeguard::new(levels.len());
        first.with(Second { levels, safeguard, pace: Pace::default() }).into()
    }
}

/// Of windows before, and of judges, nothing is known.
impl From<Saved<Second>> for Certified {
    fn from(second: Saved<Second>) -> Self {
        let Saved { params, alpha, fallback, predictor, account, standing, .. } = second;
        let Saved { steering, fast, slow, period, drift, added: Second { levels, safeguard, pace }, .. } = second;
        let (history, spending) = (History::new(levels.len()), Spending::default());
        Self {
            params,
            alpha,
            fallback,
            predictor,
            account,
            standing,
            steering,
            correction: fast.into(),
            slow,
            period,
            drift,
            levels,
            safeguard,
            pace,
            history,
            spending,
            exploration_floor: 0.0,
            reliability: Reliability::default(),
        }
    }
}

impl<Added> Saved<Added> {
    fn with<Other>(self, added: Other) -> Saved<Other> {
        let Self { params, alpha, fallback, predictor, account, standing, .. } = self;
        let Self { steering, fast, slow, period, drift, .. } = self;
        Saved { params, alpha, fallback, predictor, account, standing, steering, fast, slow, period, drift, added }
    }
}
