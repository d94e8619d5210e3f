//! How long a model's answers take to come.

use tokio::time::Duration;

/// Answers that are remembered.
const RECENT: usize = 256;
/// A quantile of fewer says nothing.
const FEWEST: usize = 20;

/// The last answers' times, in the order of their coming.
#[derive(Debug, Default)]
pub(super) struct Latencies {
    times: Vec<Duration>,
    /// The oldest, once all places are taken.
    next: usize,
}

impl Latencies {
    pub(super) fn add(&mut self, time: Duration) {
        if self.times.len() < RECENT {
            self.times.push(time);
        } else {
            self.times[self.next] = time;
            self.next = (self.next + 1) % RECENT;
        }
    }

    /// The least time that at least this share of the answers kept, some microseconds of work.
    pub(super) fn quantile(&self, share: f64) -> Option<Duration> {
        if self.times.len() < FEWEST {
            return None;
        }
        let place = ((share * self.times.len() as f64).ceil() as usize).clamp(1, self.times.len()) - 1;
        let mut times = self.times.clone();
        Some(*times.select_nth_unstable(place).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn quantiles_of_the_last_answers() {
        let mut latencies = Latencies::default();
        for time in 1..FEWEST as u32 {
            latencies.add(time * MS);
        }
        assert_eq!(latencies.quantile(0.5), None, "too few");
        latencies.add(FEWEST as u32 * MS);
        assert_eq!(latencies.quantile(0.5), Some(10 * MS));
        assert_eq!(latencies.quantile(0.95), Some(19 * MS));
        assert_eq!(latencies.quantile(0.9501), Some(20 * MS));
        for time in 0..RECENT as u32 {
            latencies.add((1_000 + time) * MS);
        }
        assert_eq!(latencies.quantile(1e-9), Some(1_000 * MS), "the old ones are forgotten");
        assert_eq!(latencies.quantile(0.999_999), Some(1_255 * MS));
    }
}
