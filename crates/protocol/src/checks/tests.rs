use serde_json::json;

use super::*;
use crate::endpoint::Endpoint;

const UPSTREAMS: [(Endpoint, ModelProtocol); 3] = [
    (Endpoint::Chat, ModelProtocol::OpenaiChat),
    (Endpoint::Responses, ModelProtocol::OpenaiResponses),
    (Endpoint::Messages, ModelProtocol::Anthropic),
];

/// An answer of this text, calls with these arguments and end, in each protocol.
fn answer(upstream: ModelProtocol, text: &str, arguments: Option<&str>, refused: bool) -> Value {
    let call = |arguments: &str| json!([{ "id": "c", "type": "function", "function": { "name": "f", "arguments": arguments } }]);
    match upstream.wire() {
        Protocol::Chat => {
            let refusal = refused.then_some("no");
            let message = json!({ "content": text, "refusal": refusal, "tool_calls": arguments.map(call) });
            json!({ "choices": [{ "message": message, "finish_reason": "stop" }] })
        }
        Protocol::Responses => {
            let kind = if refused { "refusal" } else { "output_text" };
            let said = json!({ "type": "message", "content": [{ "type": kind, "text": text, "refusal": "no" }] });
            let called =
                arguments.map(|a| json!({ "type": "function_call", "call_id": "c", "name": "f", "arguments": a }));
            let output: Vec<Value> = [Some(said), called].into_iter().flatten().collect();
            json!({ "status": "completed", "output": output })
        }
        Protocol::Messages => {
            let stop = if refused { "refusal" } else { "end_turn" };
            json!({ "content": [{ "type": "text", "text": text }], "stop_reason": stop })
        }
    }
}

/// A request for JSON of this schema, in the words of each protocol; without one, for text.
fn request(endpoint: Endpoint, schema: Option<Value>) -> Request {
    let mut body = json!({ "model": "auto", "max_tokens": 9 });
    body[endpoint.question()] = json!([{ "role": "user", "content": "x" }]);
    if let Some(schema) = schema {
        let (name, format) = match endpoint.protocol() {
            Protocol::Chat => {
                let schema = json!({ "name": "a", "schema": schema });
                ("response_format", json!({ "type": "json_schema", "json_schema": schema }))
            }
            Protocol::Responses => {
                ("text", json!({ "format": { "type": "json_schema", "name": "a", "schema": schema } }))
            }
            Protocol::Messages => ("output_config", json!({ "format": { "type": "json_schema", "schema": schema } })),
        };
        body[name] = format;
    }
    Request::parse(endpoint, body.to_string().into()).unwrap()
}

fn whole(upstream: ModelProtocol, answer: &Value) -> Written {
    Written { upstream, streamed: false, pieces: vec![answer.to_string().into()] }
}

#[test]
fn every_protocols_answers_are_checked() {
    for (endpoint, upstream) in UPSTREAMS {
        let text = Wanted::of(&request(endpoint, None));
        let of = |wanted: &Wanted, text: &str, arguments: Option<&str>, refused| {
            failed(&Check::ALL, wanted, &whole(upstream, &answer(upstream, text, arguments, refused))).unwrap()
        };
        assert_eq!(of(&text, "hello", None, false), [], "{endpoint:?}");
        assert_eq!(of(&text, " \n", None, false), [Check::Empty], "{endpoint:?}");
        assert!(of(&text, "", None, true).contains(&Check::Refusal), "{endpoint:?}");
        // Anthropic's arguments are JSON in any answer that can be read.
        if upstream != ModelProtocol::Anthropic {
            assert_eq!(of(&text, "", Some("{\"a\":1}"), false), [], "{endpoint:?}");
            assert_eq!(of(&text, "", Some("{\"a\":"), false), [Check::Tools], "{endpoint:?}");
        }
        let schema = json!({ "type": "object", "required": ["a"], "properties": { "a": { "type": "integer" } } });
        let wanted = Wanted::of(&request(endpoint, Some(schema)));
        assert_eq!(of(&wanted, "{\"a\":1}", None, false), [], "{endpoint:?}");
        for broken in ["{\"a\":\"1\"}", "{}", "Here it is: {\"a\":1}", "```json\n{\"a\":1}\n```"] {
            assert_eq!(of(&wanted, broken, None, false), [Check::Format], "{endpoint:?} {broken}");
        }
        assert_eq!(
            failed(&[Check::Empty], &wanted, &whole(upstream, &answer(upstream, "{}", None, false))),
            Some(vec![])
        );
        assert_eq!(failed(&Check::ALL, &wanted, &whole(upstream, &json!([]))), None, "what cannot be read");
    }
}

#[test]
fn a_stream_is_put_together_whatever_pieces_it_comes_in() {
    let chunk = |delta: Value, finish: Option<&str>| {
        format!("data: {}\n\n", json!({ "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }] }))
    };
    let text = |text: &str| chunk(json!({ "content": text }), None);
    let call = |arguments: &str| {
        let function = json!({ "name": "f", "arguments": arguments });
        chunk(json!({ "tool_calls": [{ "index": 0, "id": "c", "type": "function", "function": function }] }), None)
    };
    let ended = chunk(json!({}), Some("stop")) + "data: [DONE]\n\n";
    let json = Wanted { protocol: Protocol::Chat, format: Some(r#"{"type":"json_object"}"#.to_owned()) };
    for (stream, expected) in [
        (text("{\"a\"") + &text(":1}") + &ended, vec![]),
        (text("{\"a\"") + &text(":1") + &ended, vec![Check::Format]),
        (ended.clone(), vec![Check::Empty, Check::Format]),
        (call("{\"a\":1}") + &ended, vec![]),
        (call("{\"a\":") + &ended, vec![Check::Tools]),
        (
            text("[]") + &chunk(json!({}), Some("content_filter")) + "data: [DONE]\n\n",
            vec![Check::Refusal, Check::Format],
        ),
    ] {
        for size in [1, 7, stream.len()] {
            let pieces = stream.as_bytes().chunks(size).map(Bytes::copy_from_slice).collect();
            let written = Written { upstream: ModelProtocol::OpenaiChat, streamed: true, pieces };
            assert_eq!(failed(&Check::ALL, &json, &written), Some(expected.clone()), "{stream}");
        }
    }
    let wrong = Written { upstream: ModelProtocol::OpenaiChat, streamed: true, pieces: vec!["data: {\n\n".into()] };
    assert_eq!(failed(&Check::ALL, &json, &wrong), None);
}
