//! Looks for what calls for somebody, and has the webhooks told.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use slarouter_learner::Snapshot;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use crate::alerts::View;
use crate::app::App;

/// Between two looks: a fraction of the shortest time that a rule asks for.
const EVERY: Duration = Duration::from_secs(15);

pub(crate) async fn keep_looking(live: Arc<ArcSwap<App>>, mut stop: watch::Receiver<bool>) {
    loop {
        look(&live.load());
        let stopping = tokio::select! {
            _ = stop.changed() => true,
            () = sleep(EVERY) => false,
        };
        let alerts = live.load().alerts.clone();
        // A panic of it is told of where it happens.
        let _ = spawn_blocking(move || alerts.remember()).await;
        if stopping {
            return;
        }
    }
}

fn look(app: &App) {
    let snapshot = app.published.load();
    // At a start the learner may not have looked at the SLAs yet: what fired before would seem to be over.
    let unseen = |route: &Arc<str>| !snapshot.standings.contains_key(route) && snapshot.status(route).is_some();
    if app.config.routes.keys().any(unseen) {
        return;
    }
    app.alerts.tell(&app.config.alerts, &app.clock);
    // Of gateways that share a log the one that holds it tells of the SLAs; of its own troubles each.
    let none = Snapshot::default();
    let is_holder = app.store.role().borrow().is_holder();
    app.alerts.look(&View {
        now: app.clock.now(),
        snapshot: if is_holder { &snapshot } else { &none },
        trouble: app.trouble(),
        stale: app.is_stale(&snapshot),
        circuits: app.health.circuits(Instant::now()).collect(),
    });
}
