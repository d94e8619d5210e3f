//! Routes to test on.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use slarouter_core::{Alpha, Learner, ModelSpec, PolicySpec, Price, RouteSpec, Zoo};

/// Feedback window of every route here.
pub(crate) const WINDOW_MS: u64 = 1_000_000;

/// A model of that price (USD per million tokens, in and out) for every figure: `m0`, `m1` …
pub(crate) fn models(prices: &[f64]) -> Vec<ModelSpec> {
    let model = |(i, &price)| ModelSpec::new(&format!("m{i}"), Price { input: price, output: price });
    prices.iter().enumerate().map(model).collect()
}

pub(crate) fn spec(models: Vec<ModelSpec>, alpha: f64, policy: PolicySpec) -> RouteSpec {
    let (alpha, zoo) = (Alpha::new(alpha).unwrap(), Zoo::new(models).unwrap());
    RouteSpec { feedback_window_ms: WINDOW_MS, ..RouteSpec::new(alpha, zoo, policy) }
}

pub(crate) fn learner(models: Vec<ModelSpec>, alpha: f64, policy: PolicySpec, dim: usize) -> Learner {
    Learner::new(spec(models, alpha, policy), dim, 1).unwrap()
}
