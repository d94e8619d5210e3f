//! The one place that asks the wall clock, and the ids that carry its time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use slarouter_core::{DecisionId, Timestamp};
use uuid::Uuid;

/// Prefixes of our ids in bodies and headers, as clients of each endpoint expect them; the first is that of logs.
const PREFIXES: [&str; 6] = ["chatcmpl-", "resp_", "msg_", "cmpl-", "embd-", "route-"];

/// A wall clock that never goes backwards while the process lives.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    latest: AtomicU64,
}

impl Clock {
    pub(crate) fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "this is the clock module")]
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        Timestamp(self.latest.fetch_max(wall, Ordering::Relaxed).max(wall))
    }
}

/// A fresh id for a decision that the gateway carries out: a UUIDv7 whose last bit is 0.
pub(crate) fn new_id() -> DecisionId {
    DecisionId(Uuid::now_v7().as_u128() & !1)
}

/// A fresh id for a decision that the caller carries out: the last bit is 1, so that its outcome, and no other, may come from
/// outside.
pub(crate) fn new_route_id() -> DecisionId {
    DecisionId(Uuid::now_v7().as_u128() | 1)
}

/// Whether the caller was to carry this decision out.
pub(crate) fn is_route_id(id: DecisionId) -> bool {
    id.0 & 1 == 1
}

/// The id as logs show it.
pub(crate) fn public_id(id: DecisionId) -> String {
    prefixed_id(PREFIXES[0], id)
}

/// The id as clients see it.
pub(crate) fn prefixed_id(prefix: &str, id: DecisionId) -> String {
    format!("{prefix}{}", Uuid::from_u128(id.0).hyphenated())
}

/// Reads an id that a client gives back, with or without its prefix.
pub(crate) fn parse_id(text: &str) -> Option<DecisionId> {
    let bare = PREFIXES.iter().find_map(|prefix| text.strip_prefix(prefix));
    let uuid = Uuid::try_parse(bare.unwrap_or(text)).ok()?;
    (uuid.get_version_num() == 7).then(|| DecisionId(uuid.as_u128()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_round_trip_and_strangers_are_refused() {
        let id = new_id();
        assert!(!is_route_id(id) && is_route_id(new_route_id()));
        assert_eq!(parse_id(&public_id(id)), Some(id));
        for prefix in PREFIXES {
            assert_eq!(parse_id(&prefixed_id(prefix, id)), Some(id), "{prefix}");
        }
        assert_eq!(parse_id("chatcmpl-abc"), None);
        assert_eq!(parse_id("chatcmpl-6ba7b810-9dad-11d1-80b4-00c04fd430c8"), None, "a version 1 UUID is not ours");
    }
}
