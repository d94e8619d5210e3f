//! The spans of one request, by the semantic conventions for HTTP and for generative AI.

use http::{HeaderMap, StatusCode};
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{SpanKind, Status, TraceContextExt, Tracer};
use opentelemetry::{Array, Context, KeyValue, StringValue, Value};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracer;
use slarouter_config::Model;
use slarouter_core::Decision;
use slarouter_protocol::{Endpoint, ModelProtocol, Usage};
use tokio::time::Instant;

use super::context::{Headers, HeadersMut};
use super::said::Said;
use super::tracer::Telemetry;
use crate::error::CLIENT_CLOSED;
use crate::upstream::Failure;

/// The spans of a request, from its arrival on. Dropping it ends them.
pub(crate) struct RequestTrace {
    tracer: SdkTracer,
    propagate: bool,
    endpoint: Endpoint,
    /// Holds the request's span.
    request: Context,
    attempt: Option<Attempt>,
    /// A call beside it.
    second: Option<Attempt>,
}

/// A call to an upstream.
struct Attempt {
    /// Holds its span.
    context: Context,
    started: Instant,
    said: Said,
}

/// Which of two calls that run beside each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// The one that was made first.
    First,
    /// The one that was made because the first is slow.
    Second,
}

/// What the span of a request says of its decision.
pub(crate) struct DecisionFacts<'a> {
    /// As the client sees it.
    pub(crate) id: String,
    pub(crate) route: &'a str,
    pub(crate) decision: &'a Decision,
    /// Whether it was drawn for audit.
    pub(crate) audited: bool,
    /// USD that a satisfied answer is worth, where the policy has such a price.
    pub(crate) satisfaction_price: Option<f64>,
    /// What was wrong with the learning.
    pub(crate) degraded: Option<&'static str>,
    /// Models that were not to be chosen, as the header tells them; empty if there are none.
    pub(crate) excluded: &'a str,
}

/// How a request ended.
pub(crate) struct Ending<'a> {
    pub(crate) status: u16,
    pub(crate) ok: bool,
    /// Whether any model had begun to answer.
    pub(crate) answered: bool,
    pub(crate) model: &'a str,
    pub(crate) reason: &'static str,
    pub(crate) attempts: u32,
    /// What the model that answered was not told of the request.
    pub(crate) dropped: Option<&'a str>,
    pub(crate) usage: Option<&'a Usage>,
    /// USD; `None` where the price is unknown.
    pub(crate) cost: Option<f64>,
}

impl Telemetry {
    /// Begins the span of a request, in the caller's trace if it is in one.
    pub(crate) fn request(&self, endpoint: Endpoint, headers: &HeaderMap, https: bool) -> RequestTrace {
        let caller = TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(headers));
        let path = path(endpoint);
        let attributes = [
            KeyValue::new("http.request.method", "POST"),
            KeyValue::new("http.route", path),
            KeyValue::new("url.path", path),
            KeyValue::new("url.scheme", if https { "https" } else { "http" }),
        ];
        let span = self.tracer.span_builder(format!("POST {path}")).with_kind(SpanKind::Server);
        let span = self.tracer.build_with_context(span.with_attributes(attributes), &caller);
        RequestTrace {
            tracer: self.tracer.clone(),
            propagate: self.propagate,
            endpoint,
            request: caller.with_span(span),
            attempt: None,
            second: None,
        }
    }
}

impl RequestTrace {
    /// For log lines; `None` if the trace is not sampled.
    pub(crate) fn id(&self) -> Option<String> {
        let span = self.request.span();
        let context = span.span_context();
        context.is_sampled().then(|| context.trace_id().to_string())
    }

    fn is_recording(&self) -> bool {
        self.request.span().is_recording()
    }

    /// Notes the decision.
    pub(crate) fn decided(&self, decided: &DecisionFacts<'_>) {
        if !self.is_recording() {
            return;
        }
        let span = self.request.span();
        let choice = decided.decision.choice();
        span.set_attributes([
            KeyValue::new("slarouter.decision.id", decided.id.clone()),
            KeyValue::new("slarouter.route", decided.route.to_owned()),
            KeyValue::new("slarouter.decision.model", choice.model.to_string()),
            KeyValue::new("slarouter.propensity", decided.decision.propensity()),
            KeyValue::new("slarouter.predicted_satisfaction", choice.satisfaction),
            KeyValue::new("slarouter.predicted_cost_usd", slarouter_core::told_usd(choice.cost)),
            KeyValue::new("slarouter.predicted_saving_usd", choice.saving),
            KeyValue::new("slarouter.audited", decided.audited),
        ]);
        if let Some(price) = decided.satisfaction_price {
            span.set_attribute(KeyValue::new("slarouter.satisfaction_price_usd", price));
        }
        if let Some(degraded) = decided.degraded {
            span.set_attribute(KeyValue::new("slarouter.degraded", degraded));
        }
        if !decided.excluded.is_empty() {
            span.set_attribute(KeyValue::new("slarouter.excluded", decided.excluded.to_owned()));
        }
    }

