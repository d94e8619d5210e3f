//! Every protocol of a client with every protocol of an upstream.

use serde_json::{Value, json};
use slarouter_config::Config;
use slarouter_gateway::Gateway;
use slarouter_testkit::{Script, Upstream, until};
use tempfile::TempDir;

use crate::answers::{assembled, gist};
use crate::setup::{Left, read};

const INBOUND: [&str; 3] = ["chat/completions", "responses", "messages"];
const UPSTREAM: [(&str, &str); 4] = [
    ("openai-chat", "chat/completions"),
    ("gemini-openai", "chat/completions"),
    ("openai-responses", "responses"),
    ("anthropic", "messages"),
];

pub(crate) struct Rig {
    pub(crate) upstream: Upstream,
    pub(crate) gateway: Gateway,
    pub(crate) client: reqwest::Client,
    folder: TempDir,
}

impl Rig {
    /// A model for each protocol and scenario, named `<protocol>/<scenario>`; routes are added as given.
    pub(crate) async fn start(scenarios: &[&str], routes: &str) -> Self {
        let (upstream, folder) = (Upstream::start().await, TempDir::new().unwrap());
        let mut text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n[store]\nurl = 'sqlite://{}'\n",
            folder.path().join("log.db").display()
        );
        for (protocol, _) in UPSTREAM {
            for scenario in scenarios {
                text.push_str(&format!(
                    "[[models]]\nname = \"{protocol}/{scenario}\"\nprotocol = \"{protocol}\"\nbase_url = \"{}\"\n\
                     upstream_model = \"{scenario}\"\napi_key = \"key\"\n\
                     price = {{ input = 1, output = 2, cached_input = 0.5 }}\n",
                    upstream.base_url()
                ));
            }
        }
        let sla = "sla = { satisfaction = 0.9 }";
        text.push_str(&format!("[routes.default]\nmodels = [\"openai-chat/{}\"]\n{sla}\n{routes}", scenarios[0]));
        let gateway = Gateway::start(Config::parse(&text, &|_| None).unwrap()).await.unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { upstream, gateway, client, folder }
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> reqwest::RequestBuilder {
        self.client.post(format!("http://{}/v1/{path}", self.gateway.addr())).json(body)
    }

    pub(crate) async fn send(&self, path: &str, body: &Value) -> reqwest::Response {
        self.post(path, body).send().await.unwrap()
    }

    pub(crate) async fn json(&self, path: &str, body: &Value) -> Value {
        self.send(path, body).await.json().await.unwrap()
    }

    pub(crate) async fn stop(self) -> Left {
        self.gateway.shutdown().await;
        read(&self.folder).await
    }
}

pub(crate) fn question(inbound: &str, model: &str, stream: bool) -> Value {
    let tool = json!({ "name": "weather", "parameters": { "type": "object", "properties": {} } });
    match inbound {
        "chat/completions" => json!({
            "model": model, "stream": stream, "stream_options": if stream { json!({ "include_usage": true }) } else { json!(null) },
            "messages": [{ "role": "user", "content": "one two" }], "tools": [{ "type": "function", "function": tool }],
        }),
        "responses" => json!({
            "model": model, "stream": stream, "input": "one two",
            "tools": [{ "type": "function", "name": "weather", "parameters": { "type": "object", "properties": {} } }],
        }),
        _ => json!({
            "model": model, "stream": stream, "max_tokens": 99, "messages": [{ "role": "user", "content": "one two" }],
            "tools": [{ "name": "weather", "input_schema": { "type": "object", "properties": {} } }],
        }),
    }
}

fn prefix(inbound: &str) -> &'static str {
    match inbound {
        "chat/completions" => "chatcmpl-",
        "responses" => "resp_",
        _ => "msg_",
    }
}

