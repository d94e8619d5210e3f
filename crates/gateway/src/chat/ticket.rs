//! The account of one request, from its decision to its outcome.

mod second;

use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use slarouter_config::{Model, Prices};
use slarouter_core::{CostModel, Decision, DecisionId, Reason, Timestamp};
use slarouter_protocol::request::Request;
use slarouter_protocol::{Endpoint, ModelProtocol, Usage};
use slarouter_store::{Entry, OutcomeRecord};
use tokio::time::Instant;

use super::Decided;
use crate::admission::limits::{Hold, Spent};
use crate::app::App;
use crate::clock::prefixed_id;
use crate::error::CLIENT_CLOSED;
use crate::metrics::Served;
use crate::sessions::Turn;
use crate::telemetry::{self, Call, Ending, RequestTrace};
use crate::upstream::Admission;
use crate::upstream::Failure;
use second::{Dropped, Second};

/// Follows a request and logs its outcome exactly once: when it is finished, or when it is dropped because the client has
/// gone or the gateway's grace period is over.
pub(crate) struct Ticket {
    app: Arc<App>,
    id: DecisionId,
    endpoint: Endpoint,
    route: Arc<str>,
    decision: Decision,
    /// For audit.
    drawn: bool,
    input_tokens: f64,
    streamed: bool,
    arrived: Instant,
    first_byte: Option<Instant>,
    attempts: u32,
    model: Arc<str>,
    upstream_model: String,
    upstream: ModelProtocol,
    /// When it was decided: the prices of that moment count.
    decided: Timestamp,
    prices: Prices,
    /// Whether they are the model's own, or stand for unknown ones.
    priced: bool,
    answered: bool,
    finished: bool,
    /// What was wrong with the learning when it was decided.
    degraded: Option<&'static str>,
    /// The call under way.
    admission: Option<Admission>,
    /// Another beside it.
    second: Option<Second>,
    dropped: Dropped,
    /// Of the caller's limits, until the end.
    hold: Option<Hold>,
    /// The conversation that it is a turn of.
    turn: Option<Turn>,
    /// Its spans, where traces are made.
    trace: Option<Box<RequestTrace>>,
}

impl Ticket {
    pub(crate) fn new(
        app: Arc<App>,
        id: DecisionId,
        decided: Decided,
        request: &Request,
        arrived: Instant,
        trace: Option<Box<RequestTrace>>,
    ) -> Self {
        let Decided { time, route, decision, input_tokens, audited, degraded, hold, .. } = decided;
        let model = decision.choice().model.clone();
        app.metrics.in_flight(1);
        Self {
            app,
            id,
            endpoint: request.endpoint(),
            route,
            decision,
            drawn: audited,
            input_tokens,
            streamed: request.stream(),
            arrived,
            first_byte: None,
            attempts: 0,
            model,
            upstream_model: String::new(),
            upstream: ModelProtocol::default(),
            decided: time,
            prices: Prices::default(),
            priced: true,
            answered: false,
            finished: false,
            degraded,
            admission: None,
            second: None,
            dropped: Dropped::default(),
            hold,
            turn: None,
            trace,
        }
    }

    /// The request is a turn of a conversation.
    pub(crate) fn follow(&mut self, turn: Turn) {
        self.turn = Some(turn);
    }

    /// Its spans, where traces are made.
    pub(crate) fn trace(&mut self) -> Option<&mut RequestTrace> {
        self.trace.as_deref_mut()
    }

    pub(crate) fn app(&self) -> &App {
        &self.app
    }

    pub(crate) fn is_drawn(&self) -> bool {
        self.drawn
    }

    pub(crate) fn id(&self) -> DecisionId {
        self.id
    }

    /// The id as the client sees it.
    pub(crate) fn public_id(&self) -> String {
        prefixed_id(self.endpoint.id_prefix(), self.id)
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        self.endpoint
    }

    /// What the model last tried speaks.
    pub(crate) fn upstream(&self) -> ModelProtocol {
        self.upstream
    }

    pub(crate) fn route(&self) -> &str {
        &self.route
    }

    /// The model last tried, which in the end is the one that answered.
    pub(crate) fn model(&self) -> &str {
        &self.model
    }

    pub(crate) fn upstream_model(&self) -> &str {
        &self.upstream_model
    }

    pub(crate) fn decision(&self) -> &Decision {
        &self.decision
    }

    pub(crate) fn attempts(&self) -> u32 {
        self.attempts
    }

    pub(crate) fn reason(&self) -> Reason {
        if self.model == self.decision.choice().model { self.decision.reason } else { Reason::Fallback }
    }