    /// Begins the span of a call.
    pub(crate) fn attempt(&mut self, model: &Model, number: u32) {
        self.attempt = Some(self.begin(model, number));
    }

    /// Begins the span of a call beside the one under way.
    pub(crate) fn second(&mut self, model: &Model, number: u32) {
        self.second = Some(self.begin(model, number));
    }

    fn begin(&self, model: &Model, number: u32) -> Attempt {
        let operation = operation(self.endpoint);
        let mut attributes = Vec::new();
        if self.is_recording() {
            attributes = vec![
                KeyValue::new("gen_ai.operation.name", operation),
                KeyValue::new("gen_ai.provider.name", provider(model.protocol)),
                KeyValue::new("gen_ai.request.model", model.upstream_model.clone()),
                KeyValue::new("slarouter.model", model.name.to_string()),
                KeyValue::new("slarouter.attempt", i64::from(number)),
            ];
            if let Ok(url) = reqwest::Url::parse(&model.base_url) {
                attributes.extend(url.host_str().map(|host| KeyValue::new("server.address", host.to_owned())));
                let port = url.port_or_known_default();
                attributes.extend(port.map(|port| KeyValue::new("server.port", i64::from(port))));
            }
        }
        let name = format!("{operation} {}", model.upstream_model);
        let span = self.tracer.span_builder(name).with_kind(SpanKind::Client).with_attributes(attributes);
        let span = self.tracer.build_with_context(span, &self.request);
        let context = self.request.with_span(span);
        Attempt { context, started: Instant::now(), said: Said::default() }
    }

    /// Tells an upstream which call this is.
    pub(crate) fn inject(&self, call: Call, headers: &mut HeaderMap) {
        let attempt = match call {
            Call::First => &self.attempt,
            Call::Second => &self.second,
        };
        if let Some(attempt) = attempt.as_ref().filter(|_| self.propagate) {
            TraceContextPropagator::new().inject_context(&attempt.context, &mut HeadersMut(headers));
        }
    }

    /// Ends the span of a call that came to nothing.
    pub(crate) fn attempt_failed(&mut self, failure: &Failure) {
        if let Some(attempt) = self.attempt.take() {
            attempt.failed(failure);
        }
    }

    /// Ends the span of the second call, which came to nothing.
    pub(crate) fn second_failed(&mut self, failure: &Failure) {
        if let Some(second) = self.second.take() {
            second.failed(failure);
        }
    }

    /// The second call takes the place of the first, which is dropped if it is still under way.
    pub(crate) fn overtaken(&mut self) {
        let second = self.second.take();
        if let Some(first) = std::mem::replace(&mut self.attempt, second) {
            first.dropped();
        }
    }

    /// The second call is dropped: the first has an answer.
    pub(crate) fn drop_second(&mut self) {
        if let Some(second) = self.second.take() {
            second.dropped();
        }
    }

    /// Notes that the first bytes of an answer are here.
    pub(crate) fn answered(&mut self, streamed: bool) {
        let Some(attempt) = &self.attempt else { return };
        let span = attempt.context.span();
        if streamed && span.is_recording() {
            let seconds = attempt.started.elapsed().as_secs_f64();
            span.set_attribute(KeyValue::new("gen_ai.response.time_to_first_chunk", seconds));
        }
    }

    /// Looks at an answer that came whole.
    pub(crate) fn whole(&mut self, body: &[u8]) {
        if let Some(attempt) = self.attempt.as_mut().filter(|attempt| attempt.context.span().is_recording()) {
            attempt.said.whole(body);
        }
    }

    /// Looks at the next bytes of a stream.
    pub(crate) fn chunk(&mut self, bytes: &[u8]) {
        if let Some(attempt) = self.attempt.as_mut().filter(|attempt| attempt.context.span().is_recording()) {
            attempt.said.chunk(bytes);
        }
    }

    /// Ends a request that no decision was made for.
    pub(crate) fn refused(self, status: StatusCode) {
        self.end_request(status.as_u16(), None);
    }

    /// Ends all spans.
    pub(crate) fn end(mut self, ending: &Ending<'_>) {
        let kind = ending.failure();
        if let Some(attempt) = self.attempt.take() {
            attempt.end(ending, kind);
        }
        if self.is_recording() {
            let span = self.request.span();
            span.set_attributes([
                KeyValue::new("slarouter.model", ending.model.to_owned()),
                KeyValue::new("slarouter.decision", ending.reason),
                KeyValue::new("slarouter.attempts", i64::from(ending.attempts)),
                KeyValue::new("slarouter.price_known", ending.cost.is_some()),
            ]);
            if let Some(cost) = ending.cost {
                span.set_attribute(KeyValue::new("slarouter.cost_usd", cost));
            }
            if let Some(dropped) = ending.dropped {
                span.set_attribute(KeyValue::new("slarouter.dropped_fields", dropped.to_owned()));
            }
        }
        // That no model answered in time is in the status.
        self.end_request(ending.status, kind.filter(|_| ending.answered || ending.status == CLIENT_CLOSED));
    }

