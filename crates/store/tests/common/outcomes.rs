//! What becomes of decisions.

use slarouter_core::{DecisionId, Timestamp};
use slarouter_store::OutcomeRecord;

/// Model m, asked once, answered with this status; nothing was counted.
pub(crate) fn outcome(id: u128, time: u64, status: u16) -> OutcomeRecord {
    OutcomeRecord {
        decision: DecisionId(id),
        time: Timestamp(time),
        model: "m".into(),
        status,
        ok: status == 200,
        streamed: false,
        attempts: 1,
        input_tokens: None,
        cached_tokens: None,
        cache_write_tokens: None,
        output_tokens: None,
        reasoning_tokens: None,
        cost: 0.0,
        latency_ms: 1.0,
        ttft_ms: None,
        error: None,
    }
}
