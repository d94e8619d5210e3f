//! What an answer says, apart from its form.

use serde_json::{Value, json};

/// 2026-01-01, so that answers do not depend on the clock.
pub(super) const CREATED: u64 = 1_767_225_600;

pub(super) const PROMPT_TOKENS: usize = 12;
pub(super) const CACHED_TOKENS: usize = 4;

/// An answer and the same answer in pieces.
pub(super) struct Turn {
    pub(super) message: Value,
    pub(super) deltas: Vec<Value>,
    pub(super) finish: &'static str,
}

/// The last user message, in at least three words so that there is always something to cut.
pub(super) fn echo(body: &Value) -> Turn {
    let whole = [&body["input"], &body["prompt"]].into_iter().find_map(Value::as_str);
    let list = body["messages"].as_array().or_else(|| body["input"].as_array());
    let messages = list.map(Vec::as_slice).unwrap_or_default();
    let content = messages.iter().rev().find(|message| message["role"] == "user").map(|message| &message["content"]);
    let parts = content.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let text = content.and_then(Value::as_str).or_else(|| parts.iter().find_map(|part| part["text"].as_str()));
    let text = text.or(whole);
    let text = format!("You said: {}", text.unwrap_or("nothing"));
    let deltas = text.split_inclusive(' ').map(|word| json!({ "content": word })).collect();
    Turn { message: json!({ "role": "assistant", "content": text, "refusal": null }), deltas, finish: "stop" }
}

pub(super) fn tools(body: &Value) -> Turn {
    let tool = &body["tools"][0];
    let name = tool["function"]["name"].as_str().or(tool["name"].as_str()).unwrap_or("get_weather");
    let pieces = [["{\"city\":", " \"Li", "ma\"}"], ["{\"city\":", " \"Os", "lo\"}"]];
    let mut calls = Vec::new();
    let mut deltas = Vec::new();
    for (index, pieces) in pieces.iter().enumerate() {
        let id = format!("call_up_{index}");
        let function = json!({ "name": name, "arguments": pieces.concat() });
        calls.push(json!({ "id": id, "type": "function", "function": function }));
        let first =
            json!({ "index": index, "id": id, "type": "function", "function": { "name": name, "arguments": "" } });
        deltas.push(json!({ "tool_calls": [first] }));
        let piece = |piece: &&str| json!({ "tool_calls": [{ "index": index, "function": { "arguments": piece } }] });
        deltas.extend(pieces.iter().map(piece));
    }
    let message = json!({ "role": "assistant", "content": null, "refusal": null, "tool_calls": calls });
    Turn { message, deltas, finish: "tool_calls" }
}

pub(super) fn reasoning() -> Turn {
    let deltas =
        [("reasoning_content", "Six "), ("reasoning_content", "by seven."), ("content", "It is "), ("content", "42.")];
    let deltas = deltas.iter().map(|(field, text)| json!({ *field: text })).collect();
    let message = json!({ "role": "assistant", "content": "It is 42.", "reasoning_content": "Six by seven." });
    Turn { message, deltas, finish: "stop" }
}
