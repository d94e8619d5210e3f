//! How much of the window is still to come.

use serde::{Deserialize, Serialize};

use super::Window;
use crate::Timestamp;

/// Requests to come where nobody knows the end, as a share of those served: what they make good has to be made good soon.
const OPEN_REST: f64 = 0.25;
/// Share of a period that its requests are spread over at least, for their rate, where there was none before: a burst at the start
/// says little of the rest, which is at most four times what was.
const FIRST_STRETCH: f64 = 0.25;

/// The rate of the traffic, as far as a calendar window needs it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Pace {
    /// Start of the period that the account speaks of.
    start: Timestamp,
    latest: Timestamp,
    /// Requests in the period before; 0 if there was none.
    before: u64,
}

impl Pace {
    /// A period has begun at `start`, after one with `before` requests.
    pub(super) fn begin(&mut self, start: Timestamp, before: u64) {
        (self.start, self.before) = (start, before);
    }

    /// A request was decided.
    pub(super) fn decided(&mut self, at: Timestamp) {
        self.latest = self.latest.max(at);
    }

    /// R, after `served` requests of the window: at the rate of this period and the one before, or a share of those served.
    pub(super) fn rest(&self, window: Window, served: f64) -> f64 {
        match window {
            Window::Run => OPEN_REST * served,
            Window::Requests(count) => OPEN_REST * served.min(count as f64),
            Window::Period(length) => {
                let elapsed = self.latest.0.saturating_sub(self.start.0).min(length) as f64;
                let length = length as f64;
                let seen = elapsed + if self.before > 0 { length } else { 0.0 };
                let rate = (served + self.before as f64) / seen.max(FIRST_STRETCH * length);
                if seen > 0.0 { rate * (length - elapsed) } else { 0.0 }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_of_a_period_follows_the_traffic() {
        let mut pace = Pace::default();
        let hour = Window::Period(3_600);
        assert_eq!(pace.rest(hour, 1.0), 0.0, "nothing is known of the rate");
        pace.decided(Timestamp(900));
        assert_eq!(pace.rest(hour, 100.0), 300.0);
        pace.begin(Timestamp(3_600), 400);
        assert_eq!(pace.rest(hour, 0.0), 400.0, "as many as in the hour before");
        pace.decided(Timestamp(5_400));
        assert_eq!(pace.rest(hour, 800.0), 400.0, "400 and 800 in an hour and a half");
        pace.decided(Timestamp(9_999));
        assert_eq!(pace.rest(hour, 800.0), 0.0);
    }

    #[test]
    fn a_burst_at_the_start_is_not_taken_for_the_rate_of_a_period() {
        let mut pace = Pace::default();
        pace.decided(Timestamp(36));
        assert_eq!(pace.rest(Window::Period(3_600), 100.0), 396.0);
    }

    #[test]
    fn a_window_without_a_known_end_has_a_share_of_what_was() {
        let pace = Pace::default();
        assert_eq!((pace.rest(Window::Run, 400.0), pace.rest(Window::Requests(200), 400.0)), (100.0, 50.0));
    }
}
