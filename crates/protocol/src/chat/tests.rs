use serde_json::{Value, json};

use crate::endpoint::ModelProtocol;
use crate::endpoint::Protocol;
use crate::fields::Refusal;
use crate::forms::{read_request, write_request};
use crate::testing::{model, translate};

fn to(upstream: ModelProtocol, body: &Value) -> Result<Value, Refusal> {
    translate(Protocol::Chat, upstream, body)
}

fn minimal(more: Value) -> Value {
    let mut body = json!({ "model": "auto", "messages": [{ "role": "user", "content": "Hi" }] });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

#[test]
fn a_conversation_with_tools_and_images() {
    let body = json!({
        "model": "auto",
        "messages": [
            { "role": "system", "content": "Be brief." },
            { "role": "developer", "content": [{ "type": "text", "text": "Be kind." }] },
            { "role": "user", "content": [
                { "type": "text", "text": "Look" },
                { "type": "image_url", "image_url": { "url": "data:image/png;base64,QUJD", "detail": "high" } },
                { "type": "image_url", "image_url": { "url": "https://h/i.png" } },
                { "type": "file", "file": { "filename": "a.pdf", "file_data": "data:application/pdf;base64,REVG" } },
            ] },
            { "role": "assistant", "content": "I look.", "refusal": null, "reasoning_content": "hm", "tool_calls": [
                { "id": "c1", "type": "function", "function": { "name": "f", "arguments": "{\"b\": 1.0, \"a\": 2}" } },
                { "id": "c2", "type": "function", "function": { "name": "g", "arguments": "" } },
            ] },
            { "role": "tool", "tool_call_id": "c1", "content": "one" },
            { "role": "tool", "tool_call_id": "c2", "content": [{ "type": "text", "text": "two" }] },
            { "role": "user", "content": "And?" },
        ],
        "tools": [{ "type": "function", "function": { "name": "f", "description": "d", "parameters": { "type": "object" }, "strict": true } }],
        "tool_choice": { "type": "function", "function": { "name": "f" } },
        "parallel_tool_calls": false,
    });
    let schema = json!({ "type": "object" });
    assert_eq!(
        to(ModelProtocol::Anthropic, &body).unwrap(),
        json!({
            "model": "up", "max_tokens": 4096,
            "system": [{ "type": "text", "text": "Be brief." }, { "type": "text", "text": "Be kind." }],
            "messages": [
                { "role": "user", "content": [
                    { "type": "text", "text": "Look" },
                    { "type": "image", "source": { "type": "base64", "media_type": "image/png", "data": "QUJD" } },
                    { "type": "image", "source": { "type": "url", "url": "https://h/i.png" } },
                    { "type": "document", "title": "a.pdf",
                      "source": { "type": "base64", "media_type": "application/pdf", "data": "REVG" } },
                ] },
                { "role": "assistant", "content": [
                    { "type": "text", "text": "I look." },
                    { "type": "tool_use", "id": "c1", "name": "f", "input": { "b": 1.0, "a": 2 } },
                    { "type": "tool_use", "id": "c2", "name": "g", "input": {} },
                ] },
                { "role": "user", "content": [
                    { "type": "tool_result", "tool_use_id": "c1", "content": [{ "type": "text", "text": "one" }] },
                    { "type": "tool_result", "tool_use_id": "c2", "content": [{ "type": "text", "text": "two" }] },
                ] },
                { "role": "user", "content": [{ "type": "text", "text": "And?" }] },
            ],
            "tools": [{ "name": "f", "description": "d", "input_schema": schema, "strict": true }],
            "tool_choice": { "type": "tool", "name": "f", "disable_parallel_tool_use": true },
        })
    );
    assert_eq!(
        to(ModelProtocol::OpenaiResponses, &body).unwrap(),
        json!({
            "model": "up", "store": false,
            "input": [
                { "role": "system", "content": [{ "type": "input_text", "text": "Be brief." }] },
                { "role": "developer", "content": [{ "type": "input_text", "text": "Be kind." }] },
                { "role": "user", "content": [
                    { "type": "input_text", "text": "Look" },
                    { "type": "input_image", "image_url": "data:image/png;base64,QUJD", "detail": "auto" },
                    { "type": "input_image", "image_url": "https://h/i.png", "detail": "auto" },
                    { "type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,REVG" },
                ] },
                { "role": "assistant", "content": [{ "type": "output_text", "text": "I look." }] },
                { "type": "function_call", "call_id": "c1", "name": "f", "arguments": "{\"b\": 1.0, \"a\": 2}" },
                { "type": "function_call", "call_id": "c2", "name": "g", "arguments": "{}" },
                { "type": "function_call_output", "call_id": "c1", "output": "one" },
                { "type": "function_call_output", "call_id": "c2", "output": "two" },
                { "role": "user", "content": [{ "type": "input_text", "text": "And?" }] },
            ],
            "tools": [{ "type": "function", "name": "f", "description": "d", "parameters": schema, "strict": true }],
            "tool_choice": { "type": "function", "name": "f" },
            "parallel_tool_calls": false,
        })
    );
}

/// One field, and what becomes of it at Anthropic's and at a responses upstream; `None` where the answer is the same without.
#[test]
fn every_field_has_its_counterpart_or_is_refused() {
    let schema = json!({ "name": "n", "schema": { "type": "object" }, "strict": true });
    let carried = |field: &str, value: Value| Ok(Some((field.to_owned(), value)));
    let refused = |param: &str| Err(param.to_owned());
    let dropped: Result<Option<(String, Value)>, String> = Ok(None);
    #[rustfmt::skip]
    let cases = vec![
        ("max_tokens", json!(5), carried("max_tokens", json!(5)), carried("max_output_tokens", json!(5))),
        ("max_completion_tokens", json!(6), carried("max_tokens", json!(6)), carried("max_output_tokens", json!(6))),
        ("temperature", json!(0.5), carried("temperature", json!(0.5)), carried("temperature", json!(0.5))),
        ("temperature", json!(1.5), refused("temperature"), carried("temperature", json!(1.5))),
        ("top_p", json!(0.9), carried("top_p", json!(0.9)), carried("top_p", json!(0.9))),
        ("stop", json!("x"), carried("stop_sequences", json!(["x"])), refused("stop")),
        ("stop", json!(["x", "y"]), carried("stop_sequences", json!(["x", "y"])), refused("stop")),
        ("tool_choice", json!("auto"), carried("tool_choice", json!({ "type": "auto" })), carried("tool_choice", json!("auto"))),
        ("tool_choice", json!("none"), carried("tool_choice", json!({ "type": "none" })), carried("tool_choice", json!("none"))),
        ("tool_choice", json!("required"), carried("tool_choice", json!({ "type": "any" })), carried("tool_choice", json!("required"))),
        ("response_format", json!({ "type": "text" }), dropped.clone(), dropped.clone()),
        ("response_format", json!({ "type": "json_object" }), refused("response_format"),
            carried("text", json!({ "format": { "type": "json_object" } }))),
        ("response_format", json!({ "type": "json_schema", "json_schema": schema }),
            carried("output_config", json!({ "format": { "type": "json_schema", "schema": { "type": "object" } } })),
            carried("text", json!({ "format": { "type": "json_schema", "name": "n", "schema": { "type": "object" }, "strict": true } }))),
        ("reasoning_effort", json!("medium"), carried("thinking", json!({ "type": "enabled", "budget_tokens": 8192 })),
            carried("reasoning", json!({ "effort": "medium" }))),
        ("reasoning_effort", json!("none"), dropped.clone(), carried("reasoning", json!({ "effort": "none" }))),
        ("verbosity", json!("low"), refused("verbosity"), carried("text", json!({ "verbosity": "low" }))),
        ("user", json!("u"), carried("metadata", json!({ "user_id": "u" })), carried("user", json!("u"))),
        ("metadata", json!({ "k": "v" }), refused("metadata"), carried("metadata", json!({ "k": "v" }))),
        ("prompt_cache_key", json!("k"), dropped.clone(), carried("prompt_cache_key", json!("k"))),
        ("service_tier", json!("flex"), refused("service_tier"), carried("service_tier", json!("flex"))),
        ("n", json!(1), dropped.clone(), dropped.clone()),
        ("n", json!(2), refused("n"), refused("n")),
        ("seed", json!(7), refused("seed"), refused("seed")),
        ("logprobs", json!(true), refused("logprobs"), refused("logprobs")),
        ("logit_bias", json!({ "1": 2 }), refused("logit_bias"), refused("logit_bias")),
        ("store", json!(true), refused("store"), refused("store")),
        ("x_vendor", json!(1), refused("x_vendor"), refused("x_vendor")),
        ("temperature", json!("hot"), refused("temperature"), refused("temperature")),
    ];
    for (name, value, anthropic, responses) in cases {
        for (upstream, expected) in [(ModelProtocol::Anthropic, anthropic), (ModelProtocol::OpenaiResponses, responses)]
        {
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
    let thinking = to(ModelProtocol::Anthropic, &minimal(json!({ "reasoning_effort": "high" }))).unwrap();
    assert_eq!(thinking["max_tokens"], json!(4096 + 16_384), "room for the answer beside the reasoning");
    for (field, value) in [("temperature", json!(0.5)), ("tool_choice", json!("required"))] {
        let beside = minimal(json!({ "reasoning_effort": "high", field: value }));
        assert_eq!(to(ModelProtocol::Anthropic, &beside).unwrap_err().param, field);
    }
    let tight = to(ModelProtocol::Anthropic, &minimal(json!({ "reasoning_effort": "high", "max_tokens": 100 })));
    assert_eq!(tight.unwrap_err().param, "reasoning_effort");
}

#[test]
fn what_cannot_be_carried_inside_of_messages_has_a_place() {
    let user = json!({ "role": "user", "content": "Hi" });
    let with = |message: Value| json!({ "model": "m", "messages": [user, message, user] });
    for (message, param) in [
        (
            json!({ "role": "user", "content": [{ "type": "input_audio", "input_audio": {} }] }),
            "messages[1].content[0].type",
        ),
        (json!({ "role": "user", "content": "x", "name": "n" }), "messages[1].name"),
        (json!({ "role": "system", "content": "late" }), "messages[1]"),
        (json!({ "role": "robot", "content": "x" }), "messages[1].role"),
        (
            json!({ "role": "user", "content": [{ "type": "image_url", "image_url": { "url": "ftp://x" } }] }),
            "messages[1].content[0].image_url.url",
        ),
        (
            json!({ "role": "user", "content": [{ "type": "file", "file": { "file_id": "f" } }] }),
            "messages[1].content[0].file.file_id",
        ),
        (json!({ "role": "tool", "content": "x" }), "messages[1].tool_call_id"),
        (
            json!({ "role": "assistant", "tool_calls": [{ "id": "c", "type": "custom", "custom": {} }] }),
            "messages[1].tool_calls[0].type",
        ),
        (
            json!({ "role": "assistant", "tool_calls": [{ "id": "c", "function": { "name": "f", "arguments": "[1" } }] }),
            "messages[1]",
        ),
        (json!(7), "messages[1]"),
    ] {
        assert_eq!(to(ModelProtocol::Anthropic, &with(message.clone())).unwrap_err().param, param, "{message}");
    }
    let last = json!({ "model": "m", "messages": [user, { "role": "assistant", "content": "So" }] });
    for upstream in [ModelProtocol::Anthropic, ModelProtocol::OpenaiResponses] {
        assert_eq!(to(upstream, &last).unwrap_err().param, "messages[1]");
    }
}

#[test]
fn schemas_and_arguments_keep_their_order_and_spelling() {
    let body = r#"{"model":"m","messages":[{"role":"user","content":"x"},{"role":"assistant","tool_calls":[
        {"id":"c","type":"function","function":{"name":"f","arguments":"{\"z\":1.0,\"a\":100000000000000000000}"}}]},
        {"role":"tool","tool_call_id":"c","content":"r"}],
        "tools":[{"type":"function","function":{"name":"f","parameters":{"z":1e0,"a":[ 2 ]}}}],"temperature":0.10}"#;
    let request = read_request(Protocol::Chat, body).unwrap();
    let written = write_request(&request, model(ModelProtocol::Anthropic)).unwrap();
    assert!(written.contains(r#""input_schema":{"z":1e0,"a":[ 2 ]}"#), "{written}");
    assert!(written.contains(r#""input":{"z":1.0,"a":100000000000000000000}"#), "{written}");
    assert!(written.contains(r#""temperature":0.10"#), "{written}");
}

#[test]
fn gemini_wants_other_words() {
    let request = read_request(
        Protocol::Messages,
        r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[
           {"type":"tool_use","id":"c","name":"f","input":{}}]},{"role":"user","content":[
           {"type":"tool_result","tool_use_id":"c","content":"r"}]}]}"#,
    )
    .unwrap();
    let written = write_request(&request, model(ModelProtocol::GeminiOpenai)).unwrap();
    let written: Value = serde_json::from_str(&written).unwrap();
    assert_eq!(written["max_tokens"], 9);
    let seal = &written["messages"][1]["tool_calls"][0]["extra_content"]["google"]["thought_signature"];
    assert_eq!(*seal, "skip_thought_signature_validator");
}
