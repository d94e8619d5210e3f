mod odd;

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::endpoint::Protocol;
use crate::form::Block;
use crate::relay::{End, Finish, Relay};
use crate::usage::Usage as Tokens;
use crate::{chat, messages, responses};

const ALL: [Protocol; 3] = [Protocol::Chat, Protocol::Responses, Protocol::Messages];

struct Priced;

impl Finish for Priced {
    fn cost(&self, usage: &Tokens) -> Option<f64> {
        Some(usage.output_tokens as f64 / 8.0)
    }

    fn metadata(&self, cost: Option<f64>) -> Option<Vec<u8>> {
        Some(format!("{{\"cost\":{}}}", cost.unwrap_or_default()).into_bytes())
    }
}

fn reader(protocol: Protocol) -> Box<dyn Reader> {
    match protocol {
        Protocol::Chat => Box::<chat::Reader>::default(),
        Protocol::Responses => Box::<responses::Reader>::default(),
        Protocol::Messages => Box::<messages::Reader>::default(),
    }
}

fn writer(protocol: Protocol) -> Box<dyn Writer> {
    match protocol {
        Protocol::Chat => Box::new(chat::Writer::new(true)),
        Protocol::Responses => Box::<responses::Writer>::default(),
        Protocol::Messages => Box::<messages::Writer>::default(),
    }
}

fn envelope() -> Envelope {
    Envelope { id: "ours".into(), model: "real".into(), created: 7, ..Envelope::default() }
}

fn run(from: Protocol, to: Protocol, pieces: &[&[u8]], end: End) -> (String, StreamSummary) {
    let mut relay = Box::new(Translator::new(reader(from), writer(to), envelope()));
    let mut out = Vec::new();
    for piece in pieces {
        relay.push(piece, &Priced, &mut out);
    }
    let summary = relay.finish(end, &Priced, &mut out);
    (String::from_utf8(out).unwrap(), summary)
}

/// The data of all events, `[DONE]` left out.
fn data(stream: &str) -> Vec<Value> {
    let lines = stream.lines().filter_map(|line| line.strip_prefix("data:"));
    lines.filter(|line| line.trim() != "[DONE]").map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Typed events carry their type twice.
fn typed(events: &[Value]) -> String {
    events.iter().map(|event| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap())).collect()
}

