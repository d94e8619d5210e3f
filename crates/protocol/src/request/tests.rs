use bytes::Buf;

use super::*;
use crate::endpoint::ModelProtocol;
use crate::testing::model;

fn parse(body: &str) -> Result<Request, RequestError> {
    Request::parse(Endpoint::Chat, Bytes::copy_from_slice(body.as_bytes()))
}

fn messages(request: &Request) -> String {
    request.outline().messages.into_owned()
}

fn upstream(body: &str) -> String {
    passed(&parse(body).unwrap(), "gpt \"x\"")
}

#[test]
fn reads_what_routing_needs() {
    let request = parse(
        r#"{"tools": [ {"type":"function"} ],"stream":true,"model":"auto:\u0063hat","messages" : [{"role":"user"}],
        "stream_options":{"include_usage":true},"seed":1.0}"#,
    )
    .unwrap();
    assert_eq!(request.model(), "auto:chat");
    assert_eq!(messages(&request), r#"[{"role":"user"}]"#);
    assert_eq!(request.outline().tools, Some(r#"[ {"type":"function"} ]"#));
    assert!(request.stream() && request.include_usage());
}

#[test]
fn null_is_as_left_out() {
    let request = parse(r#"{"model":"m","messages":[1],"stream":null,"tools":null,"stream_options":null}"#).unwrap();
    assert_eq!((request.stream(), request.include_usage(), request.outline().tools), (false, false, None));
}

#[test]
fn changes_only_the_model() {
    let body =
        "{ \"messages\":[ 1.0 ],\"model\" : \"auto\",\n\t\"temperature\": 1e0,\"x\":\"\\u00e9\", \"stream\":false }\n";
    assert_eq!(upstream(body), body.replace("\"auto\"", r#""gpt \"x\"""#));
}

#[test]
fn asks_streams_for_their_usage() {
    let base = r#"{"model":"m","messages":[1],"stream":true"#;
    let with = r#"{"model":"gpt \"x\"","messages":[1],"stream":true,"stream_options":"#;
    assert_eq!(upstream(&format!("{base}}}")), format!(r#"{with}{{"include_usage":true}}}}"#));
    for (options, expected) in [
        ("null", r#"{"include_usage":true}"#),
        ("{ }", r#"{"include_usage":true }"#),
        (r#"{"include_usage": false, "a":1.0}"#, r#"{"include_usage": true, "a":1.0}"#),
        (r#"{"a" :[1]}"#, r#"{"a" :[1],"include_usage":true}"#),
    ] {
        let body = format!(r#"{base},"stream_options":{options} }}"#);
        assert_eq!(upstream(&body), format!("{with}{expected} }}"));
    }
}

#[test]
fn what_one_server_reads_otherwise_than_another_is_refused() {
    for (twice, name) in [
        (r#""model":"a""#, "model"),
        (r#""m\u006fdel":"a""#, "model"),
        (r#""Model":"a""#, "Model"),
        (r#""messages":[2]"#, "messages"),
        (r#""me\u017f\u017fages":[2]"#, "me\u{17f}\u{17f}ages"),
        (r#""max_tokens":1,"max_tokens":100000"#, "max_tokens"),
        (r#""max_to\u212aens":100000,"max_tokens":1"#, "max_tokens"),
        (r#""x":1,"x":1"#, "x"),
    ] {
        let error = parse(&format!(r#"{{"model":"m","messages":[1],{twice}}}"#)).unwrap_err();
        assert_eq!(error, RequestError::Ambiguous(name.to_owned()), "{twice}");
        assert_eq!(error.code(), "duplicate_member");
    }
    assert!(parse(r#"{"model":"m","messages":[{"a":1,"a":1}],"max_tokens":1,"max_tokens_":1,"M":1,"n":1}"#).is_ok());
}

#[test]
fn a_member_that_counts_is_read_in_one_case_only() {
    for (sent, meant) in [
        ("Stream", "stream"),
        ("stream_Options", "stream_options"),
        ("MAX_TOKENS", "max_tokens"),
        ("max_to\u{212a}ens", "max_tokens"),
        ("Input", "input"),
    ] {
        let body = format!(r#"{{"model":"m","{meant}x":1,"input":"q","messages":[{{}}],"{sent}":null}}"#);
        let endpoint = if meant == "input" { Endpoint::Embeddings } else { Endpoint::Chat };
        let body = if meant == "input" { body.replace(r#""input":"q","#, "") } else { body };
        let error = Request::parse(endpoint, body.into()).unwrap_err();
        assert_eq!(error, RequestError::Miscased { sent: sent.to_owned(), meant }, "{sent}");
        assert_eq!((error.param(), error.code()), (meant, "miscased_member"));
    }
}

#[test]
fn members_are_few() {
    let body = |count: usize| {
        let more: String = (0..count).map(|n| format!(",\"x{n}\":1")).collect();
        format!(r#"{{"model":"m","messages":[1]{more}}}"#)
    };
    assert!(parse(&body(MOST_MEMBERS - 2)).is_ok());
    let error = parse(&body(MOST_MEMBERS - 1)).unwrap_err();
    assert_eq!((error.code(), error.to_string().as_str()), ("too_many_members", "the body has more than 256 members"));
}

#[test]
fn what_is_looked_at_takes_room_by_its_values_and_by_who_is_asked() {
    let body = format!(r#"{{"model":"m","messages":[{}1]}}"#, "{},".repeat(1_000));
    let bytes = |endpoint, translated| Request::parse(endpoint, body.clone().into()).unwrap().working_bytes(translated);
    let values = 1_003 * BYTES_PER_VALUE;
    assert_eq!(bytes(Endpoint::Chat, false), values);
    assert_eq!(bytes(Endpoint::Chat, true), 2 * body.len() + values);
    assert_eq!(bytes(Endpoint::Messages, false), 2 * body.len() + values);
}

#[test]
fn a_long_body_is_not_copied() {
    let body = format!(r#"{{"model":"a","messages":["{}"],"stream":true}}"#, "x".repeat(1 << 20));
    let request = parse(&body).unwrap();
    let mut sent = request.upstream_body(Upstream { model: "m", ..model(ModelProtocol::OpenaiChat) }).unwrap().0;
    let mut shared = 0;
    while sent.has_remaining() {
        let piece = sent.chunk();
        shared += if request.body.as_bytes().as_ptr_range().contains(&piece.as_ptr()) { piece.len() } else { 0 };
        sent.advance(piece.len());
    }
    assert!((body.len() - 100..body.len()).contains(&shared), "{shared} of {}", body.len());
    assert_eq!(
        passed(&request, "m"),
        body.replace("\"a\"", "\"m\"").replace("true}", "true,\"stream_options\":{\"include_usage\":true}}")
    );
}

#[test]
fn faults_are_named() {
    let cases = [
        ("[]", "", "invalid_type", "the body must be a JSON object"),
        ("", "", "invalid_json", "the body is not JSON: it ends too early at byte 0 (line 1, column 1)"),
        ("{}", "model", "missing_required_parameter", "`model` is missing"),
        (r#"{"model":7}"#, "model", "invalid_type", "`model` must be a string"),
        (r#"{"model":null}"#, "model", "invalid_type", "`model` must be a string"),
        (r#"{"model":"m"}"#, "messages", "missing_required_parameter", "`messages` is missing"),
        (r#"{"model":"m","messages":{}}"#, "messages", "invalid_type", "`messages` must be an array"),
        (r#"{"model":"m","messages":[ ]}"#, "messages", "empty_array", "`messages` must not be empty"),
        (r#"{"model":"m","messages":[1],"stream":1}"#, "stream", "invalid_type", "`stream` must be a boolean"),
        (
            r#"{"model":"m","messages":[1],"stream":true,"stream_options":[]}"#,
            "stream_options",
            "invalid_type",
            "`stream_options` must be an object",
        ),
        (
            "{\"model\": \"m\",\n \"messages\": [}",
            "",
            "invalid_json",
            "the body is not JSON: expected a value at byte 29 (line 2, column 15)",
        ),
    ];
    for (body, param, code, message) in cases {
        let error = parse(body).unwrap_err();
        assert_eq!((error.param(), error.code(), error.to_string().as_str()), (param, code, message), "{body}");
    }
    let error = Request::parse(Endpoint::Chat, Bytes::from_static(b"{\"model\":\"\xff\"}")).unwrap_err();
    assert_eq!(error.to_string(), "the body is not JSON: bytes that are not UTF-8 at byte 10 (line 1, column 11)");
}

/// A protocol to which requests of this endpoint pass.
fn native(endpoint: Endpoint) -> ModelProtocol {
    match endpoint.protocol() {
        Protocol::Chat => ModelProtocol::OpenaiChat,
        Protocol::Responses => ModelProtocol::OpenaiResponses,
        Protocol::Messages => ModelProtocol::Anthropic,
    }
}

fn passed(request: &Request, name: &str) -> String {
    let upstream = Upstream { model: name, ..model(native(request.endpoint())) };
    text(request.upstream_body(upstream).unwrap().0)
}

fn text(body: Pieces) -> String {
    String::from_utf8(body.into_bytes().into()).unwrap()
}

/// A model that cannot be told how much to reason would refuse the request.
#[test]
fn a_wish_for_reasoning_is_left_out_where_it_would_be_refused_and_that_is_said() {
    use ModelProtocol::{Anthropic, OpenaiChat, OpenaiResponses};
    let one = r#"[{"role":"user","content":"x"}]"#;
    for (endpoint, upstream, members, left, said) in [
        (Endpoint::Chat, OpenaiChat, r#","reasoning_effort":"none","seed":1"#, r#","seed":1"#, "reasoning_effort"),
        (Endpoint::Chat, OpenaiChat, r#","reasoning_effort":null"#, r#","reasoning_effort":null"#, ""),
        (
            Endpoint::Responses,
            OpenaiResponses,
            r#","reasoning":{"effort":"low"},"include":["reasoning.encrypted_content"],"user":"u""#,
            r#","user":"u""#,
            "reasoning, include",
        ),
        (Endpoint::Responses, OpenaiResponses, r#","include":["a"]"#, r#","include":["a"]"#, ""),
        (
            Endpoint::Messages,
            Anthropic,
            r#","thinking":{"type":"adaptive"},"output_config":{"effort":"max","format":{}}"#,
            r#","output_config":{"format":{}}"#,
            "thinking, output_config.effort",
        ),
        (Endpoint::Messages, Anthropic, r#","output_config":{"effort":"low"}"#, "", "output_config.effort"),
        (Endpoint::Messages, Anthropic, r#","thinking":{"type":"disabled"}"#, r#","thinking":{"type":"disabled"}"#, ""),
    ] {
        let question = endpoint.question();
        let body = |members: &str| format!(r#"{{"model":"up","{question}":{one}{members}}}"#);
        let request = Request::parse(endpoint, body(members).into()).unwrap();
        let cannot = Upstream { reasons: false, ..model(upstream) };
        let (sent, dropped) = request.upstream_body(cannot).unwrap();
        assert_eq!((text(sent), dropped.to_string()), (body(left), said.to_owned()));
        let (sent, dropped) = request.upstream_body(model(upstream)).unwrap();
        assert_eq!((text(sent), dropped.is_empty()), (body(members), true));
    }
    let asks =
        Request::parse(Endpoint::Chat, format!(r#"{{"model":"m","messages":{one},"reasoning_effort":"high"}}"#).into());
    for upstream in [Anthropic, OpenaiResponses] {
        let (sent, dropped) =
            asks.as_ref().unwrap().upstream_body(Upstream { reasons: false, ..model(upstream) }).unwrap();
        let sent = text(sent);
        assert!(!sent.contains("thinking") && !sent.contains("reasoning"), "{sent}");
        assert_eq!(dropped.to_string(), "reasoning_effort");
    }
}

#[test]
fn half_a_surrogate_pair_is_mended_at_every_endpoint() {
    for endpoint in [Endpoint::Chat, Endpoint::Responses, Endpoint::Messages] {
        let question = endpoint.question();
        let body = format!(r#"{{"model":"m","{question}":[{{"role":"user","content":"cut \ud83d"}}]}}"#);
        let request = Request::parse(endpoint, body.clone().into()).unwrap();
        let seen: serde_json::Value = serde_json::from_str(&request.outline().messages).unwrap();
        assert_eq!(seen[0]["content"], "cut \u{fffd}");
        let sent = passed(&request, "m");
        assert_eq!(sent, body.replace("\\ud83d", "\\ufffd"), "nothing else changes");
    }
}

#[test]
fn a_prompt_that_the_provider_keeps_may_be_all_of_a_request() {
    let parse = |body: &str| Request::parse(Endpoint::Responses, Bytes::copy_from_slice(body.as_bytes()));
    let body = r#"{"model":"m","prompt":{"id":"pmpt_1"}}"#;
    let request = parse(body).unwrap();
    assert_eq!(passed(&request, "m"), body);
    assert_eq!(request.is_self_contained().unwrap_err().param, "prompt");
    assert_eq!(parse(r#"{"model":"m","prompt":null}"#).unwrap_err(), RequestError::Missing("input"));
}

#[test]
fn what_refers_to_what_one_provider_keeps_is_found() {
    let of = |members: &str| {
        let body = format!(r#"{{"model":"m",{members}}}"#);
        Request::parse(Endpoint::Responses, body.into()).unwrap().is_self_contained().map_err(|refusal| refusal.param)
    };
    assert_eq!(of(r#""input":"item_reference","conversation":null"#), Ok(()));
    assert_eq!(of(r#""input":"x","conversation":"c""#), Err("conversation".to_owned()));
    let items = r#""input":[{"role":"user","content":"x"},{"type":"item_reference","id":"msg_1"}]"#;
    assert_eq!(of(items), Err("input[1]".to_owned()));
}

#[test]
fn the_longest_word_of_the_client_counts() {
    for (endpoint, members, answers, tokens) in [
        (Endpoint::Chat, "", 1.0, None),
        (Endpoint::Chat, r#","max_tokens":5"#, 1.0, Some(5.0)),
        (Endpoint::Chat, r#","max_tokens":5,"max_completion_tokens":70,"n":3"#, 3.0, Some(70.0)),
        (Endpoint::Chat, r#","max_tokens":1e3,"n":0"#, 1.0, Some(1_000.0)),
        (Endpoint::Chat, r#","max_tokens":0,"n":1e999"#, 1e9, Some(0.0)),
        (Endpoint::Chat, r#","max_tokens":null"#, 1.0, None),
        (Endpoint::Chat, r#","max_tokens":-1"#, 1.0, None),
        (Endpoint::Messages, r#","max_tokens":9"#, 1.0, Some(9.0)),
        (Endpoint::Responses, r#","max_output_tokens":8,"max_tokens":99"#, 1.0, Some(8.0)),
    ] {
        let question = endpoint.question();
        let body = format!(r#"{{"model":"m","{question}":[{{"role":"user","content":"x"}}]{members}}}"#);
        let request = Request::parse(endpoint, body.into()).unwrap();
        assert_eq!(request.answer_length(), AnswerLength::UpTo { answers, tokens }, "{members}");
    }
}

proptest::proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
        if let Ok(request) = Request::parse(Endpoint::Chat, bytes.into()) {
            passed(&request, "m");
        }
    }

    #[test]
    fn arbitrary_members_never_panic(model in "\\PC{0,9}", messages in "\\PC{0,9}", options in "\\PC{0,9}") {
        let body = format!(r#"{{"model":{model},"messages":[{messages}],"stream":true,"stream_options":{options}}}"#);
        if let Ok(request) = parse(&body) {
            passed(&request, "m");
        }
    }
}