    /// Waits until what the caller's budget holds for the request is on disk.
    pub(super) async fn reserved(&self) {
        if let Some(hold) = &self.hold {
            hold.written().await;
        }
    }

    /// Notes that a call to `model` begins.
    pub(crate) fn attempt(&mut self, model: &Model, admission: Admission) {
        self.attempts += 1;
        if let Some(trace) = &mut self.trace {
            trace.attempt(model, self.attempts);
        }
        self.take_up(model, admission);
    }

    /// The call to `model` is the one under way.
    fn take_up(&mut self, model: &Model, admission: Admission) {
        self.admission = Some(admission);
        self.model = model.name.clone();
        self.upstream_model.clone_from(&model.upstream_model);
        self.upstream = model.protocol;
        self.prices = model.prices.at(self.decided);
        self.priced = model.prices.is_known();
    }

    /// What tells an upstream which trace a call belongs to; `headers` are the client's.
    pub(super) fn trace_context(&self, headers: &HeaderMap, call: Call) -> HeaderMap {
        let mut context = HeaderMap::new();
        match &self.trace {
            Some(trace) => trace.inject(call, &mut context),
            None if self.app.config.telemetry.propagate => telemetry::forward(headers, &mut context),
            None => {}
        }
        context
    }

    /// The call under way came to nothing.
    pub(super) fn attempt_failed(&mut self, failure: &Failure) {
        if let Some(trace) = &mut self.trace {
            trace.attempt_failed(failure);
        }
        self.leave(failure.blames());
    }

    /// The call under way is over; `healthy` is what that says of the model, if anything.
    fn leave(&mut self, healthy: Option<bool>) {
        if let (Some(admission), Some(healthy)) = (self.admission.take(), healthy) {
            admission.ended(healthy, Instant::now());
        }
    }

