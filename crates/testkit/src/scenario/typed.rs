//! The same answers in the protocols whose events say what they are: Anthropic's messages and OpenAI's responses.

use serde_json::{Value, json};

use super::form::{error, json_head, stream};
use super::turn::{CACHED_TOKENS, CREATED, PROMPT_TOKENS, Turn};
use crate::script::Script;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Messages,
    Responses,
}

/// A part of an answer, in pieces.
struct Block {
    kind: Kind,
    pieces: Vec<String>,
}

#[derive(PartialEq)]
enum Kind {
    Text,
    Thinking,
    Call { id: String, name: String },
}

impl Protocol {
    pub(super) fn of_path(path: &str) -> Option<Self> {
        match path.rsplit('/').next() {
            Some("messages") => Some(Self::Messages),
            Some("responses") => Some(Self::Responses),
            _ => None,
        }
    }
}

pub(super) fn answer(protocol: Protocol, name: &str, body: &Value, number: u64) -> Script {
    let turn = Turn::of(name, body);
    let blocks = blocks(&turn);
    let model = body["model"].as_str().unwrap_or_default();
    let output = turn.deltas.len();
    let events = match protocol {
        Protocol::Messages => messages(&blocks, model, number, output),
        Protocol::Responses => responses(&blocks, model, number, output),
    };
    let plain = match protocol {
        Protocol::Messages => message(&blocks, model, number, output),
        Protocol::Responses => response("completed", &items(&blocks), model, number, output),
    };
    let streams = body["stream"] == true;
    let script = match name {
        "ok" | "tools" | "reasoning" | "agent" if streams => append(stream(), &events).end(),
        "ok" | "tools" | "reasoning" | "agent" => json_head(200).whole(plain.to_string()),
        "split" if streams => append(stream(), &events).end().drip(),
        "cut" if streams => append(stream(), &events[..events.len() / 2]).cut(),
        "eof" if streams => append(stream(), &events[..events.len() - 1]).end(),
        "error_event" if streams => {
            let (before, after) = events.split_at(events.len() / 2);
            let failure = failure(protocol, "overloaded_error", "The server is shutting down");
            append(append(append(stream(), before), &[failure]), after).end()
        }
        "cut" => json_head(200).content_length(9_999).raw(plain.to_string()).cut(),
        "split" | "eof" | "error_event" => json_head(200).whole(plain.to_string()),
        "refuse" => Script::bare().cut(),
        "stall" => Script::bare().stall(),
        _ => return refusal(protocol, name),
    };
    script.header("request-id", &format!("req_up_{number}"))
}

/// Adjacent deltas of one kind are one block.
fn blocks(turn: &Turn) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for delta in &turn.deltas {
        let call = &delta["tool_calls"][0];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (kind, piece) = if let Some(id) = call["id"].as_str() {
            (Some(Kind::Call { id: id.to_owned(), name: text(&call["function"]["name"]) }), String::new())
        } else if call.is_object() {
            (None, text(&call["function"]["arguments"]))
        } else if delta["reasoning_content"].is_string() {
            (Some(Kind::Thinking), text(&delta["reasoning_content"]))
        } else {
            (Some(Kind::Text), text(&delta["content"]))
        };
        match (kind, blocks.last_mut()) {
            (Some(kind), Some(last)) if last.kind == kind => last.pieces.push(piece),
            (None, Some(last)) => last.pieces.push(piece),
            (kind, _) => blocks.push(Block { kind: kind.unwrap_or(Kind::Text), pieces: vec![piece] }),
        }
    }
    for block in &mut blocks {
        block.pieces.retain(|piece| !piece.is_empty());
    }
    blocks
}

fn usage(output: usize) -> Value {
    json!({
        "input_tokens": PROMPT_TOKENS - CACHED_TOKENS, "cache_read_input_tokens": CACHED_TOKENS,
        "cache_creation_input_tokens": 0, "output_tokens": output, "service_tier": "standard",
    })
}

fn stop_reason(blocks: &[Block]) -> &'static str {
    if blocks.iter().any(|block| matches!(block.kind, Kind::Call { .. })) { "tool_use" } else { "end_turn" }
}