#[tokio::test]
async fn every_pair_answers_plain_and_streaming_and_is_accounted() {
    let rig = Rig::start(&["ok", "tools", "reasoning"], "").await;
    let mut asked = 0;
    for inbound in INBOUND {
        for (protocol, path) in UPSTREAM {
            for scenario in ["ok", "tools", "reasoning"] {
                for stream in [false, true] {
                    let case = format!("{inbound} from {protocol}, {scenario}, stream: {stream}");
                    let reply = rig.send(inbound, &question(inbound, &format!("{protocol}/{scenario}"), stream)).await;
                    assert_eq!(reply.status(), 200, "{case}");
                    let headers = reply.headers().clone();
                    assert_eq!(headers["x-slarouter-decision"], "pinned", "{case}");
                    assert!(headers["x-slarouter-upstream-id"].to_str().unwrap().contains("up"), "{case}");
                    let kind = if stream { "text/event-stream" } else { "application/json" };
                    assert!(headers["content-type"].to_str().unwrap().starts_with(kind), "{case}");
                    let text = reply.text().await.unwrap();
                    let answer = if stream { assembled(inbound, &text) } else { serde_json::from_str(&text).unwrap() };
                    let (said, calls, tokens, stop) = gist(inbound, &answer);
                    let output = match scenario {
                        "ok" => {
                            assert_eq!((said.as_str(), calls.len()), ("You said: one two", 0), "{case}: {text}");
                            4
                        }
                        "tools" => {
                            let call = |city: &str| ("weather".to_owned(), json!({ "city": city }));
                            assert_eq!(calls, [call("Lima"), call("Oslo")], "{case}: {text}");
                            8
                        }
                        _ => {
                            assert_eq!(said, "It is 42.", "{case}: {text}");
                            assert!(text.contains("Six"), "the reasoning too, {case}: {text}");
                            4
                        }
                    };
                    assert_eq!(tokens, [12, 4, output], "{case}: {text}");
                    let expected = match (inbound, scenario) {
                        ("chat/completions", "tools") => "tool_calls",
                        ("chat/completions", _) => "stop",
                        ("responses", _) => "completed",
                        (_, "tools") => "tool_use",
                        _ => "end_turn",
                    };
                    assert_eq!(stop, expected, "{case}: {text}");
                    let id = headers["x-request-id"].to_str().unwrap();
                    assert!(id.starts_with(prefix(inbound)) && answer["id"] == id, "{case}: {id}");
                    // The provider's own word in the body, translated or not, and the name that pins it in the header.
                    for told in models_of(&text, stream) {
                        assert_eq!(told, scenario, "{case}: {text}");
                    }
                    assert_eq!(headers["x-slarouter-model"], format!("{protocol}/{scenario}"), "{case}");
                    let cost = answer["usage"]["cost"].as_f64().unwrap();
                    assert!((cost - (8.0 + 4.0 * 0.5 + output as f64 * 2.0) / 1e6).abs() < 1e-12, "{case}: {cost}");

                    asked += 1;
                    let requests = rig.upstream.requests();
                    let request = requests.last().unwrap();
                    assert_eq!(
                        (requests.len(), request.path.as_str()),
                        (asked, format!("/v1/{path}").as_str()),
                        "{case}"
                    );
                    assert_eq!(request.json()["model"], scenario, "{case}");
                    let key = if protocol == "anthropic" { "x-api-key" } else { "authorization" };
                    assert!(request.header(key).unwrap().ends_with("key"), "{case}");
                    assert_eq!(request.header("anthropic-version").is_some(), protocol == "anthropic", "{case}");
                }
            }
        }
    }
    let left = rig.stop().await;
    assert_eq!(left.outcomes.len(), asked);
    for outcome in &left.outcomes {
        assert!(outcome.ok && outcome.status == 200, "{outcome:?}");
        assert_eq!((outcome.input_tokens, outcome.cached_tokens), (Some(12.0), Some(4.0)), "{outcome:?}");
    }
}

/// Every `model` that an answer or its events name, which is one at least.
fn models_of(text: &str, stream: bool) -> Vec<String> {
    let data = text.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
    let objects: Vec<Value> = if stream {
        data.map(|data| serde_json::from_str(data).unwrap()).collect()
    } else {
        vec![serde_json::from_str(text).unwrap()]
    };
    let named = |object: &Value| {
        let inner = [object, &object["message"], &object["response"]];
        inner.iter().filter_map(|held| Some(held["model"].as_str()?.to_owned())).collect::<Vec<_>>()
    };
    let found: Vec<String> = objects.iter().flat_map(named).collect();
    assert!(!found.is_empty(), "{text}");
    found
}

