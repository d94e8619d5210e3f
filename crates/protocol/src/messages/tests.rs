use serde_json::{Value, json};

use super::foreign::without_foreign_reasoning;
use crate::endpoint::ModelProtocol;
use crate::endpoint::Protocol;
use crate::fields::Refusal;
use crate::seal::seal;
use crate::testing::{Fate, assert_fate, model, translate, translate_for};

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
fn every_field_has_its_counterpart_or_is_said_or_refused() {
    use Fate::{Carried, Refused, Said, Silent};
    let schema = json!({ "format": { "type": "json_schema", "schema": { "type": "object" } } });
    let named = json!({ "name": "answer", "schema": { "type": "object" }, "strict": true });
    let search = json!({ "type": "web_search_20250305", "name": "web_search" });
    let function = json!({ "type": "function", "function": { "name": "f", "parameters": {} } });
    let clear = json!({ "edits": [{ "type": "clear_thinking_20251015", "keep": "all" }] });
    #[rustfmt::skip]
    let cases = vec![
        ("temperature", json!(0.5), Carried("temperature", json!(0.5)), Carried("temperature", json!(0.5))),
        ("top_p", json!(0.9), Carried("top_p", json!(0.9)), Carried("top_p", json!(0.9))),
        ("top_k", json!(5), Said("top_k"), Said("top_k")),
        ("stop_sequences", json!(["x"]), Carried("stop", json!(["x"])), Refused("stop_sequences")),
        ("tool_choice", json!({ "type": "auto" }), Carried("tool_choice", json!("auto")), Carried("tool_choice", json!("auto"))),
        ("tool_choice", json!({ "type": "tool", "name": "f" }), Refused("tool_choice"), Refused("tool_choice")),
        ("thinking", json!({ "type": "enabled", "budget_tokens": 4000 }), Carried("reasoning_effort", json!("medium")),
            Carried("reasoning", json!({ "effort": "medium", "summary": "auto" }))),
        ("thinking", json!({ "type": "adaptive", "display": "omitted" }), Carried("reasoning_effort", json!("high")),
            Carried("reasoning", json!({ "effort": "high", "summary": "auto" }))),
        ("thinking", json!({ "type": "disabled" }), Silent, Silent),
        ("output_config", json!({ "effort": "low" }), Carried("reasoning_effort", json!("low")), Carried("reasoning", json!({ "effort": "low" }))),
        ("output_config", json!({ "task_budget": 9 }), Said("output_config.task_budget"), Said("output_config.task_budget")),
        ("output_config", schema, Carried("response_format", json!({ "type": "json_schema", "json_schema": named })),
            Carried("text", json!({ "format": { "type": "json_schema", "name": "answer", "schema": { "type": "object" }, "strict": true } }))),
        ("metadata", json!({ "user_id": "u" }), Carried("user", json!("u")), Carried("user", json!("u"))),
        ("metadata", json!({ "other": "u" }), Said("metadata.other"), Said("metadata.other")),
        ("service_tier", json!("standard_only"), Carried("service_tier", json!("default")), Carried("service_tier", json!("default"))),
        ("context_management", clear, Said("context_management"), Said("context_management")),
        ("tools", json!([search]), Refused("tools[0].type"), Refused("tools[0].type")),
        ("tools", json!([{ "name": "f", "input_schema": {}, "defer_loading": false, "eager_input_streaming": true }]),
            Carried("tools", json!([function])),
            Carried("tools", json!([{ "type": "function", "name": "f", "parameters": {}, "strict": false }]))),
        ("mcp_servers", json!([]), Silent, Silent),
        ("mcp_servers", json!([{}]), Refused("mcp_servers"), Refused("mcp_servers")),
        ("container", json!("c"), Refused("container"), Refused("container")),
        ("max_tokens", json!(null), Refused("max_tokens"), Refused("max_tokens")),
    ];
    for (name, value, chat, responses) in cases {
        for (to, fate) in [(ModelProtocol::OpenaiChat, chat), (ModelProtocol::OpenaiResponses, responses)] {
            assert_fate(Protocol::Messages, to, &minimal(json!({})), (name, &value), &fate);
        }
    }
}

/// What an agent sends with every request: only what no other protocol has is missing, and all that is said.
#[test]
fn a_request_of_an_agent_reaches_models_of_every_protocol() {
    let body = minimal(json!({
        "system": [{ "type": "text", "text": "You are an agent.", "cache_control": { "type": "ephemeral" } }],
        "messages": [
            { "role": "user", "content": [{ "type": "text", "text": "Go", "x": 1 }] },
            { "role": "assistant", "content": [{ "type": "tool_use", "id": "t", "name": "ToolSearch", "input": {} }] },
            { "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "t", "content": [
                { "type": "tool_reference", "tool_name": "WebFetch" }] }] },
            { "role": "system", "content": [{ "type": "text", "text": "# Environment" }] },
        ],
        "tools": [
            { "name": "ToolSearch", "input_schema": {} }, { "name": "WebFetch", "input_schema": {}, "defer_loading": true },
            { "type": "web_search_20250305", "name": "web_search" },
        ],
        "thinking": { "type": "adaptive" }, "output_config": { "effort": "max" },
        "context_management": { "edits": [] },
    }));
    for to in [ModelProtocol::OpenaiChat, ModelProtocol::OpenaiResponses, ModelProtocol::GeminiOpenai] {
        let (written, said) = translate_for(Protocol::Messages, model(to), &body).unwrap();
        let said = said.to_string();
        assert_eq!(said, "messages[0].content[0].x, tools[1].defer_loading, tools[2].type, context_management");
        assert_eq!(written["tools"].as_array().unwrap().len(), 2, "{written}");
        let effort = written.get("reasoning_effort").unwrap_or(&written["reasoning"]["effort"]);
        assert_eq!(effort, "xhigh", "{written}");
        let text = written.to_string();
        assert!(text.contains("\"WebFetch\"") && text.contains("# Environment"), "{text}");
    }
}

