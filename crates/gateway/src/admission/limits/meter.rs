//! The meter of one account, and where they are kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use slarouter_config::Limits;
use slarouter_core::Timestamp;
use slarouter_store::{Calendar, Spending};

use super::bucket::Bucket;
use super::budget::{Budget, first_of_month, nano};
use crate::error::ApiError;

/// What a request may use at most.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Estimate {
    /// Tokens of the question.
    pub(crate) input: f64,
    /// Tokens of the answer.
    pub(crate) output: f64,
    /// Whether the client left the length of the answer open.
    pub(crate) open_end: bool,
    pub(crate) usd: f64,
}

impl Estimate {
    pub(super) fn tokens(&self) -> f64 {
        self.input + self.output
    }
}

/// Counts one key's or one tenant's requests, tokens and spending.
pub(crate) struct Meter {
    /// The name of the account, as the store knows it.
    pub(super) account: Arc<str>,
    /// Whose days and months its budgets have.
    calendar: Calendar,
    /// Held for some additions, never across a wait.
    state: Mutex<State>,
}

struct State {
    limits: Limits,
    requests: Bucket,
    tokens: Bucket,
    budget: Budget,
}

/// What a meter keeps of an estimate.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Taken {
    pub(super) day: u64,
    pub(super) tokens: f64,
    pub(super) nano: i64,
    /// Whether the store is to remember it.
    pub(super) logged: bool,
}

/// How a meter stands, for headers.
pub(super) struct Standing {
    /// Limit, what is left, milliseconds until it is full.
    pub(super) requests: Option<(u64, u64, u64)>,
    pub(super) tokens: Option<(u64, u64, u64)>,
}

