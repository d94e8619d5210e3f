//! Requests as coding agents send them: tools, a long system prompt, and a conversation that has grown by the results of calls.

use serde_json::{Value, json};

/// Sizes of the bodies, about.
pub(crate) const SIZES: [usize; 2] = [30_000, 300_000];

const TOOLS: usize = 12;
const RESULT: &str =
    "    let found = self.entries.iter().filter(|entry| entry.key() >= from).map(Entry::value); // \"next\"\n";

/// The request of conversation `number`, streamed, whose turns go on until it has `bytes`.
pub(crate) fn request(model: &str, number: usize, bytes: usize) -> Value {
    let system = "You are a careful engineer. Read files before you change them, and run the tests. ".repeat(40);
    let task = format!("Test number {number} fails on main. Find out why and mend it.");
    let mut messages = vec![json!({ "role": "system", "content": system }), json!({ "role": "user", "content": task })];
    let tools: Vec<_> = (0..TOOLS).map(tool).collect();
    let mut length = json!([tools, messages]).to_string().len();
    for turn in 0.. {
        let [call, result] = exchange(turn);
        length += call.to_string().len() + result.to_string().len() + 2;
        if turn > 0 && length > bytes {
            break;
        }
        messages.extend([call, result]);
    }
    json!({
        "model": model, "stream": true, "stream_options": { "include_usage": true }, "tool_choice": "auto",
        "messages": messages, "tools": tools,
    })
}

fn tool(number: usize) -> Value {
    let text = "Reads a part of a file, from one line to another, and says how long the whole is. ".repeat(3);
    let parameters = json!({
        "type": "object", "required": ["path"], "additionalProperties": false,
        "properties": {
            "path": { "type": "string", "description": "From the root of the repository" },
            "first": { "type": "integer", "minimum": 1 }, "last": { "type": "integer", "minimum": 1 },
        },
    });
    let function = json!({ "name": format!("tool_{number}"), "description": text, "parameters": parameters });
    json!({ "type": "function", "function": function })
}

/// A call of the model and what came of it.
fn exchange(turn: usize) -> [Value; 2] {
    let id = format!("call_{turn}");
    let arguments = json!({ "path": format!("src/part_{turn}.rs"), "first": 1, "last": 20 }).to_string();
    let function = json!({ "name": format!("tool_{}", turn % TOOLS), "arguments": arguments });
    [
        json!({ "role": "assistant", "content": null, "tool_calls": [{ "id": id, "type": "function", "function": function }] }),
        json!({ "role": "tool", "tool_call_id": id, "content": RESULT.repeat(20) }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversations_have_their_size_and_differ() {
        for bytes in SIZES {
            let [one, two] = [1, 2].map(|number| request("m", number, bytes).to_string());
            assert!((bytes - 3_000..=bytes + 300).contains(&one.len()), "{bytes}: {}", one.len());
            assert_ne!(one, two);
        }
    }
}
