//! Keeps metrics up to date that come from the sums of the log: whoever scrapes waits for no database.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::api::series;
use crate::app::App;

/// Between two looks: as often as most scrape.
const EVERY: Duration = Duration::from_secs(15);

pub(crate) async fn keep_telling(live: Arc<ArcSwap<App>>, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            _ = stop.changed() => return,
            () = async {
                tell(&live.load_full()).await;
                sleep(EVERY).await;
            } => {}
        }
    }
}

/// A log that cannot be read is told of by other metrics.
async fn tell(app: &App) {
    let (mut last, mut observed) = (Vec::new(), Vec::new());
    for route in app.config.routes.keys() {
        if let Ok(late) = series::late(app, route).await {
            last.push((&**route, late.thousand));
        }
        if let Ok(Some(found)) = series::observed_of_late(app, route).await {
            observed.push((&**route, found));
        }
    }
    app.metrics.rated_last(&last);
    app.metrics.observed_of_late(&observed);
}
