//! Puts prices into force when their time has come.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use slarouter_config::{Config, Route};
use slarouter_core::Timestamp;
use slarouter_learner::{FeaturesId, LogRouteError, LoggedRoute, WarmStart};
use slarouter_store::StoreError;
use tokio::sync::{Mutex, Notify, watch};
use tokio::time::sleep;

use crate::app::App;

/// Longest sleep before the wall clock is looked at again: it may be set, and machines are put to sleep.
const NAP: Duration = Duration::from_secs(30);
/// Pause after the log could not take a change.
const PAUSE: Duration = Duration::from_secs(1);

/// Says which prices are unknown.
pub(crate) fn tell(app: &App) {
    for model in &app.config.models {
        app.metrics.price_known(&model.name, model.prices.is_known());
        if !model.prices.is_known() {
            tracing::warn!(model = %model.name, "its price is unknown: it is taken to be as dear as the most expensive");
        }
    }
}

/// What the log is to hold of a route with these features and the prices in force. Reads the file of its warm start.
pub(crate) fn logged_route(
    config: &Config,
    route: &Route,
    features: &FeaturesId,
    at: Timestamp,
) -> Result<LoggedRoute, LogRouteError> {
    let warm_start = route.warm_start.as_deref().map(|path| WarmStart::read(path, features)).transpose()?;
    let (spec, unpriced) = (config.spec_at(route, at), config.unpriced(route));
    Ok(LoggedRoute { spec, features: features.clone(), warm_start, unpriced })
}

/// The routes as the log has them last.
pub(crate) struct LoggedRoutes {
    /// Held while they change in the log.
    pub(crate) routes: Mutex<Vec<(Arc<str>, LoggedRoute)>>,
    /// Another configuration is in force.
    pub(crate) changed: Notify,
}

impl LoggedRoutes {
    pub(crate) fn new(routes: Vec<(Arc<str>, LoggedRoute)>) -> Self {
        Self { routes: Mutex::new(routes), changed: Notify::new() }
    }
}

/// Puts prices into force when their time has come: an event of the log, as any change of the configuration.
pub(crate) async fn keep_in_force(live: Arc<ArcSwap<App>>, logged: Arc<LoggedRoutes>, mut stop: watch::Receiver<bool>) {
    let mut since = live.load().started;
    loop {
        let app = live.load_full();
        let now = app.clock.now();
        let pause = match app.config.next_price_change(since) {
            None => NAP,
            Some(next) if now < next => Duration::from_millis(next.0 - now.0).min(NAP),
            Some(_) => {
                let mut routes = logged.routes.lock().await;
                // A reload may have come first.
                match change(&live.load(), &mut routes, now).await {
                    Ok(()) => {
                        since = now;
                        continue;
                    }
                    Err(error) => {
                        tracing::error!(%error, "new prices are not in the log yet: decisions go on with the old ones");
                        PAUSE
                    }
                }
            }
        };
        tokio::select! {
            _ = stop.changed() => return,
            () = logged.changed.notified() => {}
            () = sleep(pause) => {}
        }
    }
}

async fn change(app: &App, routes: &mut [(Arc<str>, LoggedRoute)], now: Timestamp) -> Result<(), StoreError> {
    for (name, logged) in routes {
        let Some(route) = app.config.routes.get(name) else { continue };
        let spec = app.config.spec_at(route, now);
        if spec == logged.spec {
            continue;
        }
        let changed = LoggedRoute { spec, ..logged.clone() };
        let json = changed.json().map_err(|_| StoreError::Entry)?;
        app.store.configure(now, name, &json).await?;
        tracing::info!(route = %name, "new prices are in force");
        *logged = changed;
    }
    Ok(())
}
