//! Keeps the log as short as the configuration in force says.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use slarouter_config::RetentionConfig;
use slarouter_store::{Retention, Shortened};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::app::App;

/// Between two steps, each of some milliseconds of the writer: what is logged has most of its time.
const PACE: Duration = Duration::from_millis(25);
/// Between two looks, once there is nothing to do, or it could not be done.
const EVERY: Duration = Duration::from_secs(60);

/// What the store is to keep under this configuration.
#[must_use]
pub fn retention(kept: &RetentionConfig, window_ms: u64) -> Retention {
    let RetentionConfig { details_ms, decisions_ms, outcomes_ms, feedback_ms, prompts_ms, rollups_ms } = *kept;
    Retention { window_ms, details_ms, decisions_ms, outcomes_ms, feedback_ms, prompts_ms, rollups_ms }
}

pub(crate) async fn keep_short(live: Arc<ArcSwap<App>>, mut stop: watch::Receiver<bool>) {
    let mut told = Shortened::default();
    while !*stop.borrow() {
        let app = live.load_full();
        let kept = retention(&app.config.store.retention, app.config.feedback_window_ms);
        let pause = match app.store.shorten(&kept, app.clock.now()).await {
            Ok(done) => {
                told.add(&done);
                if done.more { PACE } else { EVERY }
            }
            Err(error) => {
                tracing::error!(%error, "the log could not be shortened: it is tried again in a minute");
                EVERY
            }
        };
        drop(app);
        if pause == EVERY && told != Shortened::default() {
            let Shortened { archived, decisions, outcomes, feedback, prompts, sums, raters, freed_bytes, more: _ } =
                told;
            tracing::info!(
                archived,
                decisions,
                outcomes,
                feedback,
                prompts,
                sums,
                raters,
                freed_bytes,
                "the log was shortened"
            );
            told = Shortened::default();
        }
        tokio::select! { _ = stop.changed() => return, () = sleep(pause) => {} }
    }
}
