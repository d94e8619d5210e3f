//! How often one rater may speak.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};

use slarouter_core::{Rater, Timestamp};

use super::bucket::{Bucket, MINUTE_MS};
use super::meter::refuse;
use crate::error::ApiError;

/// Raters of one generation; two are held.
const GENERATION: usize = 50_000;

/// A bounded memory of those who have rated lately. A rater who has been silent for a minute may say a minute's worth again and need not be
/// remembered: so each minute, or when there are very many, the older half is forgotten.
#[derive(Default)]
pub(crate) struct Raters {
    hasher: RandomState,
    held: Mutex<Generations>,
}

#[derive(Default)]
struct Generations {
    /// When the young one began, in milliseconds.
    since: u64,
    young: HashMap<u64, Bucket>,
    old: HashMap<u64, Bucket>,
}

impl Raters {
    /// Lets a rating of a named rater in, if it is within `limit` per minute; 0 is no limit. O(1).
    ///
    /// # Errors
    /// 429, and when to come again.
    pub(crate) fn admit(&self, tenant: Option<&str>, rater: Rater, limit: u64, now: Timestamp) -> Result<(), ApiError> {
        // Without a name it may be anybody's, and counts for its key alone.
        if limit == 0 || rater == Rater(0) {
            return Ok(());
        }
        // Nobody outside can aim at another's place.
        let (key, most) = (self.hasher.hash_one((tenant, rater.0)), limit as f64);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = held.of(key, most, now.0);
        bucket.refill(most, now.0);
        if bucket.level() < 1.0 {
            let message = format!("one rater may send {limit} ratings per minute (feedback.rater_per_minute)");
            return Err(refuse("rate_limit_exceeded", message, Some(bucket.wait_ms(most, 1.0))));
        }
        bucket.take(1.0);
        Ok(())
    }
}

impl Generations {
    /// What this rater has left.
    fn of(&mut self, key: u64, limit: f64, now: u64) -> &mut Bucket {
        if now.saturating_sub(self.since) >= MINUTE_MS as u64 || self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
            self.since = now;
        }
        let known = self.old.get(&key).copied();
        self.young.entry(key).or_insert_with(|| known.unwrap_or(Bucket::full(limit, now)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rater_has_a_minutes_worth_and_no_more() {
        let raters = Raters::default();
        let admit = |tenant, rater, at| raters.admit(tenant, Rater(rater), 3, Timestamp(at));
        for _ in 0..3 {
            assert!(admit(None, 7, 1_000).is_ok());
        }
        let error = admit(None, 7, 1_000).unwrap_err();
        assert_eq!((error.status.as_u16(), error.retry_after), (429, Some(20)));
        assert!(admit(Some("acme"), 7, 1_000).is_ok() && admit(None, 8, 1_000).is_ok(), "others are not concerned");
        assert!(admit(None, 7, 21_000).is_ok() && admit(None, 7, 21_000).is_err(), "a third of a minute is one more");
        for _ in 0..9 {
            assert!(admit(None, 0, 1_000).is_ok(), "no name, no rater");
            assert!(raters.admit(None, Rater(9), 0, Timestamp(0)).is_ok(), "no limit");
        }
    }

    #[test]
    fn the_memory_is_bounded_and_a_change_of_generations_gives_nothing() {
        let raters = Raters::default();
        assert!(raters.admit(None, Rater(1), 1, Timestamp(0)).is_ok());
        for other in 0..GENERATION as u64 {
            assert!(raters.admit(None, Rater(2 + other), 1, Timestamp(0)).is_ok());
        }
        assert!(raters.admit(None, Rater(1), 1, Timestamp(0)).is_err(), "the older half is still known");
        for other in 0..3 * GENERATION as u64 {
            assert!(raters.admit(None, Rater(1 << 40 | other), 1, Timestamp(0)).is_ok());
        }
        let held = raters.held.lock().unwrap();
        assert!(held.young.len() + held.old.len() <= 2 * GENERATION);
    }
}
