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

impl Turn {
    /// The turn of the scenario called `name`; those of its own else are told apart by how they are sent.
    pub(super) fn of(name: &str, body: &Value) -> Self {
        match name {
            "tools" => tools(body),
            "reasoning" => reasoning(),
            "agent" => agent(body),
            _ => echo(body),
        }
    }
}

/// What has the agent call its shell.
const WITH_A_TOOL: &str = "use your tool";
/// What the shell is told to do.
const COMMAND: &str = "echo made by a tool | tee made.txt";

/// The model behind a coding agent: says what a tool has said, calls the agent's shell when it is told to, and otherwise echoes the end of what
/// the user has said, as agents put words of their own before it.
fn agent(body: &Value) -> Turn {
    let list = body["messages"].as_array().or_else(|| body["input"].as_array());
    let last = list.into_iter().flatten().rev().find(|entry| is_result(entry) || entry["role"] == "user");
    let last = last.unwrap_or(&Value::Null);
    if is_result(last) {
        return said(format!("The tool said: {}", texts(last)));
    }
    let prompt = texts(last);
    let names = body["tools"].as_array().into_iter().flatten();
    let mut names = names.filter_map(|tool| tool["function"]["name"].as_str().or(tool["name"].as_str()));
    match names.find_map(|name| Some((name, shell(name)?))) {
        Some((name, arguments)) if prompt.contains(WITH_A_TOOL) => calls(name, &[&[arguments.to_string().as_str()]]),
        _ => said(format!("You said: {}", prompt.lines().next_back().unwrap_or_default())),
    }
}

/// The arguments for the command, if this is a shell.
fn shell(name: &str) -> Option<Value> {
    match name {
        "Bash" => Some(json!({ "command": COMMAND, "description": "Makes a file" })),
        "exec_command" => Some(json!({ "cmd": COMMAND })),
        _ => None,
    }
}

/// Whether an entry of a conversation has the result of a tool.
fn is_result(entry: &Value) -> bool {
    let blocks = entry["content"].as_array().into_iter().flatten();
    entry["role"] == "tool"
        || entry["type"] == "function_call_output"
        || blocks.into_iter().any(|block| block["type"] == "tool_result")
}

/// All texts of an entry, whatever they are in.
fn texts(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(texts).collect::<Vec<_>>().join("\n"),
        Value::Object(_) => {
            let members = ["content", "output", "text"].map(|name| &value[name]);
            members.into_iter().filter(|member| !member.is_null()).map(texts).collect()
        }
        _ => String::new(),
    }
}

/// The last user message, in at least three words so that there is always something to cut.
fn echo(body: &Value) -> Turn {
    let whole = [&body["input"], &body["prompt"]].into_iter().find_map(Value::as_str);
    let list = body["messages"].as_array().or_else(|| body["input"].as_array());
    let messages = list.map(Vec::as_slice).unwrap_or_default();
    let content = messages.iter().rev().find(|message| message["role"] == "user").map(|message| &message["content"]);
    let parts = content.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let text = content.and_then(Value::as_str).or_else(|| parts.iter().find_map(|part| part["text"].as_str()));
    let text = text.or(whole);
    said(format!("You said: {}", text.unwrap_or("nothing")))
}

fn said(text: String) -> Turn {
    let deltas = text.split_inclusive(' ').map(|word| json!({ "content": word })).collect();
    Turn { message: json!({ "role": "assistant", "content": text, "refusal": null }), deltas, finish: "stop" }
}

fn tools(body: &Value) -> Turn {
    let tool = &body["tools"][0];
    let name = tool["function"]["name"].as_str().or(tool["name"].as_str()).unwrap_or("get_weather");
    calls(name, &[&["{\"city\":", " \"Li", "ma\"}"], &["{\"city\":", " \"Os", "lo\"}"]])
}

/// Calls of a tool, the arguments of each in pieces.
fn calls(name: &str, arguments: &[&[&str]]) -> Turn {
    let mut calls = Vec::new();
    let mut deltas = Vec::new();
    for (index, pieces) in arguments.iter().enumerate() {
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

fn reasoning() -> Turn {
    let deltas =
        [("reasoning_content", "Six "), ("reasoning_content", "by seven."), ("content", "It is "), ("content", "42.")];
    let deltas = deltas.iter().map(|(field, text)| json!({ *field: text })).collect();
    let message = json!({ "role": "assistant", "content": "It is 42.", "reasoning_content": "Six by seven." });
    Turn { message, deltas, finish: "stop" }
}
