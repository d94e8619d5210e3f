//! A token bucket: a minute's allowance at most, refilled evenly.

pub(super) const MINUTE_MS: f64 = 60_000.0;

#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    level: f64,
    /// When it was last filled up, in milliseconds.
    at: u64,
}

impl Bucket {
    pub(super) fn full(limit: f64, now: u64) -> Self {
        Self { level: limit, at: now }
    }

    pub(super) fn refill(&mut self, limit: f64, now: u64) {
        let elapsed = now.saturating_sub(self.at) as f64;
        self.level = (self.level + limit * elapsed / MINUTE_MS).min(limit);
        self.at = self.at.max(now);
    }

    /// Whether there is so much in it. What is more than it ever holds may be taken from one that is full, which is in debt then.
    pub(super) fn has(&self, limit: f64, amount: f64) -> bool {
        self.level >= amount.min(limit)
    }

    /// Holds this much, as others have taken from it too.
    pub(super) fn set(&mut self, level: f64, now: u64) {
        (self.level, self.at) = (level, self.at.max(now));
    }

    /// What is left; it may be in debt.
    pub(super) fn level(&self) -> f64 {
        self.level
    }

    pub(super) fn take(&mut self, amount: f64) {
        self.level -= amount;
    }

    /// Milliseconds until it [has](Bucket::has) this much.
    pub(super) fn wait_ms(&self, limit: f64, amount: f64) -> f64 {
        (amount.min(limit) - self.level).max(0.0) * MINUTE_MS / limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_gives_the_limit_and_no_more() {
        let mut bucket = Bucket::full(60.0, 0);
        bucket.take(60.0);
        assert!((bucket.wait_ms(60.0, 1.0) - 1_000.0).abs() < 1e-9);
        bucket.refill(60.0, 1_000);
        assert!((bucket.level() - 1.0).abs() < 1e-9);
        // A clock that goes back gives nothing, and nothing twice.
        bucket.refill(60.0, 500);
        bucket.refill(60.0, 1_000);
        assert!((bucket.level() - 1.0).abs() < 1e-9);
        bucket.refill(60.0, 10_000_000);
        assert!((bucket.level() - 60.0).abs() < 1e-9);
        assert!(bucket.has(60.0, 90.0), "a full one gives more than it holds");
        bucket.take(90.0);
        bucket.refill(60.0, 10_060_000);
        assert!(
            !bucket.has(60.0, 90.0) && (bucket.wait_ms(60.0, 90.0) - 30_000.0).abs() < 1e-9,
            "after it has come back"
        );
    }
}
