//! The log, event by event.

use slarouter_core::Feedback;
use slarouter_store::{Event, Rated, Store, StoreError};

/// Events read at a time.
const BATCH: usize = 512;

/// Shows each event up to `until`, in the order of the log.
pub(crate) async fn each(store: &dyn Store, until: u64, mut take: impl FnMut(&Event)) -> Result<(), StoreError> {
    let mut seq = 0;
    loop {
        let events = store.events_after(seq, BATCH).await?;
        for event in &events {
            if event.seq() > until {
                return Ok(());
            }
            take(event);
            seq = event.seq();
        }
        if events.len() < BATCH {
            return Ok(());
        }
    }
}

/// A rating of the log, for ledgers and accounts. What is learnt of models decides nothing here, so it comes without features.
pub(crate) fn feedback(rated: &Rated, seq: u64) -> Feedback<'_> {
    Feedback {
        decision: rated.decision,
        decided_at: rated.decided_at,
        model: &rated.model,
        reason: rated.reason,
        features: &[],
        predicted: rated.predicted,
        source: rated.source,
        rater: rated.rater,
        rating: rated.rating,
        order: seq,
    }
}
