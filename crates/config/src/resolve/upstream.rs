//! `[upstream]`

use std::time::Duration;

use super::latency;
use crate::problems::Problems;
use crate::raw::{self, Number};
use crate::settings::UpstreamConfig;
use crate::values::{Env, count, number, seconds};

pub(super) fn upstream(raw: raw::Upstream, env: Env<'_>, problems: &mut Problems<'_>) -> UpstreamConfig {
    let held = UpstreamConfig::default();
    let hedge = raw.hedge.map(|hedge| latency::hedge(hedge, env, problems));
    let mut time = |given: Option<Number>, held: Duration| seconds(given, held.as_secs_f64(), problems);
    let response_timeout = time(raw.response_timeout_s, held.response_timeout);
    let times = UpstreamConfig {
        connect_timeout: time(raw.connect_timeout_s, held.connect_timeout),
        response_timeout,
        first_token_timeout: time(raw.first_token_timeout_s, response_timeout),
        idle_timeout: time(raw.idle_timeout_s, held.idle_timeout),
        backoff: time(raw.backoff_s, held.backoff),
        retry_after_max: time(raw.retry_after_max_s, held.retry_after_max),
        breaker_open: time(raw.breaker_open_s, held.breaker_open),
        queue_timeout: time(raw.queue_timeout_s, held.queue_timeout),
        hedge,
        ..held
    };
    let share = |share: f64| (0.0..=1.0).contains(&share);
    let positive = |share: f64| share > 0.0 && share <= 1.0;
    UpstreamConfig {
        max_response_bytes: count(raw.max_response_bytes, times.max_response_bytes as u64, problems) as usize,
        max_stream_bytes: count(raw.max_stream_bytes, times.max_stream_bytes as u64, problems) as usize,
        max_attempts: count(raw.max_attempts, times.max_attempts.into(), problems).try_into().unwrap_or(u32::MAX),
        retries: raw.retries.unwrap_or(times.retries),
        retry_budget: number(raw.retry_budget, times.retry_budget, share, "from 0 to 1", problems),
        breaker_failures: raw.breaker_failures.unwrap_or(times.breaker_failures),
        breaker_rate: number(raw.breaker_rate, times.breaker_rate, positive, "above 0 and at most 1", problems),
        ..times
    }
}