pub(crate) fn message_of(inbound: &str, body: &Value) -> String {
    let error = &body["error"];
    assert!(error["type"].is_string(), "{body}");
    if inbound == "messages" {
        assert_eq!(body["type"], "error", "{body}");
    } else {
        assert!(error.get("param").is_some() && error.get("code").is_some(), "{body}");
    }
    error["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn every_pair_passes_errors_on_in_the_clients_shape() {
    let scenarios = ["err400", "err401", "err429", "err500"];
    let rig = Rig::start(&scenarios, "").await;
    let mut failed = 0;
    for inbound in INBOUND {
        for (protocol, path) in UPSTREAM {
            for scenario in scenarios {
                for stream in [false, true] {
                    let case = format!("{inbound} from {protocol}, {scenario}, stream: {stream}");
                    let reply = rig.send(inbound, &question(inbound, &format!("{protocol}/{scenario}"), stream)).await;
                    assert_eq!(format!("err{}", reply.status().as_u16()), scenario, "{case}");
                    // With the provider's Retry-After, waiting is left to the client.
                    let again = (scenario == "err429").to_string();
                    assert_eq!(reply.headers()["x-should-retry"], again.as_str(), "{case}");
                    let retry = reply.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
                    assert_eq!(retry.as_deref(), (scenario == "err429").then_some("7"), "{case}");
                    let body: Value = reply.json().await.unwrap();
                    let message = message_of(inbound, &body);
                    let expected = match (scenario, path) {
                        ("err400", "chat/completions") => "maximum context length",
                        ("err400", _) => "prompt is too long",
                        ("err401", "chat/completions") => "Incorrect API key",
                        ("err401", _) => "invalid x-api-key",
                        ("err429", "chat/completions") => "Rate limit reached",
                        ("err429", _) => "exceed your rate limit",
                        (_, "chat/completions") => "The server had an error",
                        _ => "Internal server error",
                    };
                    assert!(message.contains(expected), "{case}: {message}");
                    if inbound == "messages" {
                        let kind = match scenario {
                            "err400" => "invalid_request_error",
                            "err401" => "authentication_error",
                            "err429" => "rate_limit_error",
                            _ => "api_error",
                        };
                        assert_eq!(body["error"]["type"], kind, "{case}");
                    }
                    failed += 1;
                }
            }
        }
    }
    let left = rig.stop().await;
    assert_eq!(left.outcomes.len(), failed);
    assert!(left.outcomes.iter().all(|outcome| !outcome.ok && outcome.cost == 0.0));
}

#[tokio::test]
async fn no_pair_lets_a_broken_stream_look_finished() {
    let scenarios = ["cut", "eof", "error_event"];
    let rig = Rig::start(&scenarios, "").await;
    let mut broken = 0;
    for inbound in INBOUND {
        for (protocol, _) in UPSTREAM {
            for scenario in scenarios {
                let case = format!("{inbound} from {protocol}, {scenario}");
                let reply = rig.send(inbound, &question(inbound, &format!("{protocol}/{scenario}"), true)).await;
                assert_eq!(reply.status(), 200, "{case}");
                let text = reply.text().await.unwrap();
                // A chat stream that passes is the upstream's to its last event, but for the end that it must not have.
                let passes = inbound == "chat/completions" && protocol != "anthropic" && protocol != "openai-responses";
                let ends =
                    ["[DONE]", "\"finish_reason\":\"", "message_stop", "response.completed", "response.incomplete"];
                for end in &ends[..if passes && scenario == "error_event" { 1 } else { ends.len() }] {
                    assert!(!text.contains(end), "{case} has {end}: {text}");
                }
                let data = text.lines().rev().filter_map(|line| line.strip_prefix("data: "));
                let mut events = data.map(|data| serde_json::from_str::<Value>(data).unwrap());
                let last = events.find(|event| !passes || event["error"].is_object()).unwrap();
                // OpenAI's own error events of a responses stream are flat, and pass as they are.
                let flat = last["type"] == "error" && last["error"].is_null();
                let message =
                    if flat { last["message"].as_str().unwrap().to_owned() } else { message_of(inbound, &last) };
                let expected = if scenario == "error_event" { "shutting down" } else { "upstream" };
                assert!(message.contains(expected), "{case}: {message}");
                broken += 1;
            }
        }
    }
    let left = rig.stop().await;
    assert_eq!(left.outcomes.len(), broken);
    assert!(left.outcomes.iter().all(|outcome| !outcome.ok && outcome.error.is_some()), "{:?}", left.outcomes);
}

#[tokio::test]
async fn what_is_one_protocol_passes_byte_for_byte() {
    let rig = Rig::start(&["ok"], "").await;
    let body = r#"{ "max_tokens":9.0, "x_vendor" : [1e3], "model":"anthropic/ok",
        "messages":[{"role":"user","content":"\u00e9"}], "top_k": 5}"#;
    let request = rig.client.post(format!("http://{}/v1/messages", rig.gateway.addr())).body(body);
    let request =
        request.header("anthropic-beta", "b-1").header("anthropic-version", "2024-01-01").header("x-api-key", "mine");
    let reply = request.send().await.unwrap();
    assert_eq!(reply.headers()["request-id"], reply.headers()["x-request-id"]);
    let id = reply.headers()["request-id"].to_str().unwrap().to_owned();
    let text = reply.text().await.unwrap();
    assert!(text.contains("\"x_extra\":{\"keep\":1.0}") && text.contains(&format!("\"id\":\"{id}\"")), "{text}");
    let sent = rig.upstream.requests().pop().unwrap();
    assert_eq!(sent.body, body.replace("anthropic/ok", "ok"));
    assert_eq!(sent.header("anthropic-beta"), Some("b-1"));
    assert_eq!(sent.header("anthropic-version"), Some("2024-01-01"));
    assert_eq!(sent.header("x-api-key"), Some("key"), "the client's key stays here");

    let body = r#"{"model":"openai-responses/ok" ,"input":"x","previous_response_id":"resp_theirs","store":true}"#;
    let request = rig.client.post(format!("http://{}/v1/responses", rig.gateway.addr())).body(body);
    assert_eq!(request.send().await.unwrap().status(), 200, "a named model may look up what its provider keeps");
    assert_eq!(rig.upstream.requests().pop().unwrap().body, body.replace("openai-responses/ok", "ok"));

    let reply = rig.json("embeddings", &json!({ "model": "openai-chat/ok", "input": ["a", "b"] })).await;
    assert_eq!(reply["data"][0]["embedding"], json!([0.5, -0.25]));
    assert!(reply.get("id").is_none() && reply["usage"]["cost"].as_f64().unwrap() > 0.0, "{reply}");
    let reply = rig.json("completions", &json!({ "model": "openai-chat/ok", "prompt": "one two" })).await;
    assert!(reply["id"].as_str().unwrap().starts_with("cmpl-"), "{reply}");
    assert_eq!(rig.upstream.requests().pop().unwrap().path, "/v1/completions");
    let left = rig.stop().await;
    assert!(left.outcomes.iter().all(|outcome| outcome.ok && outcome.cost > 0.0), "{:?}", left.outcomes);
}

