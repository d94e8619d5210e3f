//! What must not get into a batch.

use crate::{Entry, StoreError};

/// Refuses what could not be written or read back: one such entry would fail every batch that it is in.
pub(crate) fn check(entry: &Entry) -> Result<(), StoreError> {
    let sound = match entry {
        Entry::Decision(record) => {
            let candidates = &record.decision.candidates;
            record.decision.chosen < candidates.len()
                && record.fallback.is_none_or(|place| place < candidates.len())
                && record.input_tokens.is_finite()
                && record.audit.rate.is_finite()
                && candidates
                    .iter()
                    .all(|c| [c.probability, c.satisfaction, c.cost, c.score].into_iter().all(f64::is_finite))
        }
        Entry::Outcome(record) => {
            let input = [record.input_tokens, record.cached_tokens, record.cache_write_tokens];
            let known = input.into_iter().chain([record.output_tokens, record.reasoning_tokens, record.ttft_ms]);
            record.cost.is_finite() && record.latency_ms.is_finite() && known.flatten().all(f64::is_finite)
        }
        Entry::Reroute { .. } | Entry::Spend(_) => true,
    };
    if sound { Ok(()) } else { Err(StoreError::Entry) }
}
