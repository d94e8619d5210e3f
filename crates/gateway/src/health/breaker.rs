//! The circuit breaker of one model, by a clock that is handed in.

use tokio::time::{Duration, Instant};

use crate::config::UpstreamConfig;

/// Calls that the rate of failures is taken over.
const RECENT: u32 = 20;
/// How often the time that a circuit stays open is doubled at most.
const DOUBLINGS: u32 = 5;

/// State of a circuit; the numbers are those of the metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Circuit {
    Closed = 0,
    /// It may be tried by one call at a time.
    HalfOpen = 1,
    Open = 2,
}

/// Closed: all calls pass, and failures are counted. Open: none does, until a time. Then half-open: one call at a time
/// passes; its success closes the circuit, its failure opens it for twice as long.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    /// Failures since the last success.
    in_a_row: u32,
    /// The last calls, a bit each, 1 for a failure.
    recent: u32,
    /// How many of them there are.
    calls: u32,
    open: Option<Open>,
    /// The upstream asked to be left alone until then; says nothing of the circuit.
    rest: Option<Instant>,
}

#[derive(Debug)]
struct Open {
    until: Instant,
    /// Probes that failed.
    failed: u32,
    probing: bool,
}

impl Breaker {
    pub(super) fn circuit(&self, now: Instant) -> Circuit {
        match &self.open {
            _ if self.rests(now) => Circuit::Open,
            None => Circuit::Closed,
            Some(open) if now < open.until => Circuit::Open,
            Some(_) => Circuit::HalfOpen,
        }
    }

    /// Whether a call would pass.
    pub(super) fn is_available(&self, now: Instant) -> bool {
        match self.circuit(now) {
            Circuit::Closed => true,
            Circuit::Open => false,
            Circuit::HalfOpen => self.open.as_ref().is_none_or(|open| !open.probing),
        }
    }

    /// Lets a call pass, or not; `Some(true)` if it is the probe of a half-open circuit.
    pub(super) fn enter(&mut self, now: Instant) -> Option<bool> {
        if !self.is_available(now) {
            return None;
        }
        Some(self.open.as_mut().map(|open| open.probing = true).is_some())
    }

    /// A call ended; the circuit's new state if that changed it.
    pub(super) fn ended(&mut self, ok: bool, probe: bool, now: Instant, config: &UpstreamConfig) -> Option<Circuit> {
        if ok {
            self.in_a_row = 0;
            self.recent <<= 1;
            self.calls = (self.calls + 1).min(RECENT);
            // Calls that began before it opened, or were forced through, prove as much as a probe does.
            return self.open.is_some().then(|| {
                self.close();
                Circuit::Closed
            });
        }
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.recent = self.recent << 1 | 1;
        self.calls = (self.calls + 1).min(RECENT);
        let broken = self.is_broken(config);
        match &mut self.open {
            Some(open) if probe => {
                open.failed = (open.failed + 1).min(DOUBLINGS);
                *open = Open { until: now + pause(config, open.failed), failed: open.failed, probing: false };
                Some(Circuit::Open)
            }
            // Stragglers from before it opened change nothing.
            Some(_) => None,
            None if broken => {
                self.open = Some(Open { until: now + pause(config, 0), failed: 0, probing: false });
                Some(Circuit::Open)
            }
            None => None,
        }
    }

    pub(super) fn close(&mut self) {
        *self = Self { rest: self.rest, ..Self::default() };
    }

    /// The probe ended without saying anything of the model: another may try.
    pub(super) fn probe_lost(&mut self) {
        if let Some(open) = &mut self.open {
            open.probing = false;
        }
    }

    /// Never shortens a rest.
    pub(super) fn rest(&mut self, until: Instant) {
        self.rest = self.rest.max(Some(until));
    }

    fn rests(&self, now: Instant) -> bool {
        self.rest.is_some_and(|until| now < until)
    }

    fn is_broken(&self, config: &UpstreamConfig) -> bool {
        let failed = (self.recent & ((1 << RECENT) - 1)).count_ones();
        let often = self.calls == RECENT && f64::from(failed) >= config.breaker_rate * f64::from(RECENT);
        config.breaker_failures > 0 && (self.in_a_row >= config.breaker_failures || often)
    }
}

fn pause(config: &UpstreamConfig, failed: u32) -> Duration {
    config.breaker_open.saturating_mul(1 << failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> UpstreamConfig {
        UpstreamConfig { breaker_failures: 3, breaker_rate: 0.5, breaker_open: SECOND, ..UpstreamConfig::default() }
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn failures_in_a_row_open_it_and_one_probe_closes_it() {
        let (config, start) = (config(), Instant::now());
        let mut breaker = Breaker::default();
        for ok in [false, false, true, false, false] {
            assert_eq!(breaker.ended(ok, false, start, &config), None);
        }
        assert_eq!(breaker.ended(false, false, start, &config), Some(Circuit::Open));
        assert_eq!(breaker.enter(start + SECOND / 2), None);
        assert_eq!(breaker.ended(false, false, start + SECOND / 2, &config), None, "a straggler does not keep it open");

        let later = start + SECOND;
        assert_eq!(breaker.circuit(later), Circuit::HalfOpen);
        assert_eq!((breaker.enter(later), breaker.enter(later)), (Some(true), None), "one probe at a time");
        breaker.probe_lost();
        assert_eq!(breaker.enter(later), Some(true), "a probe whose client went away leaves its place");
        assert_eq!(breaker.ended(false, true, later, &config), Some(Circuit::Open));
        assert!(!breaker.is_available(later + SECOND), "each failed probe doubles the pause");
        assert_eq!(breaker.enter(later + 2 * SECOND), Some(true));
        assert_eq!(breaker.ended(true, true, later + 2 * SECOND, &config), Some(Circuit::Closed));
        assert_eq!(breaker.enter(later + 2 * SECOND), Some(false));
        for _ in 0..2 {
            assert_eq!(breaker.ended(false, false, later, &config), None, "it starts afresh");
        }
    }

    #[test]
    fn a_high_share_of_failures_opens_it_but_not_before_there_are_enough_calls() {
        let (config, now) = (config(), Instant::now());
        let mut breaker = Breaker::default();
        for call in 0..RECENT - 1 {
            assert_eq!(breaker.ended(call % 2 == 1, false, now, &config), None, "call {call}");
        }
        assert_eq!(breaker.ended(false, false, now, &config), Some(Circuit::Open));

        let off = UpstreamConfig { breaker_failures: 0, ..config };
        let mut breaker = Breaker::default();
        for _ in 0..100 {
            assert_eq!(breaker.ended(false, false, now, &off), None);
        }
    }

    #[test]
    fn a_rest_is_kept_and_never_shortened() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        breaker.rest(now + 2 * SECOND);
        breaker.rest(now + SECOND);
        assert!(!breaker.is_available(now + SECOND));
        assert_eq!(breaker.enter(now + 2 * SECOND), Some(false), "after a rest all calls pass");
    }
}
