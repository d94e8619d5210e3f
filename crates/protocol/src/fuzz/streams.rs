//! Streams: passed on or translated, cut anywhere.

use super::samples::{ENDPOINTS, ID, MODEL, UPSTREAMS};
use crate::adapter::{Adapter, AnswerOptions};
use crate::endpoint::Protocol;
use crate::form::Envelope;
use crate::json::{self, Object};
use crate::pass::{first_error, first_id};
use crate::relay::{DONE, End, Finish, MAX_EVENT, StreamSummary};
use crate::sse::Splitter;
use crate::usage::Usage;

/// Longer streams are not cut at every byte.
const SHORT: usize = 2_048;

#[derive(Clone, Copy)]
struct Setting {
    adapter: Adapter,
    wants_usage: bool,
    wants_metadata: bool,
    breaks: bool,
}

struct Closing(bool);

impl Finish for Closing {
    fn cost(&self, usage: &Usage) -> Option<f64> {
        Some(usage.output_tokens as f64 / 1e6)
    }

    fn metadata(&self, _: Option<f64>) -> Option<Vec<u8>> {
        self.0.then(|| br#"{"route":"default"}"#.to_vec())
    }
}

/// The first byte is the endpoint and the upstream's protocol, the second what the client asked for and how the connection ended,
/// the third where to cut; the rest are the upstream's bytes.
pub fn stream(data: &[u8]) {
    let [first, second, third, bytes @ ..] = data else { return };
    let setting = Setting {
        adapter: Adapter {
            endpoint: ENDPOINTS[usize::from(first & 15) % 3],
            upstream: UPSTREAMS[usize::from(first >> 4) % UPSTREAMS.len()],
        },
        wants_usage: second & 1 == 1,
        wants_metadata: second & 2 == 2,
        breaks: second & 4 == 4,
    };
    let (whole, summary) = run(setting, bytes, bytes.len().max(1));
    let said = format!("{summary:?}");
    for step in [usize::from(*third) + 1, 1] {
        if step == 1 && bytes.len() > SHORT {
            continue;
        }
        let (cut, summary) = run(setting, bytes, step);
        assert_eq!(String::from_utf8_lossy(&cut), String::from_utf8_lossy(&whole), "cut at every {step}");
        assert_eq!(format!("{summary:?}"), said, "cut at every {step}");
    }
    honest(setting.adapter.endpoint.protocol(), &whole, &summary, setting.adapter);
    if summary.complete && setting.adapter.endpoint.passes(setting.adapter.upstream) {
        // Our cost is the upstream's to the second: what it writes beside ours stays from then on.
        let passed = |stream: &[u8]| run(Setting { breaks: false, ..setting }, stream, stream.len().max(1)).0;
        let again = passed(&whole);
        assert_eq!(String::from_utf8_lossy(&passed(&again)), String::from_utf8_lossy(&again), "not the same again");
    }
    let _ = (first_error(bytes), first_id(bytes));
}

fn run(setting: Setting, bytes: &[u8], step: usize) -> (Vec<u8>, StreamSummary) {
    let envelope = Envelope { id: ID.to_owned(), model: MODEL.to_owned(), created: 7, ..Envelope::default() };
    let options = AnswerOptions { envelope, wants_usage: setting.wants_usage, wants_metadata: setting.wants_metadata };
    let mut relay = setting.adapter.stream(options);
    let (closing, mut out) = (Closing(setting.wants_metadata), Vec::new());
    for piece in bytes.chunks(step) {
        relay.push(piece, &closing, &mut out);
    }
    let end = if setting.breaks { End::Error("reset".to_owned()) } else { End::Eof };
    let summary = relay.finish(end, &closing, &mut out);
    (out, summary)
}

/// Whole events only, and an end that says what it was: a good one for a whole answer, an error for any other, never both.
fn honest(protocol: Protocol, out: &[u8], summary: &StreamSummary, adapter: Adapter) {
    let mut splitter = Splitter::new(MAX_EVENT);
    splitter.feed(out);
    splitter.close();
    let (mut ended, mut failed) = (false, false);
    while let Ok(Some(event)) = splitter.next_event() {
        let Some(data) = event.data() else { continue };
        if protocol == Protocol::Chat && data.trim_ascii() == DONE {
            ended = true;
            continue;
        }
        let Ok(object) = Object::scan(&data) else { continue };
        let kind = object.get(&data, "type").and_then(json::text).unwrap_or_default();
        match protocol {
            Protocol::Chat => failed |= event.name() == b"error" || object.get_some(&data, "error").is_some(),
            Protocol::Messages => {
                ended |= kind == "message_stop";
                failed |= kind == "error";
            }
            Protocol::Responses => {
                ended |= kind == "response.completed" || kind == "response.incomplete";
                failed |= kind == "error" || kind == "response.failed";
            }
        }
    }
    assert!(!splitter.complete(), "half an event went out: {}", String::from_utf8_lossy(out));
    let out = String::from_utf8_lossy(out);
    if summary.complete {
        // A chat upstream that leaves out `[DONE]` is believed once every choice has its reason to end.
        let needs_end = protocol != Protocol::Chat || !adapter.endpoint.passes(adapter.upstream);
        assert!(ended || !needs_end, "a whole answer without its end: {out}");
        assert!(!failed, "a whole answer with an error: {out}");
    } else {
        assert!(!ended, "half an answer with a good end: {out}");
        assert!(
            failed || (protocol == Protocol::Chat && summary.error.is_some()),
            "half an answer without an error: {out}"
        );
    }
}
