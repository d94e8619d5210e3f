//! How fast a surplus may be spent.

use serde::{Deserialize, Serialize};

/// By how much the mean satisfaction asked for may be below α for long.
const SLACK: f64 = 0.015;
/// Answers that may be lost beyond that at one time.
const MOST: f64 = 30.0;
/// Requests in which they may be lost, or are made good.
const RETURN: f64 = 400.0;

/// A bucket of answers that recent requests may lose.
///
/// A long window gathers a surplus that would last for a day or more of bad answers. The window would be kept, and its users would not
/// see it. So of what is served below α − 0.015 no more than 30 answers may be lost before as many are made good: the mean of any
/// 3,000 consecutive requests is then expected to be at least α − 0.015 − 30/3,000 = α − 0.025.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Spending {
    left: f64,
}

impl Spending {
    /// A request was decided; `satisfaction` is what is expected of it.
    pub(super) fn decided(&mut self, satisfaction: f64, alpha: f64) {
        self.left = (self.left + satisfaction - alpha + SLACK).clamp(-MOST, MOST);
    }

    /// The least mean satisfaction to ask for, as a difference to α.
    pub(super) fn least(self) -> f64 {
        -SLACK - self.left / RETURN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_surplus_however_large_is_spent_slowly() {
        let mut spending = Spending::default();
        assert_eq!(spending.least(), -SLACK);
        (0..20_000).for_each(|_| spending.decided(0.9, 0.8));
        assert_eq!(spending.least(), -SLACK - MOST / RETURN);
        // From here on as little as may be asked for.
        let mut sums = vec![0.0];
        for _ in 0..20_000 {
            let satisfaction = 0.8 + spending.least();
            spending.decided(satisfaction, 0.8);
            sums.push(sums[sums.len() - 1] + satisfaction);
        }
        let lowest = sums.windows(3_001).map(|sums| (sums[3_000] - sums[0]) / 3_000.0).fold(1.0, f64::min);
        assert!((0.775 - 1e-9..0.778).contains(&lowest), "{lowest}");
        assert!((spending.least() + SLACK).abs() < 1e-9, "what is left at last");
    }

    #[test]
    fn what_was_lost_is_made_good_and_no_more_than_that() {
        let mut spending = Spending::default();
        (0..20_000).for_each(|_| spending.decided(0.5, 0.8));
        assert_eq!(spending.least(), -SLACK + MOST / RETURN, "an outage of a day is not made good in a day");
    }
}
