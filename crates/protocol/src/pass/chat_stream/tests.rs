use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::pass::first_id;

/// A stream as servers send it: a first chunk, text in pieces, the finish, the usage, the end.
const PLAIN: &str = concat!(
    ": open\n\n",
    "data: {\"id\":\"up-1\",\"object\":\"chat.completion.chunk\",\"created\":1.0,\"model\":\"gpt-x\",\"system_fingerprint\":\"fp\",",
    "\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"logprobs\":null,\"finish_reason\":null}],\"usage\":null}\n\n",
    "data: {\"id\":\"up-1\",\"model\":\"gpt-x\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a \\\"id\\\" \\u00e9 [DONE]\"}}],\"x\":1e3}\n\n",
    "data: {\"id\":\"up-1\",\"model\":\"gpt-x\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
    ": still here\n\n",
    "data: {\"id\":\"up-1\",\"model\":\"gpt-x\",\"choices\":[],\"usage\":",
    "{\"prompt_tokens\":10,\"completion_tokens\":2,\"prompt_tokens_details\":{\"cached_tokens\":4}}}\n\n",
    "data: [DONE]\n\n",
);

const TOOLS: &str = concat!(
    "data: {\"id\":\"up-1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"reasoning_content\":\"hm\"},\"finish_reason\":\"\"}]}\r\n\r\n",
    "data: {\"id\":\"up-1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"call_1\",",
    "\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"id\\\": 1}\"}}]}}]}\r\n\r\n",
    "event: ping\r\ndata: not JSON\r\n\r\n",
    "data: {\"id\":\"up-1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}],",
    "\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}}\r\n\r\n",
    "data: [DONE]\r\n\r\n",
);

const TWO: &str = concat!(
    "\u{feff}data:{\ndata: \"id\":\"up-1\",\nid: 5\ndata:\"model\":\"m\",\"choices\":[{\"index\":1,\"finish_reason\":null},\ndata: {\"index\":0}]}\n\n",
    "data:{\"id\":\"up-1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"finish_reason\":\"stop\"}]}\r\r",
    "data:{\"id\":\"up-1\",\"model\":\"m\",\"choices\":[{\"index\":1,\"delta\":{\"content\":\"x\"}}]}\n\n",
    "retry: 100\n\n",
    "data:{\"id\":\"up-1\",\"model\":\"m\",\"choices\":[{\"index\":1,\"finish_reason\":\"length\"}]}\n\n",
    "data:  [DONE] \r\r",
);

struct Fixed;

impl Finish for Fixed {
    fn cost(&self, usage: &Usage) -> Option<f64> {
        Some(usage.output_tokens as f64 / 8.0)
    }

    fn metadata(&self, cost: Option<f64>) -> Option<Vec<u8>> {
        Some(format!("{{\"cost\":{cost:?}}}").into_bytes())
    }
}

fn options(client_wants_usage: bool, metadata: bool) -> StreamOptions {
    StreamOptions { id: "ours".into(), model_if_missing: "real".into(), client_wants_usage, metadata }
}

fn run(pieces: &[&[u8]], options: StreamOptions, end: End) -> (Vec<u8>, StreamSummary) {
    let (mut rewriter, mut out) = (StreamRewriter::new(options), Vec::new());
    for piece in pieces {
        rewriter.push(piece, &Fixed, &mut out);
    }
    let summary = rewriter.finish(end, &Fixed, &mut out);
    (out, summary)
}

fn pass(stream: &str, options: StreamOptions) -> (String, StreamSummary) {
    let (out, summary) = run(&[stream.as_bytes()], options, End::Eof);
    (String::from_utf8(out).unwrap(), summary)
}

fn plain(stream: &str) -> (String, StreamSummary) {
    pass(stream, options(true, false))
}

/// A chunk of choice 0, as the upstream sends it and as the client gets it.
fn chunk(finish: &str) -> String {
    format!("data: {{\"id\":\"up-1\",\"model\":\"m\",\"choices\":[{{\"index\":0,\"finish_reason\":{finish}}}]}}\n\n")
}

fn ours(stream: &str) -> String {
    stream.replace("up-1", "ours")
}

fn error(code: &str, message: &str) -> String {
    format!(
        "data: {{\"error\":{{\"message\":\"{message}\",\"type\":\"upstream_error\",\"param\":null,\"code\":\"{code}\"}}}}\n\n"
    )
}

fn truncated() -> String {
    error("stream_truncated", "the upstream ended the stream before the answer was finished")
}

