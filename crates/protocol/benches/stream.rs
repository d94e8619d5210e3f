//! A chunk of a streamed answer through the rewriter, which gives it our id: the work that the gateway adds per token.
#![expect(clippy::unwrap_used, reason = "a bench may fail loudly")]

use divan::counter::BytesCount;
use slarouter_protocol::Usage;
use slarouter_protocol::pass::{StreamOptions, StreamRewriter};
use slarouter_protocol::relay::Finish;

/// As OpenAI sends them, 302 bytes with the frame.
const CHUNK: &[u8] = br#"data: {"id":"chatcmpl-AbCdEfGhIjKlMnOpQrStUvWxYz012","object":"chat.completion.chunk","created":1767225600,"model":"gpt-5-mini-2025-08-07","service_tier":"default","system_fingerprint":"fp_0123","choices":[{"index":0,"delta":{"content":" because"},"logprobs":null,"finish_reason":null}],"usage":null}

"#;

/// What a client gets who asked for nothing special.
struct Nothing;

impl Finish for Nothing {
    fn cost(&self, _: &Usage) -> Option<f64> {
        None
    }

    fn metadata(&self, _: Option<f64>) -> Option<Vec<u8>> {
        None
    }
}

/// A stream of which nothing has come yet.
fn begin() -> StreamRewriter {
    StreamRewriter::new(StreamOptions {
        id: "chatcmpl-01890a5d-ac96-774b-bcce-b302099a8057".to_owned(),
        model_if_missing: "model".to_owned(),
        client_wants_usage: false,
        metadata: false,
    })
}

fn main() {
    assert_eq!(CHUNK.len(), 302);
    let mut out = Vec::new();
    begin().push(CHUNK, &Nothing, &mut out);
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("chatcmpl-0189") && text.contains(" because"), "the chunk is not rewritten: {text}");
    divan::main();
}

/// Each chunk in a piece of its own, as they come from a provider; and several in one, as from a slow network.
#[divan::bench(args = [1, 16])]
fn chunks(bencher: divan::Bencher<'_, '_>, at_once: usize) {
    let bytes = CHUNK.repeat(at_once);
    let mut stream = begin();
    let mut out = Vec::with_capacity(2 * bytes.len());
    bencher.counter(BytesCount::of_slice(&bytes)).bench_local(|| {
        out.clear();
        stream.push(divan::black_box(&bytes), &Nothing, &mut out);
        out.len()
    });
}