    fn end_request(self, status: u16, kind: Option<&'static str>) {
        let span = self.request.span();
        span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status)));
        let broken = kind.is_some() && status != CLIENT_CLOSED;
        if let Some(kind) = kind.map(str::to_owned).or((status >= 500).then(|| status.to_string())) {
            span.set_attribute(KeyValue::new("error.type", kind));
        }
        // By the conventions what the client does wrong is no error of the server's.
        if status >= 500 || broken {
            span.set_status(Status::error(""));
        }
        span.end();
    }
}

impl Attempt {
    /// Ends as a call that came to nothing.
    fn failed(self, failure: &Failure) {
        let span = self.context.span();
        let kind = match failure {
            Failure::Status { status, .. } => {
                span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status.as_u16())));
                status.as_u16().to_string()
            }
            _ => failure.kind().to_owned(),
        };
        // The kind alone: an upstream's words may quote the prompt.
        span.set_attribute(KeyValue::new("error.type", kind));
        span.set_status(Status::error(failure.kind()));
        span.end();
    }

    /// Ends as a call that was dropped, as another answered first.
    fn dropped(self) {
        let span = self.context.span();
        span.set_attribute(KeyValue::new("slarouter.dropped", true));
        span.end();
    }

    fn end(self, ending: &Ending<'_>, kind: Option<&'static str>) {
        let span = self.context.span();
        if span.is_recording() {
            if let Some(usage) = ending.usage {
                let counts = [
                    ("gen_ai.usage.input_tokens", usage.input_tokens),
                    ("gen_ai.usage.output_tokens", usage.output_tokens),
                    ("gen_ai.usage.cache_read.input_tokens", usage.cached_tokens),
                    ("gen_ai.usage.cache_creation.input_tokens", usage.cache_write_tokens),
                    ("gen_ai.usage.reasoning.output_tokens", usage.reasoning_tokens),
                ];
                let count = |(name, tokens): (&'static str, u64)| {
                    KeyValue::new(name, i64::try_from(tokens).unwrap_or(i64::MAX))
                };
                // The first two always; of the others, what there is.
                let told = counts.into_iter().enumerate().filter(|(place, (_, tokens))| *place < 2 || *tokens > 0);
                span.set_attributes(told.map(|(_, counted)| count(counted)));
            }
            let Said { id, model, reasons, .. } = self.said;
            span.set_attributes(id.map(|id| KeyValue::new("gen_ai.response.id", id)));
            span.set_attributes(model.map(|model| KeyValue::new("gen_ai.response.model", model)));
            if !reasons.is_empty() {
                let reasons = reasons.into_iter().map(StringValue::from).collect();
                span.set_attribute(KeyValue::new(
                    "gen_ai.response.finish_reasons",
                    Value::Array(Array::String(reasons)),
                ));
            }
        }
        if let Some(kind) = kind {
            span.set_attribute(KeyValue::new("error.type", kind));
            span.set_status(Status::error(kind));
        }
        span.end();
    }
}

impl Ending<'_> {
    /// What went wrong with the call that was under way.
    fn failure(&self) -> Option<&'static str> {
        match (self.ok, self.status) {
            (true, _) => None,
            (false, CLIENT_CLOSED) => Some("cancelled"),
            (false, _) if self.answered => Some("truncated"),
            (false, _) => Some("timeout"),
        }
    }
}

fn path(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Chat => "/v1/chat/completions",
        Endpoint::Responses => "/v1/responses",
        Endpoint::Compact => "/v1/responses/compact",
        Endpoint::Messages => "/v1/messages",
        Endpoint::Completions => "/v1/completions",
        Endpoint::Embeddings => "/v1/embeddings",
    }
}

fn operation(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Chat | Endpoint::Responses | Endpoint::Messages => "chat",
        Endpoint::Completions => "text_completion",
        Endpoint::Embeddings => "embeddings",
        Endpoint::Compact => "compact",
    }
}

/// By what it speaks: a server of one's own that speaks OpenAI's protocol goes under that name, as the conventions have it.
fn provider(protocol: ModelProtocol) -> &'static str {
    match protocol {
        ModelProtocol::OpenaiChat | ModelProtocol::OpenaiResponses => "openai",
        ModelProtocol::Anthropic => "anthropic",
        ModelProtocol::GeminiOpenai => "gcp.gemini",
    }
}
