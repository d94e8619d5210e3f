//! One request and its answer, from the decision to the outcome in the log.

mod outcome;
mod phase;
mod tried;

use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use slarouter_config::Model;
use slarouter_core::{Decision, DecisionId, told_usd};
use slarouter_protocol::request::Request;
use slarouter_protocol::{Dropped, Endpoint, ModelProtocol, Usage};
use slarouter_store::{Entry, TraceId};
use tokio::time::Instant;

use super::decide::{Decided, candidates, word};
use super::eligible::Excluded;
use super::estimate::is_plausible;
use crate::app::App;
use crate::clock::prefixed_id;
use crate::error::CLIENT_CLOSED;
use crate::sessions::{Owner, Report, SessionTurn};
use crate::telemetry::{self, Call, RequestTrace};
use crate::upstream::{Admission, Failure};
use outcome::Outcome;
use phase::{Ended, Phase};
use tried::{DroppedCalls, Tried, UnderWay};

/// Follows a request and logs its outcome exactly once: when it is finished, or when it is dropped because the client has
/// gone or the gateway's grace period is over. [`Phase`] says in which order its methods may be called.
pub(crate) struct Exchange {
    app: Arc<App>,
    id: DecisionId,
    endpoint: Endpoint,
    streamed: bool,
    arrived: Instant,
    decided: Decided,
    /// The turn of a conversation that this is.
    turn: Option<SessionTurn>,
    /// The spans of the request, where traces are made.
    trace: Option<Box<RequestTrace>>,
    phase: Phase<UnderWay>,
    attempts: u32,
    /// The model last tried, which in the end is the one that answered.
    tried: Tried,
    dropped_calls: DroppedCalls,
    /// What the model that answered was not told of the request.
    dropped: Dropped,
    /// Who may refer to the items of the answer.
    owner: Option<Owner>,
}

/// What is known of an exchange at its end.
struct Ending {
    status: u16,
    ok: bool,
    usage: Option<Usage>,
    error: Option<String>,
}

impl Exchange {
    pub(crate) fn new(
        app: Arc<App>,
        id: DecisionId,
        decided: Decided,
        request: &Request,
        arrived: Instant,
        trace: Option<Box<RequestTrace>>,
    ) -> Self {
        app.metrics.in_flight(1);
        let tried = Tried::nobody_yet(decided.decision.choice().model.clone());
        Self {
            app,
            id,
            endpoint: request.endpoint(),
            streamed: request.stream(),
            arrived,
            decided,
            turn: None,
            trace,
            phase: Phase::Idle,
            attempts: 0,
            tried,
            dropped_calls: DroppedCalls::default(),
            dropped: Dropped::default(),
            owner: None,
        }
    }

    /// The items of the answer are to be known to this caller for a while.
    pub(super) fn remember_for(&mut self, owner: Owner) {
        self.owner = Some(owner);
    }

    /// Keeps items of the answer, which `find` finds in what goes to the client.
    pub(super) fn remember(&self, find: impl FnOnce() -> Vec<(String, String)>) {
        if let Some(owner) = self.owner {
            self.app.sessions.items.keep(owner, find(), Instant::now());
        }
    }

    /// The request is a turn of a conversation.
    pub(crate) fn follow(&mut self, turn: SessionTurn) {
        self.turn = Some(turn);
    }

    /// The spans of the request, where traces are made.
    pub(crate) fn trace(&mut self) -> Option<&mut RequestTrace> {
        self.trace.as_deref_mut()
    }

    pub(crate) fn app(&self) -> &App {
        &self.app
    }

    /// The same, to be held.
    pub(super) fn shared(&self) -> Arc<App> {
        self.app.clone()
    }

    /// What the model that answered was not told of the request.
    pub(crate) fn dropped(&self) -> &Dropped {
        &self.dropped
    }

    /// Models of the route that were not to be chosen.
    pub(crate) fn excluded(&self) -> &[Excluded] {
        &self.decided.excluded
    }

    /// The id of the application's own that is kept with the decision.
    pub(super) fn trace_id(&self) -> Option<&TraceId> {
        self.decided.trace.as_ref()
    }

