//! The meter of one account, and where they are kept.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use slarouter_config::Limits;
use slarouter_core::Timestamp;
use slarouter_store::{Calendar, LimitUsage, Spending, Together};

use super::bucket::{Bucket, MINUTE_MS};
use super::budget::{Budget, first_of_month, nano};
use crate::error::ApiError;

const MINUTE_S: f64 = MINUTE_MS / 1e3;

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
    /// Gateways that share the limits per minute.
    gateways: Arc<AtomicU32>,
    /// Held for some additions, never across a wait.
    state: Mutex<State>,
}

struct State {
    limits: Limits,
    /// This gateway's share of each.
    requests: Bucket,
    tokens: Bucket,
    /// Requests and tokens that were taken since the other gateways were told.
    untold: (f64, f64),
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
    fn new(account: Arc<str>, calendar: Calendar, gateways: Arc<AtomicU32>, now: Timestamp) -> Self {
        let bucket = Bucket::full(0.0, now.0);
        let state = State {
            limits: Limits::default(),
            requests: bucket,
            tokens: bucket,
            untold: (0.0, 0.0),
            budget: Budget::default(),
        };
        Self { account, calendar, gateways, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Other limits from now on; what is used up stays used up.
    fn limit(&self, limits: Limits, now: Timestamp) {
        let mut state = self.state();
        if state.limits.requests_per_minute != limits.requests_per_minute {
            state.requests = Bucket::full(self.share(limits.requests_per_minute.unwrap_or(0)), now.0);
            state.untold.0 = 0.0;
        }
        if state.limits.tokens_per_minute != limits.tokens_per_minute {
            state.tokens = Bucket::full(self.share(limits.tokens_per_minute.unwrap_or(0)), now.0);
            state.untold.1 = 0.0;
        }
        state.limits = limits;
    }

    /// What each gateway has of a limit, as long as nothing is told of the others.
    fn share(&self, limit: u64) -> f64 {
        limit as f64 / f64::from(self.gateways.load(Ordering::Relaxed).max(1))
    }

    /// What was used since the last call, if there was anything.
    fn tell(&self) -> Option<LimitUsage> {
        let mut state = self.state();
        let (requests, tokens) = std::mem::take(&mut state.untold);
        let seconds = |amount: f64, limit: Option<u64>| limit.map_or(0.0, |limit| amount / limit as f64 * MINUTE_S);
        let requests_s = seconds(requests, state.limits.requests_per_minute);
        let tokens_s = seconds(tokens, state.limits.tokens_per_minute);
        let is_any = requests_s != 0.0 || tokens_s != 0.0;
        is_any.then(|| LimitUsage { account: self.account.clone(), requests_s, tokens_s })
    }

    /// That could not be told.
    fn untell(&self, used: &LimitUsage) {
        let mut state = self.state();
        let amount = |seconds: f64, limit: Option<u64>| limit.map_or(0.0, |limit| seconds * limit as f64 / MINUTE_S);
        state.untold.0 += amount(used.requests_s, state.limits.requests_per_minute);
        state.untold.1 += amount(used.tokens_s, state.limits.tokens_per_minute);
    }

    /// So much is used up at all gateways. Of what is left this one has its share, less what it has taken since.
    fn hear(&self, (requests_s, tokens_s): (f64, f64), now: Timestamp) {
        let mut state = self.state();
        let State { limits, requests, tokens, untold, .. } = &mut *state;
        for (limit, bucket, used_s, untold) in [
            (limits.requests_per_minute, requests, requests_s, untold.0),
            (limits.tokens_per_minute, tokens, tokens_s, untold.1),
        ] {
            if let Some(limit) = limit {
                bucket.set(self.share(limit) * (1.0 - used_s / MINUTE_S) - untold, now.0);
            }
        }
    }

    /// Takes what the request may use, or says why it may not.
    pub(super) fn take(&self, estimate: &Estimate, now: Timestamp) -> Result<Taken, ApiError> {
        let mut state = self.state();
        let today = self.calendar.day_number(now);
        state.budget.turn(today);
        self.check_requests(&mut state, now)?;
        let tokens = self.check_tokens(&mut state, estimate, now)?;
        self.check_budget(&state, estimate, now)?;
        let State { limits, requests, tokens: bucket, untold, budget } = &mut *state;
        if limits.requests_per_minute.is_some() {
            requests.take(1.0);
            untold.0 += 1.0;
        }
        bucket.take(tokens);
        untold.1 += tokens;
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
        let share = self.share(limit);
        state.requests.refill(share, now.0);
        if !state.requests.has(share, 1.0) {
            let message = format!("{} may ask {limit} requests per minute", self.whose());
            return Err(refuse("rate_limit_exceeded", message, Some(state.requests.wait_ms(share, 1.0))));
        }
        Ok(())
    }

    /// The tokens to take; none without a limit.
    fn check_tokens(&self, state: &mut State, estimate: &Estimate, now: Timestamp) -> Result<f64, ApiError> {
        let Some(limit) = state.limits.tokens_per_minute else { return Ok(0.0) };
        let (whose, share, tokens) = (self.whose(), self.share(limit), &mut state.tokens);
        tokens.refill(share, now.0);
        // Where the client sets no limit to the answer, a full minute's allowance is enough to begin with.
        let wanted = estimate.tokens();
        let wanted = if estimate.open_end { wanted.min(share.max(estimate.input)) } else { wanted };
        if wanted > limit as f64 {
            let message = format!(
                "{whose} may use {limit} tokens per minute, and this request alone may use {wanted}: shorten it, or ask for \
                 a shorter answer"
            );
            return Err(refuse("request_over_limit", message, None));
        }
        if !tokens.has(share, wanted) {
            let message = format!("{whose} may use {limit} tokens per minute, and this request may use {wanted}");
            return Err(refuse("rate_limit_exceeded", message, Some(tokens.wait_ms(share, wanted))));
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
            state.untold.1 += tokens - taken.tokens;
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
            state.untold.0 -= 1.0;
        }
    }

    pub(super) fn standing(&self, now: Timestamp) -> Standing {
        let mut state = self.state();
        let State { limits, requests, tokens, .. } = &mut *state;
        let show = |limit: Option<u64>, bucket: &mut Bucket| {
            let limit = limit?;
            let share = self.share(limit);
            bucket.refill(share, now.0);
            // Of the whole limit: as much as if the others had taken their shares of what is left, and no more.
            let left = (bucket.level() / share * limit as f64).max(0.0) as u64;
            Some((limit, left, bucket.wait_ms(share, share).ceil() as u64))
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
    /// Gateways that share the limits per minute.
    gateways: Arc<AtomicU32>,
    /// What was spent before this gateway began, and by others since, as it is in the meters: by account and day.
    elsewhere: Mutex<HashMap<(Arc<str>, u64), i64>>,
}

impl Meters {
    /// Their budgets are of the days and months of this calendar.
    pub(crate) fn new(calendar: Calendar) -> Self {
        Self { calendar, meters: Mutex::default(), gateways: Arc::new(AtomicU32::new(1)), elsewhere: Mutex::default() }
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
        let meter = || Arc::new(Meter::new(account.clone(), self.calendar.clone(), self.gateways.clone(), now));
        meters.entry(account.clone()).or_insert_with(meter).clone()
    }

    fn all(&self) -> Vec<Arc<Meter>> {
        self.meters.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Gateways that share the limits, this one among them.
    pub(crate) fn gateways(&self) -> u32 {
        self.gateways.load(Ordering::Relaxed)
    }

    /// What was used of limits per minute since the last call, for the other gateways.
    pub(crate) fn tell(&self) -> Vec<LimitUsage> {
        self.all().iter().filter_map(|meter| meter.tell()).collect()
    }

    /// They could not be told.
    pub(crate) fn untell(&self, used: &[LimitUsage]) {
        let meters = self.meters.lock().unwrap_or_else(PoisonError::into_inner);
        for used in used {
            if let Some(meter) = meters.get(&used.account) {
                meter.untell(used);
            }
        }
    }

    /// How many share the limits, and what all of them have used. One that is alone goes by its own count, which is exact.
    pub(crate) fn hear(&self, together: &Together, now: Timestamp) {
        let before = self.gateways.swap(together.gateways, Ordering::Relaxed);
        if before.max(together.gateways) == 1 {
            return;
        }
        let used: HashMap<&str, (f64, f64)> =
            together.usage.iter().map(|used| (&*used.account, (used.requests_s, used.tokens_s))).collect();
        for meter in self.all() {
            meter.hear(used.get(&*meter.account).copied().unwrap_or_default(), now);
        }
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

    fn calendar(zone: &str) -> Calendar {
        let text = format!(
            "[server]\ntime_zone = \"{zone}\"\n[[models]]\nname = \"m\"\nbase_url = \"http://h/v1\"\n\
             price = {{ input = 1, output = 1 }}\n[routes.default]\nmodels = [\"m\"]\nsla = {{ satisfaction = 0.9 }}\n"
        );
        Calendar::new(Config::parse(&text, &|_| None).unwrap().server.time_zone)
    }

    #[test]
    fn budgets_begin_anew_with_the_days_and_months_of_the_configured_place() {
        let meters = Meters::new(calendar("Europe/Berlin"));
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

    /// What PostgreSQL keeps of one account, for as long as its clock goes on.
    #[derive(Default)]
    struct Shared {
        requests_s: f64,
        at: u64,
    }

    impl Shared {
        fn exchange(&mut self, meters: &Meters, gateways: u32, now: u64) {
            let lapsed = |used: f64, at| (used - now.saturating_sub(at) as f64 / 1e3).max(0.0);
            for used in meters.tell() {
                *self = Self { requests_s: lapsed(self.requests_s, self.at) + used.requests_s, at: now };
            }
            let requests_s = lapsed(self.requests_s, self.at);
            let usage = vec![LimitUsage { account: "key:a".into(), requests_s, tokens_s: 0.0 }];
            meters.hear(&Together { gateways, usage }, Timestamp(now));
        }
    }

    /// Requests that are let through in so many seconds, of one a millisecond at each of these gateways, which exchange what they know twice a
    /// second, each at its own moment.
    fn let_through(gateways: u32, asked: &[usize], seconds: u64) -> f64 {
        let limits = Limits { requests_per_minute: Some(LIMIT), ..Limits::default() };
        let all: Vec<_> = (0..gateways).map(|_| Meters::new(calendar("UTC"))).collect();
        let begin = 1_700_000_000_000;
        let meters: Vec<_> = all.iter().map(|all| all.of("key:a".to_owned(), limits, Timestamp(begin))).collect();
        let (mut shared, mut count) = (Shared::default(), 0);
        all.iter().for_each(|all| shared.exchange(all, gateways, begin));
        for now in begin..begin + seconds * 1_000 {
            for (place, all) in all.iter().enumerate() {
                if (now - begin) % 500 == place as u64 * 70 {
                    shared.exchange(all, gateways, now);
                }
            }
            for place in asked {
                count += u32::from(meters[*place].take(&Estimate::default(), Timestamp(now)).is_ok());
            }
        }
        f64::from(count)
    }

    const LIMIT: u64 = 600;

    #[test]
    fn gateways_together_let_as_much_through_as_one_whichever_of_them_is_asked() {
        for (gateways, asked) in [(1, &[0][..]), (2, &[0]), (4, &[3]), (4, &[0, 1]), (4, &[0, 1, 2, 3])] {
            for seconds in [10, 120] {
                let limit = LIMIT as f64;
                // All that was saved up at first, and then what comes back.
                let due = limit + limit * seconds as f64 / 60.0;
                let count = let_through(gateways, asked, seconds);
                // Of what they have let through too much before they knew of one another, all is made up for after a minute.
                let most = if seconds > 60 { 1.01 * due } else { due + limit };
                assert!(
                    count >= 0.9 * due && count <= most,
                    "{count} of {due} by {asked:?} of {gateways} in {seconds} s"
                );
            }
        }
    }

    #[test]
    fn a_burst_at_all_gateways_at_once_is_at_most_twice_the_limit() {
        let burst = let_through(4, &[0, 1, 2, 3], 1);
        assert!(burst < 2.0 * LIMIT as f64, "{burst}");
    }

    #[test]
    fn what_could_not_be_told_is_told_later_and_a_share_is_kept_to_meanwhile() {
        let limits = Limits { requests_per_minute: Some(8), tokens_per_minute: Some(1_000), ..Limits::default() };
        let meters = Meters::new(calendar("UTC"));
        let meter = meters.of("key:a".to_owned(), limits, Timestamp(0));
        meters.hear(&Together { gateways: 4, usage: Vec::new() }, Timestamp(0));
        let ask = |input| meter.take(&Estimate { input, ..Estimate::default() }, Timestamp(0));
        // More than a share of the tokens, from one that is whole.
        ask(600.0).unwrap();
        assert_eq!(ask(10.0).unwrap_err().status.as_u16(), 429, "tokens");
        let told = meters.tell();
        assert!((told[0].requests_s - 7.5).abs() < 1e-9 && (told[0].tokens_s - 36.0).abs() < 1e-9, "{told:?}");
        meters.untell(&told);
        assert_eq!(meters.tell(), told);
        assert!(meters.tell().is_empty());
        // 400 tokens and 7 requests are left to all, of which a quarter is for this one.
        meters.hear(&Together { gateways: 4, usage: told }, Timestamp(0));
        assert_eq!(meter.standing(Timestamp(0)).tokens.map(|(limit, left, _)| (limit, left)), Some((1_000, 400)));
        ask(100.0).unwrap();
        assert!(ask(1.0).is_err());
    }
}