fn message(blocks: &[Block], model: &str, number: u64, output: usize) -> Value {
    let content: Vec<_> = blocks
        .iter()
        .map(|block| {
            let text = block.pieces.concat();
            match &block.kind {
                Kind::Text => json!({ "type": "text", "text": text }),
                Kind::Thinking => json!({ "type": "thinking", "thinking": text, "signature": "sig_up" }),
                Kind::Call { id, name } => {
                    let input: Value = serde_json::from_str(&text).unwrap_or_default();
                    json!({ "type": "tool_use", "id": id, "name": name, "input": input })
                }
            }
        })
        .collect();
    json!({
        "id": format!("msg_up_{number}"), "type": "message", "role": "assistant", "model": model, "content": content,
        "stop_reason": stop_reason(blocks), "stop_sequence": null, "usage": usage(output), "x_extra": { "keep": 1.0 },
    })
}

fn messages(blocks: &[Block], model: &str, number: u64, output: usize) -> Vec<Value> {
    let mut start = message(&[], model, number, 1);
    start["stop_reason"] = Value::Null;
    let mut events = vec![json!({ "type": "message_start", "message": start }), json!({ "type": "ping" })];
    for (index, block) in blocks.iter().enumerate() {
        let (content, delta, member) = match &block.kind {
            Kind::Text => (json!({ "type": "text", "text": "" }), "text_delta", "text"),
            Kind::Thinking => {
                (json!({ "type": "thinking", "thinking": "", "signature": "" }), "thinking_delta", "thinking")
            }
            Kind::Call { id, name } => {
                let call = json!({ "type": "tool_use", "id": id, "name": name, "input": {} });
                (call, "input_json_delta", "partial_json")
            }
        };
        events.push(json!({ "type": "content_block_start", "index": index, "content_block": content }));
        let pieces = block.pieces.iter().map(|piece| json!({ "type": delta, member: piece }));
        let seal = (block.kind == Kind::Thinking).then(|| json!({ "type": "signature_delta", "signature": "sig_up" }));
        let event = |delta| json!({ "type": "content_block_delta", "index": index, "delta": delta });
        events.extend(pieces.chain(seal).map(event));
        events.push(json!({ "type": "content_block_stop", "index": index }));
    }
    let delta = json!({ "stop_reason": stop_reason(blocks), "stop_sequence": null });
    events.push(json!({ "type": "message_delta", "delta": delta, "usage": { "output_tokens": output } }));
    events.push(json!({ "type": "message_stop" }));
    events
}

fn items(blocks: &[Block]) -> Vec<Value> {
    let item = |(index, block): (usize, &Block)| {
        let text = block.pieces.concat();
        match &block.kind {
            Kind::Text => json!({
                "type": "message", "id": format!("msg_up_{index}"), "status": "completed", "role": "assistant",
                "content": [{ "type": "output_text", "text": text, "annotations": [], "logprobs": [] }],
            }),
            Kind::Thinking => json!({
                "type": "reasoning", "id": format!("rs_up_{index}"), "summary": [{ "type": "summary_text", "text": text }],
            }),
            Kind::Call { id, name } => json!({
                "type": "function_call", "id": format!("fc_up_{index}"), "status": "completed", "call_id": id, "name": name,
                "arguments": text,
            }),
        }
    };
    blocks.iter().enumerate().map(item).collect()
}

fn response(status: &str, output: &[Value], model: &str, number: u64, tokens: usize) -> Value {
    let usage = json!({
        "input_tokens": PROMPT_TOKENS, "input_tokens_details": { "cached_tokens": CACHED_TOKENS },
        "output_tokens": tokens, "output_tokens_details": { "reasoning_tokens": 0 }, "total_tokens": PROMPT_TOKENS + tokens,
    });
    json!({
        "id": format!("resp_up_{number}"), "object": "response", "created_at": CREATED, "status": status, "error": null,
        "incomplete_details": null, "model": model, "output": output, "parallel_tool_calls": true, "tool_choice": "auto",
        "tools": [], "usage": if status == "completed" { usage } else { Value::Null }, "x_extra": { "keep": 1.0 },
    })
}

