//! How much of the window is still to come, and how far to look ahead.

use serde::{Deserialize, Serialize};

use super::Window;
use crate::Timestamp;

/// Requests to come where nobody knows the end, as a share of those served: what they make good has to be made good soon.
const OPEN_REST: f64 = 0.25;
/// Share of a period that its requests are spread over at least, for their rate, where there was none before: a burst at the start
/// says little of the rest, which is at most four times what was.
const FIRST_STRETCH: f64 = 0.25;
/// H, the requests in which a deficit is made good or a surplus spent: so many, or more. Where the end is not known, a share of those
/// served; where it is, a share of what is left, so that there is time to correct what chance does until then.
const HORIZON: f64 = 400.0;
const HORIZON_GROWTH: f64 = 0.25;
const HORIZON_LEFT: f64 = 0.6;
/// How much longer than H, as a share of the requests served, a deficit may take at high prices where the end is not known.
const LONGEST_GROWTH: f64 = 0.5;
/// The margin is for no end that is closer than so many requests.
const LEAST_REST: f64 = 100.0;

/// How far to look ahead, in requests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Horizon {
    /// H
    pub(super) usual: f64,
    /// The most that it may be, where prices are high.
    pub(super) longest: f64,
    /// Of the requests up to there, those that nothing more is learnt from in time.
    pub(super) near: f64,
    /// E, the answers of the window at the end that the margin is for: that of the window, or of the horizon where the end is not known.
    pub(super) end: f64,
}

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

    /// How far to look ahead after `served` requests of the window. Only who knows something from windows before, has a `past`, can rely on
    /// the end of this one: else the first surplus is bought soon, as if there were no end.
    pub(super) fn horizon(&self, window: Window, served: f64, past: bool) -> Horizon {
        let near = HORIZON.max(HORIZON_GROWTH * served);
        match window {
            Window::Period(_) if past => {
                let rest = self.rest(window, served);
                let usual = HORIZON.max(HORIZON_LEFT * rest);
                let end = served + rest.max(LEAST_REST);
                Horizon { usual, longest: usual.max(rest), near: near.min(usual), end }
            }
            Window::Run | Window::Requests(_) | Window::Period(_) => {
                let most = if let Window::Requests(count) = window { count as f64 } else { f64::INFINITY };
                Horizon { usual: near, longest: near + LONGEST_GROWTH * served, near, end: (served + near).min(most) }
            }
        }
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
    fn one_looks_to_the_end_of_a_period_and_else_as_far_as_one_looks_back() {
        let mut pace = Pace::default();
        let run = |served| Pace::default().horizon(Window::Run, served, true);
        assert_eq!(run(0.0), Horizon { usual: 400.0, longest: 400.0, near: 400.0, end: 400.0 });
        assert_eq!(run(4_000.0), Horizon { usual: 1_000.0, longest: 3_000.0, near: 1_000.0, end: 5_000.0 });
        assert_eq!(pace.horizon(Window::Requests(4_500), 4_000.0, true).end, 4_500.0);
        pace.begin(Timestamp(3_600), 10_000);
        let hour = Window::Period(3_600);
        let first = pace.horizon(hour, 0.0, true);
        assert_eq!(first, Horizon { usual: 6_000.0, longest: 10_000.0, near: 400.0, end: 10_000.0 });
        assert_eq!(pace.horizon(hour, 4_000.0, false), run(4_000.0), "nothing is known of the models yet");
        pace.decided(Timestamp(7_200));
        let last = pace.horizon(hour, 10_000.0, true);
        assert_eq!(last, Horizon { usual: 400.0, longest: 400.0, near: 400.0, end: 10_100.0 });
    }

    #[test]
    fn a_window_without_a_known_end_has_a_share_of_what_was() {
        let pace = Pace::default();
        assert_eq!((pace.rest(Window::Run, 400.0), pace.rest(Window::Requests(200), 400.0)), (100.0, 50.0));
    }
}
