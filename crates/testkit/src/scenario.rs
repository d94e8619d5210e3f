//! Answers by name, in the shapes of the OpenAI API, and by path in those of its responses and of Anthropic's messages.

mod form;
mod turn;
mod typed;

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::script::Script;
use crate::wire::Received;
use form::{append, error, json_head, stream};
use turn::{CACHED_TOKENS, CREATED, PROMPT_TOKENS, Turn};

/// The envelope of both kinds of answer; a struct, so that the fields come in the order providers send them in.
#[derive(Serialize)]
struct Envelope<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Value>,
    service_tier: &'static str,
    system_fingerprint: &'static str,
    x_extra: Value,
}

/// What the request asks for, and the id of its answer.
struct Call {
    id: String,
    model: String,
    streams: bool,
    usage: bool,
    turn: Turn,
}

/// The answer with this `number`. `plain` says which models answer as `ok` whatever they are called, `earlier` how many requests for a model came before, `gate` holds up streams of the
/// scenario `gated`.
pub(crate) fn answer(
    request: &Received,
    number: u64,
    plain: impl FnOnce(&str) -> bool,
    earlier: impl FnOnce(&str) -> u64,
    gate: &Arc<Semaphore>,
) -> Script {
    let body = request.json();
    let model = body["model"].as_str().unwrap_or_default();
    let name = model.rsplit('/').next().unwrap_or_default();
    let name = match name.strip_prefix("once") {
        _ if plain(model) => "ok".to_owned(),
        Some(_) if earlier(model) > 0 => "ok".to_owned(),
        Some(status) if status.starts_with(|first: char| first.is_ascii_digit()) => format!("err{status}"),
        Some(scenario) => scenario.to_owned(),
        None => name.to_owned(),
    };
    let path = request.path.split('?').next().unwrap_or_default();
    if path.ends_with("/count_tokens") && !name.starts_with("err") {
        return Script::json(200, &json!({ "input_tokens": PROMPT_TOKENS }));
    }
    if let Some(protocol) = typed::Protocol::of_path(path) {
        return typed::answer(protocol, &name, &body, number);
    }
    if path.ends_with("/embeddings") {
        let usage = json!({ "prompt_tokens": PROMPT_TOKENS, "total_tokens": PROMPT_TOKENS });
        let vector = json!({ "object": "embedding", "index": 0, "embedding": [0.5, -0.25] });
        return Script::json(200, &json!({ "object": "list", "data": [vector], "model": model, "usage": usage }));
    }
    let call = Call {
        id: format!("chatcmpl-up-{number}"),
        model: model.to_owned(),
        streams: body["stream"] == true,
        usage: body["stream_options"]["include_usage"] == true,
        turn: Turn::of(&name, &body),
    };
    let script = call.script(&name, gate);
    // After `Script::new`, headers may come in any order.
    script.header("x-request-id", &format!("req_up_{number}")).header("openai-processing-ms", "3")
}

