mod marks;

use serde_json::{Value, json};

use crate::endpoint::{ModelProtocol, Protocol, Upstream};
use crate::fields::Refusal;
use crate::form::{Part, Stop};
use crate::forms::{read_request, write_request};
use crate::testing::{Fate, assert_fate, model, translate, translate_for};

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

/// One field, and what becomes of it at Anthropic's and at a responses upstream.
#[test]
fn every_field_has_its_counterpart_or_is_said_or_refused() {
    use Fate::{Carried, Refused, Said, Silent};
    let schema = json!({ "name": "n", "schema": { "type": "object" }, "strict": true });
    let format = json!({ "type": "json_schema", "schema": { "type": "object" } });
    #[rustfmt::skip]
    let cases = vec![
        ("max_tokens", json!(5), Carried("max_tokens", json!(5)), Carried("max_output_tokens", json!(5))),
        ("max_completion_tokens", json!(6), Carried("max_tokens", json!(6)), Carried("max_output_tokens", json!(6))),
        ("temperature", json!(0.5), Carried("temperature", json!(0.5)), Carried("temperature", json!(0.5))),
        ("top_p", json!(0.9), Carried("top_p", json!(0.9)), Carried("top_p", json!(0.9))),
        ("top_k", json!(5), Carried("top_k", json!(5)), Said("top_k")),
        ("stop", json!("x"), Carried("stop_sequences", json!(["x"])), Refused("stop")),
        ("stop", json!(["x", "y"]), Carried("stop_sequences", json!(["x", "y"])), Refused("stop")),
        ("tool_choice", json!("auto"), Carried("tool_choice", json!({ "type": "auto" })), Carried("tool_choice", json!("auto"))),
        ("tool_choice", json!("none"), Carried("tool_choice", json!({ "type": "none" })), Carried("tool_choice", json!("none"))),
        ("tool_choice", json!("required"), Carried("tool_choice", json!({ "type": "any" })), Carried("tool_choice", json!("required"))),
        ("response_format", json!({ "type": "text" }), Silent, Silent),
        ("response_format", json!({ "type": "grammar" }), Refused("response_format.type"), Refused("response_format.type")),
        ("response_format", json!({ "type": "json_schema", "json_schema": schema }), Carried("output_config", json!({ "format": format })),
            Carried("text", json!({ "format": { "type": "json_schema", "name": "n", "schema": { "type": "object" }, "strict": true } }))),
        ("reasoning_effort", json!("medium"), Carried("thinking", json!({ "type": "enabled", "budget_tokens": 8192 })),
            Carried("reasoning", json!({ "effort": "medium" }))),
        ("reasoning_effort", json!("none"), Silent, Carried("reasoning", json!({ "effort": "none" }))),
        ("verbosity", json!("low"), Said("verbosity"), Carried("text", json!({ "verbosity": "low" }))),
        ("user", json!("u"), Carried("metadata", json!({ "user_id": "u" })), Carried("user", json!("u"))),
        ("metadata", json!({ "k": "v" }), Said("metadata"), Carried("metadata", json!({ "k": "v" }))),
        ("prompt_cache_key", json!("k"), Silent, Carried("prompt_cache_key", json!("k"))),
        ("service_tier", json!("flex"), Said("service_tier"), Carried("service_tier", json!("flex"))),
        ("service_tier", json!("auto"), Silent, Carried("service_tier", json!("auto"))),
        ("n", json!(1), Silent, Silent),
        ("n", json!(2), Refused("n"), Refused("n")),
        ("seed", json!(7), Said("seed"), Said("seed")),
        ("frequency_penalty", json!(0), Silent, Silent),
        ("frequency_penalty", json!(0.5), Said("frequency_penalty"), Said("frequency_penalty")),
        ("presence_penalty", json!(-1), Said("presence_penalty"), Said("presence_penalty")),
        ("presence_penalty", json!(1.5), Refused("presence_penalty"), Refused("presence_penalty")),
        ("logprobs", json!(false), Silent, Silent),
        ("logprobs", json!(true), Said("logprobs"), Said("logprobs")),
        ("top_logprobs", json!(3), Said("top_logprobs"), Said("top_logprobs")),
        ("logit_bias", json!({ "1": 2 }), Refused("logit_bias"), Refused("logit_bias")),
        ("modalities", json!(["text", "audio"]), Refused("modalities"), Refused("modalities")),
        ("functions", json!([{ "name": "f" }]), Refused("functions"), Refused("functions")),
        ("store", json!(true), Said("store"), Said("store")),
        ("x_vendor", json!({ "a": 1 }), Said("x_vendor"), Said("x_vendor")),
        ("x_vendor", json!(null), Silent, Silent),
        ("temperature", json!("hot"), Refused("temperature"), Refused("temperature")),
    ];
    for (name, value, anthropic, responses) in cases {
        for (to, fate) in [(ModelProtocol::Anthropic, anthropic), (ModelProtocol::OpenaiResponses, responses)] {
            assert_fate(Protocol::Chat, to, &minimal(json!({})), (name, &value), &fate);
        }
    }
}

