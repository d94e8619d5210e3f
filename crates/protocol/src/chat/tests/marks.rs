//! Marks for a provider's cache, which stand on messages, on their parts and on tools.

use serde_json::json;

use super::to;
use crate::endpoint::{ModelProtocol, Protocol};
use crate::testing::{model, translate_for};

#[test]
fn marks_for_a_cache_reach_claude_where_they_stand_and_no_other() {
    let mark = json!({ "type": "ephemeral" });
    let text = |text: &str| json!({ "type": "text", "text": text });
    let marked = |text: &str| json!({ "type": "text", "text": text, "cache_control": mark });
    let tool = |name: &str| json!({ "type": "function", "function": { "name": name } });
    let mut tools = [tool("f"), tool("g"), tool("h")];
    tools[1]["cache_control"] = mark.clone();
    tools[2]["function"]["cache_control"] = mark.clone();
    let body = json!({ "model": "m", "tools": tools, "messages": [
        { "role": "system", "content": [marked("a"), text("b")] },
        { "role": "user", "content": [text("c"), marked("d"), text("e")] },
        { "role": "assistant", "tool_calls": [{ "id": "i", "function": { "name": "f", "arguments": "{}" } }] },
        { "role": "tool", "tool_call_id": "i", "content": [marked("1")] },
        { "role": "user", "content": "f", "cache_control": mark },
    ] });
    let (written, said) = translate_for(Protocol::Chat, model(ModelProtocol::Anthropic), &body).unwrap();
    assert!(said.is_empty(), "{said}");
    assert_eq!(written["system"], json!([marked("a"), text("b")]));
    let messages = written["messages"].as_array().unwrap();
    let said: Vec<_> = messages.iter().map(|message| (&message["role"], &message["content"])).collect();
    let (user, assistant) = (json!("user"), json!("assistant"));
    let result = json!({ "type": "tool_result", "tool_use_id": "i", "content": [text("1")], "cache_control": mark });
    assert_eq!(
        said,
        [
            (&user, &json!([text("c"), marked("d")])),
            (&user, &json!([text("e")])),
            (&assistant, &json!([{ "type": "tool_use", "id": "i", "name": "f", "input": {} }])),
            (&user, &json!([result])),
            (&user, &json!([marked("f")])),
        ]
    );
    let marks: Vec<_> = written["tools"].as_array().unwrap().iter().map(|tool| tool.get("cache_control")).collect();
    assert_eq!(marks, [None, Some(&mark), Some(&mark)]);
    let other = to(ModelProtocol::OpenaiResponses, &body).unwrap();
    assert!(!other.to_string().contains("cache_control"), "{other}");
}
