//! A request of any kind as a chat conversation: what features and token estimates are made from. It never refuses: what it
//! does not know it passes over, as the upstream may well take it.

use std::borrow::Cow;

use crate::endpoint::Endpoint;
use crate::json::{self, each_element, quote};
use crate::print::{Object, list};

/// What has no text says this.
const NOTHING: &str = "\"\"";

/// What a block of text begins with that Claude Code puts before its system prompt: the provider's own bookkeeping, another one in every
/// request. It says nothing of the conversation.
pub(crate) const BILLING: &str = "x-anthropic-billing-header:";

/// The messages and tools, as JSON.
#[derive(Debug)]
pub struct Outline<'a> {
    /// An array of chat messages.
    pub messages: Cow<'a, str>,
    /// The request's own array of tools, in its protocol's shape.
    pub tools: Option<&'a str>,
}

/// Makes the outline of a question (`messages`, `input` or `prompt`) and what goes before it, both raw JSON. Texts are copied as they are
/// written, and no tree is built: a question may have hundreds of kilobytes.
pub fn outline<'a>(
    endpoint: Endpoint,
    question: &'a str,
    preface: Option<&str>,
    tools: Option<&'a str>,
) -> Outline<'a> {
    if endpoint == Endpoint::Chat {
        return Outline { messages: question.into(), tools };
    }
    let mut messages = Vec::new();
    if let Some(preface) = preface {
        messages.push(said("system", Some(preface)).end());
    }
    match elements(question) {
        Some(items) if !matches!(endpoint, Endpoint::Completions | Endpoint::Embeddings) => {
            items.into_iter().for_each(|item| entry(&Item::of(item), &mut messages));
        }
        // Texts to be embedded or completed; tokens by number say nothing here.
        Some(texts) => {
            let texts: Vec<_> = texts.into_iter().filter_map(|text| json::text(text.as_bytes())).collect();
            messages.push(said("user", Some(&quote(&texts.join("\n")))).end());
        }
        None => messages.push(said("user", Some(question)).end()),
    }
    Outline { messages: list(&messages).into(), tools }
}

/// A value as it is written. What is no object has no members.
struct Item<'a> {
    json: &'a str,
    object: Option<json::Object>,
}

impl<'a> Item<'a> {
    fn of(json: &'a str) -> Self {
        Self { json, object: json::Object::scan(json.as_bytes()).ok() }
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        self.object.as_ref()?.find(self.json.as_bytes(), name).map(|at| &self.json[at])
    }

    /// The text of its `type`.
    fn kind(&self) -> Option<String> {
        json::text(self.get("type")?.as_bytes())
    }
}

/// One message of Anthropic's, or one item of a responses request.
fn entry(item: &Item<'_>, messages: &mut Vec<String>) {
    match item.kind().as_deref() {
        Some("function_call") => messages.push(called(item.get("name"), item.get("arguments"))),
        Some("custom_tool_call") => messages.push(called(item.get("name"), item.get("input"))),
        Some("function_call_output" | "custom_tool_call_output") => {
            messages.push(said("tool", item.get("output")).end());
        }
        None | Some("message") => message(item, messages),
        Some(_) => {}
    }
}

fn message(item: &Item<'_>, messages: &mut Vec<String>) {
    let role = item.get("role").and_then(|role| json::text(role.as_bytes())).unwrap_or_else(|| "user".to_owned());
    let blocks = item.get("content").and_then(elements).unwrap_or_default();
    let blocks: Vec<_> = blocks.into_iter().map(Item::of).map(|block| (block.kind(), block)).collect();
    let of = |kind: &'static str| {
        blocks.iter().filter(move |(held, _)| held.as_deref() == Some(kind)).map(|(_, block)| block)
    };
    messages.extend(of("tool_result").map(|result| said("tool", result.get("content")).end()));
    let calls: Vec<_> = of("tool_use").map(|block| call(block.get("name"), block.get("input"))).collect();
    let content = content(item.get("content"));
    if !calls.is_empty() {
        messages
            .push(Object::new().text("role", &role).raw("content", &content).raw("tool_calls", &list(&calls)).end());
    } else if content != "[]" || blocks.is_empty() {
        messages.push(Object::new().text("role", &role).raw("content", &content).end());
    }
}

/// A message of this role, as far as what it says is known.
fn said(role: &str, raw: Option<&str>) -> Object {
    Object::new().text("role", role).raw("content", &content(raw))
}

/// What an assistant says with a single call.
fn called(name: Option<&str>, arguments: Option<&str>) -> String {
    Object::new().text("role", "assistant").raw("tool_calls", &list(&[call(name, arguments)])).end()
}

fn call(name: Option<&str>, arguments: Option<&str>) -> String {
    let (name, arguments) = (name.unwrap_or("null"), arguments.unwrap_or("null"));
    Object::new().raw("function", &Object::new().raw("name", name).raw("arguments", arguments).end()).end()
}

/// Text, or parts of text and images.
fn content(raw: Option<&str>) -> Cow<'_, str> {
    let Some(parts) = raw.and_then(elements) else { return written(raw).unwrap_or(NOTHING).into() };
    let parts = parts.into_iter().filter_map(|part| {
        let part = Item::of(part);
        let text = |name| Some(Object::of("text").raw("text", written(part.get(name))?).end());
        match part.kind()?.as_str() {
            "text" if part.get("text").is_some_and(|text| text.trim_start_matches('"').starts_with(BILLING)) => None,
            "text" | "input_text" | "output_text" => text("text"),
            "refusal" => text("refusal"),
            "image" | "input_image" => Some(Object::of("image_url").end()),
            _ => None,
        }
    });
    list(&parts.collect::<Vec<_>>()).into()
}

/// A string as it is written, if it is one that can be read: an escape may stand for half a character.
fn written(raw: Option<&str>) -> Option<&str> {
    raw.filter(|raw| raw.starts_with('"') && (!raw.contains('\\') || json::text(raw.as_bytes()).is_some()))
}

/// The elements of an array; `None` for anything else.
fn elements(json: &str) -> Option<Vec<&str>> {
    let mut found = Vec::new();
    let is_whole = json.starts_with('[') && each_element(json.as_bytes(), |element| found.push(element)).is_ok();
    is_whole.then(|| found.into_iter().filter_map(|element| std::str::from_utf8(element).ok()).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
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
        // Half a character, a type that is written with an escape, and members that come twice.
        let odd = r#"[{"role":"user","content":"\ud800"},{"role":"user","content":[
            {"\u0074ype":"t\u0065xt","text":"first","text":"last\n"},{"type":"text","text":"\udc00"},{"type":"text","text":7}]}]"#;
        let outline = outline(Endpoint::Messages, odd, None, None);
        assert_eq!(Conversation::from_messages(&outline.messages, None).unwrap().prompt(), "last\n");
    }
}
