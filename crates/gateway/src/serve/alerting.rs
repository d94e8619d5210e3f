//! Looks for what calls for somebody, and has the webhooks told.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::alerts::View;
use crate::app::App;

/// Between two looks: a fraction of the shortest time that a rule asks for.
const EVERY: Duration = Duration::from_secs(15);

pub(crate) async fn keep_looking(live: Arc<ArcSwap<App>>, mut stop: watch::Receiver<bool>) {
    loop {
        look(&live.load());
        tokio::select! {
            _ = stop.changed() => return,
            () = sleep(EVERY) => {}
        }
    }
}

fn look(app: &App) {
    let snapshot = app.published.load();
    app.alerts.tell(&app.config.alerts, &app.clock);
    app.alerts.look(&View {
        now: app.clock.now(),
        snapshot: &snapshot,
        trouble: app.trouble(),
        stale: app.is_stale(&snapshot),
        circuits: app.health.circuits(Instant::now()).collect(),
    });
}
