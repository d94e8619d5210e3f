//! Health checks: asks upstreams how they are, where the configuration says so, and moves the circuits that the calls move.

use std::sync::Arc;

use slarouter_config::{Config, HealthCheck, Model};
use slarouter_core::{DecisionId, decision_rng, uniform};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::breaker::Circuit;
use super::client::Upstream;
use super::health::{Health, ModelHealth};
use crate::metrics::Metrics;

/// All health checks of a gateway, until dropped.
pub(crate) struct Checks {
    /// Dropping it ends them, with the probes under way.
    _tasks: JoinSet<()>,
}

/// The checks of one model.
struct Probing {
    model: Model,
    check: HealthCheck,
    health: Arc<ModelHealth>,
    upstream: Arc<Upstream>,
    metrics: Arc<Metrics>,
}

impl Checks {
    pub(crate) fn start(config: &Config, health: &Health, upstream: &Arc<Upstream>, metrics: &Arc<Metrics>) -> Self {
        let mut tasks = JoinSet::new();
        for (place, model) in config.models.iter().enumerate() {
            if let (Some(check), Some(health)) = (&model.health_check, health.of(&model.name)) {
                let probing = Probing {
                    model: model.clone(),
                    check: check.clone(),
                    health: health.clone(),
                    upstream: upstream.clone(),
                    metrics: metrics.clone(),
                };
                tasks.spawn(run(probing, config.server.seed, DecisionId(place as u128)));
            }
        }
        Self { _tasks: tasks }
    }
}

/// `place` is the model's, so that each has pauses of its own.
async fn run(probing: Probing, seed: u64, place: DecisionId) {
    let Probing { model, check, health, upstream, metrics } = probing;
    let mut jitter = decision_rng(seed, place);
    loop {
        // Several gateways, or models of one upstream, must not come to ask in step.
        sleep(check.interval.mul_f64(0.5 + uniform(&mut jitter))).await;
        let failure = upstream.probe(&model, &check).await.err();
        metrics.checked(&model.name, failure.is_none());
        let change = {
            let mut state = health.state();
            state.check_error.clone_from(&failure);
            let now = Instant::now();
            let change = state.breaker.checked(failure.is_none(), now, &check);
            state.note(change, now);
            change
        };
        let model = &*model.name;
        match (change, failure) {
            (Some(Circuit::Closed), _) => tracing::info!(model, "circuit closed: the model's health checks pass"),
            (Some(_), error) => tracing::warn!(model, error, "circuit open: the model's health checks fail"),
            (None, Some(error)) => tracing::debug!(model, error, "health check failed"),
            (None, None) => {}
        }
    }
}
