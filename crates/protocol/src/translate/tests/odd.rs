//! Streams that are not as the protocol has them, and are understood all the same.

use serde_json::{Value, json};

use super::{ALL, call, data, run, said, sample};
use crate::endpoint::Protocol;
use crate::form::{Block, Stop};
use crate::relay::End;

#[test]
fn a_stream_without_a_beginning_gets_one() {
    let bare = [
        (
            Protocol::Chat,
            "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}\n\n",
        ),
        (
            Protocol::Responses,
            "data: {\"type\":\"response.output_text.delta\",\"delta\":\"a\"}\n\ndata: {\"type\":\"response.completed\",\"response\":{}}\n\n",
        ),
        (
            Protocol::Messages,
            "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"a\"}}\n\ndata: {\"type\":\"message_stop\"}\n\n",
        ),
    ];
    for (from, stream) in bare {
        for to in ALL {
            for stream in [
                stream.to_owned(),
                format!("{}{}", sample(from).split_inclusive("\n\n").take(2).collect::<String>(), stream),
            ] {
                let (out, summary) = run(from, to, &[stream.as_bytes()], End::Eof);
                let (blocks, ..) = said(to, &out);
                assert_eq!(blocks.last(), Some(&(Block::Text, "a".to_owned())), "{from:?} to {to:?}: {out}");
                let first = ["\"role\":\"assistant\",\"content\":null", "response.created\n", "message_start\n"];
                assert_eq!(first.iter().map(|word| out.matches(word).count()).sum::<usize>(), 1, "{out}");
                assert!(summary.complete);
            }
        }
    }
}

/// Every shape in which servers send calls.
#[test]
fn calls_of_all_kinds_of_servers_are_told_apart() {
    let chunk = |calls: Value| {
        format!("data: {}\n\n", json!({ "id": "x", "choices": [{ "index": 0, "delta": { "tool_calls": calls } }] }))
    };
    let end = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    let whole = |index: Option<u64>, id: &str, arguments: &str| json!([{ "index": index, "id": id, "function": { "name": "f", "arguments": arguments } }]);
    for (name, chunks) in [
        ("whole, without an index", vec![whole(None, "a", "{\"x\":1}"), whole(None, "b", "{}")]),
        ("whole, with the same index", vec![whole(Some(0), "a", "{\"x\":1}"), whole(Some(0), "b", "{}")]),
        (
            "the name repeated",
            vec![whole(Some(0), "a", "{\"x\""), whole(Some(0), "a", ":1}"), whole(Some(1), "b", "{}")],
        ),
        (
            "pieces without an index",
            vec![
                whole(None, "a", ""),
                json!([{ "function": { "arguments": "{\"x\"" } }]),
                json!([{ "function": { "arguments": ":1}" } }]),
                whole(None, "b", "{}"),
            ],
        ),
    ] {
        let text: String = chunks.into_iter().map(chunk).collect();
        let (out, _) = run(Protocol::Chat, Protocol::Messages, &[format!("{text}{end}").as_bytes()], End::Eof);
        let (blocks, stop, _) = said(Protocol::Messages, &out);
        assert_eq!(blocks, [(call("a"), "{\"x\":1}".to_owned()), (call("b"), "{}".to_owned())], "{name}: {out}");
        assert_eq!(stop, Some(Stop::Tools), "calls were made, whatever the server says: {name}");
    }
}

/// Calls as servers send them that are not OpenAI's: without an index, with arguments as an object, with the id of a token as the reason to stop.
#[test]
fn odd_calls_of_a_chat_stream_are_read() {
    let chunk = |delta: Value, finish: Value| json!({ "id": "x", "choices": [{ "delta": delta, "finish_reason": finish, "matched_stop": 151_645, "stop_reason": 151_645 }] });
    let begin = |id: &str, arguments: Value| json!({ "tool_calls": [{ "id": id, "type": "function", "function": { "name": "f", "arguments": arguments } }] });
    let stream: String = [
        chunk(json!({ "role": "assistant", "content": null }), Value::Null),
        chunk(begin("c1", json!({ "a": 1 })), Value::Null),
        chunk(begin("c2", json!("{\"b\":")), Value::Null),
        chunk(json!({ "tool_calls": [{ "function": { "arguments": "2}" } }] }), Value::Null),
        chunk(begin("c3", Value::Null), json!("tool_calls")),
    ]
    .iter()
    .map(|event| format!("data: {event}\n\n"))
    .collect();
    for to in ALL {
        let (out, summary) = run(Protocol::Chat, to, &[stream.as_bytes(), b"data: [DONE]\n\n"], End::Eof);
        let (blocks, stop, _) = said(to, &out);
        let expected = [("c1", "{\"a\":1}"), ("c2", "{\"b\":2}"), ("c3", "")];
        assert_eq!(blocks, expected.map(|(id, arguments)| (call(id), arguments.to_owned())), "{to:?}: {out}");
        assert_eq!((stop, summary.error), (Some(Stop::Tools), None), "{to:?}");
    }
}

/// An empty text would become an empty part in clients that make one of every text.
#[test]
fn a_chat_stream_of_calls_alone_has_no_text() {
    for from in [Protocol::Messages, Protocol::Responses] {
        let out = run(from, Protocol::Chat, &[sample(from).as_bytes()], End::Eof).0;
        assert_eq!(
            data(&out)[0]["choices"][0]["delta"],
            json!({ "role": "assistant", "content": null, "refusal": null })
        );
    }
}
