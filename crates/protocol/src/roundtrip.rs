//! What a writer wrote, the reader of the same protocol reads again.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::json;

use crate::endpoint::ModelProtocol;
use crate::endpoint::Protocol;
use crate::form::{Choice, CommonAnswer, CommonRequest, Envelope, Format, Part, Role, Source, Stop, Tool, Turn};
use crate::forms::{read_request, write_request};
use crate::testing::model;
use crate::usage::Usage;
use crate::{chat, messages, responses};

const UPSTREAMS: [ModelProtocol; 3] =
    [ModelProtocol::OpenaiChat, ModelProtocol::OpenaiResponses, ModelProtocol::Anthropic];

fn text() -> impl Strategy<Value = String> {
    "[ -~\u{e9}\u{1f600}\n]{1,16}"
}

fn source() -> impl Strategy<Value = Source> {
    prop_oneof![
        "[a-z]{1,8}".prop_map(|path| Source::Url(format!("https://h/{path}"))),
        "[A-Za-z0-9+/]{4,12}".prop_map(|base64| Source::Data { media: "image/png".into(), base64 }),
    ]
}

/// A question, what the model did, what its tools said.
fn exchange() -> impl Strategy<Value = Vec<Vec<Part>>> {
    let question = (text(), option::of(source())).prop_map(|(text, image)| {
        let mut parts = vec![Part::Text(text)];
        parts.extend(image.map(Part::Image));
        parts
    });
    (question, option::of(text()), vec(("[a-z]{1,6}", text(), text()), 0..3)).prop_map(|(question, said, calls)| {
        let mut answer: Vec<Part> = said.map(Part::Text).into_iter().collect();
        let mut results = Vec::new();
        for (index, (name, argument, result)) in calls.into_iter().enumerate() {
            let id = format!("call_{index}");
            let arguments = json!({ "x": argument }).to_string();
            answer.push(Part::Call { id: id.clone(), name, arguments });
            results.push(Part::Result { id, parts: vec![Part::Text(result)], failed: false });
        }
        if answer.is_empty() {
            answer.push(Part::Text("ok".into()));
        }
        vec![question, answer, results]
    })
}

fn request() -> impl Strategy<Value = CommonRequest> {
    let tool = ("[a-z]{1,8}", option::of(text())).prop_map(|(name, description)| Tool {
        name,
        description,
        schema: Some("{\"z\":1.0,\"a\":{}}".into()),
        strict: Some(true),
        cache: None,
        origin: None,
    });
    let choice = prop_oneof![Just(Choice::Auto), Just(Choice::Required), Just(Choice::Named(String::new()))];
    let format = Just(Format::Schema {
        name: Some("answer".into()),
        description: None,
        schema: "{}".into(),
        strict: Some(true),
    });
    let turns = (option::of(text()), vec(exchange(), 0..3), text());
    (turns, vec(tool, 1..3), option::of(choice), option::of(format), option::of(text()), 1u64..9_999, any::<bool>())
        .prop_map(|((system, exchanges, last), tools, choice, format, user, limit, stream)| {
            let mut request = CommonRequest::new(Protocol::Chat);
            let mut say = |role, parts: Vec<Part>| {
                if !parts.is_empty() {
                    request.turns.push(Turn::new(role, parts, ""));
                }
            };
            say(Role::System, system.map(Part::Text).into_iter().collect());
            for exchange in exchanges {
                for (role, parts) in [Role::User, Role::Assistant, Role::User].into_iter().zip(exchange) {
                    say(role, parts);
                }
            }
            say(Role::User, vec![Part::Text(last)]);
            // Only a tool that is offered can be named.
            let choice = choice.map(|choice| match choice {
                Choice::Named(_) => Choice::Named(tools[0].name.clone()),
                other => other,
            });
            CommonRequest {
                tools,
                parallel: choice.as_ref().map(|_| false),
                choice,
                format,
                user,
                max_tokens: Some(limit),
                temperature: Some("0.50".into()),
                stream,
                ..request
            }
        })
}

fn answer() -> impl Strategy<Value = CommonAnswer> {
    let calls = vec(("[a-z]{1,6}", text()), 0..3);
    let stop = prop_oneof![Just(Stop::End), Just(Stop::Length), Just(Stop::Filter)];
    (option::of(text()), option::of(text()), calls, stop, 0u64..99, 0u64..99).prop_map(
        |(thought, said, calls, stop, fresh, cached)| {
            let mut parts: Vec<Part> = thought.map(Part::reasoning).into_iter().collect();
            parts.extend(said.map(Part::Text));
            for (index, (name, argument)) in calls.iter().enumerate() {
                let arguments = json!({ "x": argument }).to_string();
                parts.push(Part::Call { id: format!("call_{index}"), name: name.clone(), arguments });
            }
            let usage =
                Usage { input_tokens: fresh + cached, cached_tokens: cached, output_tokens: fresh, ..Usage::default() };
            CommonAnswer {
                id: Some("ours".into()),
                model: Some("up".into()),
                parts,
                stop: stop.or_tools(!calls.is_empty()),
                usage: Some(usage),
            }
        },
    )
}

