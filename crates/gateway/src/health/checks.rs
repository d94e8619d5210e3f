//! Health checks: asks upstreams how they are, where the configuration says so, and moves the circuits that the calls move.

use std::sync::Arc;

use slarouter_config::{HealthCheck, Model};
use slarouter_core::{DecisionId, decision_rng, uniform};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::{Circuit, ModelHealth};
use crate::app::App;

/// All health checks of a gateway, until dropped.
pub(crate) struct Checks {
    /// Dropping it ends them, with the probes under way.
    _tasks: JoinSet<()>,
}

impl Checks {
    pub(crate) fn start(app: &Arc<App>) -> Self {
        let mut tasks = JoinSet::new();
        for (place, model) in app.config.models.iter().enumerate() {
            if let (Some(check), Some(health)) = (&model.health_check, app.health.of(&model.name)) {
                tasks.spawn(run(app.clone(), model.clone(), check.clone(), health.clone(), place as u128));
            }
        }
        Self { _tasks: tasks }
    }
}

async fn run(app: Arc<App>, model: Model, check: HealthCheck, health: Arc<ModelHealth>, place: u128) {
    let mut jitter = decision_rng(app.config.server.seed, DecisionId(place));
    loop {
        // Several gateways, or models of one upstream, must not come to ask in step.
        sleep(check.interval.mul_f64(0.5 + uniform(&mut jitter))).await;
        let failure = app.upstream.probe(&model, &check).await.err();
        app.metrics.checked(&model.name, failure.is_none());
        let change = {
            let mut state = health.state();
            state.check_error.clone_from(&failure);
            state.breaker.checked(failure.is_none(), Instant::now(), &check)
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
