//! A replay of a long log: it says how far it is, and saves what it has learnt on its way, so that one that is cut off is not for nothing.

use slarouter_core::Timestamp;
use slarouter_store::Store;
use tokio::sync::watch;

use crate::learning::{Learning, LearningError};

/// Events between two saved states of a replay: a second or two of it. A kill costs no more.
const SAVED_EVERY: u64 = 50_000;
/// Events between two words on how far it is.
const TOLD_EVERY: u64 = 4_096;

/// How far a replay is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The event with which it began.
    pub from: u64,
    /// The last event that has gone in.
    pub seq: u64,
    /// The last event of the log.
    pub last: u64,
}

impl Progress {
    /// The share that is done, from 0 to 1.
    #[must_use]
    pub fn share(&self) -> f64 {
        let all = self.last.saturating_sub(self.from);
        if all == 0 { 1.0 } else { (self.seq.saturating_sub(self.from) as f64 / all as f64).min(1.0) }
    }
}

/// Applies everything that the log holds after what `learning` knows, tells `progress` how far it is, and saves states on the way. Returns the
/// number of events.
///
/// # Errors
/// As [`Learning::catch_up`]. A state that cannot be saved is logged, and the replay goes on.
pub async fn replay(
    learning: &mut Learning,
    store: &dyn Store,
    now: impl Fn() -> Timestamp,
    progress: &watch::Sender<Progress>,
) -> Result<u64, LearningError> {
    let (from, mut saved, mut applied) = (learning.seq(), learning.seq(), 0);
    loop {
        let last = *store.committed().borrow();
        let done = Progress { from, seq: learning.seq(), last };
        progress.send_replace(done);
        let step = learning.advance(store, u64::MAX, TOLD_EVERY).await?;
        applied += step;
        if step < TOLD_EVERY {
            progress.send_replace(Progress { from, seq: learning.seq(), last });
            return Ok(applied);
        }
        if learning.seq() - saved >= SAVED_EVERY {
            saved = learning.seq();
            let share = format!("{:.0} %", 100.0 * done.share());
            tracing::info!(seq = saved, last, share, "learning from the log");
            if let Err(error) = store.save_learnt(learning.place(), now(), learning.states()?).await {
                tracing::warn!(%error, "what was learnt so far could not be saved: a replay that is cut off begins again");
            }
        }
    }
}
