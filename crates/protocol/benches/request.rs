//! A long request of a coding agent that may go to a model of another protocol: whether it can, and what is written for it.
#![expect(clippy::unwrap_used, reason = "a bench may fail loudly")]

use serde_json::json;
use slarouter_protocol::request::Request;
use slarouter_protocol::{Endpoint, ModelProtocol, Upstream};

const UPSTREAM: Upstream<'_> =
    Upstream { dialect: ModelProtocol::OpenaiChat, model: "up", reasons: true, max_output_tokens: 4_096 };

/// 300 kB: a hundred steps, in each of which a file was read.
fn request() -> Request {
    let mut messages = vec![json!({ "role": "user", "content": "Mend the build." })];
    for step in 0..100 {
        let id = format!("toolu_{step}");
        let call = json!({ "type": "tool_use", "id": id, "name": "read", "input": { "path": "src/lib.rs" } });
        let file = "    let mut total = 0; // \"quoted\"\n".repeat(88);
        let result = json!({ "type": "tool_result", "tool_use_id": id, "content": file });
        messages.push(json!({ "role": "assistant", "content": [call] }));
        messages.push(json!({ "role": "user", "content": [result] }));
    }
    let tool = json!({ "name": "read", "input_schema": { "type": "object" } });
    let body = json!({ "model": "auto", "max_tokens": 9, "tools": [tool], "messages": messages }).to_string();
    assert!((300_000..400_000).contains(&body.len()), "{}", body.len());
    Request::parse(Endpoint::Messages, body.into()).unwrap()
}

fn main() {
    divan::main();
}

/// The first model of another protocol: the request is read.
#[divan::bench]
fn fits_first(bencher: divan::Bencher<'_, '_>) {
    bencher.with_inputs(request).bench_local_refs(|request| request.fits(UPSTREAM.dialect).is_ok());
}

/// Each further one.
#[divan::bench]
fn fits_again(bencher: divan::Bencher<'_, '_>) {
    let request = request();
    request.fits(UPSTREAM.dialect).unwrap();
    bencher.bench_local(|| request.fits(UPSTREAM.dialect).is_ok());
}

/// The body for the model that is asked.
#[divan::bench]
fn written(bencher: divan::Bencher<'_, '_>) {
    let request = request();
    request.fits(UPSTREAM.dialect).unwrap();
    bencher.bench_local(|| request.upstream_body(UPSTREAM).unwrap());
}
