//! Where what was learnt is published.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::snapshot::Snapshot;

/// Where snapshots go. One per configuration, so that the requests of each see only states that fit it: during a reload those of
/// the old one go on from their last snapshot.
pub struct Publisher {
    /// The last one published.
    pub published: Arc<ArcSwap<Snapshot>>,
    /// The routes of the configuration.
    pub(crate) routes: Vec<Arc<str>>,
    /// The number of the last event that has gone into what was published.
    seq: watch::Sender<u64>,
}

impl Publisher {
    /// Publishes into `published`, for the routes of a configuration.
    #[must_use]
    pub fn new(published: Arc<ArcSwap<Snapshot>>, routes: Vec<Arc<str>>) -> Arc<Self> {
        Arc::new(Self { published, routes, seq: watch::Sender::new(0) })
    }

    /// Publishes what decisions are made from, from now on.
    pub(crate) fn publish(&self, snapshot: Arc<Snapshot>) {
        let seq = snapshot.seq;
        self.published.store(snapshot);
        self.seq.send_replace(seq);
    }

    /// Waits until the learner has published what it knew at event `seq` or later.
    pub async fn reached(&self, seq: u64) {
        // The sender is `self`'s own, so it does not go away.
        let _ = self.seq.subscribe().wait_for(|published| *published >= seq).await;
    }
}
