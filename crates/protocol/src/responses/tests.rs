use serde_json::{Value, json};

use super::foreign::{FOREIGN_REASONING, without_foreign_reasoning};
use super::{Writer, write_answer};
use crate::endpoint::{Endpoint, ModelProtocol, Protocol};
use crate::fields::Refusal;
use crate::form::{Block, CommonAnswer, Envelope, Event, Part, Stop};
use crate::request::Request;
use crate::seal::seal;
use crate::testing::{Fate, assert_fate, model, translate, translate_for};

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
fn every_field_has_its_counterpart_or_is_said_or_refused() {
    use Fate::{Carried, Refused, Said, Silent};
    let schema =
        json!({ "format": { "type": "json_schema", "name": "n", "schema": { "type": "object" }, "strict": true } });
    let named = json!({ "name": "n", "schema": { "type": "object" }, "strict": true });
    #[rustfmt::skip]
    let cases = vec![
        ("max_output_tokens", json!(5), Carried("max_completion_tokens", json!(5)), Carried("max_tokens", json!(5))),
        ("temperature", json!(0.5), Carried("temperature", json!(0.5)), Carried("temperature", json!(0.5))),
        ("top_p", json!(0.9), Carried("top_p", json!(0.9)), Carried("top_p", json!(0.9))),
        ("parallel_tool_calls", json!(false), Carried("parallel_tool_calls", json!(false)), Silent),
        ("text", json!({ "format": { "type": "text" } }), Silent, Silent),
        ("text", schema, Carried("response_format", json!({ "type": "json_schema", "json_schema": named })),
            Carried("output_config", json!({ "format": { "type": "json_schema", "schema": { "type": "object" } } }))),
        ("text", json!({ "verbosity": "low" }), Carried("verbosity", json!("low")), Said("text.verbosity")),
        ("reasoning", json!({ "effort": "low", "summary": "auto" }), Carried("reasoning_effort", json!("low")),
            Carried("thinking", json!({ "type": "enabled", "budget_tokens": 2048 }))),
        ("reasoning", json!({ "context": "auto" }), Said("reasoning.context"), Said("reasoning.context")),
        ("user", json!("u"), Carried("user", json!("u")), Carried("metadata", json!({ "user_id": "u" }))),
        ("metadata", json!({ "k": "v" }), Carried("metadata", json!({ "k": "v" })), Said("metadata")),
        ("truncation", json!("disabled"), Silent, Silent),
        ("truncation", json!("auto"), Said("truncation"), Said("truncation")),
        ("max_tool_calls", json!(3), Said("max_tool_calls"), Said("max_tool_calls")),
        ("client_metadata", json!({ "turn_id": "t" }), Said("client_metadata"), Said("client_metadata")),
        ("store", json!(true), Said("store"), Said("store")),
        ("background", json!(true), Refused("background"), Refused("background")),
        ("prompt", json!({ "id": "p" }), Refused("prompt"), Refused("prompt")),
        ("previous_response_id", json!("r"), Refused("previous_response_id"), Refused("previous_response_id")),
        ("conversation", json!("c"), Refused("conversation"), Refused("conversation")),
        ("include", json!(["reasoning.encrypted_content"]), Silent, Silent),
        ("include", json!(["message.output_text.logprobs"]), Said("include"), Said("include")),
        ("tools", json!([{ "type": "web_search" }]), Refused("tools[0].type"), Refused("tools[0].type")),
        ("input", json!([{ "type": "item_reference", "id": "x" }]), Refused("input[0]"), Refused("input[0]")),
        ("input", json!([{ "type": "compaction", "encrypted_content": "x" }]), Refused("input[0].type"), Refused("input[0].type")),
        ("input", json!([{ "role": "user", "content": "Hi" }, { "type": "web_search_call", "id": "w", "action": {} }]),
            Said("input[1]"), Said("input[1]")),
        ("input", json!([{ "role": "user", "content": [{ "type": "input_image", "file_id": "f" }] }]),
            Refused("input[0].content[0].image_url"), Refused("input[0].content[0].image_url")),
        ("input", json!([{ "role": "user", "content": [{ "type": "input_file", "file_id": "f" }] }]),
            Refused("input[0].content[0].file_id"), Refused("input[0].content[0].file_id")),
    ];
    for (name, value, chat, anthropic) in cases {
        for (to, fate) in [(ModelProtocol::OpenaiChat, chat), (ModelProtocol::Anthropic, anthropic)] {
            assert_fate(Protocol::Responses, to, &minimal(json!({})), (name, &value), &fate);
        }
    }
}

