//! What is said and logged at the end of an exchange.

use http::StatusCode;
use slarouter_core::DecisionId;
use slarouter_protocol::{Dropped, ModelProtocol, Usage};
use slarouter_store::{Entry, OutcomeRecord};
use tokio::time::Duration;

use super::tried::Tried;
use crate::admission::limits::Spent;
use crate::app::App;
use crate::chat::decide::Decided;
use crate::chat::eligible::listed;
use crate::error::CLIENT_CLOSED;
use crate::metrics::Served;
use crate::telemetry::{self, RequestTrace};
use crate::words::{KEPT, cut, shown};

/// An exchange at its end.
pub(super) struct Outcome<'a> {
    pub(super) app: &'a App,
    pub(super) id: DecisionId,
    /// The id as the client sees it.
    pub(super) request_id: String,
    pub(super) streamed: bool,
    pub(super) decided: &'a Decided,
    /// The model last tried.
    pub(super) tried: &'a Tried,
    /// Why that model was tried, in one word.
    pub(super) word: &'static str,
    pub(super) attempts: u32,
    /// What the model that answered was not told of the request.
    pub(super) dropped: &'a Dropped,
    pub(super) status: u16,
    pub(super) ok: bool,
    /// `None` if it was not reported, or is beyond reason.
    pub(super) usage: Option<Usage>,
    pub(super) error: Option<String>,
    /// USD.
    pub(super) cost: f64,
    /// Time since the request arrived.
    pub(super) elapsed: Duration,
    /// Time from its arrival to the first byte of an answer, if there was one.
    pub(super) first_byte: Option<Duration>,
}

impl Outcome<'_> {
    /// What goes off the caller's limits, `dropped` tokens of other calls among it. Without a report, what a provider may have
    /// billed counts in full: else hanging up before the end would be a way past every budget.
    pub(super) fn spent(&self, dropped: f64) -> Spent {
        let cut_short = [CLIENT_CLOSED, StatusCode::GATEWAY_TIMEOUT.as_u16()].contains(&self.status);
        match &self.usage {
            Some(usage) => {
                let tokens = (usage.input_tokens + usage.output_tokens) as f64 + dropped;
                Spent::Known { tokens, usd: self.cost }
            }
            None if self.first_byte.is_some() || dropped > 0.0 || (cut_short && self.attempts > 0) => Spent::Unknown,
            None => Spent::Known { tokens: 0.0, usd: 0.0 },
        }
    }

    /// Says it in the trace, the metrics and the program's own log.
    pub(super) fn tell(&self, trace: Option<Box<RequestTrace>>) {
        let Self { app, status, ok, cost, attempts, elapsed, .. } = *self;
        let (model, priced, answered) = (&self.tried.model, self.tried.priced, self.first_byte.is_some());
        let (route, decision) = (&self.decided.route, self.word);
        let dropped = (!self.dropped.is_empty()).then(|| self.dropped.to_string());
        let excluded = (!self.decided.excluded.is_empty()).then(|| listed(&self.decided.excluded));
        let trace_id = trace.as_ref().and_then(|trace| trace.id());
        if let Some(trace) = trace {
            trace.end(&telemetry::Ending {
                status,
                ok,
                answered,
                model,
                reason: decision,
                attempts,
                dropped: dropped.as_deref(),
                usage: self.usage.as_ref(),
                cost: priced.then_some(cost),
            });
        }
        // Of what has no usage, nobody knows what another model would have been paid for it.
        let most_expensive = self.usage.and_then(|_| self.decided.decision.most_expensive_cost()).unwrap_or(cost);
        let seconds = elapsed.as_secs_f64();
        app.metrics.served(&Served { route, model, decision, status, seconds, cost, most_expensive });
        if !priced && answered {
            app.metrics.unpriced(model);
        }
        tracing::info!(
            request_id = self.request_id,
            %route,
            %model,
            decision,
            status,
            ok,
            attempts,
            streamed = self.streamed,
            cost_usd = cost,
            upstream_cost_usd = self.usage.and_then(|usage| usage.told_usd()),
            price_unknown = (!priced).then_some(true),
            latency_ms = elapsed.as_millis() as u64,
            degraded = self.decided.degraded,
            excluded,
            dropped,
            trace_id,
            error = self.error.as_deref().map(shown),
            "request"
        );
    }

    /// Appends it to the log that is learnt from.
    pub(super) fn record(self) {
        let count = |of: fn(&Usage) -> u64| self.usage.as_ref().map(|usage| of(usage) as f64);
        // Anthropic bills it as output and does not say how much of that it was.
        let tells_reasoning = self.tried.dialect != ModelProtocol::Anthropic;
        let record = OutcomeRecord {
            decision: self.id,
            time: self.app.clock.now(),
            model: self.tried.model.clone(),
            status: self.status,
            ok: self.ok,
            streamed: self.streamed,
            attempts: self.attempts,
            input_tokens: count(|usage| usage.input_tokens),
            cached_tokens: count(|usage| usage.cached_tokens),
            cache_write_tokens: count(|usage| usage.cache_write_tokens),
            output_tokens: count(|usage| usage.output_tokens),
            reasoning_tokens: count(|usage| usage.reasoning_tokens).filter(|_| tells_reasoning),
            cost: self.cost,
            latency_ms: self.elapsed.as_secs_f64() * 1e3,
            ttft_ms: self.first_byte.map(|first| first.as_secs_f64() * 1e3),
            error: self.error.map(|error| cut(&error, KEPT).to_owned()),
        };
        self.app.journal.log(Entry::Outcome(record));
    }
}
