//! A token bucket: a minute's allowance at most, refilled evenly.

pub(super) const MINUTE_MS: f64 = 60_000.0;

#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    level: f64,
    /// When it was last filled up, in milliseconds.
    at: u64,
}

impl Bucket {
    pub(super) fn full(limit: u64, now: u64) -> Self {
        Self { level: limit as f64, at: now }
    }

    pub(super) fn refill(&mut self, limit: u64, now: u64) {
        let elapsed = now.saturating_sub(self.at) as f64;
        self.level = (self.level + limit as f64 * elapsed / MINUTE_MS).min(limit as f64);
        self.at = self.at.max(now);
    }

    /// What is left; it may be in debt.
    pub(super) fn level(&self) -> f64 {
        self.level
    }

    pub(super) fn take(&mut self, amount: f64) {
        self.level -= amount;
    }

    /// Milliseconds until it holds this much.
    pub(super) fn wait_ms(&self, limit: u64, amount: f64) -> f64 {
        (amount - self.level).max(0.0) * MINUTE_MS / limit as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_gives_the_limit_and_no_more() {
        let mut bucket = Bucket::full(60, 0);
        bucket.take(60.0);
        assert!((bucket.wait_ms(60, 1.0) - 1_000.0).abs() < 1e-9);
        bucket.refill(60, 1_000);
        assert!((bucket.level() - 1.0).abs() < 1e-9);
        // A clock that goes back gives nothing, and nothing twice.
        bucket.refill(60, 500);
        bucket.refill(60, 1_000);
        assert!((bucket.level() - 1.0).abs() < 1e-9);
        bucket.refill(60, 10_000_000);
        assert!((bucket.level() - 60.0).abs() < 1e-9);
    }
}