/// The same answer in each protocol: reasoning, text, two calls at once.
fn sample(protocol: Protocol) -> String {
    match protocol {
        Protocol::Chat => {
            let chunk = |delta: Value, finish: Value| {
                json!({ "id": "up-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt",
                    "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }] })
            };
            let call = |index: u64, more: Value| {
                let mut call = json!({ "index": index });
                call.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
                chunk(json!({ "tool_calls": [call] }), Value::Null)
            };
            let begin =
                |id: &str| json!({ "id": id, "type": "function", "function": { "name": "f", "arguments": "" } });
            let more = |text: &str| json!({ "function": { "arguments": text } });
            let usage = json!({ "id": "up-1", "model": "gpt", "choices": [], "usage": {
                "prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14,
                "prompt_tokens_details": { "cached_tokens": 3 }, "completion_tokens_details": { "reasoning_tokens": 2 } } });
            let events = [
                chunk(json!({ "role": "assistant", "content": "" }), Value::Null),
                chunk(json!({ "reasoning_content": "h\u{e9}" }), Value::Null),
                chunk(json!({ "reasoning_content": "m" }), Value::Null),
                chunk(json!({ "content": "I \"see\"\n" }), Value::Null),
                chunk(json!({ "content": "." }), Value::Null),
                call(0, begin("c1")),
                call(0, more("{\"a\":")),
                call(1, begin("c2")),
                call(1, more("{}")),
                call(0, more("1}")),
                chunk(json!({}), json!("tool_calls")),
                usage,
            ];
            let events: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
            format!(": open\n\n{events}data: [DONE]\n\n")
        }
        Protocol::Messages => {
            let delta =
                |index: u64, delta: Value| json!({ "type": "content_block_delta", "index": index, "delta": delta });
            let start = |index: u64, block: Value| json!({ "type": "content_block_start", "index": index, "content_block": block });
            let stop = |index: u64| json!({ "type": "content_block_stop", "index": index });
            let call = |id: &str| json!({ "type": "tool_use", "id": id, "name": "f", "input": {} });
            let input = |text: &str| json!({ "type": "input_json_delta", "partial_json": text });
            typed(&[
                json!({ "type": "message_start", "message": { "id": "up-1", "type": "message", "role": "assistant", "model": "gpt",
                    "content": [], "stop_reason": null, "stop_sequence": null,
                    "usage": { "input_tokens": 7, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 0, "output_tokens": 1 } } }),
                start(0, json!({ "type": "thinking", "thinking": "", "signature": "" })),
                json!({ "type": "ping" }),
                delta(0, json!({ "type": "thinking_delta", "thinking": "h\u{e9}" })),
                delta(0, json!({ "type": "thinking_delta", "thinking": "m" })),
                delta(0, json!({ "type": "signature_delta", "signature": "s" })),
                stop(0),
                start(1, json!({ "type": "text", "text": "" })),
                delta(1, json!({ "type": "text_delta", "text": "I \"see\"\n" })),
                delta(1, json!({ "type": "text_delta", "text": "." })),
                stop(1),
                start(2, call("c1")),
                delta(2, input("{\"a\":")),
                delta(2, input("1}")),
                stop(2),
                start(3, call("c2")),
                delta(3, input("{}")),
                stop(3),
                json!({ "type": "message_delta", "delta": { "stop_reason": "tool_use", "stop_sequence": null }, "usage": { "output_tokens": 4 } }),
                json!({ "type": "message_stop" }),
            ])
        }
        Protocol::Responses => {
            let call = |index: u64, id: &str| {
                json!({ "type": "response.output_item.added", "output_index": index,
                    "item": { "type": "function_call", "id": "fc", "call_id": id, "name": "f", "arguments": "" } })
            };
            let input = |index: u64, text: &str| json!({ "type": "response.function_call_arguments.delta", "output_index": index, "delta": text });
            let text = |kind: &str, text: &str| json!({ "type": kind, "output_index": 0, "delta": text });
            typed(&[
                json!({ "type": "response.created", "response": { "id": "up-1", "model": "gpt", "status": "in_progress", "usage": null } }),
                json!({ "type": "response.output_item.added", "output_index": 0, "item": { "type": "reasoning", "summary": [] } }),
                json!({ "type": "response.reasoning_summary_part.added", "summary_index": 0 }),
                text("response.reasoning_summary_text.delta", "h\u{e9}"),
                text("response.reasoning_summary_text.delta", "m"),
                text("response.output_text.delta", "I \"see\"\n"),
                text("response.output_text.delta", "."),
                call(2, "c1"),
                input(2, "{\"a\":"),
                input(2, "1}"),
                json!({ "type": "response.function_call_arguments.done", "output_index": 2, "arguments": "{\"a\":1}" }),
                call(3, "c2"),
                json!({ "type": "response.function_call_arguments.done", "output_index": 3, "arguments": "{}" }),
                json!({ "type": "response.completed", "response": { "id": "up-1", "model": "gpt", "status": "completed",
                    "usage": { "input_tokens": 10, "input_tokens_details": { "cached_tokens": 3 }, "output_tokens": 4,
                               "output_tokens_details": { "reasoning_tokens": 2 } } } }),
            ])
        }
    }
}

/// What a stream says, block by block.
fn said(protocol: Protocol, stream: &str) -> (Vec<(Block, String)>, Option<Stop>, Option<Usage>) {
    let (mut reader, mut events) = (reader(protocol), Vec::new());
    for event in data(stream) {
        if let Step::Failed(fault) = reader.event(&event.to_string(), &mut events).unwrap() {
            panic!("{fault:?} in {stream}");
        }
    }
    assert!(reader.whole(), "{stream}");
    reader.close(&mut events);
    let (mut blocks, mut stop, mut usage): (Vec<(Block, String)>, _, _) = (Vec::new(), None, None);
    for event in events {
        match event {
            Event::Open(block) => blocks.push((block, String::new())),
            Event::Delta(text) => blocks.last_mut().unwrap().1.push_str(&text),
            // Our own cost in what we wrote reads as a provider's.
            Event::Usage(new) => usage = Some(Usage { told_nano_usd: None, ..new }),
            Event::Stop(new) => stop = Some(new),
            Event::Start { .. } | Event::Close => {}
        }
    }
    (blocks, stop, usage)
}

fn call(id: &str) -> Block {
    Block::Call { id: id.into(), name: "f".into() }
}

#[test]
fn every_pair_says_the_same() {
    for from in ALL {
        for to in ALL {
            let (out, summary) = run(from, to, &[sample(from).as_bytes()], End::Eof);
            let (blocks, stop, usage) = said(to, &out);
            let expected = [
                (Block::Reasoning, "h\u{e9}m".to_owned()),
                (Block::Text, "I \"see\"\n.".to_owned()),
                (call("c1"), "{\"a\":1}".to_owned()),
                (call("c2"), "{}".to_owned()),
            ];
            assert_eq!(blocks, expected, "{from:?} to {to:?}: {out}");
            assert_eq!(stop, Some(Stop::Tools), "{from:?} to {to:?}");
            let tokens = Tokens { input_tokens: 10, cached_tokens: 3, output_tokens: 4, ..Tokens::default() };
            let reasoning = |named: bool| Tokens { reasoning_tokens: if named { 2 } else { 0 }, ..tokens };
            let [reads, writes] = [from, to].map(|protocol| protocol != Protocol::Messages);
            assert_eq!(usage, Some(reasoning(reads && writes)), "{from:?} to {to:?}");
            assert!(summary.complete && summary.error.is_none(), "{summary:?}");
            assert_eq!((summary.usage, summary.upstream_id.as_deref()), (Some(reasoning(reads)), Some("up-1")));
            assert_eq!(out.matches("\"cost\":0.5").count(), 2, "in usage and in the metadata: {out}");
            assert!(!out.contains("up-1") && out.contains("\"ours\""), "{out}");
        }
    }
}

#[test]
fn cuts_between_pieces_change_nothing() {
    for from in ALL {
        for to in ALL {
            let stream = sample(from);
            let whole = run(from, to, &[stream.as_bytes()], End::Eof).0;
            for at in 0..=stream.len() {
                let (first, second) = stream.as_bytes().split_at(at);
                assert_eq!(run(from, to, &[first, second], End::Eof).0, whole, "{from:?} to {to:?} at {at}");
            }
            let bytes: Vec<&[u8]> = stream.as_bytes().chunks(1).collect();
            assert_eq!(run(from, to, &bytes, End::Eof).0, whole);
            let crlf = stream.replace('\n', "\r\n");
            let comment = |text: &str| text.replace("\r\n", "\n");
            assert_eq!(comment(&run(from, to, &[crlf.as_bytes()], End::Eof).0), whole);
        }
    }
}

#[test]
fn length_is_no_obstacle() {
    let (events, huge) = (100_000, "\u{e9}\\n".repeat(2_500_000));
    let chunk = |text: &str| {
        format!("data: {{\"id\":\"x\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n")
    };
    let end = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    for to in [Protocol::Responses, Protocol::Messages] {
        let (out, _) = run(Protocol::Chat, to, &[format!("{}{end}", chunk(&huge)).as_bytes()], End::Eof);
        assert_eq!(said(to, &out).0, [(Block::Text, huge.replace("\\n", "\n"))]);
        let (piece, end) = (chunk("a"), end.to_owned());
        let mut pieces = vec![piece.as_bytes(); events];
        pieces.push(end.as_bytes());
        let (out, _) = run(Protocol::Chat, to, &pieces, End::Eof);
        assert_eq!(said(to, &out).0, [(Block::Text, "a".repeat(events))]);
    }
}

/// Where a client of the protocol sees the end of a whole answer.
fn ends_well(protocol: Protocol, out: &str) -> bool {
    match protocol {
        Protocol::Chat => out.contains("[DONE]") || out.contains("\"finish_reason\":\""),
        Protocol::Messages => out.contains("message_stop") || out.contains("\"stop_reason\":\""),
        Protocol::Responses => out.contains("response.completed") || out.contains("response.incomplete"),
    }
}

#[test]
fn a_stream_cut_anywhere_never_looks_finished() {
    for from in ALL {
        let stream = sample(from);
        // Chat streams are whole with their finish, whatever comes after.
        let until = match from {
            Protocol::Chat => stream.find("\"finish_reason\":\"tool_calls\"").unwrap(),
            Protocol::Messages => stream.find("event: message_stop").unwrap() + 25,
            Protocol::Responses => stream.find("event: response.completed").unwrap() + 30,
        };
        for to in ALL {
            for at in 0..until {
                for error in [None, Some("reset")] {
                    let end = error.map_or(End::Eof, |error| End::Error(error.to_owned()));
                    let (out, summary) = run(from, to, &[&stream.as_bytes()[..at]], end);
                    assert!(!ends_well(to, &out), "{from:?} to {to:?} at {at}: {out}");
                    let last = data(&out).pop().unwrap();
                    let fault = Fault::read(last.to_string().as_bytes()).unwrap();
                    assert_eq!(fault.message.contains("reset"), error.is_some(), "{fault:?}");
                    assert!(!summary.complete && summary.error.is_some(), "{summary:?}");
                }
            }
        }
    }
}

#[test]
fn errors_of_the_upstream_come_in_the_clients_shape() {
    for from in ALL {
        let error = match from {
            Protocol::Chat => {
                r#"data: {"error":{"message":"busy","type":"server_error","param":null,"code":"overloaded"}}"#
            }
            Protocol::Messages => {
                "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}"
            }
            Protocol::Responses => {
                "event: response.failed\ndata: {\"type\":\"response.failed\",\"response\":{\"error\":{\"code\":\"server_error\",\"message\":\"busy\"}}}"
            }
        };
        let stream = sample(from);
        let cut = stream.len() / 3;
        let until = cut + stream[cut..].find("\n\n").unwrap() + 2;
        for to in ALL {
            let text = format!("{}{error}\n\n{}", &stream[..until], &stream[until..]);
            let (out, summary) = run(from, to, &[text.as_bytes()], End::Eof);
            let last = data(&out).pop().unwrap();
            assert_eq!(Fault::read(last.to_string().as_bytes()).unwrap().message, "busy", "{from:?} to {to:?}");
            if to == Protocol::Messages {
                assert_eq!(last["type"], "error");
                let kind = if from == Protocol::Messages { "overloaded_error" } else { "api_error" };
                assert_eq!(last["error"]["type"], kind);
            }
            assert!(!ends_well(to, &out) && !summary.complete, "{out}");
            assert_eq!(summary.error.as_deref(), Some("the upstream reported an error: busy"));
        }
    }
}

#[test]
fn garbage_is_an_error() {
    for from in ALL {
        for to in ALL {
            for garbage in ["data: {\"choices\": [{\"del\n\n", "data: <html>\n\n", "data: {\"type\":7}\n\n"] {
                let stream = sample(from);
                let until = stream.find("\n\n").unwrap() + 2;
                let text = format!("{}{garbage}", &stream[..until]);
                let (out, summary) = run(from, to, &[text.as_bytes()], End::Eof);
                assert!(!ends_well(to, &out) && !summary.complete, "{from:?} to {to:?}: {out}");
            }
        }
    }
}

fn block() -> impl Strategy<Value = (Block, String)> {
    let text = "[ -~\u{e9}\n\"\\\\]{1,12}";
    prop_oneof![
        text.prop_map(|text| (Block::Text, text)),
        text.prop_map(|text| (Block::Reasoning, text)),
        ("[a-z0-9]{4,9}", "[a-z]{1,5}", "[a-z\"]{0,5}")
            .prop_map(|(id, name, value)| { (Block::Call { id, name }, json!({ "x": value }).to_string()) }),
    ]
}

proptest! {
    /// What a writer wrote, the reader of the same protocol reads again.
    #[test]
    fn written_streams_read_the_same(blocks in vec(block(), 0..6), cut in 1usize..4, stop in 0usize..3, output in 0u64..9) {
        // Two blocks of one kind on end are one; calls have ids of their own.
        let mut expected: Vec<(Block, String)> = Vec::new();
        for (index, (block, text)) in blocks.into_iter().enumerate() {
            match (expected.last_mut(), block) {
                (Some((last, so_far)), block @ (Block::Text | Block::Reasoning)) if *last == block => so_far.push_str(&text),
                (_, Block::Call { id, name }) => expected.push((Block::Call { id: format!("{id}{index}"), name }, text)),
                (_, block) => expected.push((block, text)),
            }
        }
        let any_calls = expected.iter().any(|(block, _)| matches!(block, Block::Call { .. }));
        let stop = [Stop::End, Stop::Length, Stop::Filter][stop].clone().or_tools(any_calls);
        let usage = Usage { input_tokens: 9, cached_tokens: 2, output_tokens: output, ..Usage::default() };
        for protocol in ALL {
            let (mut writer, mut out) = (writer(protocol), String::new());
            let mut write = |event: Event| writer.event(&event, &envelope(), &mut out);
            write(Event::Start { id: Some("up".into()), model: None });
            for (block, text) in &expected {
                write(Event::Open(block.clone()));
                let at = text.char_indices().nth(cut).map_or(text.len(), |(at, _)| at);
                for piece in [&text[..at], &text[at..]].into_iter().filter(|piece| !piece.is_empty()) {
                    write(Event::Delta(piece.to_owned()));
                }
                write(Event::Close);
            }
            let last = Last { stop: &stop, usage: Some(&usage), cost: Some(1.0), metadata: None };
            writer.end(&last, &envelope(), &mut out);
            let (blocks, found, read) = said(protocol, &out);
            prop_assert_eq!(&blocks, &expected, "{:?}: {}", protocol, out);
            prop_assert_eq!(found, Some(stop.clone()), "{:?}", protocol);
            prop_assert_eq!(read, Some(usage), "{:?}", protocol);
        }
    }

    #[test]
    fn arbitrary_events_never_panic(texts in vec("[ -~\n]{0,40}", 0..8), from in 0usize..3, to in 0usize..3) {
        let stream: String = texts.iter().map(|text| format!("data: {text}\n\n")).collect();
        let (out, summary) = run(ALL[from], ALL[to], &[stream.as_bytes()], End::Eof);
        prop_assert!(summary.complete || !ends_well(ALL[to], &out));
    }
}