#[test]
fn a_refusal_says_the_field_and_its_value() {
    for (more, words) in [
        (json!({ "n": 2 }), "`n` = 2 cannot be carried over"),
        (json!({ "presence_penalty": 1.5 }), "`presence_penalty` = 1.5 cannot be carried over"),
        (
            json!({ "response_format": { "type": "grammar" } }),
            "`response_format.type` = grammar cannot be carried over",
        ),
        (json!({ "logit_bias": { "9": 1, "key": "x".repeat(100) } }), "`logit_bias` = {\"9\":1,\"key\":\"xxx"),
    ] {
        let message = to(ModelProtocol::Anthropic, &minimal(more)).unwrap_err().message;
        assert!(message.starts_with(words) && message.len() < 300, "{message}");
    }
    let message = to(ModelProtocol::OpenaiResponses, &minimal(json!({ "stop": "x" }))).unwrap_err().message;
    assert!(message.starts_with("`stop` = [\"x\"] cannot be carried over"), "{message}");
}

/// What Anthropic has, but not as it was asked for.
#[test]
fn what_comes_near_is_written_and_said() {
    let told = |more: Value| {
        let (written, dropped) =
            translate_for(Protocol::Chat, model(ModelProtocol::Anthropic), &minimal(more)).unwrap();
        (written, dropped.to_string())
    };
    let (hot, said) = told(json!({ "temperature": 1.5 }));
    assert_eq!((&hot["temperature"], said.as_str()), (&json!(1), "temperature"));

    let (object, said) = told(json!({ "response_format": { "type": "json_object" } }));
    assert_eq!(said, "response_format");
    let asked = object["system"][0]["text"].as_str().unwrap();
    assert!(asked.contains("single JSON object"), "{asked}");

    let (thinking, said) = told(json!({ "reasoning_effort": "high", "temperature": 0.5, "top_p": 0.5, "top_k": 3 }));
    assert_eq!(said, "temperature, top_p, top_k", "a model that reasons takes none of them");
    assert_eq!(thinking["thinking"]["budget_tokens"], 16_384);
    assert_eq!(thinking["max_tokens"], 4096 + 16_384, "room for the answer beside the reasoning");
    assert!(thinking.get("temperature").or(thinking.get("top_p")).or(thinking.get("top_k")).is_none(), "{thinking}");

    for more in [json!({ "tool_choice": "required" }), json!({ "max_tokens": 100 })] {
        let mut body = json!({ "reasoning_effort": "high" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (written, said) = told(body);
        assert_eq!((written.get("thinking"), said.as_str()), (None, "reasoning_effort"), "{more}");
    }
}

#[test]
fn what_stands_in_messages_is_carried_near_or_left_out_and_said() {
    let body = json!({ "model": "m", "messages": [
        { "role": "user", "content": "Hi", "name": "ada", "id": "m1" },
        { "role": "assistant", "content": null, "name": "bot", "reasoning_details": [{}], "tool_calls": [
            { "id": "c", "type": "function", "function": { "name": "f", "arguments": "{\"a\":" } },
            { "id": "d", "type": "function", "function": { "name": "g", "arguments": { "b": 1 } } },
        ] },
        { "role": "tool", "tool_call_id": "c", "name": "f", "content": "1" },
        { "role": "tool", "tool_call_id": "d", "content": "2" },
        { "role": "developer", "content": "Be kind." },
        { "role": "system", "content": "" },
        { "role": "assistant", "content": null },
        { "role": "user", "content": "So?" },
    ] });
    let (written, said) = translate_for(Protocol::Chat, model(ModelProtocol::Anthropic), &body).unwrap();
    assert_eq!(
        said.to_string(),
        "messages[0].id, messages[0].name, messages[1].name, messages[1].reasoning_details, messages[2].name, \
         messages[1].arguments, messages[4].role"
    );
    assert_eq!(
        written["messages"],
        json!([
            { "role": "user", "content": [{ "type": "text", "text": "Hi" }] },
            { "role": "assistant", "content": [
                { "type": "tool_use", "id": "c", "name": "f", "input": { "_invalid_json": "{\"a\":" } },
                { "type": "tool_use", "id": "d", "name": "g", "input": { "b": 1 } },
            ] },
            { "role": "user", "content": [
                { "type": "tool_result", "tool_use_id": "c", "content": [{ "type": "text", "text": "1" }] },
                { "type": "tool_result", "tool_use_id": "d", "content": [{ "type": "text", "text": "2" }] },
            ] },
            { "role": "user", "content": [{ "type": "text", "text": "<system>\nBe kind.\n</system>" }] },
            { "role": "user", "content": [{ "type": "text", "text": "So?" }] },
        ])
    );
    let (written, said) = translate_for(Protocol::Chat, model(ModelProtocol::OpenaiResponses), &body).unwrap();
    assert!(said.to_string().ends_with("messages[2].name"), "{said}");
    assert_eq!(written["input"].as_array().unwrap().len(), 8, "{written}");
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
        (
            json!({ "role": "system", "content": [{ "type": "image_url", "image_url": { "url": "https://h/i" } }] }),
            "messages[1]",
        ),
        (json!({ "role": "assistant", "audio": { "id": "a" } }), "messages[1].audio"),
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
            json!({ "role": "assistant", "content": [{ "type": "image_url", "image_url": { "url": "https://h/i" } }] }),
            "messages[1]",
        ),
        (
            json!({ "role": "assistant", "tool_calls": [{ "id": "c", "type": "custom", "custom": {} }] }),
            "messages[1].tool_calls[0].type",
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
    let (written, _) = write_request(&request, model(ModelProtocol::Anthropic)).unwrap();
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
    let (written, _) = write_request(&request, model(ModelProtocol::GeminiOpenai)).unwrap();
    let written: Value = serde_json::from_str(&written).unwrap();
    assert_eq!(written["max_tokens"], 9);
    let seal = &written["messages"][1]["tool_calls"][0]["extra_content"]["google"]["thought_signature"];
    assert_eq!(*seal, "skip_thought_signature_validator");
}

/// Newer models are told an effort, older ones a budget; see `claude.rs` for which are which.
#[test]
fn reasoning_is_asked_for_as_the_generation_wants_it() {
    let told = |name, more: Value| {
        let model = Upstream { model: name, ..model(ModelProtocol::Anthropic) };
        let (written, said) = translate_for(Protocol::Chat, model, &minimal(more)).unwrap();
        (written, said.to_string())
    };
    let (old, said) = told("claude-opus-4-5", json!({ "reasoning_effort": "high" }));
    assert_eq!(old["thinking"], json!({ "type": "enabled", "budget_tokens": 16_384 }));
    assert_eq!((old.get("output_config"), said.as_str()), (None, ""));

    let (new, said) = told("claude-opus-4-6", json!({ "reasoning_effort": "high", "max_tokens": 100 }));
    assert_eq!(
        (&new["thinking"], &new["output_config"]),
        (&json!({ "type": "adaptive" }), &json!({ "effort": "high" }))
    );
    assert_eq!((&new["max_tokens"], said.as_str()), (&json!(100), ""), "an effort needs no room");

    let format = json!({ "type": "json_schema", "json_schema": { "name": "n", "schema": {} } });
    let both = json!({ "reasoning_effort": "xhigh", "response_format": format, "temperature": 0.2 });
    let (newest, said) = told("claude-opus-5", both);
    assert_eq!(
        newest["output_config"],
        json!({ "effort": "xhigh", "format": { "type": "json_schema", "schema": {} } })
    );
    assert_eq!((newest.get("temperature"), said.as_str()), (None, "temperature"));

    let (none, said) = told("claude-opus-4-7", json!({ "reasoning_effort": "none", "top_p": 0.5, "temperature": 1 }));
    assert_eq!((none.get("thinking"), none.get("top_p"), said.as_str()), (None, None, "top_p"));

    // With a budget, the last turn of tools has to begin with reasoning; with an effort it need not.
    let amid = json!({ "reasoning_effort": "low", "messages": [
        { "role": "user", "content": "Hi" },
        { "role": "assistant", "tool_calls": [{ "id": "c", "function": { "name": "f", "arguments": "{}" } }] },
        { "role": "tool", "tool_call_id": "c", "content": "1" },
    ] });
    assert_eq!(told("claude-sonnet-4-5", amid.clone()).1, "reasoning_effort");
    assert_eq!(told("claude-sonnet-4-6", amid).0["thinking"], json!({ "type": "adaptive" }));
}

#[test]
fn reasoning_that_claude_has_sealed_goes_back_to_claude() {
    let body = json!({ "model": "m", "messages": [
        { "role": "user", "content": "Hi" },
        { "role": "assistant", "content": "Ho", "thinking_blocks": [
            { "type": "thinking", "thinking": "hm", "signature": "sealed" }, { "type": "redacted_thinking", "data": "x" }] },
        { "role": "user", "content": "So?" },
    ] });
    let written = to(ModelProtocol::Anthropic, &body).unwrap();
    let expected =
        json!([{ "type": "thinking", "thinking": "hm", "signature": "sealed" }, { "type": "text", "text": "Ho" }]);
    assert_eq!(written["messages"][1]["content"], expected);
    let other = to(ModelProtocol::OpenaiResponses, &body).unwrap();
    assert!(!other.to_string().contains("hm"), "{other}");
}

#[test]
fn arguments_that_are_an_object_are_read() {
    let answer = json!({ "choices": [{ "index": 0, "finish_reason": "tool_calls", "matched_stop": 151_645, "message": {
        "role": "assistant", "content": null, "tool_calls": [
            { "id": "c", "type": "function", "function": { "name": "f", "arguments": { "a": [1.0, "x"] } } }] } }] });
    let read = super::read_answer(&answer.to_string()).unwrap();
    let arguments = r#"{"a":[1.0,"x"]}"#.to_owned();
    assert_eq!(read.parts, [Part::Call { id: "c".into(), name: "f".into(), arguments }]);
    assert_eq!(read.stop, Stop::Tools);
}