#[test]
fn a_reference_to_an_item_is_refused_with_the_cure() {
    let body = minimal(json!({ "input": [{ "type": "item_reference", "id": "msg_1" }] }));
    let message = to(ModelProtocol::OpenaiChat, &body).unwrap_err().message;
    assert!(message.contains("send the items themselves") && message.contains("`store: false`"), "{message}");
}

#[test]
fn reasoning_of_other_protocols_is_taken_out_and_nothing_else() {
    let foreign = format!(r#"{{"type":"reasoning","id":"{FOREIGN_REASONING}1_0","summary":[]}}"#);
    let own = r#"{"type":"reasoning","id":"rs_1","summary":[ 1.0 ]}"#;
    let user = format!(r#"{{"role":"user","content":"{FOREIGN_REASONING}"}}"#);
    let sealed = format!(r#"{{"type":"reasoning","summary":[],"encrypted_content":"{}"}}"#, seal("a/model"));
    for foreign in [foreign, sealed] {
        let without = without_foreign_reasoning(&format!("[ {foreign},{own}, {user}]"));
        assert_eq!(without, Some(format!("[{own},{user}]")));
    }
    for kept in [format!("[{own}]"), format!("[{user}]"), format!("\"{FOREIGN_REASONING}\"")] {
        assert_eq!(without_foreign_reasoning(&kept), None);
    }
}

#[test]
fn reasoning_goes_back_beside_its_calls_to_the_model_that_wrote_it() {
    let body = |seal: &str| {
        minimal(json!({ "input": [
            { "role": "user", "content": "Weather?" },
            { "type": "reasoning", "summary": [{ "type": "summary_text", "text": "Ask the tool." }], "encrypted_content": seal },
            { "type": "function_call", "call_id": "c", "name": "weather", "arguments": "{}" },
            { "type": "function_call_output", "call_id": "c", "output": "rain" },
        ] }))
    };
    let own = to(ModelProtocol::OpenaiChat, &body(&seal("up"))).unwrap();
    assert_eq!(own["messages"][1]["reasoning_content"], "Ask the tool.");
    assert_eq!(own["messages"][1]["tool_calls"][0]["id"], "c");
    for other in [seal("another"), "gAAAA".to_owned()] {
        let written = to(ModelProtocol::OpenaiChat, &body(&other)).unwrap();
        assert!(!written.to_string().contains("Ask the tool."), "{written}");
    }
}

/// The tools of a coding agent: functions alone, in groups, of text, and a search of the provider's.
fn tools_of_an_agent() -> Value {
    json!([
        { "type": "function", "name": "exec_command", "strict": false, "parameters": { "type": "object" } },
        { "type": "namespace", "name": "mcp__files__", "description": "d", "tools": [
            { "type": "function", "name": "read", "strict": false, "parameters": {} }, { "type": "web_search" }] },
        { "type": "custom", "name": "apply_patch", "description": "Edits files.",
          "format": { "type": "grammar", "syntax": "lark", "definition": "start: x" } },
        { "type": "web_search", "external_web_access": false },
    ])
}

#[test]
fn tools_of_every_kind_are_functions_elsewhere_or_left_out_and_said() {
    let body = minimal(json!({
        "tools": tools_of_an_agent(), "tool_choice": { "type": "custom", "name": "apply_patch" },
        "client_metadata": { "turn_id": "t" },
        "input": [
            { "role": "user", "content": "Go" },
            { "type": "function_call", "call_id": "c1", "name": "read", "namespace": "mcp__files__", "arguments": "{}" },
            { "type": "function_call_output", "call_id": "c1", "name": "read", "output": "x" },
            { "type": "custom_tool_call", "id": "ctc_1", "status": "completed", "call_id": "c2", "name": "apply_patch", "input": "*** Begin" },
            { "type": "custom_tool_call_output", "call_id": "c2", "output": "done" },
        ],
    }));
    let (written, said) = translate_for(Protocol::Responses, model(ModelProtocol::OpenaiChat), &body).unwrap();
    assert_eq!(said.to_string(), "tools[1].tools[1].type, tools[3].type, client_metadata");
    let functions: Vec<_> = written["tools"].as_array().unwrap().iter().map(|tool| &tool["function"]).collect();
    let names: Vec<_> = functions.iter().map(|function| function["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["exec_command", "mcp__files__read", "apply_patch"]);
    assert_eq!(
        *functions[2],
        json!({
            "name": "apply_patch",
            "description": "Edits files.\n\n`input` has to match this grammar (lark):\nstart: x",
            "parameters": { "type": "object", "properties": { "input": { "type": "string" } }, "required": ["input"],
                            "additionalProperties": false },
        })
    );
    assert_eq!(written["tool_choice"], json!({ "type": "function", "function": { "name": "apply_patch" } }));
    let calls = [&written["messages"][1], &written["messages"][3]].map(|message| &message["tool_calls"][0]["function"]);
    assert_eq!(*calls[0], json!({ "name": "mcp__files__read", "arguments": "{}" }));
    assert_eq!(*calls[1], json!({ "name": "apply_patch", "arguments": "{\"input\":\"*** Begin\"}" }));
    assert_eq!(written["messages"][4], json!({ "role": "tool", "tool_call_id": "c2", "content": "done" }));
}

#[test]
fn calls_of_such_functions_are_calls_of_the_tools_again() {
    let body = minimal(json!({ "tools": tools_of_an_agent() })).to_string();
    let request = Request::parse(Endpoint::Responses, body.into()).unwrap();
    request.upstream_body(model(ModelProtocol::OpenaiChat)).unwrap();
    let disguises = request.disguises();
    let envelope = Envelope { id: "resp_1".into(), disguises, ..Envelope::default() };
    let call = |id: &str, name: &str, arguments: &str| Part::Call {
        id: id.into(),
        name: name.into(),
        arguments: arguments.into(),
    };
    let calls = [
        call("c1", "mcp__files__read", "{}"),
        call("c2", "apply_patch", r#"{"input":"*** \"Begin\""}"#),
        call("c3", "apply_patch", "*** Begin"),
        call("c4", "exec_command", "{}"),
    ];
    let expected = json!([
        { "type": "function_call", "id": "fc_1_0", "status": "completed", "call_id": "c1", "namespace": "mcp__files__", "name": "read", "arguments": "{}" },
        { "type": "custom_tool_call", "id": "ctc_1_1", "status": "completed", "call_id": "c2", "name": "apply_patch", "input": "*** \"Begin\"" },
        { "type": "custom_tool_call", "id": "ctc_1_2", "status": "completed", "call_id": "c3", "name": "apply_patch", "input": "*** Begin" },
        { "type": "function_call", "id": "fc_1_3", "status": "completed", "call_id": "c4", "name": "exec_command", "arguments": "{}" },
    ]);
    let answer = CommonAnswer { id: None, model: None, parts: calls.to_vec(), stop: Stop::Tools, usage: None };
    let whole: Value = serde_json::from_str(&write_answer(&answer, &envelope)).unwrap();
    assert_eq!(whole["output"], expected);

    let (mut writer, mut out) = (Writer::default(), String::new());
    for call in calls {
        let Part::Call { id, name, arguments } = call else { continue };
        let (first, second) = arguments.split_at(1);
        let pieces = [first, second].map(|piece| Event::Delta(piece.to_owned()));
        for event in [Event::Open(Block::Call { id, name })].into_iter().chain(pieces).chain([Event::Close]) {
            crate::translate::Writer::event(&mut writer, &event, &envelope, &mut out);
        }
    }
    let data = out.lines().filter_map(|line| line.strip_prefix("data: "));
    let events: Vec<Value> = data.map(|data| serde_json::from_str(data).unwrap()).collect();
    let of = |kind: &str| events.iter().filter(|event| event["type"] == kind).cloned().collect::<Vec<_>>();
    let done: Vec<_> = of("response.output_item.done").iter().map(|event| event["item"].clone()).collect();
    assert_eq!(json!(done), expected);
    let inputs: Vec<_> =
        of("response.custom_tool_call_input.done").iter().map(|event| event["input"].clone()).collect();
    assert_eq!(inputs, [json!("*** \"Begin\""), json!("*** Begin")]);
    assert_eq!(of("response.custom_tool_call_input.delta").len(), 2);
    assert_eq!(of("response.function_call_arguments.delta").len(), 4, "of the two functions");
    assert_eq!(of("response.output_item.added")[1]["item"]["input"], "");
}