#[test]
fn only_the_documented_bytes_change() {
    let priced = |stream: &str, cost: &str| {
        let mut edited = ours(stream);
        let end = edited.rfind("_tokens\":").unwrap();
        let brace = end + edited[end..].find("}}").unwrap();
        // The cost goes last into `usage`.
        let at = if edited[brace..].starts_with("}}}") { brace + 1 } else { brace };
        edited.insert_str(at, cost);
        edited
    };
    let (out, summary) = plain(PLAIN);
    assert_eq!(out, priced(PLAIN, ",\"cost\":0.25"));
    assert!(summary.complete && summary.finish_reason_seen && summary.done_seen);
    assert_eq!(summary.usage, Some(Usage { input_tokens: 10, cached_tokens: 4, output_tokens: 2, ..Usage::default() }));
    assert_eq!((summary.upstream_id.as_deref(), summary.error), (Some("up-1"), None));

    // Usage on the chunk that finishes passes whether the client asked for it or not.
    assert_eq!(pass(TOOLS, options(false, false)).0, priced(TOOLS, ",\"cost\":0.125"));
    assert_eq!(plain(TWO).0, ours(TWO));
}

#[test]
fn the_usage_chunk_goes_to_those_who_asked() {
    let (out, summary) = pass(PLAIN, options(false, false));
    let usage = PLAIN.find("data: {\"id\":\"up-1\",\"model\":\"gpt-x\",\"choices\":[],").unwrap();
    assert_eq!(out, ours(&format!("{}data: [DONE]\n\n", &PLAIN[..usage])));
    assert_eq!(summary.usage.unwrap().output_tokens, 2);
    assert!(summary.complete);
}

#[test]
fn the_last_usage_counts() {
    let usage = |tokens: u64| format!("],\"usage\":{{\"completion_tokens\":{tokens}}}}}");
    let stream =
        [usage(1), usage(2), "],\"usage\":null}".to_owned()].map(|end| chunk("\"stop\"").replace("]}", &end)).concat();
    let (out, summary) = plain(&stream);
    assert_eq!(summary.usage.unwrap().output_tokens, 2);
    assert_eq!(out.matches("\"cost\":0.").count(), 2);
}

#[test]
fn metadata_goes_on_the_last_chunk_and_nothing_changes_place() {
    let mark = |out: &str, cost: &str| {
        let last = out.rfind("}\n\n").or_else(|| out.rfind("}\r\n\r\n")).unwrap();
        let mut out = out.to_owned();
        out.insert_str(last, &format!(",\"slarouter\":{{\"cost\":{cost}}}"));
        out
    };
    for (stream, cost) in [(PLAIN, "Some(0.25)"), (TOOLS, "Some(0.125)"), (TWO, "None")] {
        for wants in [false, true] {
            let without = pass(stream, options(wants, false)).0;
            assert_eq!(pass(stream, options(wants, true)).0, mark(&without, cost));
        }
    }
    // No [DONE]: the end shows which was the last.
    let stream = chunk("null") + &chunk("\"stop\"");
    assert_eq!(pass(&stream, options(true, true)).0, mark(&ours(&stream), "None"));
}

#[test]
fn only_chunks_after_the_first_finish_wait() {
    let (mut rewriter, mut out) = (StreamRewriter::new(options(true, true)), Vec::new());
    rewriter.push(chunk("null").as_bytes(), &Fixed, &mut out);
    assert_eq!(out, ours(&chunk("null")).into_bytes());
    rewriter.push(chunk("\"stop\"").as_bytes(), &Fixed, &mut out);
    assert_eq!(out, ours(&chunk("null")).into_bytes());
    rewriter.push(b"data: [DONE]\n\n", &Fixed, &mut out);
    assert!(out.ends_with(b",\"slarouter\":{\"cost\":None}}\n\ndata: [DONE]\n\n"));
}

#[test]
fn ids_and_models_go_only_where_they_belong() {
    let (out, _) =
        plain("data: {\"choices\":[]}\n\ndata: {\"id\":null}\n\ndata: {\"x\":1}\n\ndata: [1]\n\ndata: 7\n\n");
    let expected = "data: {\"choices\":[],\"id\":\"ours\",\"model\":\"real\"}\n\ndata: {\"id\":\"ours\"}\n\n\
                    data: {\"x\":1}\n\ndata: [1]\n\ndata: 7\n\n";
    assert_eq!(out, expected.to_owned() + &truncated());
}

