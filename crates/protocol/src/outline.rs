//! A request of any kind as a chat conversation: what features and token estimates are made from. It never refuses: what it
//! does not know it passes over, as the upstream may well take it.

use std::borrow::Cow;

use serde_json::{Value, json};

use crate::endpoint::Endpoint;

/// The messages and tools, as JSON.
#[derive(Debug)]
pub struct Outline<'a> {
    /// An array of chat messages.
    pub messages: Cow<'a, str>,
    /// The request's own array of tools, in its protocol's shape.
    pub tools: Option<&'a str>,
}

/// Makes the outline of a question (`messages`, `input` or `prompt`) and what goes before it, both raw JSON.
pub fn outline<'a>(
    endpoint: Endpoint,
    question: &'a str,
    preface: Option<&str>,
    tools: Option<&'a str>,
) -> Outline<'a> {
    if endpoint == Endpoint::Chat {
        return Outline { messages: question.into(), tools };
    }
    let parse = |raw: &str| serde_json::from_str::<Value>(raw).unwrap_or_default();
    let mut messages = Vec::new();
    if let Some(preface) = preface {
        messages.push(json!({ "role": "system", "content": content(&parse(preface)) }));
    }
    match parse(question) {
        Value::Array(items) if endpoint.routes() => {
            for item in &items {
                entry(item, &mut messages);
            }
        }
        // Texts to be embedded or completed; tokens by number say nothing here.
        Value::Array(texts) => {
            let texts: Vec<_> = texts.iter().filter_map(Value::as_str).collect();
            messages.push(json!({ "role": "user", "content": texts.join("\n") }));
        }
        text => messages.push(json!({ "role": "user", "content": content(&text) })),
    }
    Outline { messages: Value::Array(messages).to_string().into(), tools }
}

/// One message of Anthropic's, or one item of a responses request.
fn entry(item: &Value, messages: &mut Vec<Value>) {
    match item["type"].as_str() {
        Some("function_call") => {
            messages.push(json!({ "role": "assistant", "tool_calls": [call(&item["name"], &item["arguments"])] }));
        }
        Some("function_call_output") => messages.push(json!({ "role": "tool", "content": content(&item["output"]) })),
        None | Some("message") => {
            let role = item["role"].as_str().unwrap_or("user");
            let blocks = item["content"].as_array().map(Vec::as_slice).unwrap_or_default();
            let of = |kind: &'static str| blocks.iter().filter(move |block| block["type"] == kind);
            for result in of("tool_result") {
                messages.push(json!({ "role": "tool", "content": content(&result["content"]) }));
            }
            let calls: Vec<_> = of("tool_use").map(|block| call(&block["name"], &block["input"])).collect();
            let content = content(&item["content"]);
            let says_nothing = content.as_array().is_some_and(Vec::is_empty);
            if !calls.is_empty() {
                messages.push(json!({ "role": role, "content": content, "tool_calls": calls }));
            } else if !says_nothing || blocks.is_empty() {
                messages.push(json!({ "role": role, "content": content }));
            }
        }
        Some(_) => {}
    }
}

fn call(name: &Value, arguments: &Value) -> Value {
    json!({ "function": { "name": name, "arguments": arguments } })
}

/// Text, or parts of text and images.
fn content(value: &Value) -> Value {
    let Value::Array(parts) = value else { return value.as_str().unwrap_or_default().into() };
    let parts = parts.iter().filter_map(|part| match part["type"].as_str()? {
        "text" | "input_text" | "output_text" => Some(json!({ "type": "text", "text": part["text"].as_str()? })),
        "refusal" => Some(json!({ "type": "text", "text": part["refusal"].as_str()? })),
        "image" | "input_image" => Some(json!({ "type": "image_url" })),
        _ => None,
    });
    Value::Array(parts.collect())
}

#[cfg(test)]
mod tests {
    use slarouter_text::Conversation;

    use super::*;

    fn read(endpoint: Endpoint, question: Value, preface: Option<Value>) -> Conversation {
        let (question, preface) = (question.to_string(), preface.map(|preface| preface.to_string()));
        let outline = outline(endpoint, &question, preface.as_deref(), None);
        Conversation::from_messages(&outline.messages, outline.tools).unwrap()
    }

    /// The same conversation in all three protocols makes the same features.
    #[test]
    fn the_protocol_makes_no_difference() {
        let chat = json!([
            { "role": "system", "content": "Be brief." },
            { "role": "user", "content": [{ "type": "text", "text": "Look" }, { "type": "image_url", "image_url": { "url": "data:" } }] },
            { "role": "assistant", "tool_calls": [{ "function": { "name": "f", "arguments": "{}" } }] },
            { "role": "tool", "content": "42" },
            { "role": "user", "content": "And now?" },
        ]);
        let messages = json!([
            { "role": "user", "content": [{ "type": "text", "text": "Look" }, { "type": "image", "source": {} }] },
            { "role": "assistant", "content": [{ "type": "tool_use", "name": "f", "input": "{}", "id": "x" }] },
            { "role": "user", "content": [{ "type": "tool_result", "content": "42" }, { "type": "text", "text": "And now?" }] },
        ]);
        let items = json!([
            { "role": "user", "content": [{ "type": "input_text", "text": "Look" }, { "type": "input_image" }] },
            { "type": "reasoning", "summary": [] },
            { "type": "function_call", "name": "f", "arguments": "{}" },
            { "type": "function_call_output", "output": "42" },
            { "type": "message", "role": "user", "content": "And now?" },
        ]);
        let expected = slarouter_text::features(&read(Endpoint::Chat, chat, None));
        let system = || Some(json!("Be brief."));
        assert_eq!(slarouter_text::features(&read(Endpoint::Messages, messages, system())), expected);
        assert_eq!(slarouter_text::features(&read(Endpoint::Responses, items, system())), expected);
    }

    #[test]
    fn nothing_is_refused() {
        for question in
            [json!(7), json!(null), json!([7, null, [], {}, { "content": 7 }, { "type": "new" }]), json!("x")]
        {
            for endpoint in [Endpoint::Messages, Endpoint::Responses, Endpoint::Completions, Endpoint::Embeddings] {
                read(endpoint, question.clone(), Some(json!({ "odd": 1 })));
            }
        }
        assert_eq!(read(Endpoint::Embeddings, json!(["a", "b"]), None).prompt(), "a\nb");
        assert_eq!(read(Endpoint::Responses, json!("a"), None).prompt(), "a");
    }
}