    /// Whether the decision was drawn for audit.
    pub(crate) fn is_audited(&self) -> bool {
        self.decided.audited
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

    /// What the provider of the model last tried speaks.
    pub(crate) fn upstream(&self) -> ModelProtocol {
        self.tried.dialect
    }

    pub(crate) fn route(&self) -> &Arc<str> {
        &self.decided.route
    }

    /// The model last tried, which in the end is the one that answered.
    pub(crate) fn model(&self) -> &str {
        &self.tried.model
    }

    /// The provider's name for the model last tried.
    pub(crate) fn upstream_model(&self) -> &str {
        &self.tried.upstream_model
    }

    pub(crate) fn decision(&self) -> &Decision {
        &self.decided.decision
    }

    /// Calls made so far.
    pub(crate) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Why the model last tried answers, in one word.
    pub(crate) fn word(&self) -> &'static str {
        word(self.decided.decision.reason, self.is_rerouted())
    }

    /// What was wrong with the learning when it was decided.
    pub(crate) fn degraded(&self) -> Option<&'static str> {
        self.decided.degraded
    }

    fn is_rerouted(&self) -> bool {
        self.tried.model != self.decided.decision.choice().model
    }

    /// Waits until what the caller's budget holds for the request is on disk.
    pub(super) async fn reserved(&self) {
        if let Some(hold) = &self.decided.hold {
            hold.written().await;
        }
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

    /// Notes that a call to `model` begins.
    pub(crate) fn attempt(&mut self, model: &Model, admission: Admission) {
        self.attempts += 1;
        if let Some(trace) = &mut self.trace {
            trace.attempt(model, self.attempts);
        }
        self.tried = Tried::new(model, self.decided.time);
        self.phase.call(UnderWay { callee: self.tried.clone(), admission });
    }

    /// Notes that a call to `model` begins beside the one under way.
    pub(super) fn second(&mut self, model: &Model, admission: Admission) {
        self.attempts += 1;
        if let Some(trace) = &mut self.trace {
            trace.second(model, self.attempts);
        }
        self.phase.call_beside(UnderWay { callee: Tried::new(model, self.decided.time), admission });
    }

    /// The second call came to nothing.
    pub(super) fn second_failed(&mut self, failure: &Failure) {
        if let Some(trace) = &mut self.trace {
            trace.second_failed(failure);
        }
        if let Some(second) = self.phase.end_beside() {
            self.failed(second, failure);
        }
    }

    /// The second call has an answer and takes the place of the first, which failed for this reason, or is dropped.
    pub(super) fn overtaken(&mut self, first_failure: Option<&Failure>) {
        let Some(first) = self.phase.overtake() else { return };
        if let (Some(trace), Some(failure)) = (&mut self.trace, first_failure) {
            trace.attempt_failed(failure);
        }
        match first_failure {
            Some(failure) => self.failed(first, failure),
            None => self.dropped_calls.add(self.decided.input_tokens, &first.callee),
        }
        if let Some(trace) = &mut self.trace {
            trace.overtaken();
        }
        if let Phase::Calling { call, .. } = &self.phase {
            self.tried.clone_from(&call.callee);
        }
    }

    /// The first call has an answer, or failed; a second one, if there still is one, is dropped. Whether there was.
    pub(super) fn drop_second(&mut self) -> bool {
        let second = self.phase.end_beside();
        if let Some(second) = &second {
            if let Some(trace) = &mut self.trace {
                trace.drop_second();
            }
            self.dropped_calls.add(self.decided.input_tokens, &second.callee);
        }
        second.is_some()
    }

    /// The call under way came to nothing.
    pub(super) fn attempt_failed(&mut self, failure: &Failure) {
        if let Some(trace) = &mut self.trace {
            trace.attempt_failed(failure);
        }
        if let Some(call) = self.phase.fail() {
            self.failed(call, failure);
        }
    }

    fn failed(&mut self, call: UnderWay, failure: &Failure) {
        if failure.is_billed() {
            self.dropped_calls.add(self.decided.input_tokens, &call.callee);
        }
        call.ended(failure.blames());
    }

    /// Notes that the first bytes are here. Another model than the chosen one is logged before any byte goes out, so
    /// that a rating, however early, is charged to the model that answered. `dropped` is what that model was not told of the request.
    pub(crate) fn answered(&mut self, dropped: Dropped) {
        self.dropped = dropped;
        if let Some(call) = self.phase.answer(Instant::now()) {
            call.admission.answered();
        }
        if let Some(turn) = &self.turn {
            self.app.sessions.answered(turn.id, &self.tried.model, self.decided.input_tokens, Instant::now());
        }
        if self.is_rerouted() {
            let model = self.tried.model.clone();
            self.app.metrics.rerouted(&self.decided.route, &self.decided.decision.choice().model, &model);
            self.app.journal.log(Entry::Reroute { decision: self.id, model });
        }
    }

    /// USD of this answer, and of the calls whose own is not used, as far as that is known.
    fn cost(&self, usage: Option<&Usage>, answered: bool) -> f64 {
        told_usd(self.tried.cost(usage, self.decided.input_tokens, answered) + self.dropped_calls.usd)
    }

    /// What the client is told of the cost: nothing where the price is unknown, as the figure would be none of its provider's.
    pub(crate) fn shown_cost(&self, usage: Option<&Usage>) -> Option<f64> {
        self.tried.priced.then(|| self.cost(usage, self.phase.is_answering()))
    }

    /// The `slarouter` object of the body, as JSON.
    pub(crate) fn metadata(&self, cost: Option<f64>) -> Vec<u8> {
        let alpha = self.app.config.routes.get(&self.decided.route).map(|route| route.spec.alpha.get());
        let candidates = candidates(&self.decided);
        let dropped = (!self.dropped.is_empty()).then(|| self.dropped.to_string());
        serde_json::json!({
            "route": &*self.decided.route, "model": &*self.tried.model, "decision": self.word(), "alpha": alpha,
            "propensity": self.decided.decision.propensity(), "candidates": candidates, "cost_usd": cost,
            "attempts": self.attempts, "dropped": dropped,
        })
        .to_string()
        .into_bytes()
    }

    /// Logs the outcome.
    pub(crate) fn finish(&mut self, status: StatusCode, ok: bool, usage: Option<Usage>, error: Option<String>) {
        let Some(Ended { call, first_byte }) = self.phase.settle() else { return };
        if let Some(call) = call {
            if !ok {
                // It broke after it had begun, and by the model's doing: that the client went away ends elsewhere.
                let kind = if first_byte.is_some() { "truncated" } else { "timeout" };
                self.app.metrics.failure(&self.tried.model, kind);
            }
            call.ended(Some(ok));
        }
        self.settle(Ending { status: status.as_u16(), ok, usage, error }, first_byte);
    }

    /// Says and logs the outcome, but not the usage if it is beyond reason.
    fn settle(&mut self, ended: Ending, first_byte: Option<Instant>) {
        let Ending { status, ok, usage, error } = ended;
        if let Some(usage) = usage.filter(|usage| !is_plausible(usage)) {
            let (request_id, model) = (self.public_id(), &self.tried.model);
            tracing::warn!(request_id, %model, ?usage, "the upstream's token counts are absurd: not counted");
        }
        let usage = usage.filter(is_plausible);
        self.app.metrics.in_flight(-1);
        let hold = self.decided.hold.take();
        let trace = self.trace.take();
        let outcome = Outcome {
            app: &self.app,
            id: self.id,
            request_id: self.public_id(),
            streamed: self.streamed,
            decided: &self.decided,
            tried: &self.tried,
            word: self.word(),
            attempts: self.attempts,
            dropped: &self.dropped,
            status,
            ok,
            usage,
            error,
            cost: self.cost(usage.as_ref(), first_byte.is_some()),
            elapsed: self.arrived.elapsed(),
            first_byte: first_byte.map(|first| first.duration_since(self.arrived)),
        };
        if let Some(hold) = hold {
            hold.settle(outcome.spent(self.dropped_calls.tokens));
        }
        if let (Some(turn), Some(usage)) = (&self.turn, &usage) {
            let report = Report {
                estimated: self.decided.input_tokens,
                input: usage.input_tokens as f64,
                cached: usage.cached_tokens as f64,
            };
            self.app.sessions.reported(turn, &self.tried.model, report, Instant::now());
        }
        outcome.end(trace);
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if let Some(Ended { first_byte, .. }) = self.phase.settle() {
            let error = Some("the client went away, or the gateway stopped".to_owned());
            self.settle(Ending { status: CLIENT_CLOSED, ok: false, usage: None, error }, first_byte);
        }
    }
}
