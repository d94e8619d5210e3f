//! Calls to upstreams until one answers: retries, then the other models of the route.

use std::sync::Arc;

use slarouter_core::{DecisionId, Reason, decision_rng, uniform};
use tokio::time::{Duration, Instant, sleep};

use super::ask::{Callee, Inbound, Reply, ask, note_failure};
use super::eligible::{Excluded, is_among};
use super::exchange::Exchange;
use super::hedge::call_hedged;
use crate::app::App;
use crate::lookup::model;
use crate::telemetry::Call;
use crate::upstream::{Admission, Failure, Next, Refused, UpstreamResponse};

/// Longest pause before a retry, before jitter.
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);

/// The calls that are made for one request.
pub(crate) trait Calls {
    /// What a good call comes to.
    type Output;

    /// How many there have been.
    fn made(&self) -> u32;

    /// Makes one to a model that lets it in; `rest` are the models that come after it.
    async fn make(
        &mut self,
        callee: Callee<'_>,
        admission: Admission,
        rest: &[Arc<str>],
    ) -> Result<Self::Output, Failure>;
}

/// The calls for an answer that is decided on, logged and learnt from.
struct Answering<'a> {
    app: &'a App,
    exchange: &'a mut Exchange,
    inbound: Inbound<'a>,
}

/// Calls the chosen model, with retries, then falls back along the route, but for the models that are `unfit` for the
/// request. Nothing has gone to the client yet.
pub(crate) async fn call(
    app: &App,
    exchange: &mut Exchange,
    inbound: Inbound<'_>,
    unfit: &[Excluded],
) -> Result<UpstreamResponse, Failure> {
    let decision = exchange.decision();
    let mut order = vec![decision.choice().model.clone()];
    if decision.reason != Reason::Pinned {
        let rest = decision.alternatives().into_iter().map(|candidate| candidate.model.clone());
        order.extend(rest.filter(|name| !is_among(unfit, name)));
    }
    let id = exchange.id();
    in_order(app, id, &order, &mut Answering { app, exchange, inbound }).await
}

impl Calls for Answering<'_> {
    type Output = UpstreamResponse;

    fn made(&self) -> u32 {
        self.exchange.attempts()
    }

    async fn make(
        &mut self,
        callee: Callee<'_>,
        admission: Admission,
        rest: &[Arc<str>],
    ) -> Result<UpstreamResponse, Failure> {
        let Self { app, exchange, inbound } = self;
        exchange.attempt(callee.model, admission);
        // What is slow a second time is the retries' affair.
        let hedge = app.config.upstream.hedge.filter(|_| exchange.attempts() == 1);
        let reply = match hedge {
            Some(hedge) => call_hedged(app, exchange, *inbound, hedge, callee, rest).await,
            None => ask(app, callee, *inbound, exchange.trace_context(inbound.headers, Call::First)).await,
        };
        match reply {
            Ok(Reply { answer, dropped }) => {
                exchange.answered(dropped);
                if let Some(trace) = exchange.trace() {
                    trace.answered(matches!(answer, UpstreamResponse::Stream { .. }));
                }
                Ok(answer)
            }
            Err(failure) => {
                note_failure(app, exchange.public_id(), callee, &failure);
                if let Some(objection) = failure.objection() {
                    callee.health.refused(objection, inbound.asked, Instant::now());
                }
                exchange.attempt_failed(&failure);
                Err(failure)
            }
        }
    }
}

/// Makes calls until one is answered: to the first model of `order`, with retries, then to the others.
pub(crate) async fn in_order<C: Calls>(
    app: &App,
    id: DecisionId,
    order: &[Arc<str>],
    calls: &mut C,
) -> Result<C::Output, Failure> {
    let mut last = Failure::Broken("the model is not configured any more".to_owned());
    let mut jitter = decision_rng(!app.config.server.seed, id);
    // Where every circuit is open the chosen model is tried all the same: trying beats refusing.
    for forced in [false, true] {
        for (place, name) in order.iter().enumerate().take(if forced { 1 } else { order.len() }) {
            let Some((model, health)) = model(app, name).zip(app.health.of(name)) else { continue };
            // Retries are for the first choice.
            let retries = if place == 0 { app.config.upstream.retries } else { 0 };
            for attempt in 0..=retries {
                if calls.made() >= app.config.upstream.max_attempts {
                    return Err(last);
                }
                if attempt == 0 {
                    health.first_call();
                } else if !health.may_retry() {
                    app.metrics.retry_refused(name);
                    break;
                } else {
                    sleep(backoff(app.config.upstream.backoff, attempt).mul_f64(0.5 + uniform(&mut jitter))).await;
                }
                let admission = match health.enter(Instant::now(), forced).await {
                    Ok(admission) => admission,
                    Err(Refused::Circuit) => break,
                    Err(Refused::Busy) => {
                        last = Failure::Busy;
                        app.metrics.failure(name, last.kind());
                        break;
                    }
                };
                app.metrics.called(name);
                let failure = match calls.make(Callee { model, health }, admission, &order[place + 1..]).await {
                    Ok(answer) => return Ok(answer),
                    Err(failure) => failure,
                };
                let next = failure.next();
                last = failure;
                match next {
                    Next::Retry => {}
                    Next::OtherModel => break,
                    Next::GiveUp => return Err(last),
                }
            }
        }
        if calls.made() > 0 || matches!(last, Failure::Busy) {
            break;
        }
    }
    Err(last)
}

/// The mean pause before the n-th retry, from 1.
fn backoff(first: Duration, retry: u32) -> Duration {
    first.saturating_mul(1 << (retry - 1).min(16)).min(LONGEST_BACKOFF.max(first))
}