#[test]
fn an_end_before_the_finish_is_an_error() {
    for cut in 0..PLAIN.find("\"stop\"").unwrap() {
        let Some(part) = PLAIN.get(..cut) else { continue };
        let (out, summary) = plain(part);
        assert!(out.ends_with(&truncated()) && !out.contains("data: [DONE]"), "{out}");
        assert!(!summary.complete && summary.error.is_some());
        let (events, _) = out.split_at(out.len() - truncated().len());
        assert!(ours(PLAIN).starts_with(events.trim_end()), "{out}");
    }
    let (out, summary) = run(&[chunk("null").as_bytes()], options(true, false), End::Error("reset \"1\"".into()));
    let message = "the upstream's stream broke off: reset \\\"1\\\"";
    assert_eq!(String::from_utf8(out).unwrap(), ours(&chunk("null")) + &error("stream_truncated", message));
    assert!(!summary.complete);
}

#[test]
fn done_without_a_finish_is_an_error() {
    let message = "the upstream said it was done before the answer was finished";
    for head in [String::new(), chunk("null"), chunk("\"\"")] {
        let (out, summary) = plain(&format!("{head}data: [DONE]\n\n{}", chunk("\"stop\"")));
        assert_eq!(out, ours(&head) + &error("stream_truncated", message));
        assert!(!summary.complete && summary.done_seen);
    }
    // One of two choices is not enough.
    let half = TWO.replace("\"length\"", "null");
    let (out, summary) = plain(&half);
    assert!(out.ends_with(&error("stream_truncated", message)) && summary.finish_reason_seen && !summary.complete);
}

#[test]
fn an_end_after_the_finish_is_whole() {
    let stream = chunk("null") + &chunk("\"stop\"");
    let (out, summary) = plain(&stream);
    assert_eq!(out, ours(&stream));
    assert!(summary.complete && !summary.done_seen && summary.error.is_none());
    let (out, summary) = run(&[stream.as_bytes()], options(true, false), End::Error("reset".into()));
    assert_eq!(out, ours(&stream).into_bytes());
    assert!(summary.complete && summary.error.is_some());
}

#[test]
fn an_event_without_its_blank_line_counts() {
    let stream = format!("{}data: [DONE]", chunk("\"stop\""));
    let (out, summary) = plain(&stream);
    assert_eq!(out, ours(&stream) + "\n\n");
    assert!(summary.complete && summary.done_seen);
    let (out, summary) = plain(chunk("\"stop\"").trim_end());
    assert_eq!(out, ours(&chunk("\"stop\"")));
    assert!(summary.complete);
    // Half an event does not, and spoils nothing once the answer is whole.
    let (out, summary) = plain(&format!("{}data: {{\"choi", chunk("\"stop\"")));
    assert_eq!(out, ours(&chunk("\"stop\"")));
    assert!(summary.complete);
}

#[test]
fn an_upstream_error_passes_and_breaks_the_stream() {
    for event in [
        "data: {\"id\":\"up-1\",\"error\":{\"message\":\"overloaded\",\"code\":529},\"choices\":[]}\n\n",
        "event: error\ndata: overloaded\n\n",
        "event: error\ndata: {\"message\": 1.0}\n\n",
    ] {
        for metadata in [false, true] {
            let stream = format!("{}{event}: bye\n\ndata: [DONE]\n\n", chunk("\"stop\""));
            let (out, summary) = pass(&stream, options(true, metadata));
            assert_eq!(out, format!("{}{event}: bye\n\n", ours(&chunk("\"stop\""))));
            assert!(!summary.complete && summary.error.is_some_and(|error| error.contains("reported")));
        }
    }
    let null = chunk("\"stop\"").replace("\"model\"", "\"error\":null,\"model\"");
    assert!(plain(&null).1.complete);
}

#[test]
fn what_is_no_json_ends_the_stream() {
    for bad in ["oops", "{\"id\":\"up-1\",\"choices\":[{]}", "{\"a\":1} {\"b\":2}", "{"] {
        let stream = format!("{}data: {bad}\n\n{}data: [DONE]\n\n", chunk("null"), chunk("\"stop\""));
        let (out, summary) = plain(&stream);
        let rest = out.strip_prefix(&ours(&chunk("null"))).unwrap();
        assert!(rest.contains("\"code\":\"stream_malformed\"") && rest.matches("data:").count() == 1, "{rest}");
        assert!(!summary.complete && summary.error.is_some());
    }
}

#[test]
fn an_endless_event_ends_the_stream() {
    let (mut rewriter, mut out) = (StreamRewriter::new(options(true, false)), Vec::new());
    let block = vec![b'x'; 1 << 20];
    for _ in 0..20 {
        rewriter.push(&block, &Fixed, &mut out);
    }
    assert!(out.starts_with(b"data: {\"error\"") && out.len() < 300);
    assert!(!rewriter.finish(End::Eof, &Fixed, &mut out).complete);
}

