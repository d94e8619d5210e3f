//! Traces, as a collector gets them over HTTP.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use http::{HeaderMap, StatusCode};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::{Value, json};
use slarouter_testkit::Script;
use tokio::net::TcpListener;

use crate::setup::{Rig, Settings, chunk, question};

/// What a client says of the trace that it is in.
const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
/// In the question, and in no span.
const SECRET: &str = "xyzzy-plugh";

/// A collector of OTLP over HTTP.
struct Collector {
    url: String,
    got: Got,
}

type Got = Arc<Mutex<Vec<(HeaderMap, ExportTraceServiceRequest)>>>;

/// A span as it arrived.
#[derive(Debug)]
struct Seen {
    span: Span,
    attributes: Value,
}

impl Collector {
    async fn start() -> Self {
        async fn take(State(got): State<Got>, headers: HeaderMap, body: Bytes) -> StatusCode {
            got.lock().unwrap().push((headers, ExportTraceServiceRequest::decode(body).unwrap()));
            StatusCode::OK
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (url, got) = (format!("http://{}", listener.local_addr().unwrap()), Got::default());
        let paths = Router::new().route("/v1/traces", post(take)).with_state(got.clone());
        tokio::spawn(async move { axum::serve(listener, paths).await.unwrap() });
        Self { url, got }
    }

    fn settings(&self, more: &str) -> Settings {
        settings(&self.url, more)
    }

    /// All spans, in the order of their beginning.
    fn spans(&self) -> Vec<Seen> {
        let got = self.got.lock().unwrap();
        let all = got.iter().flat_map(|(_, request)| &request.resource_spans);
        let spans = all.flat_map(|resource| &resource.scope_spans).flat_map(|scope| &scope.spans);
        let mut spans: Vec<_> = spans.cloned().map(Seen::new).collect();
        spans.sort_by_key(|seen| seen.span.start_time_unix_nano);
        spans
    }
}

impl Seen {
    fn new(span: Span) -> Self {
        let plain = |value: &AnyValue| match value.value.as_ref().unwrap() {
            any_value::Value::StringValue(text) => json!(text),
            any_value::Value::BoolValue(value) => json!(value),
            any_value::Value::IntValue(value) => json!(value),
            any_value::Value::DoubleValue(value) => json!(value),
            any_value::Value::ArrayValue(list) => {
                let text = |value: &AnyValue| match value.value.as_ref().unwrap() {
                    any_value::Value::StringValue(text) => json!(text),
                    other => json!(format!("{other:?}")),
                };
                list.values.iter().map(text).collect()
            }
            other => json!(format!("{other:?}")),
        };
        let pair = |pair: &opentelemetry_proto::tonic::common::v1::KeyValue| {
            (pair.key.clone(), plain(pair.value.as_ref().unwrap()))
        };
        let attributes = Value::Object(span.attributes.iter().map(pair).collect());
        Self { span, attributes }
    }

    fn is_failed(&self) -> bool {
        self.span.status.as_ref().is_some_and(|status| status.code == 2)
    }