proptest! {
    #[test]
    fn requests(request in request()) {
        for upstream in UPSTREAMS {
            let (written, dropped) = write_request(&request, model(upstream)).unwrap();
            prop_assert!(dropped.is_empty(), "{:?}: {}", upstream, dropped);
            let mut read = read_request(upstream.wire(), &written).unwrap();
            read.origin = request.origin;
            for turn in &mut read.turns {
                turn.place.clear();
            }
            prop_assert_eq!(&read, &request, "{:?}: {}", upstream, written);
        }
    }

    #[test]
    fn answers(answer in answer()) {
        let envelope = Envelope { id: "ours".into(), ..Envelope::default() };
        let written = [
            chat::read_answer(&chat::write_answer(&answer, &envelope)),
            responses::read_answer(&responses::write_answer(&answer, &envelope)),
            messages::read_answer(&messages::write_answer(&answer, &envelope)),
        ];
        for read in written {
            prop_assert_eq!(read.unwrap(), answer.clone());
        }
    }

    #[test]
    fn arbitrary_bodies_never_panic(body in "[\\[\\]{}\":,a-z0-9 ]{0,60}") {
        for protocol in [Protocol::Chat, Protocol::Responses, Protocol::Messages] {
            let _ = read_request(protocol, &body);
        }
        let _ = (chat::read_answer(&body), responses::read_answer(&body), messages::read_answer(&body));
    }
}

#[test]
fn answers_of_all_kinds() {
    let refused =
        CommonAnswer { id: None, model: None, parts: vec![Part::Refusal("no".into())], stop: Stop::End, usage: None };
    let envelope = Envelope {
        id: "ours".into(),
        model: "m".into(),
        created: 7,
        echo: vec![("tools", "[1]".into())],
        ..Envelope::default()
    };
    let value = |text: String| -> serde_json::Value { serde_json::from_str(&text).unwrap() };
    let chat = value(chat::write_answer(&refused, &envelope));
    assert_eq!(chat["choices"][0]["message"], json!({ "role": "assistant", "content": null, "refusal": "no" }));
    assert_eq!(
        (&chat["model"], &chat["created"], &chat["choices"][0]["finish_reason"]),
        (&json!("m"), &json!(7), &json!("stop"))
    );
    let responses = value(responses::write_answer(&refused, &envelope));
    assert_eq!(responses["output"][0]["content"], json!([{ "type": "refusal", "refusal": "no" }]));
    assert_eq!(
        (&responses["status"], &responses["tools"], &responses["error"]),
        (&json!("completed"), &json!([1]), &json!(null))
    );
    let messages = value(messages::write_answer(&refused, &envelope));
    assert_eq!(
        (&messages["stop_reason"], &messages["content"]),
        (&json!("refusal"), &json!([{ "type": "text", "text": "no" }]))
    );

    let declined = messages::read_answer(r#"{"content":[],"stop_reason":"refusal"}"#).unwrap();
    assert_eq!(value(chat::write_answer(&declined, &envelope))["choices"][0]["finish_reason"], "content_filter");
    let responses = value(responses::write_answer(&declined, &envelope));
    assert_eq!(responses["incomplete_details"], json!({ "reason": "content_filter" }));

    let stopped =
        messages::read_answer(r#"{"content":[],"stop_reason":"stop_sequence","stop_sequence":"END"}"#).unwrap();
    assert_eq!(stopped.stop, Stop::Sequence(Some("END".into())));
    assert_eq!(value(chat::write_answer(&stopped, &envelope))["choices"][0]["finish_reason"], "stop");
    let vllm = r#"{"choices":[{"message":{"content":"x"},"finish_reason":"stop","stop_reason":"END"}]}"#;
    let messages = value(messages::write_answer(&chat::read_answer(vllm).unwrap(), &envelope));
    assert_eq!((&messages["stop_reason"], &messages["stop_sequence"]), (&json!("stop_sequence"), &json!("END")));

    let cached = r#"{"content":[],"usage":{"input_tokens":1,"cache_read_input_tokens":2,"cache_creation_input_tokens":4,"output_tokens":8}}"#;
    let cached = messages::read_answer(cached).unwrap();
    let usage = value(chat::write_answer(&cached, &envelope))["usage"].clone();
    assert_eq!((&usage["prompt_tokens"], &usage["prompt_tokens_details"]["cached_tokens"]), (&json!(7), &json!(2)));
    let usage = value(messages::write_answer(&cached, &envelope))["usage"].clone();
    assert_eq!((&usage["input_tokens"], &usage["cache_creation_input_tokens"]), (&json!(1), &json!(4)));
}