fn responses(blocks: &[Block], model: &str, number: u64, output: usize) -> Vec<Value> {
    let started = response("in_progress", &[], model, number, output);
    let mut events = vec![
        json!({ "type": "response.created", "response": started }),
        json!({ "type": "response.in_progress", "response": started }),
    ];
    let items = items(blocks);
    for (index, (block, item)) in blocks.iter().zip(&items).enumerate() {
        let about = |kind: &str, more: Value| {
            let mut event = json!({ "type": kind, "item_id": item["id"], "output_index": index });
            if let (Some(event), Value::Object(more)) = (event.as_object_mut(), more) {
                event.extend(more);
            }
            event
        };
        let text = block.pieces.concat();
        let mut begun = item.clone();
        let (kind, place) = match &block.kind {
            Kind::Text => {
                begun["content"] = json!([]);
                ("response.output_text", json!({ "content_index": 0, "logprobs": [] }))
            }
            Kind::Thinking => {
                begun["summary"] = json!([]);
                ("response.reasoning_summary_text", json!({ "summary_index": 0 }))
            }
            Kind::Call { .. } => {
                begun["arguments"] = json!("");
                ("response.function_call_arguments", json!({}))
            }
        };
        events.push(json!({ "type": "response.output_item.added", "output_index": index, "item": begun }));
        let part = match &block.kind {
            Kind::Text => Some(("response.content_part", json!({ "content_index": 0, "part": item["content"][0] }))),
            Kind::Thinking => {
                Some(("response.reasoning_summary_part", json!({ "summary_index": 0, "part": item["summary"][0] })))
            }
            Kind::Call { .. } => None,
        };
        if let Some((kind, part)) = &part {
            let mut empty = part.clone();
            empty["part"]["text"] = json!("");
            events.push(about(&format!("{kind}.added"), empty));
        }
        for piece in &block.pieces {
            let mut delta = place.clone();
            delta["delta"] = json!(piece);
            events.push(about(&format!("{kind}.delta"), delta));
        }
        let mut done = place;
        match &block.kind {
            Kind::Call { name, .. } => {
                done["name"] = json!(name);
                done["arguments"] = json!(text);
            }
            _ => done["text"] = json!(text),
        }
        events.push(about(&format!("{kind}.done"), done));
        if let Some((kind, part)) = part {
            events.push(about(&format!("{kind}.done"), part));
        }
        events.push(json!({ "type": "response.output_item.done", "output_index": index, "item": item }));
    }
    let whole = response("completed", &items, model, number, output);
    events.push(json!({ "type": "response.completed", "response": whole }));
    for (number, event) in events.iter_mut().enumerate() {
        event["sequence_number"] = json!(number);
    }
    events
}

fn failure(protocol: Protocol, kind: &str, message: &str) -> Value {
    match protocol {
        Protocol::Messages => json!({ "type": "error", "error": { "type": kind, "message": message } }),
        Protocol::Responses => {
            json!({ "type": "error", "code": "server_error", "message": message, "param": null, "sequence_number": 99 })
        }
    }
}

fn refusal(protocol: Protocol, name: &str) -> Script {
    let status: u16 = name.strip_prefix("err").and_then(|status| status.parse().ok()).unwrap_or(404);
    let (kind, message) = match status {
        400 => ("invalid_request_error", "prompt is too long: 9000 tokens > 8192 maximum"),
        401 => ("authentication_error", "invalid x-api-key"),
        404 => ("not_found_error", "no such scenario"),
        429 => ("rate_limit_error", "This request would exceed your rate limit."),
        529 => ("overloaded_error", "Overloaded"),
        _ => ("api_error", "Internal server error"),
    };
    let body = match protocol {
        Protocol::Messages => failure(protocol, kind, message).to_string(),
        Protocol::Responses => error(message, kind, Value::Null),
    };
    let script = json_head(status).whole(body);
    if status == 429 { script.header("retry-after", "7") } else { script }
}

fn append(script: Script, events: &[Value]) -> Script {
    let line = |event: &Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or_default());
    events.iter().fold(script, |script, event| script.chunk(line(event)))
}