impl Call {
    /// The answer of the scenario called `name`.
    fn script(&self, name: &str, gate: &Arc<Semaphore>) -> Script {
        match name {
            "ok" | "tools" | "reasoning" | "agent" => self.whole(),
            "crlf" if self.streams => self.crlf(),
            "split" => self.whole().drip(),
            "gated" if self.streams => {
                let events = self.events();
                let (before, after) = events.split_at(2);
                append(append(stream(), before).gate(gate), after).end()
            }
            "cut" if self.streams => append(stream(), &self.events()[..3]).cut(),
            "cut" => {
                let body = self.plain();
                let half = body[..body.len() / 2].to_owned();
                json_head(200).content_length(body.len()).raw(half).cut()
            }
            "eof" if self.streams => append(stream(), &self.events()[..=self.turn.deltas.len()]).end(),
            "garbage" if self.streams => self.with_event(r#"{"choices": [{"delta": <not json>"#),
            "error_event" if self.streams => {
                self.with_event(&error("The server is shutting down", "server_error", Value::Null))
            }
            "crlf" | "gated" | "eof" | "error_event" => self.whole(),
            "garbage" | "malformed_json" => json_head(200).whole(r#"{"id": "chatcmpl-up", "choices": [{"message""#),
            "refuse" => Script::bare().cut(),
            "stall" => Script::bare().stall(),
            _ => failure(name),
        }
    }

    fn whole(&self) -> Script {
        if self.streams { append(stream(), &self.events()).end() } else { json_head(200).whole(self.plain()) }
    }

    fn plain(&self) -> String {
        let choice =
            json!({ "index": 0, "message": self.turn.message, "logprobs": null, "finish_reason": self.turn.finish });
        self.envelope("chat.completion", vec![choice], Some(self.tokens()))
    }

    /// Role, deltas, finish, usage if asked for, `[DONE]`.
    fn events(&self) -> Vec<String> {
        let chunk = |delta: &Value, finish: Option<&str>| {
            let choice = json!({ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish });
            // OpenAI sends a null usage on every other chunk once usage was asked for.
            self.envelope("chat.completion.chunk", vec![choice], self.usage.then_some(Value::Null))
        };
        let role = json!({ "role": "assistant", "content": "", "refusal": null });
        let mut events = vec![chunk(&role, None)];
        events.extend(self.turn.deltas.iter().map(|delta| chunk(delta, None)));
        events.push(chunk(&json!({}), Some(self.turn.finish)));
        if self.usage {
            events.push(self.envelope("chat.completion.chunk", vec![], Some(self.tokens())));
        }
        events.push("[DONE]".to_owned());
        events
    }

    fn crlf(&self) -> Script {
        let start = stream().chunk(": connected\r\n\r\n");
        let event =
            |script: Script, event: &String| script.chunk(": keep-alive\r\n").chunk(format!("data:{event}\r\n\r\n"));
        self.events().iter().fold(start, event).end()
    }

    /// The whole stream with one more event after two words.
    fn with_event(&self, event: &str) -> Script {
        let mut events = self.events();
        events.insert(3, event.to_owned());
        append(stream(), &events).end()
    }

    fn tokens(&self) -> Value {
        let completion = self.turn.deltas.len();
        json!({
            "prompt_tokens": PROMPT_TOKENS,
            "completion_tokens": completion,
            "total_tokens": PROMPT_TOKENS + completion,
            "prompt_tokens_details": { "cached_tokens": CACHED_TOKENS, "audio_tokens": 0 },
            "completion_tokens_details": { "reasoning_tokens": 0, "accepted_prediction_tokens": 0 },
        })
    }

    fn envelope(&self, object: &'static str, choices: Vec<Value>, usage: Option<Value>) -> String {
        let envelope = Envelope {
            id: &self.id,
            object,
            created: CREATED,
            model: &self.model,
            choices,
            usage,
            service_tier: "default",
            system_fingerprint: "fp_up_1",
            x_extra: json!({ "keep": 1.0 }),
        };
        serde_json::to_string(&envelope).unwrap_or_default()
    }
}

fn failure(name: &str) -> Script {
    let reply = |status, body: String| json_head(status).whole(body);
    match name {
        "err400" => {
            let message = "This model's maximum context length is 8192 tokens.";
            let error = json!({
                "message": message, "type": "invalid_request_error", "param": "messages", "code": "context_length_exceeded",
            });
            reply(400, json!({ "error": error }).to_string())
        }
        "err401" => reply(401, error("Incorrect API key provided.", "invalid_request_error", "invalid_api_key".into())),
        "err429" => reply(429, error("Rate limit reached for requests.", "requests", "rate_limit_exceeded".into()))
            .header("retry-after", "7"),
        "err500" => reply(500, error("The server had an error.", "server_error", Value::Null)),
        "err503" => reply(503, error("The engine is overloaded.", "server_error", "overloaded".into())),
        _ => reply(404, error(&format!("no scenario {name:?}"), "invalid_request_error", "model_not_found".into())),
    }
}