    /// What was wrong with the learning when it was decided.
    pub(crate) fn degraded(&self) -> Option<&'static str> {
        self.degraded
    }

    /// Notes that the first bytes are here. Another model than the chosen one is logged before any byte goes out, so
    /// that a rating, however early, is charged to the model that answered.
    pub(crate) fn answered(&mut self) {
        self.answered = true;
        self.first_byte = Some(Instant::now());
        if let Some(admission) = &mut self.admission {
            admission.answered();
        }
        if let Some(turn) = &self.turn {
            self.app.sessions.answered(turn.session, &self.model, self.input_tokens, Instant::now());
        }
        if self.model != self.decision.choice().model {
            self.app.metrics.rerouted(&self.route, &self.decision.choice().model, &self.model);
            self.app.journal.log(Entry::Reroute { decision: self.id, model: self.model.clone() });
        }
    }

    /// USD of this answer; without a usage report, or with one beyond reason, that of the estimated input. With what is known of
    /// calls that were dropped because another answered first.
    pub(crate) fn cost(&self, usage: Option<&Usage>) -> f64 {
        let answer = match usage.filter(|usage| is_plausible(usage)) {
            Some(usage) => self.prices.cost(usage),
            None if self.answered => self.prices.list().cost(self.input_tokens, 0.0),
            None => 0.0,
        };
        answer + self.dropped.usd
    }

    /// What the client is told of the cost: nothing where the price is unknown, as the figure would be none of its provider's.
    pub(crate) fn shown_cost(&self, usage: Option<&Usage>) -> Option<f64> {
        self.priced.then(|| self.cost(usage))
    }

    /// The `slarouter` object of the body, as JSON.
    pub(crate) fn metadata(&self, cost: Option<f64>) -> Vec<u8> {
        let alpha = self.app.config.routes.get(&self.route).map(|route| route.spec.alpha.get());
        let candidates = candidates(&self.decision);
        serde_json::json!({
            "route": &*self.route, "model": &*self.model, "decision": self.reason().as_str(), "alpha": alpha,
            "propensity": self.decision.propensity(), "candidates": candidates, "cost_usd": cost,
            "attempts": self.attempts,
        })
        .to_string()
        .into_bytes()
    }

    /// Logs the outcome.
    pub(crate) fn finish(&mut self, status: StatusCode, ok: bool, usage: Option<Usage>, error: Option<String>) {
        if !ok && self.admission.is_some() {
            // It broke after it had begun, and by the model's doing: that the client went away ends elsewhere.
            self.app.metrics.failure(&self.model, if self.answered { "truncated" } else { "timeout" });
        }
        self.leave(Some(ok));
        self.settle(status.as_u16(), ok, usage, error);
    }

    fn settle(&mut self, status: u16, ok: bool, usage: Option<Usage>, error: Option<String>) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        if let Some(usage) = usage.filter(|usage| !is_plausible(usage)) {
            let request_id = self.public_id();
            tracing::warn!(request_id, model = %self.model, ?usage, "the upstream's token counts are absurd: not counted");
        }
        let usage = usage.filter(is_plausible);
        let cost = self.cost(usage.as_ref());
        self.app.metrics.in_flight(-1);
        self.release(status, usage.as_ref(), cost);
        if let (Some(turn), Some(usage)) = (&self.turn, &usage) {
            let (input, read) = (usage.input_tokens as f64, usage.cached_tokens as f64);
            self.app.sessions.reported(turn, &self.model, self.input_tokens, input, read, Instant::now());
        }
        let elapsed = self.arrived.elapsed();
        let trace_id = self.trace.as_ref().and_then(|trace| trace.id());
        if let Some(trace) = self.trace.take() {
            trace.end(&Ending {
                status,
                ok,
                answered: self.answered,
                model: &self.model,
                reason: self.reason().as_str(),
                attempts: self.attempts,
                usage: usage.as_ref(),
                cost: self.priced.then_some(cost),
            });
        }
        self.app.metrics.served(&Served {
            route: &self.route,
            model: &self.model,
            decision: self.reason().as_str(),
            status,
            seconds: elapsed.as_secs_f64(),
            cost,
        });
        if !self.priced && self.answered {
            self.app.metrics.unpriced(&self.model);
        }
        tracing::info!(
            request_id = self.public_id(),
            route = %self.route,
            model = %self.model,
            decision = self.reason().as_str(),
            status,
            ok,
            attempts = self.attempts,
            streamed = self.streamed,
            cost_usd = cost,
            price_unknown = (!self.priced).then_some(true),
            latency_ms = elapsed.as_millis() as u64,
            degraded = self.degraded,
            trace_id,
            error = error.as_deref(),
            "request"
        );
        self.app.journal.log(Entry::Outcome(OutcomeRecord {
            decision: self.id,
            time: self.app.clock.now(),
            model: self.model.clone(),
            status,
            ok,
            streamed: self.streamed,
            attempts: self.attempts,
            input_tokens: usage.as_ref().map(|usage| usage.input_tokens as f64),
            cached_tokens: usage.as_ref().map(|usage| usage.cached_tokens as f64),
            cache_write_tokens: usage.as_ref().map(|usage| usage.cache_write_tokens as f64),
            output_tokens: usage.as_ref().map(|usage| usage.output_tokens as f64),
            // Anthropic bills it as output and does not say how much of that it was.
            reasoning_tokens: usage
                .filter(|_| self.upstream != ModelProtocol::Anthropic)
                .map(|usage| usage.reasoning_tokens as f64),
            cost,
            latency_ms: elapsed.as_secs_f64() * 1e3,
            ttft_ms: self.first_byte.map(|first| first.duration_since(self.arrived).as_secs_f64() * 1e3),
            error,
        }));
    }
}

impl Ticket {
    /// Settles what the caller's limits held. Without a report, what a provider may have billed counts in full: else hanging
    /// up before the end would be a way past every budget.
    fn release(&mut self, status: u16, usage: Option<&Usage>, usd: f64) {
        let Some(hold) = self.hold.take() else { return };
        let cut_short = status == CLIENT_CLOSED || status == StatusCode::GATEWAY_TIMEOUT.as_u16();
        hold.settle(match usage {
            Some(usage) => {
                let tokens = (usage.input_tokens + usage.output_tokens) as f64 + self.dropped.tokens;
                Spent::Known { tokens, usd }
            }
            None if self.answered || (cut_short && self.attempts > 0) => Spent::Unknown,
            None => Spent::Known { tokens: 0.0, usd: 0.0 },
        });
    }
}

/// Whether one request can have so many tokens; others would spoil what is learnt of costs.
pub(crate) fn is_plausible(usage: &Usage) -> bool {
    usage.is_within(CostModel::MAX_INPUT_TOKENS, CostModel::MAX_OUTPUT_TOKENS)
}

/// The candidates of a decision as clients see them.
pub(crate) fn candidates(decision: &Decision) -> Vec<serde_json::Value> {
    let candidate = |c: &slarouter_core::Candidate| {
        serde_json::json!({
            "model": &*c.model, "probability": c.probability,
            "predicted_satisfaction": c.satisfaction, "predicted_cost_usd": c.cost,
        })
    };
    decision.candidates.iter().map(candidate).collect()
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.settle(CLIENT_CLOSED, false, None, Some("the client went away, or the gateway stopped".to_owned()));
    }
}
