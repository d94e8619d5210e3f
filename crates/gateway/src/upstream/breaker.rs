//! The circuit breaker of one model, by a clock that is handed in.

use slarouter_config::{HealthCheck, UpstreamConfig};
use tokio::time::{Duration, Instant};

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
/// passes; its success closes the circuit, its failure opens it for twice as long. Health checks open and close it too; while they
/// hold it open no call is spent on trying.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    /// Failures since the last success.
    in_a_row: u32,
    /// The last calls, a bit each, 1 for a failure.
    recent: u32,
    /// How many of them there are.
    calls: u32,
    open: Option<Open>,
    /// Health checks in a row that failed.
    failed_checks: u32,
    /// Health checks in a row that passed, since the circuit opened.
    passed_checks: u32,
    /// The upstream asked to be left alone until then; says nothing of the circuit.
    rest: Option<Instant>,
}

#[derive(Debug)]
struct Open {
    until: Instant,
    /// Probes that failed.
    failed: u32,
    probing: bool,
    /// Health checks fail.
    held: bool,
}

impl Breaker {
    pub(super) fn circuit(&self, now: Instant) -> Circuit {
        match &self.open {
            _ if self.rests(now) => Circuit::Open,
            None => Circuit::Closed,
            Some(open) if open.held || now < open.until => Circuit::Open,
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

    /// How many of the last calls failed, and of how many.
    pub(super) fn failed_of_late(&self) -> (u32, u32) {
        ((self.recent & ((1 << RECENT) - 1)).count_ones(), self.calls)
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
                open.until = now + pause(config, open.failed);
                open.probing = false;
                Some(Circuit::Open)
            }
            // Stragglers from before it opened change nothing.
            Some(_) => None,
            None if broken => {
                self.open(now + pause(config, 0), false);
                Some(Circuit::Open)
            }
            None => None,
        }
    }

    /// A health check ended; the circuit's new state if that changed it.
    pub(super) fn checked(&mut self, ok: bool, now: Instant, check: &HealthCheck) -> Option<Circuit> {
        if ok {
            self.failed_checks = 0;
            self.passed_checks = self.passed_checks.saturating_add(1);
            let closes = self.open.is_some() && self.passed_checks >= check.healthy_after;
            return closes.then(|| {
                self.close();
                Circuit::Closed
            });
        }
        self.passed_checks = 0;
        self.failed_checks = self.failed_checks.saturating_add(1);
        if self.failed_checks < check.unhealthy_after {
            return None;
        }
        match &mut self.open {
            Some(open) => {
                open.held = true;
                None
            }
            None => {
                self.open(now, true);
                Some(Circuit::Open)
            }
        }
    }

    fn open(&mut self, until: Instant, held: bool) {
        self.passed_checks = 0;
        self.open = Some(Open { until, failed: 0, probing: false, held });
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
        let (failed, calls) = self.failed_of_late();
        let often = calls == RECENT && f64::from(failed) >= config.breaker_rate * f64::from(RECENT);
        config.breaker_failures > 0 && (self.in_a_row >= config.breaker_failures || often)
    }
}

fn pause(config: &UpstreamConfig, failed: u32) -> Duration {
    config.breaker_open.saturating_mul(1 << failed)
}

impl Circuit {
    /// The word for views.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half-open",
            Self::Open => "open",
        }
    }
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
        assert_eq!(breaker.failed_of_late(), (4, 5));
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

    fn check() -> HealthCheck {
        HealthCheck { url: String::new(), interval: SECOND, timeout: SECOND, unhealthy_after: 3, healthy_after: 2 }
    }

    #[test]
    fn health_checks_open_it_hold_it_open_and_close_it() {
        let (check, now) = (check(), Instant::now());
        let mut breaker = Breaker::default();
        for ok in [false, false, true, false, false] {
            assert_eq!(breaker.checked(ok, now, &check), None, "not three in a row");
        }
        assert_eq!(breaker.checked(false, now, &check), Some(Circuit::Open));
        assert_eq!(breaker.checked(false, now, &check), None);
        assert_eq!(breaker.circuit(now + 1_000 * SECOND), Circuit::Open, "no call tries what the checks know");
        for ok in [true, false, true] {
            assert_eq!(breaker.checked(ok, now, &check), None);
        }
        assert_eq!(breaker.checked(true, now, &check), Some(Circuit::Closed));
        assert_eq!(breaker.enter(now), Some(false));
        for _ in 0..2 {
            assert_eq!(breaker.checked(false, now, &check), None, "it starts afresh");
        }
    }

    #[test]
    fn calls_and_health_checks_share_one_circuit() {
        let (config, check, now) = (config(), check(), Instant::now());
        let mut breaker = Breaker::default();
        for _ in 0..10 {
            assert_eq!(breaker.checked(true, now, &check), None);
        }
        for failed in 1..=3 {
            assert_eq!(breaker.ended(false, false, now, &config).is_some(), failed == 3);
        }
        assert_eq!(breaker.checked(true, now, &check), None, "what passed before it opened proves nothing");
        assert_eq!(breaker.checked(true, now, &check), Some(Circuit::Closed));

        for failed in 1..=3 {
            assert_eq!(breaker.ended(false, false, now, &config).is_some(), failed == 3);
        }
        for _ in 0..3 {
            assert_eq!(breaker.checked(false, now, &check), None, "open it is already");
        }
        assert_eq!(breaker.circuit(now + SECOND), Circuit::Open, "held open");
        assert_eq!(breaker.ended(true, false, now, &config), Some(Circuit::Closed), "a real answer proves more");
        assert_eq!(breaker.circuit(now), Circuit::Closed);
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
