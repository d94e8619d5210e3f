use super::*;

const MESSAGES: &str = concat!(
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"up-1\",\"model\":\"claude\",\"x\":1.0,",
    "\"usage\":{\"input_tokens\":7,\"cache_read_input_tokens\":3,\"output_tokens\":1}}}\n\n",
    "event: ping\ndata: {\"type\": \"ping\"}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"\\u00e9 up-1\"}}\n\n",
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":8}}\n\n",
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
);

const RESPONSES: &str = concat!(
    "event: response.created\r\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"up-1\",\"model\":\"gpt\",\"usage\":null}}\r\n\r\n",
    ": still here\r\n\r\n",
    "event: response.output_text.delta\r\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":1,\"delta\":\"a\",\"x\":1e3}\r\n\r\n",
    "event: response.completed\r\ndata: {\"type\":\"response.completed\",\"sequence_number\":2,\"response\":{\"id\":\"up-1\",\"model\":\"gpt\",",
    "\"usage\":{\"input_tokens\":10,\"output_tokens\":8,\"input_tokens_details\":{\"cached_tokens\":3}}}}\r\n\r\n",
);

struct Priced(bool);

impl Finish for Priced {
    fn cost(&self, usage: &Usage) -> Option<f64> {
        Some(usage.output_tokens as f64 / 8.0)
    }

    fn metadata(&self, _: Option<f64>) -> Option<Vec<u8>> {
        self.0.then(|| b"{\"a\":1}".to_vec())
    }
}

fn run(protocol: Protocol, pieces: &[&[u8]], metadata: bool, end: End) -> (String, StreamSummary) {
    let mut relay = Box::new(TypedRewriter::new(protocol, "ours", "real"));
    let mut out = Vec::new();
    for piece in pieces {
        relay.push(piece, &Priced(metadata), &mut out);
    }
    let summary = relay.finish(end, &Priced(metadata), &mut out);
    (String::from_utf8(out).unwrap(), summary)
}

#[test]
fn only_the_documented_bytes_change() {
    for (protocol, stream) in [(Protocol::Messages, MESSAGES), (Protocol::Responses, RESPONSES)] {
        let (out, summary) = run(protocol, &[stream.as_bytes()], false, End::Eof);
        let expected = stream.replace("\"id\":\"up-1\"", "\"id\":\"ours\"");
        let expected = match protocol {
            Protocol::Messages => expected.replace("\"output_tokens\":8", "\"output_tokens\":8,\"cost\":1.0"),
            _ => expected.replace("{\"cached_tokens\":3}", "{\"cached_tokens\":3},\"cost\":1.0"),
        };
        assert_eq!(out, expected);
        let usage = Usage { input_tokens: 10, cached_tokens: 3, output_tokens: 8, ..Usage::default() };
        assert_eq!((summary.usage, summary.upstream_id.as_deref()), (Some(usage), Some("up-1")));
        assert!(summary.complete && summary.error.is_none());
        let marked = run(protocol, &[stream.as_bytes()], true, End::Eof).0;
        assert_eq!(marked.replace(",\"slarouter\":{\"a\":1}", ""), expected);
        assert_eq!(marked.matches("\"slarouter\"").count(), 1);
    }
}

#[test]
fn cuts_between_pieces_change_nothing_and_a_cut_short_is_an_error() {
    for (protocol, stream) in [(Protocol::Messages, MESSAGES), (Protocol::Responses, RESPONSES)] {
        let whole = run(protocol, &[stream.as_bytes()], true, End::Eof).0;
        let last = stream.trim_end().rfind('\n').unwrap();
        for at in 0..=stream.len() {
            let (first, second) = stream.as_bytes().split_at(at);
            assert_eq!(run(protocol, &[first, second], true, End::Eof).0, whole, "{at}");
            let (out, summary) = run(protocol, &[first], true, End::Error("reset".into()));
            if at <= last + 8 {
                assert!(!summary.complete && out.contains("broke off: reset"), "{at}: {out}");
                assert!(!out.contains("message_stop") && !out.contains("response.completed"), "{at}: {out}");
            }
        }
    }
}

#[test]
fn errors_of_the_upstream_pass_and_nothing_follows() {
    let error =
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}\n\n";
    for (protocol, stream) in [(Protocol::Messages, MESSAGES), (Protocol::Responses, RESPONSES)] {
        let (out, summary) = run(protocol, &[error.as_bytes(), stream.as_bytes()], false, End::Eof);
        assert_eq!(out, error);
        assert_eq!(summary.error.as_deref(), Some("the upstream reported an error: busy"));
        assert!(!summary.complete);
    }
    let failed =
        "data: {\"type\":\"response.failed\",\"response\":{\"id\":\"up\",\"error\":{\"message\":\"busy\"}}}\n\n";
    let (out, summary) = run(Protocol::Responses, &[failed.as_bytes()], false, End::Eof);
    assert!(out.contains("\"id\":\"ours\"") && !summary.complete, "{out}");
    for garbage in ["data: {\"type\":\n\n", "data: [DONE]\n\n"] {
        let (out, summary) = run(Protocol::Messages, &[garbage.as_bytes()], false, End::Eof);
        assert!(out.starts_with("event: error\n") && !summary.complete, "{out}");
    }
}

#[test]
fn an_end_without_its_response_is_none() {
    for kind in ["response.completed", "response.incomplete"] {
        let stream = RESPONSES.split("event: response.completed").next().unwrap().to_owned();
        let end = format!("data: {{\"type\":\"{kind}\",\"sequence_number\":2,\"response\":null}}\n\n");
        let (out, summary) = run(Protocol::Responses, &[stream.as_bytes(), end.as_bytes()], false, End::Eof);
        assert!(out.contains("\"stream_malformed\"") && !out.contains("response\":null"), "{out}");
        assert!(!summary.complete);
    }
}
