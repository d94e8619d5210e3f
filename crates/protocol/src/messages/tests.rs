use serde_json::{Value, json};

use super::foreign::{FOREIGN_SEAL, without_foreign_reasoning};
use crate::endpoint::ModelProtocol;
use crate::endpoint::Protocol;
use crate::fields::Refusal;
use crate::testing::translate;

fn to(upstream: ModelProtocol, body: &Value) -> Result<Value, Refusal> {
    translate(Protocol::Messages, upstream, body)
}

fn minimal(more: Value) -> Value {
    let mut body = json!({ "model": "auto", "max_tokens": 50, "messages": [{ "role": "user", "content": "Hi" }] });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

#[test]
fn a_conversation_with_tools_images_and_thinking() {
    let cache = json!({ "type": "ephemeral" });
    let body = json!({
        "model": "auto", "max_tokens": 50, "stream": true,
        "system": [{ "type": "text", "text": "Be brief.", "cache_control": cache }, { "type": "text", "text": "Be kind." }],
        "messages": [
            { "role": "user", "content": [
                { "type": "text", "text": "Look", "cache_control": cache },
                { "type": "image", "source": { "type": "base64", "media_type": "image/png", "data": "QUJD" } },
                { "type": "image", "source": { "type": "url", "url": "https://h/i.png" } },
            ] },
            { "role": "assistant", "content": [
                { "type": "thinking", "thinking": "hm", "signature": "s" },
                { "type": "redacted_thinking", "data": "d" },
                { "type": "text", "text": "I look." },
                { "type": "tool_use", "id": "c1", "name": "f", "input": { "b": 1 } },
                { "type": "tool_use", "id": "c2", "name": "g", "input": {} },
            ] },
            { "role": "user", "content": [
                { "type": "tool_result", "tool_use_id": "c1", "content": [{ "type": "text", "text": "one" }] },
                { "type": "tool_result", "tool_use_id": "c2", "is_error": true, "content": "two" },
                { "type": "text", "text": "And?" },
            ] },
        ],
        "tools": [{ "name": "f", "description": "d", "input_schema": { "type": "object" }, "cache_control": cache }],
        "tool_choice": { "type": "any", "disable_parallel_tool_use": true },
    });
    assert_eq!(
        to(ModelProtocol::OpenaiChat, &body).unwrap(),
        json!({
            "model": "up", "max_completion_tokens": 50, "stream": true, "stream_options": { "include_usage": true },
            "messages": [
                { "role": "system", "content": [{ "type": "text", "text": "Be brief." }, { "type": "text", "text": "Be kind." }] },
                { "role": "user", "content": [
                    { "type": "text", "text": "Look" },
                    { "type": "image_url", "image_url": { "url": "data:image/png;base64,QUJD" } },
                    { "type": "image_url", "image_url": { "url": "https://h/i.png" } },
                ] },
                { "role": "assistant", "content": "I look.", "tool_calls": [
                    { "id": "c1", "type": "function", "function": { "name": "f", "arguments": "{\"b\":1}" } },
                    { "id": "c2", "type": "function", "function": { "name": "g", "arguments": "{}" } },
                ] },
                { "role": "tool", "tool_call_id": "c1", "content": "one" },
                { "role": "tool", "tool_call_id": "c2", "content": "Error: two" },
                { "role": "user", "content": [{ "type": "text", "text": "And?" }] },
            ],
            "tools": [{ "type": "function", "function": { "name": "f", "description": "d", "parameters": { "type": "object" } } }],
            "tool_choice": "required", "parallel_tool_calls": false,
        })
    );
    let responses = to(ModelProtocol::OpenaiResponses, &body).unwrap();
    assert_eq!(
        responses["input"].as_array().unwrap()[3..],
        json!([
            { "type": "function_call", "call_id": "c1", "name": "f", "arguments": "{\"b\":1}" },
            { "type": "function_call", "call_id": "c2", "name": "g", "arguments": "{}" },
            { "type": "function_call_output", "call_id": "c1", "output": "one" },
            { "type": "function_call_output", "call_id": "c2", "output": "Error: two" },
            { "role": "user", "content": [{ "type": "input_text", "text": "And?" }] },
        ])
        .as_array()
        .unwrap()[..]
    );
    assert_eq!(responses["stream"], true);
}

#[test]
fn every_field_has_its_counterpart_or_is_refused() {
    let carried = |field: &str, value: Value| Ok(Some((field.to_owned(), value)));
    let refused = |param: &str| Err(param.to_owned());
    let dropped: Result<Option<(String, Value)>, String> = Ok(None);
    let schema = json!({ "format": { "type": "json_schema", "schema": { "type": "object" } } });
    #[rustfmt::skip]
    let cases = vec![
        ("temperature", json!(0.5), carried("temperature", json!(0.5)), carried("temperature", json!(0.5))),
        ("top_p", json!(0.9), carried("top_p", json!(0.9)), carried("top_p", json!(0.9))),
        ("top_k", json!(5), refused("top_k"), refused("top_k")),
        ("stop_sequences", json!(["x"]), carried("stop", json!(["x"])), refused("stop_sequences")),
        ("tool_choice", json!({ "type": "auto" }), carried("tool_choice", json!("auto")), carried("tool_choice", json!("auto"))),
        ("tool_choice", json!({ "type": "tool", "name": "f" }),
            carried("tool_choice", json!({ "type": "function", "function": { "name": "f" } })),
            carried("tool_choice", json!({ "type": "function", "name": "f" }))),
        ("thinking", json!({ "type": "enabled", "budget_tokens": 4000 }), carried("reasoning_effort", json!("medium")),
            carried("reasoning", json!({ "effort": "medium", "summary": "auto" }))),
        ("thinking", json!({ "type": "disabled" }), dropped.clone(), dropped.clone()),
        ("output_config", json!({ "effort": "low" }), carried("reasoning_effort", json!("low")), carried("reasoning", json!({ "effort": "low" }))),
        ("output_config", schema,
            carried("response_format", json!({ "type": "json_schema", "json_schema": { "name": "answer", "schema": { "type": "object" }, "strict": true } })),
            carried("text", json!({ "format": { "type": "json_schema", "name": "answer", "schema": { "type": "object" }, "strict": true } }))),
        ("metadata", json!({ "user_id": "u" }), carried("user", json!("u")), carried("user", json!("u"))),
        ("metadata", json!({ "other": "u" }), refused("metadata.other"), refused("metadata.other")),
        ("service_tier", json!("standard_only"), carried("service_tier", json!("default")), carried("service_tier", json!("default"))),
        ("tools", json!([{ "type": "web_search_20250305", "name": "web_search" }]), refused("tools[0].type"), refused("tools[0].type")),
        ("mcp_servers", json!([]), dropped.clone(), dropped.clone()),
        ("mcp_servers", json!([{}]), refused("mcp_servers"), refused("mcp_servers")),
        ("container", json!("c"), refused("container"), refused("container")),
        ("max_tokens", json!(null), refused("max_tokens"), refused("max_tokens")),
    ];
    for (name, value, chat, responses) in cases {
        for (upstream, expected) in [(ModelProtocol::OpenaiChat, chat), (ModelProtocol::OpenaiResponses, responses)] {
            let base = to(upstream, &minimal(json!({}))).unwrap();
            let found = to(upstream, &minimal(json!({ name: value })));
            match expected {
                Err(param) => assert_eq!(found.unwrap_err().param, param, "{name}: {value} to {upstream:?}"),
                Ok(None) => assert_eq!(found.unwrap(), base, "{name}: {value} to {upstream:?}"),
                Ok(Some((field, expected))) => {
                    assert_eq!(found.unwrap()[&field], expected, "{name}: {value} to {upstream:?}");
                }
            }
        }
    }
}

#[test]
fn what_cannot_be_carried_inside_of_messages_has_a_place() {
    let with = |blocks: Value| minimal(json!({ "messages": [{ "role": "user", "content": blocks }] }));
    for (blocks, param) in [
        (json!([{ "type": "search_result" }]), "messages[0].content[0].type"),
        (
            json!([{ "type": "document", "source": { "type": "text", "data": "x" } }]),
            "messages[0].content[0].source.type",
        ),
        (json!([{ "type": "document", "source": { "type": "url", "url": "https://h/a.pdf" } }]), "messages[0]"),
        (
            json!([{ "type": "image", "source": { "type": "file", "file_id": "f" } }]),
            "messages[0].content[0].source.type",
        ),
        (
            json!([{ "type": "tool_result", "tool_use_id": "c", "content": [
                { "type": "image", "source": { "type": "url", "url": "https://h/i" } }] }]),
            "messages[0]",
        ),
        (
            json!([{ "type": "tool_result", "tool_use_id": "c", "content": [{ "type": "tool_result" }] }]),
            "messages[0].content[0].content[0].type",
        ),
        (json!(7), "messages[0].content"),
    ] {
        assert_eq!(to(ModelProtocol::OpenaiChat, &with(blocks.clone())).unwrap_err().param, param, "{blocks}");
    }
    let prefilled =
        json!({ "messages": [{ "role": "user", "content": "x" }, { "role": "assistant", "content": "So" }] });
    assert_eq!(to(ModelProtocol::OpenaiChat, &minimal(prefilled)).unwrap_err().param, "messages[1]");
}

#[test]
fn reasoning_of_other_models_is_taken_out_and_nothing_else() {
    let foreign = format!(r#"{{"type":"thinking","thinking":"a","signature":"{FOREIGN_SEAL}"}}"#);
    let messages = format!(
        r#"[{{"role":"user","content":"say {FOREIGN_SEAL}"}},{{"role":"assistant","content":[{foreign}, {{"type":"text","text":"\u00e9"}}]}},
        {{"role":"assistant","content":[{foreign}]}},{{"role":"assistant","content":[{{"type":"thinking","thinking":"b","signature":"s"}}]}}]"#
    );
    let expected = format!(
        r#"[{{"role":"user","content":"say {FOREIGN_SEAL}"}},{{"role":"assistant","content":[{{"type":"text","text":"\u00e9"}}]}},{{"role":"assistant","content":[{{"type":"thinking","thinking":"b","signature":"s"}}]}}]"#
    );
    assert_eq!(without_foreign_reasoning(&messages).unwrap(), expected);
    assert_eq!(without_foreign_reasoning(r#"[{"role":"user","content":"x"}]"#), None);
}
