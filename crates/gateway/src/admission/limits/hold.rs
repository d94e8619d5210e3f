//! What one request holds of the limits of its key and tenant.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use slarouter_core::Timestamp;
use slarouter_store::{Entry, Spending};
use tokio::time::{Duration, timeout};

use super::budget::nano;
use super::meter::{Estimate, Meter, Standing, Taken};
use crate::error::ApiError;
use crate::journal::Journal;

/// What a request waits for its reservation to be on disk, at most.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// What a request did use.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Spent {
    Known {
        tokens: f64,
        usd: f64,
    },
    /// It may have been billed, and nobody says for how much: what was reserved counts as spent.
    Unknown,
}

/// Held from admission to the end; dropped without an end, as when no decision could be made, it gives all back.
pub(crate) struct Hold {
    journal: Arc<Journal>,
    taken: Vec<(Arc<Meter>, Taken)>,
}

/// Takes what the request may use from all meters, or from none.
///
/// # Errors
/// 429, with when to try again if that can help.
pub(crate) fn admit(
    journal: &Arc<Journal>,
    now: Timestamp,
    meters: &[Arc<Meter>],
    estimate: &Estimate,
) -> Result<Hold, ApiError> {
    let mut taken: Vec<(Arc<Meter>, Taken)> = Vec::with_capacity(meters.len());
    for meter in meters {
        match meter.take(estimate, now) {
            Ok(part) => taken.push((meter.clone(), part)),
            Err(error) => {
                for (meter, part) in &taken {
                    meter.give_back(part);
                }
                return Err(error);
            }
        }
    }
    // On disk too, so that what was under way when the process was killed counts as spent.
    for (meter, part) in &taken {
        log(journal, meter, part, part.nano);
    }
    Ok(Hold { journal: journal.clone(), taken })
}

fn log(journal: &Journal, meter: &Meter, part: &Taken, nano_usd: i64) {
    if part.logged && nano_usd != 0 {
        journal.log(Entry::Spend(Spending { account: meter.account.clone(), day: part.day, nano_usd }));
    }
}

impl Hold {
    /// Waits until money that is reserved is so on disk: once the call goes out, a kill of the process must not give it back. A
    /// disk in trouble holds no request up for long; then the money is counted in memory alone.
    pub(crate) async fn written(&self) {
        let money = self.taken.iter().any(|(_, part)| part.logged && part.nano != 0);
        if !money || self.journal.is_failing() {
            return;
        }
        match timeout(FLUSH_TIMEOUT, self.journal.flush()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "money was reserved in memory alone"),
            Err(_) => tracing::warn!("the disk is slow: money was reserved in memory alone"),
        }
    }

    /// Ends it with what was really used.
    pub(crate) fn settle(mut self, spent: Spent) {
        self.end(spent);
    }

    fn end(&mut self, spent: Spent) {
        for (meter, part) in self.taken.drain(..) {
            let (tokens, nano) = match spent {
                Spent::Known { tokens, usd } => (tokens, nano(usd)),
                Spent::Unknown => (part.tokens, part.nano),
            };
            let more = meter.settle(&part, tokens, nano);
            log(&self.journal, &meter, &part, more);
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.end(Spent::Known { tokens: 0.0, usd: 0.0 });
    }
}

const REQUESTS: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit-requests"),
    HeaderName::from_static("x-ratelimit-remaining-requests"),
    HeaderName::from_static("x-ratelimit-reset-requests"),
];
const TOKENS: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit-tokens"),
    HeaderName::from_static("x-ratelimit-remaining-tokens"),
    HeaderName::from_static("x-ratelimit-reset-tokens"),
];

/// Says in OpenAI's headers what is left: of each kind the limit of which least is left. An upstream's own are replaced.
pub(crate) fn describe(headers: &mut HeaderMap, meters: &[Arc<Meter>], now: Timestamp) {
    let standings: Vec<Standing> = meters.iter().map(|meter| meter.standing(now)).collect();
    let requests = standings.iter().filter_map(|standing| standing.requests).min_by_key(|(_, left, _)| *left);
    let tokens = standings.iter().filter_map(|standing| standing.tokens).min_by_key(|(_, left, _)| *left);
    for (names, standing) in [(REQUESTS, requests), (TOKENS, tokens)] {
        let Some((limit, left, reset_ms)) = standing else { continue };
        let [limit_name, left_name, reset_name] = names;
        headers.insert(limit_name, HeaderValue::from(limit));
        headers.insert(left_name, HeaderValue::from(left));
        if let Ok(reset) = HeaderValue::from_str(&format!("{reset_ms}ms")) {
            headers.insert(reset_name, reset);
        }
    }
}
