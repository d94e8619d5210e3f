//! The one place that asks the wall clock, and the ids that carry its time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use slarouter_core::{DecisionId, Timestamp};
use uuid::{Builder, Uuid};

/// Prefixes of our ids in bodies and headers, as clients of each endpoint expect them; the first is that of logs.
const PREFIXES: [&str; 6] = ["chatcmpl-", "resp_", "msg_", "cmpl-", "embd-", "route-"];

/// A wall clock that never goes backwards while the process lives; or one that a simulation sets.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    latest: AtomicU64,
    /// Ids made in simulated time so far; `None` on the wall clock.
    simulated: Option<AtomicU64>,
}

impl Clock {
    /// A clock that shows `began` until it is [set](Self::set).
    pub(crate) fn simulated(began: Timestamp) -> Self {
        Self { latest: AtomicU64::new(began.0), simulated: Some(AtomicU64::new(0)) }
    }

    pub(crate) fn now(&self) -> Timestamp {
        if self.simulated.is_some() {
            return Timestamp(self.latest.load(Ordering::Relaxed));
        }
        #[expect(clippy::disallowed_methods, reason = "this is the clock module")]
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        self.set(Timestamp(wall));
        Timestamp(self.latest.load(Ordering::Relaxed))
    }

    /// Puts it forward to `now`; never back.
    pub(crate) fn set(&self, now: Timestamp) {
        self.latest.fetch_max(now.0, Ordering::Relaxed);
    }

    /// A fresh id for a decision that the gateway carries out: a UUIDv7 whose last bit is 0.
    pub(crate) fn new_id(&self) -> DecisionId {
        DecisionId(self.uuid().as_u128() & !1)
    }

    /// A fresh id for a decision that the caller carries out: the last bit is 1, so that its outcome, and no other, may come
    /// from outside.
    pub(crate) fn new_route_id(&self) -> DecisionId {
        DecisionId(self.uuid().as_u128() | 1)
    }

    /// In simulated time the count of ids stands where the random bits do: the same requests in the same order get the same ids.
    fn uuid(&self) -> Uuid {
        let Some(made) = &self.simulated else { return Uuid::now_v7() };
        // The last bit says who carries the decision out.
        let count = u128::from(made.fetch_add(1, Ordering::Relaxed)) << 1;
        let mut random = [0; 10];
        random.copy_from_slice(&count.to_be_bytes()[6..]);
        Builder::from_unix_timestamp_millis(self.now().0, &random).into_uuid()
    }
}

/// Whether the caller was to carry this decision out.
pub(crate) fn is_route_id(id: DecisionId) -> bool {
    id.0 & 1 == 1
}

/// The time of this machine.
#[must_use]
pub fn now() -> Timestamp {
    Clock::default().now()
}

/// The id as logs show it.
#[must_use]
pub fn public_id(id: DecisionId) -> String {
    prefixed_id(PREFIXES[0], id)
}

/// The id as clients see it.
pub(crate) fn prefixed_id(prefix: &str, id: DecisionId) -> String {
    format!("{prefix}{}", Uuid::from_u128(id.0).hyphenated())
}

/// Reads an id that a client gives back, with or without its prefix.
#[must_use]
pub fn parse_id(text: &str) -> Option<DecisionId> {
    let bare = PREFIXES.iter().find_map(|prefix| text.strip_prefix(prefix));
    let uuid = Uuid::try_parse(bare.unwrap_or(text)).ok()?;
    (uuid.get_version_num() == 7).then(|| DecisionId(uuid.as_u128()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_round_trip_and_strangers_are_refused() {
        let clock = Clock::default();
        let id = clock.new_id();
        assert!(!is_route_id(id) && is_route_id(clock.new_route_id()));
        assert_eq!(parse_id(&public_id(id)), Some(id));
        for prefix in PREFIXES {
            assert_eq!(parse_id(&prefixed_id(prefix, id)), Some(id), "{prefix}");
        }
        assert_eq!(parse_id("chatcmpl-abc"), None);
        assert_eq!(parse_id("chatcmpl-6ba7b810-9dad-11d1-80b4-00c04fd430c8"), None, "a version 1 UUID is not ours");
    }

    #[test]
    fn simulated_time_stands_until_it_is_set_and_gives_the_same_ids_again() {
        let ids = || {
            let clock = Clock::simulated(Timestamp(1_767_225_600_000));
            let first = clock.new_id();
            assert_eq!(clock.now(), Timestamp(1_767_225_600_000));
            clock.set(Timestamp(1_767_225_600_012));
            clock.set(Timestamp(7));
            assert_eq!(clock.now(), Timestamp(1_767_225_600_012), "it never goes back");
            [first, clock.new_id(), clock.new_route_id(), clock.new_id()]
        };
        let made = ids();
        assert_eq!(made, ids());
        for (place, id) in made.into_iter().enumerate() {
            assert_eq!(parse_id(&public_id(id)), Some(id));
            assert_eq!(is_route_id(id), place == 2);
            assert!(!made[..place].contains(&id));
        }
    }
}
