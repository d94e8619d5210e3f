//! The headers of an answer: the upstream's, and what the gateway says of its decision.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use slarouter_core::DecisionId;
use slarouter_store::TraceId;

use super::eligible::{Excluded, listed};
use super::exchange::Exchange;
use super::trace_id::TRACE_ID;
use crate::app::App;

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The id of the request, where Anthropic's SDKs look for it.
pub(super) const ANTHROPIC_REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
pub(super) const UPSTREAM_ID: HeaderName = HeaderName::from_static("x-slarouter-upstream-id");
/// The provider's own `x-request-id` or `request-id`.
const UPSTREAM_REQUEST_ID: HeaderName = HeaderName::from_static("x-slarouter-upstream-request-id");
pub(crate) const MODEL: HeaderName = HeaderName::from_static("x-slarouter-model");
pub(super) const ROUTE: HeaderName = HeaderName::from_static("x-slarouter-route");
pub(super) const DECISION: HeaderName = HeaderName::from_static("x-slarouter-decision");
pub(super) const AUDIT: HeaderName = HeaderName::from_static("x-slarouter-audit");
pub(super) const COST: HeaderName = HeaderName::from_static("x-slarouter-cost-usd");
/// What the provider itself says that the answer costs.
pub(super) const UPSTREAM_COST: HeaderName = HeaderName::from_static("x-slarouter-upstream-cost-usd");
/// How long to wait, in milliseconds: OpenAI sends it beside `retry-after`.
pub(super) const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
pub(crate) const DEGRADED: HeaderName = HeaderName::from_static("x-slarouter-degraded");
pub(super) const FEEDBACK_TOKEN: HeaderName = HeaderName::from_static("x-slarouter-feedback-token");
/// What the model was not told of the request.
const DROPPED: HeaderName = HeaderName::from_static("x-slarouter-dropped");
/// Models that were not to be chosen, and why.
const EXCLUDED: HeaderName = HeaderName::from_static("x-slarouter-excluded");
pub(super) const METADATA: HeaderName = HeaderName::from_static("x-slarouter-metadata");

/// Headers of an upstream's answer that are the client's business, beside limits and ids.
const KEPT: [&str; 8] = [
    "content-encoding",
    "content-language",
    "retry-after",
    "retry-after-ms",
    "openai-processing-ms",
    "openai-version",
    "server-timing",
    "cf-ray",
];

/// Passes those of the upstream's headers on that say how the call went: what it is, how long it took, what is left of the rate limits,
/// and by which id the provider knows it. What says whose account it is, cookies, and whatever else there may be stays here.
pub(crate) fn keep(to: &mut HeaderMap, from: &HeaderMap) {
    for (name, value) in from {
        let word = name.as_str();
        // The names under which we give our own id.
        if *name == REQUEST_ID || *name == ANTHROPIC_REQUEST_ID {
            to.insert(UPSTREAM_REQUEST_ID, value.clone());
        } else if !word.starts_with("x-slarouter-") && is_kept(word) {
            to.append(name.clone(), value.clone());
        }
    }
    // `into_response` had put a type of its own first.
    if let Some(kind) = from.get(header::CONTENT_TYPE) {
        to.insert(header::CONTENT_TYPE, kind.clone());
    }
}

fn is_kept(name: &str) -> bool {
    let limits = ["x-ratelimit-", "anthropic-ratelimit-", "ratelimit"];
    let ids = ["-request-id", "-requestid"];
    KEPT.contains(&name)
        || limits.iter().any(|start| name.starts_with(start))
        || ids.iter().any(|end| name.ends_with(end))
}

/// What is known of an answer before any model has begun it.
pub(super) struct Opening {
    id: DecisionId,
    route: Arc<str>,
    degraded: Option<&'static str>,
    excluded: Vec<Excluded>,
    trace: Option<TraceId>,
    audited: bool,
}

impl Opening {
    pub(super) fn of(exchange: &Exchange) -> Self {
        Self {
            id: exchange.id(),
            route: exchange.route().clone(),
            degraded: exchange.degraded(),
            excluded: exchange.excluded().to_vec(),
            trace: exchange.trace_id().cloned(),
            audited: exchange.is_audited(),
        }
    }

    /// Says it.
    pub(super) fn describe(&self, app: &App, headers: &mut HeaderMap) {
        if !self.route.is_empty() {
            set(headers, ROUTE, &self.route);
        }
        if let Some(reason) = self.degraded {
            set(headers, DEGRADED, reason);
        }
        if !self.excluded.is_empty() {
            set(headers, EXCLUDED, &listed(&self.excluded));
        }
        if let Some(trace) = &self.trace {
            set(headers, TRACE_ID, trace.as_str());
        }
        give_token(app, self.id, headers);
        if self.audited {
            set(headers, AUDIT, "1");
        }
    }
}

/// Says what was decided, and which model answered.
pub(super) fn describe(headers: &mut HeaderMap, exchange: &Exchange, upstream_id: Option<&str>) {
    Opening::of(exchange).describe(exchange.app(), headers);
    set(headers, MODEL, exchange.model());
    set(headers, DECISION, exchange.word());
    if !exchange.dropped().is_empty() {
        set(headers, DROPPED, &exchange.dropped().to_string());
    }
    if let Some(id) = upstream_id {
        set(headers, UPSTREAM_ID, id);
    }
}

/// Puts the token for this decision into the answer, if the gateway gives any.
fn give_token(app: &App, id: DecisionId, headers: &mut HeaderMap) {
    if let Some(signer) = &app.signer
        && let Ok(mut token) = HeaderValue::from_str(&signer.sign(id, app.clock.now()))
    {
        token.set_sensitive(true);
        headers.insert(FEEDBACK_TOKEN, token);
    }
}

/// Sets a header; a value that no header can hold is left out.
pub(crate) fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