#[test]
fn nothing_follows_done_but_comments() {
    let stream = format!("{}data: [DONE]\n\n", chunk("\"stop\""));
    let (out, summary) = plain(&format!("{stream}{}: bye\n\ndata: [DONE]\n\ndata: junk\n\n", chunk("null")));
    assert_eq!(out, ours(&stream) + ": bye\n\n");
    assert!(summary.complete);
}

#[test]
fn the_first_id_is_found() {
    assert_eq!(first_id(PLAIN.as_bytes()).as_deref(), Some("up-1"));
    assert_eq!(first_id(TWO.as_bytes()).as_deref(), Some("up-1"));
    assert_eq!(first_id(b": x\n\ndata: {\"id\":1}\n\ndata: {\"id\":\"cut"), None);
}

#[test]
fn every_split_gives_the_same_bytes() {
    let broken = format!("{}data: oops\n\n", chunk("\"stop\""));
    let failed = format!("{}event: error\r\ndata: 1\r\n\r\ndata: [DONE]\r\n\r\n", chunk("null"));
    let cut = &PLAIN[..PLAIN.len() - 60];
    for stream in [PLAIN, TOOLS, TWO, &broken, &failed, cut, &PLAIN.replace('\n', "\r"), &TWO.replace("stop", "")] {
        let stream = stream.as_bytes();
        for options in [options(false, false), options(true, false), options(false, true), options(true, true)] {
            let (whole, _) = run(&[stream], options.clone(), End::Eof);
            for at in 0..=stream.len() {
                let (out, _) = run(&[&stream[..at], &stream[at..]], options.clone(), End::Eof);
                assert!(out == whole, "split at {at}: {}", String::from_utf8_lossy(&out));
            }
            let bytes: Vec<_> = stream.chunks(1).collect();
            assert_eq!(run(&bytes, options, End::Eof).0, whole);
        }
    }
}

/// How often the end is announced.
fn dones(stream: &[u8]) -> usize {
    let mut splitter = Splitter::new(usize::MAX);
    splitter.feed(stream);
    splitter.close();
    let mut count = 0;
    for _ in 0..2 {
        while let Some(event) = splitter.next_event().unwrap() {
            count += usize::from(event.data().is_some_and(|data| data.trim_ascii() == DONE));
        }
        splitter.complete();
    }
    count
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    let events = [
        chunk("null"),
        chunk("\"stop\""),
        chunk("1").replace("\"index\":0", "\"index\":1"),
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\n".to_owned(),
        "data: {\"error\":{}}\r\n\r\n".to_owned(),
        "data: {\ndata: \"choices\":[3]}\n\n".to_owned(),
        "event: x\rdata: y\r\r".to_owned(),
        "data: [DONE]\n\n".to_owned(),
        ": c\n\n".to_owned(),
        TOOLS.to_owned(),
    ];
    prop_oneof![
        8 => prop::sample::select(events.to_vec()).prop_map(String::into_bytes),
        1 => vec(any::<u8>(), 0..9),
        1 => "(data|:| |\\{|\\}|\"|\n|\r|\\[DONE\\]|error|event){0,6}".prop_map(String::into_bytes),
    ]
}

proptest! {
    #[test]
    fn whatever_comes_the_end_is_honest(
        pieces in vec(piece(), 0..12), wants in any::<bool>(), metadata in any::<bool>(), broken in any::<bool>(),
    ) {
        let end = || if broken { End::Error("reset".into()) } else { End::Eof };
        let stream = pieces.concat();
        let (whole, summary) = run(&[&stream], options(wants, metadata), end());
        let parts: Vec<_> = pieces.iter().map(Vec::as_slice).collect();
        prop_assert_eq!(&run(&parts, options(wants, metadata), end()).0, &whole);
        // [DONE] is never invented, never repeated, and never follows an answer that is not whole.
        let (before, after) = (dones(&stream), dones(&whole));
        prop_assert!(after <= before.min(1));
        prop_assert!(after == 0 || summary.complete && summary.done_seen);
        // A stream that is not whole says so.
        let text = String::from_utf8_lossy(&whole);
        prop_assert!(summary.complete || text.contains("error"), "{text}");
        prop_assert!(summary.complete || summary.error.is_some());
    }

    #[test]
    fn arbitrary_bytes_never_panic(stream in vec(any::<u8>(), 0..300)) {
        let (out, summary) = run(&[&stream], options(true, true), End::Eof);
        prop_assert!(dones(&out) <= dones(&stream));
        prop_assert!(!summary.complete && out.ends_with(b"}}\n\n"));
    }
}