/// A tool's message is text alone, and has to stand next to its call.
#[test]
fn images_of_a_tool_follow_its_message_and_that_is_said() {
    let image = |data: &str| json!({ "type": "image", "source": { "type": "base64", "media_type": "image/png", "data": data } });
    let result = |id: &str, content: Value| json!({ "type": "tool_result", "tool_use_id": id, "content": content });
    let body = minimal(json!({ "messages": [
        { "role": "user", "content": "Look" },
        { "role": "assistant", "content": [
            { "type": "tool_use", "id": "a", "name": "f", "input": {} }, { "type": "tool_use", "id": "b", "name": "f", "input": {} }] },
        { "role": "user", "content": [
            result("a", json!([{ "type": "text", "text": "1 page" }, image("QUJD")])), result("b", json!([image("REVG")])),
            { "type": "text", "text": "So?" }] },
    ] }));
    let (written, said) = translate_for(Protocol::Messages, model(ModelProtocol::OpenaiChat), &body).unwrap();
    assert_eq!(said.to_string(), "messages[2].content");
    let text = |text: &str| json!({ "type": "text", "text": text });
    let shown =
        |data: &str| json!({ "type": "image_url", "image_url": { "url": format!("data:image/png;base64,{data}") } });
    let next = "(see the next message of the user)";
    assert_eq!(
        written["messages"].as_array().unwrap()[2..],
        [
            json!({ "role": "tool", "tool_call_id": "a", "content": [text("1 page"), text(next)] }),
            json!({ "role": "tool", "tool_call_id": "b", "content": next }),
            json!({ "role": "user", "content": [
                text("What the tool returned for the call a:"), shown("QUJD"),
                text("What the tool returned for the call b:"), shown("REVG"), text("So?")] }),
        ]
    );
    let whole = to(ModelProtocol::OpenaiResponses, &body).unwrap();
    assert_eq!(whole["input"][3]["output"][1]["image_url"], "data:image/png;base64,QUJD", "{whole}");
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
        (json!([{ "type": "text", "text": "x" }, { "type": "tool_result", "tool_use_id": "c" }]), "messages[0]"),
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
    let seal = seal("a/model");
    let foreign = format!(r#"{{"type":"thinking","thinking":"a","signature":"{seal}"}}"#);
    let messages = format!(
        r#"[{{"role":"user","content":"say {seal}"}},{{"role":"assistant","content":[{foreign}, {{"type":"text","text":"\u00e9"}}]}},
        {{"role":"assistant","content":[{foreign}]}},{{"role":"assistant","content":[{{"type":"thinking","thinking":"b","signature":"s"}}]}}]"#
    );
    let expected = format!(
        r#"[{{"role":"user","content":"say {seal}"}},{{"role":"assistant","content":[{{"type":"text","text":"\u00e9"}}]}},{{"role":"assistant","content":[{{"type":"thinking","thinking":"b","signature":"s"}}]}}]"#
    );
    assert_eq!(without_foreign_reasoning(&messages).unwrap(), expected);
    assert_eq!(without_foreign_reasoning(r#"[{"role":"user","content":"x"}]"#), None);
}

/// Some servers refuse calls in the history without the reasoning that led to them.
#[test]
fn reasoning_goes_back_beside_its_calls_to_the_model_that_wrote_it() {
    let body = |seal: &str| {
        minimal(json!({ "messages": [
            { "role": "user", "content": "Weather?" },
            { "role": "assistant", "content": [
                { "type": "thinking", "thinking": "Ask the tool.", "signature": seal },
                { "type": "tool_use", "id": "c", "name": "weather", "input": {} },
            ] },
            { "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "c", "content": "rain" }] },
            { "role": "assistant", "content": [
                { "type": "thinking", "thinking": "Say it.", "signature": seal }, { "type": "text", "text": "Rain." }] },
            { "role": "user", "content": "Thanks." },
        ] }))
    };
    let own = to(ModelProtocol::OpenaiChat, &body(&seal("up"))).unwrap();
    assert_eq!(own["messages"][1]["reasoning_content"], "Ask the tool.");
    assert_eq!(own["messages"][1]["tool_calls"][0]["id"], "c");
    assert_eq!(own["messages"][3], json!({ "role": "assistant", "content": "Rain." }), "beside calls alone");
    for other in [seal("another"), "EqQB".to_owned()] {
        let written = to(ModelProtocol::OpenaiChat, &body(&other)).unwrap();
        assert!(!written.to_string().contains("Ask the tool."), "{written}");
    }
}

#[test]
fn an_assistants_turn_that_says_nothing_is_left_out() {
    let body = minimal(json!({ "messages": [
        { "role": "user", "content": "x" }, { "role": "assistant", "content": [] },
        { "role": "assistant", "content": [{ "type": "thinking", "thinking": "hm", "signature": "s" }] },
        { "role": "user", "content": "y" },
    ] }));
    let written = to(ModelProtocol::OpenaiChat, &body).unwrap();
    assert_eq!(written["messages"].as_array().unwrap().len(), 2, "{written}");
}