impl Meter {
    fn new(account: Arc<str>, calendar: Calendar, now: Timestamp) -> Self {
        let limits = Limits::default();
        let bucket = Bucket::full(0, now.0);
        Self {
            account,
            calendar,
            state: Mutex::new(State { limits, requests: bucket, tokens: bucket, budget: Budget::default() }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Other limits from now on; what is used up stays used up.
    fn limit(&self, limits: Limits, now: Timestamp) {
        let mut state = self.state();
        if state.limits.requests_per_minute != limits.requests_per_minute {
            state.requests = Bucket::full(limits.requests_per_minute.unwrap_or(0), now.0);
        }
        if state.limits.tokens_per_minute != limits.tokens_per_minute {
            state.tokens = Bucket::full(limits.tokens_per_minute.unwrap_or(0), now.0);
        }
        state.limits = limits;
    }

    /// Takes what the request may use, or says why it may not.
    pub(super) fn take(&self, estimate: &Estimate, now: Timestamp) -> Result<Taken, ApiError> {
        let mut state = self.state();
        let today = self.calendar.day_number(now);
        state.budget.turn(today);
        self.check_requests(&mut state, now)?;
        let tokens = self.check_tokens(&mut state, estimate, now)?;
        self.check_budget(&state, estimate, now)?;
        let State { limits, requests, tokens: bucket, budget } = &mut *state;
        if limits.requests_per_minute.is_some() {
            requests.take(1.0);
        }
        bucket.take(tokens);
        let mut taken = Taken { day: today, tokens, ..Taken::default() };
        if limits.has_budget() {
            taken.nano = nano(estimate.usd);
            taken.logged = true;
            budget.spend(today, taken.nano);
            budget.reserved += taken.nano;
        }
        Ok(taken)
    }

    fn check_requests(&self, state: &mut State, now: Timestamp) -> Result<(), ApiError> {
        let Some(limit) = state.limits.requests_per_minute else { return Ok(()) };
        state.requests.refill(limit, now.0);
        if state.requests.level() < 1.0 {
            let message = format!("{} may ask {limit} requests per minute", self.whose());
            return Err(refuse("rate_limit_exceeded", message, Some(state.requests.wait_ms(limit, 1.0))));
        }
        Ok(())
    }

    /// The tokens to take; none without a limit.
    fn check_tokens(&self, state: &mut State, estimate: &Estimate, now: Timestamp) -> Result<f64, ApiError> {
        let Some(limit) = state.limits.tokens_per_minute else { return Ok(0.0) };
        let (whose, tokens) = (self.whose(), &mut state.tokens);
        tokens.refill(limit, now.0);
        // Where the client sets no limit to the answer, a full minute's allowance is enough to begin with.
        let wanted = estimate.tokens();
        let wanted = if estimate.open_end { wanted.min((limit as f64).max(estimate.input)) } else { wanted };
        if wanted > limit as f64 {
            let message = format!(
                "{whose} may use {limit} tokens per minute, and this request alone may use {wanted}: shorten it, or ask for \
                 a shorter answer"
            );
            return Err(refuse("request_over_limit", message, None));
        }
        if tokens.level() < wanted {
            let message = format!("{whose} may use {limit} tokens per minute, and this request may use {wanted}");
            return Err(refuse("rate_limit_exceeded", message, Some(tokens.wait_ms(limit, wanted))));
        }
        Ok(wanted)
    }

    fn check_budget(&self, state: &State, estimate: &Estimate, now: Timestamp) -> Result<(), ApiError> {
        let State { limits, budget, .. } = state;
        let wanted = nano(estimate.usd);
        let spent = budget.spent();
        let periods = [(limits.usd_per_day, spent.0, "day"), (limits.usd_per_month, spent.1, "month")];
        for (limit, spent, period) in periods {
            let Some(usd) = limit else { continue };
            let limit = nano(usd);
            if spent.saturating_add(wanted) <= limit {
                continue;
            }
            let message = format!(
                "{} may spend {usd} USD per {period}, has spent or reserved {:.6}, and this request may cost {:.6}",
                self.whose(),
                spent as f64 / 1e9,
                estimate.usd
            );
            let wait = if wanted > limit {
                None
            } else if (spent - budget.reserved).saturating_add(wanted) <= limit {
                // What stands in the way are requests that have not ended yet.
                Some(1_000.0)
            } else {
                Some((self.end_of(period, now).0 - now.0) as f64)
            };
            return Err(refuse("budget_exceeded", message, wait));
        }
        Ok(())
    }

    /// Puts the real numbers in the place of those that were taken; the difference in 10⁻⁹ USD.
    pub(super) fn settle(&self, taken: &Taken, tokens: f64, nano: i64) -> i64 {
        let mut state = self.state();
        if state.limits.tokens_per_minute.is_some() {
            state.tokens.take(tokens - taken.tokens);
        }
        if !taken.logged {
            return 0;
        }
        let more = nano - taken.nano;
        state.budget.reserved -= taken.nano;
        state.budget.spend(taken.day, more);
        more
    }

    /// Gives all back, the request itself included: another meter refused it.
    pub(super) fn give_back(&self, taken: &Taken) {
        self.settle(taken, 0.0, 0);
        let mut state = self.state();
        if state.limits.requests_per_minute.is_some() {
            state.requests.take(-1.0);
        }
    }

    pub(super) fn standing(&self, now: Timestamp) -> Standing {
        let mut state = self.state();
        let State { limits, requests, tokens, .. } = &mut *state;
        let show = |limit: Option<u64>, bucket: &mut Bucket| {
            let limit = limit?;
            bucket.refill(limit, now.0);
            let left = bucket.level().max(0.0) as u64;
            Some((limit, left, bucket.wait_ms(limit, limit as f64).ceil() as u64))
        };
        Standing {
            requests: show(limits.requests_per_minute, requests),
            tokens: show(limits.tokens_per_minute, tokens),
        }
    }

    /// When the day or the month is over.
    fn end_of(&self, period: &str, now: Timestamp) -> Timestamp {
        let period = if period == "month" { self.calendar.month(now) } else { self.calendar.day(now) };
        period.end
    }

    fn whose(&self) -> String {
        match self.account.split_once(':') {
            Some((kind, name)) => format!("the {kind} {name:?}"),
            None => "this key".to_owned(),
        }
    }
}

/// 429, and when to come again where that is known.
pub(super) fn refuse(code: &'static str, message: String, wait_ms: Option<f64>) -> ApiError {
    ApiError::limited(code, message, wait_ms.map(|ms| ((ms / 1_000.0).ceil() as u64).max(1)))
}

/// All meters, by account. They outlive the keys they count for, so that a change of keys forgets nothing.
pub(crate) struct Meters {
    calendar: Calendar,
    meters: Mutex<HashMap<Arc<str>, Arc<Meter>>>,
    /// What was spent before this gateway began, and by others since, as it is in the meters: by account and day.
    elsewhere: Mutex<HashMap<(Arc<str>, u64), i64>>,
}

impl Meters {
    /// Their budgets are of the days and months of this calendar.
    pub(crate) fn new(calendar: Calendar) -> Self {
        Self { calendar, meters: Mutex::default(), elsewhere: Mutex::default() }
    }

    /// The first day whose spending still matters.
    pub(crate) fn since(&self, now: Timestamp) -> u64 {
        first_of_month(self.calendar.day_number(now))
    }

    /// The meter of an account, with these limits from now on.
    pub(crate) fn of(&self, account: String, limits: Limits, now: Timestamp) -> Arc<Meter> {
        let meter = self.get(account.into(), now);
        meter.limit(limits, now);
        meter
    }

    fn get(&self, account: Arc<str>, now: Timestamp) -> Arc<Meter> {
        let mut meters = self.meters.lock().unwrap_or_else(PoisonError::into_inner);
        let meter = || Arc::new(Meter::new(account.clone(), self.calendar.clone(), now));
        meters.entry(account.clone()).or_insert_with(meter).clone()
    }

    /// Takes over what the store remembers, days in order; and again what others have spent since.
    pub(crate) fn restore(&self, spending: Vec<Spending>, now: Timestamp) {
        let mut elsewhere = self.elsewhere.lock().unwrap_or_else(PoisonError::into_inner);
        for Spending { account, day, nano_usd } in spending {
            let known = elsewhere.entry((account.clone(), day)).or_default();
            let more = nano_usd.saturating_sub(std::mem::replace(known, nano_usd));
            if more != 0 {
                self.get(account, now).state().budget.spend(day, more);
            }
        }
        let first = self.since(now);
        elsewhere.retain(|(_, day), _| *day >= first);
    }
}

#[cfg(test)]
mod tests {
    use slarouter_config::Config;

    use super::*;

    #[test]
    fn budgets_begin_anew_with_the_days_and_months_of_the_configured_place() {
        let text = "[server]\ntime_zone = \"Europe/Berlin\"\n[[models]]\nname = \"m\"\nbase_url = \"http://h/v1\"\n\
            price = { input = 1, output = 1 }\n[routes.default]\nmodels = [\"m\"]\nsla = { satisfaction = 0.9 }\n";
        let meters = Meters::new(Calendar::new(Config::parse(text, &|_| None).unwrap().server.time_zone));
        // 31 January 2026 ends in Berlin at 23:00 UTC.
        let (before, after) = (Timestamp(1_769_900_310_000), Timestamp(1_769_900_400_000));
        assert_eq!((meters.since(before), meters.since(after)), (20_454, 20_485), "1 January and 1 February");
        let estimate = Estimate { usd: 0.75, ..Estimate::default() };
        for (limits, next) in [
            (Limits { usd_per_day: Some(1.0), ..Limits::default() }, 24 * 3_600),
            (Limits { usd_per_month: Some(1.0), ..Limits::default() }, 28 * 24 * 3_600),
        ] {
            let meter = meters.of(format!("key:{next}"), limits, before);
            let spend = |now| {
                let taken = meter.take(&estimate, now)?;
                meter.settle(&taken, 0.0, taken.nano);
                Ok::<_, ApiError>(())
            };
            let refused = |now| spend(now).unwrap_err().retry_after;
            spend(before).unwrap();
            assert_eq!(refused(before), Some(90));
            spend(after).unwrap();
            assert_eq!(refused(after), Some(next));
        }
    }
}