/// Google answers errors in a list, of which OpenAI's SDKs make nothing.
#[tokio::test]
async fn errors_of_gemini_lose_their_brackets() {
    let rig = Rig::start(&["ok"], "").await;
    let error = json!([{ "error": { "code": 400, "message": "no such field", "status": "INVALID_ARGUMENT" } }]);
    rig.upstream.script(Script::json(400, &error));
    let reply = rig.send("chat/completions", &question("chat/completions", "gemini-openai/ok", false)).await;
    assert_eq!(reply.status(), 400);
    let body: Value = reply.json().await.unwrap();
    assert_eq!(message_of("chat/completions", &body), "no such field");
    assert_eq!(body["error"]["code"], "INVALID_ARGUMENT");
}

#[tokio::test]
async fn feedback_counts_in_every_protocol() {
    let rig = Rig::start(&["ok"], "").await;
    for inbound in INBOUND {
        let request = rig.post(inbound, &question(inbound, "auto", false)).header("x-slarouter-metadata", "enabled");
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        assert_eq!(answer["slarouter"]["route"], "default", "{inbound}: {answer}");
        let id = answer["id"].clone();
        let rated = rig.send("feedback", &json!({ "id": id, "rating": "up" })).await;
        assert_eq!(rated.status(), 202, "{inbound}");
        let rated: Value = rated.json().await.unwrap();
        assert_eq!((&rated["id"], &rated["status"]), (&id, &json!("recorded")), "{inbound}");
    }
    let metrics = || async {
        let url = format!("http://{}/metrics", rig.gateway.addr());
        rig.client.get(url).send().await.unwrap().text().await.unwrap()
    };
    // The learner reads the log a moment later.
    let learnt = "slarouter_labelled_decisions{route=\"default\"} 3";
    until("three ratings are learnt", async || metrics().await.contains(learnt)).await;
}
