//! The policy as version 1 of the state has it.

use serde::Deserialize;

use super::drift::Drift;
use super::pace::Pace;
use super::residual::Residual;
use super::safeguard::Safeguard;
use super::steering::Steering;
use super::{Certified, CertifiedParams, Predictor};
use crate::{SatisfactionAccount, Standing};

/// [`Certified`] without what version 2 has added. Nothing counts as ventured in a window that began under version 1.
#[derive(Deserialize)]
pub(crate) struct FirstCertified {
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
}

impl From<FirstCertified> for Certified {
    fn from(first: FirstCertified) -> Self {
        let FirstCertified { params, alpha, fallback, predictor, account, standing, steering, .. } = first;
        let FirstCertified { fast, slow, period, drift, .. } = first;
        let levels = predictor.levels();
        let (safeguard, pace) = (Safeguard::new(levels.len()), Pace::default());
        Self {
            params,
            alpha,
            fallback,
            predictor,
            account,
            standing,
            steering,
            fast,
            slow,
            period,
            drift,
            levels,
            safeguard,
            pace,
        }
    }
}