    /// Holds these attributes to what is expected, `null` for absent ones.
    fn has(&self, expected: &Value) {
        for (name, value) in expected.as_object().unwrap() {
            let found = self.attributes.get(name).unwrap_or(&Value::Null);
            assert_eq!(found, value, "{name} of {}: {:#}", self.span.name, self.attributes);
        }
    }
}

fn settings(url: &str, more: &str) -> Settings {
    let features = format!("[telemetry]\nendpoint = \"{url}\"\n{more}");
    Settings {
        features,
        route: Some("policy = \"certified\"\nfallback = \"small\"\nexploration = 0"),
        ..Settings::default()
    }
}

fn secret(stream: bool) -> Value {
    let mut body = question(stream);
    body["messages"][0]["content"] = SECRET.into();
    body
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn a_request_is_a_span_in_its_callers_trace_and_each_call_a_span_below_it() {
    for stream in [false, true] {
        let collector = Collector::start().await;
        let more = "service_name = \"router\"\nheaders = { x-key = \"collector-key\" }";
        let rig = Rig::start(&collector.settings(more)).await;
        let answer = rig.post(&secret(stream)).header("traceparent", CALLER).header("tracestate", "a=b");
        let answer = answer.send().await.unwrap();
        let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
        let cost: Option<f64> =
            answer.headers().get("x-slarouter-cost-usd").map(|c| c.to_str().unwrap().parse().unwrap());
        answer.bytes().await.unwrap();
        let requests = rig.upstream.requests();
        let told = requests[0].header("traceparent").unwrap().to_owned();
        assert_eq!(requests[0].header("tracestate"), Some("a=b"));
        let port = rig.upstream.addr().port();
        rig.stop().await;

        let spans = collector.spans();
        let [request, call] = &spans[..] else { panic!("{spans:#?}") };
        assert_eq!((request.span.kind, call.span.kind), (2, 3), "server and client");
        assert_eq!((&*request.span.name, &*call.span.name), ("POST /v1/chat/completions", "chat a/ok"));
        assert_eq!((hex(&request.span.trace_id), hex(&call.span.trace_id)), (TRACE.to_owned(), TRACE.to_owned()));
        assert_eq!(hex(&request.span.parent_span_id), "00f067aa0ba902b7");
        assert_eq!(call.span.parent_span_id, request.span.span_id);
        assert_eq!(told, format!("00-{TRACE}-{}-01", hex(&call.span.span_id)), "the upstream is told of the call");
        assert!(!request.is_failed() && !call.is_failed());
        request.has(&json!({
            "http.request.method": "POST", "http.route": "/v1/chat/completions", "http.response.status_code": 200,
            "url.scheme": "http", "error.type": null, "slarouter.decision.id": id, "slarouter.route": "default",
            "slarouter.decision": "fallback", "slarouter.decision.model": "small", "slarouter.model": "small",
            "slarouter.propensity": 1.0, "slarouter.attempts": 1, "slarouter.satisfaction_price_usd": 0.0,
            "slarouter.price_known": true, "slarouter.audited": false,
        }));
        let told: f64 = request.attributes["slarouter.cost_usd"].as_f64().unwrap();
        assert!(cost.is_none_or(|cost| (cost - told).abs() < 1e-9) && told > 0.0);
        assert!(request.attributes["slarouter.predicted_satisfaction"].is_f64());
        call.has(&json!({
            "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "a/ok",
            "gen_ai.response.model": "a/ok", "gen_ai.response.finish_reasons": ["stop"],
            "gen_ai.usage.input_tokens": 12, "gen_ai.usage.output_tokens": 3,
            "gen_ai.usage.cache_read.input_tokens": 4, "gen_ai.usage.cache_creation.input_tokens": null,
            "server.address": "127.0.0.1", "server.port": port, "error.type": null, "slarouter.attempt": 1,
        }));
        assert_eq!(call.attributes.get("gen_ai.response.time_to_first_chunk").is_some(), stream);
        let got = collector.got.lock().unwrap();
        let (headers, export) = &got[0];
        assert_eq!(headers["x-key"], "collector-key");
        let resource = format!("{:?}", export.resource_spans[0].resource);
        assert!(resource.contains("\"router\"") && resource.contains("service.version"), "{resource}");
        assert!(!format!("{got:?}").contains(SECRET), "no prompt in a span");
    }
}

#[tokio::test]
async fn a_retry_is_a_second_call_and_an_error_says_its_kind() {
    let collector = Collector::start().await;
    let rig = Rig::start(&collector.settings("")).await;
    let refusal = json!({ "error": { "message": SECRET, "type": "server_error", "param": null, "code": null } });
    rig.upstream.script(Script::json(503, &refusal));
    assert_eq!(rig.ask(false).await.status(), 200);
    // And one that nobody answers: the first model twice, then the other.
    for _ in 0..2 {
        rig.upstream.script(Script::json(500, &refusal));
    }
    rig.upstream.script(Script::bare().cut());
    assert_eq!(rig.ask(false).await.status(), 502);
    // And one that is no request.
    let answer = rig.post(&json!({ "model": "auto" })).send().await.unwrap();
    assert_eq!(answer.status(), 400);
    rig.stop().await;

    let spans = collector.spans();
    let of = |kind: i32| spans.iter().filter(move |seen| seen.span.kind == kind).collect::<Vec<_>>();
    let (requests, calls) = (of(2), of(3));
    let [served, failed, refused] = requests[..] else { panic!("{spans:#?}") };
    assert_eq!((served.is_failed(), failed.is_failed(), refused.is_failed()), (false, true, false));
    served.has(&json!({ "http.response.status_code": 200, "error.type": null, "slarouter.attempts": 2 }));
    failed.has(&json!({ "http.response.status_code": 502, "error.type": "502", "slarouter.attempts": 3,
                        "slarouter.model": "large", "slarouter.decision.model": "small" }));
    refused.has(&json!({ "http.response.status_code": 400, "error.type": null, "slarouter.route": null }));
    let kinds: Vec<_> = calls.iter().map(|call| (call.attributes["error.type"].as_str(), call.is_failed())).collect();
    let [bad, good] = [|kind| (Some(kind), true), |_| (None, false)];
    assert_eq!(kinds, [bad("503"), good(""), bad("500"), bad("500"), bad("broken")]);
    let attempts: Vec<_> = calls.iter().map(|call| call.attributes["slarouter.attempt"].as_i64().unwrap()).collect();
    assert_eq!(attempts, [1, 2, 1, 2, 3]);
    for call in calls {
        let parent = if call.span.trace_id == served.span.trace_id { served } else { failed };
        assert_eq!(call.span.parent_span_id, parent.span.span_id);
    }
    assert!(!format!("{spans:?}").contains(SECRET), "what an upstream says of an error stays out");
}

#[tokio::test]
async fn a_second_call_beside_a_slow_one_is_a_span_and_the_slow_one_is_marked_as_dropped() {
    let collector = Collector::start().await;
    let upstream = "hedge = { quantile = 0.9, min_s = 0.4 }";
    let rig = Rig::start(&Settings { upstream, ..collector.settings("sample_ratio = 0.0") }).await;
    for _ in 0..20 {
        assert_eq!(rig.ask(false).await.status(), 200);
    }
    rig.upstream.script(Script::bare().stall());
    let answer = rig.post(&question(false)).header("traceparent", CALLER).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    rig.upstream.hung_up(1).await;
    let told = |request: &slarouter_testkit::Received| request.header("traceparent").unwrap().to_owned();
    let told: Vec<_> = rig.upstream.requests()[20..].iter().map(told).collect();
    rig.stop().await;

    let spans = collector.spans();
    let [request, slow, second] = &spans[..] else { panic!("{spans:#?}") };
    request.has(&json!({ "http.response.status_code": 200, "slarouter.attempts": 2, "slarouter.model": "small" }));
    slow.has(&json!({ "slarouter.attempt": 1, "slarouter.dropped": true, "error.type": null, "gen_ai.usage.input_tokens": null }));
    second.has(&json!({ "slarouter.attempt": 2, "slarouter.dropped": null, "gen_ai.usage.input_tokens": 12 }));
    let expected = [slow, second].map(|call| format!("00-{TRACE}-{}-01", hex(&call.span.span_id)));
    assert_eq!(told, expected, "each upstream is told of its own call");
    for call in [slow, second] {
        assert!(!call.is_failed() && call.span.parent_span_id == request.span.span_id, "{call:?}");
    }
}

#[tokio::test]
async fn a_stream_that_breaks_and_a_client_that_leaves_are_told_apart() {
    let collector = Collector::start().await;
    let rig = Rig::start(&collector.settings("")).await;
    rig.upstream.script(Script::event_stream().chunk(chunk("half", None)).cut());
    assert!(!rig.ask(true).await.bytes().await.unwrap().is_empty());
    rig.upstream.script(Script::event_stream().chunk(chunk("one", None)).stall());
    let mut answer = rig.ask(true).await;
    assert!(answer.chunk().await.unwrap().is_some());
    drop(answer);
    rig.upstream.hung_up(1).await;
    rig.stop().await;

    let spans = collector.spans();
    let [broken, broken_call, left, left_call] = &spans[..] else { panic!("{spans:#?}") };
    for seen in [broken, broken_call] {
        seen.has(&json!({ "error.type": "truncated" }));
        assert!(seen.is_failed());
    }
    broken.has(&json!({ "http.response.status_code": 200 }));
    broken_call.has(&json!({ "gen_ai.response.model": "x", "gen_ai.response.finish_reasons": null }));
    left.has(&json!({ "http.response.status_code": 499, "error.type": "cancelled" }));
    left_call.has(&json!({ "error.type": "cancelled", "gen_ai.response.model": "x" }));
    assert!(!left.is_failed(), "it was the client's doing");
}

#[tokio::test]
async fn only_the_wanted_share_is_sent_and_callers_decide_for_their_traces() {
    let collector = Collector::start().await;
    let rig = Rig::start(&collector.settings("sample_ratio = 0.0")).await;
    assert_eq!(rig.ask(false).await.status(), 200);
    let sampled = rig.post(&question(false)).header("traceparent", CALLER).send().await.unwrap();
    assert_eq!(sampled.status(), 200);
    let unsampled = CALLER.replace("-01", "-00");
    assert_eq!(rig.post(&question(false)).header("traceparent", unsampled).send().await.unwrap().status(), 200);
    for nonsense in ["", "00-0-0-01", "00-00000000000000000000000000000000-0000000000000000-01", "ff"] {
        let answer = rig.post(&question(false)).header("traceparent", nonsense).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{nonsense:?}");
    }
    let told = |request: &slarouter_testkit::Received| request.header("traceparent").unwrap().to_owned();
    let told: Vec<_> = rig.upstream.requests().iter().map(told).collect();
    rig.stop().await;
    assert_eq!(collector.spans().len(), 2, "of the one that the caller has sampled");
    assert!(told[0].ends_with("-00") && told[1].contains(TRACE) && told[1].ends_with("-01"), "{told:?}");
    assert!(told[2].contains(TRACE) && told[2].ends_with("-00"), "{told:?}");
    assert!(told[3..].iter().all(|told| !told.contains(TRACE)), "{told:?}");
}

#[tokio::test]
async fn without_a_collector_the_callers_context_passes_unless_told_otherwise() {
    for (more, expected) in [("", Some(CALLER)), ("[telemetry]\npropagate = false", None)] {
        let rig = Rig::start(&Settings { features: more.to_owned(), ..Settings::default() }).await;
        let answer = rig.post(&question(false)).header("traceparent", CALLER).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(rig.upstream.requests()[0].header("traceparent"), expected);
        assert!(!rig.metrics().await.contains("slarouter_trace_spans_total{"), "nothing is made");
        rig.stop().await;
    }
}

#[tokio::test]
async fn a_collector_that_is_down_or_hangs_costs_spans_and_no_request() {
    // One that refuses connections, and one that takes them and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for address in [gone, silent.local_addr().unwrap()] {
        let rig = Rig::start(&settings(&format!("http://{address}"), "queue = 4")).await;
        for _ in 0..30 {
            assert_eq!(rig.ask(false).await.status(), 200);
        }
        let metrics = rig.metrics().await;
        let count = |result: &str| -> u64 {
            let name = format!("slarouter_trace_spans_total{{result=\"{result}\"}} ");
            metrics.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok()).unwrap_or(0)
        };
        assert_eq!(count("exported"), 0);
        assert!(count("dropped") + count("failed") > 0, "{metrics}");
        let left = rig.stop().await;
        assert!(left.outcomes.len() == 30 && left.outcomes.iter().all(|outcome| outcome.ok));
    }
}
