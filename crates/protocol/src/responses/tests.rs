use serde_json::{Value, json};

use super::foreign::{FOREIGN_REASONING, without_foreign_reasoning};
use crate::endpoint::ModelProtocol;
use crate::endpoint::Protocol;
use crate::fields::Refusal;
use crate::testing::translate;

fn to(upstream: ModelProtocol, body: &Value) -> Result<Value, Refusal> {
    translate(Protocol::Responses, upstream, body)
}

fn minimal(more: Value) -> Value {
    let mut body = json!({ "model": "auto", "input": "Hi" });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

#[test]
fn a_conversation_with_tools_images_and_reasoning() {
    let body = json!({
        "model": "auto", "instructions": "Be brief.", "stream": true, "store": false,
        "include": ["reasoning.encrypted_content"],
        "input": [
            { "type": "message", "role": "user", "content": [
                { "type": "input_text", "text": "Look" },
                { "type": "input_image", "image_url": "data:image/png;base64,QUJD", "detail": "low" },
                { "type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,REVG" },
            ] },
            { "type": "reasoning", "id": "rs", "summary": [], "encrypted_content": "x" },
            { "type": "message", "id": "msg", "status": "completed", "role": "assistant", "content": [
                { "type": "output_text", "text": "I look.", "annotations": [] } ] },
            { "type": "function_call", "id": "fc", "status": "completed", "call_id": "c1", "name": "f", "arguments": "{\"b\":1}" },
            { "type": "function_call", "call_id": "c2", "name": "g", "arguments": "{}" },
            { "type": "function_call_output", "call_id": "c1", "output": "one" },
            { "type": "function_call_output", "call_id": "c2", "output": [{ "type": "input_text", "text": "two" }] },
            { "role": "user", "content": "And?" },
        ],
        "tools": [{ "type": "function", "name": "f", "description": "d", "parameters": { "type": "object" }, "strict": false }],
        "tool_choice": { "type": "function", "name": "f" },
    });
    let call = |id: &str, name: &str, arguments: &str| json!({ "id": id, "type": "function", "function": { "name": name, "arguments": arguments } });
    assert_eq!(
        to(ModelProtocol::OpenaiChat, &body).unwrap(),
        json!({
            "model": "up", "stream": true, "stream_options": { "include_usage": true },
            "messages": [
                { "role": "system", "content": "Be brief." },
                { "role": "user", "content": [
                    { "type": "text", "text": "Look" },
                    { "type": "image_url", "image_url": { "url": "data:image/png;base64,QUJD" } },
                    { "type": "file", "file": { "filename": "a.pdf", "file_data": "data:application/pdf;base64,REVG" } },
                ] },
                { "role": "assistant", "content": "I look.", "tool_calls": [call("c1", "f", "{\"b\":1}"), call("c2", "g", "{}")] },
                { "role": "tool", "tool_call_id": "c1", "content": "one" },
                { "role": "tool", "tool_call_id": "c2", "content": "two" },
                { "role": "user", "content": "And?" },
            ],
            "tools": [{ "type": "function", "function": {
                "name": "f", "description": "d", "parameters": { "type": "object" }, "strict": false } }],
            "tool_choice": { "type": "function", "function": { "name": "f" } },
        })
    );
    let anthropic = to(ModelProtocol::Anthropic, &body).unwrap();
    assert_eq!(anthropic["system"], json!([{ "type": "text", "text": "Be brief." }]));
    assert_eq!(anthropic["messages"].as_array().unwrap().len(), 4);
    assert_eq!(anthropic["messages"][1]["content"].as_array().unwrap().len(), 3);
    assert_eq!(anthropic["messages"][2]["content"][1]["tool_use_id"], "c2");
    assert_eq!(anthropic["tools"], json!([{ "name": "f", "description": "d", "input_schema": { "type": "object" } }]));
}

#[test]
fn every_field_has_its_counterpart_or_is_refused() {
    let carried = |field: &str, value: Value| Ok(Some((field.to_owned(), value)));
    let refused = |param: &str| Err(param.to_owned());
    let dropped: Result<Option<(String, Value)>, String> = Ok(None);
    let schema =
        json!({ "format": { "type": "json_schema", "name": "n", "schema": { "type": "object" }, "strict": true } });
    #[rustfmt::skip]
    let cases = vec![
        ("max_output_tokens", json!(5), carried("max_completion_tokens", json!(5)), carried("max_tokens", json!(5))),
        ("temperature", json!(0.5), carried("temperature", json!(0.5)), carried("temperature", json!(0.5))),
        ("top_p", json!(0.9), carried("top_p", json!(0.9)), carried("top_p", json!(0.9))),
        ("parallel_tool_calls", json!(false), carried("parallel_tool_calls", json!(false)), dropped.clone()),
        ("text", json!({ "format": { "type": "text" } }), dropped.clone(), dropped.clone()),
        ("text", json!({ "format": { "type": "json_object" } }), carried("response_format", json!({ "type": "json_object" })), refused("text.format")),
        ("text", schema, carried("response_format", json!({ "type": "json_schema", "json_schema": { "name": "n", "schema": { "type": "object" }, "strict": true } })),
            carried("output_config", json!({ "format": { "type": "json_schema", "schema": { "type": "object" } } }))),
        ("text", json!({ "verbosity": "low" }), carried("verbosity", json!("low")), refused("text.verbosity")),
        ("reasoning", json!({ "effort": "low", "summary": "auto" }), carried("reasoning_effort", json!("low")),
            carried("thinking", json!({ "type": "enabled", "budget_tokens": 2048 }))),
        ("user", json!("u"), carried("user", json!("u")), carried("metadata", json!({ "user_id": "u" }))),
        ("metadata", json!({ "k": "v" }), carried("metadata", json!({ "k": "v" })), refused("metadata")),
        ("truncation", json!("disabled"), dropped.clone(), dropped.clone()),
        ("truncation", json!("auto"), refused("truncation"), refused("truncation")),
        ("store", json!(true), refused("store"), refused("store")),
        ("background", json!(true), refused("background"), refused("background")),
        ("previous_response_id", json!("r"), refused("previous_response_id"), refused("previous_response_id")),
        ("conversation", json!("c"), refused("conversation"), refused("conversation")),
        ("include", json!(["message.output_text.logprobs"]), refused("include"), refused("include")),
        ("tools", json!([{ "type": "web_search" }]), refused("tools[0].type"), refused("tools[0].type")),
        ("input", json!([{ "type": "item_reference", "id": "x" }]), refused("input[0].type"), refused("input[0].type")),
        ("input", json!([{ "role": "user", "content": [{ "type": "input_image", "file_id": "f" }] }]),
            refused("input[0].content[0].image_url"), refused("input[0].content[0].image_url")),
    ];
    for (name, value, chat, anthropic) in cases {
        for (upstream, expected) in [(ModelProtocol::OpenaiChat, chat), (ModelProtocol::Anthropic, anthropic)] {
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
fn reasoning_of_other_protocols_is_taken_out_and_nothing_else() {
    let foreign = format!(r#"{{"type":"reasoning","id":"{FOREIGN_REASONING}1_0","summary":[]}}"#);
    let own = r#"{"type":"reasoning","id":"rs_1","summary":[ 1.0 ]}"#;
    let user = format!(r#"{{"role":"user","content":"{FOREIGN_REASONING}"}}"#);
    let without = without_foreign_reasoning(&format!("[ {foreign},{own}, {user}]"));
    assert_eq!(without, Some(format!("[{own},{user}]")));
    for kept in [format!("[{own}]"), format!("[{user}]"), format!("\"{FOREIGN_REASONING}\"")] {
        assert_eq!(without_foreign_reasoning(&kept), None);
    }
}
