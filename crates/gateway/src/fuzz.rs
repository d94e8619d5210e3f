//! What the fuzzers run: functions of bytes that panic where a promise is broken. No part of the interface: it may change or go
//! at any time.
//!
//! `tests/fuzz.rs` runs them on the corpus in `fuzz/` and on mutations of it, `make fuzz` under a coverage-guided fuzzer.

mod bodies;
mod streams;
mod texts;

use crate::config::{Model, ModelProtocol};
use crate::price::{PriceTable, Prices};
use crate::protocol::Endpoint;

/// What runs on an input.
pub type Target = fn(&[u8]);

/// All targets by name.
pub const TARGETS: [(&str, Target); 7] = [
    ("request", bodies::request),
    ("answer", bodies::answer),
    ("json", texts::json),
    ("stream", streams::stream),
    ("config", texts::config),
    ("feedback", texts::feedback),
    ("credentials", texts::credentials),
];

/// Runs the target of this name.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|(held, _)| *held == name);
    assert!(target.is_some(), "there is no target {name}");
    if let Some((_, target)) = target {
        target(data);
    }
}

const ENDPOINTS: [Endpoint; 5] =
    [Endpoint::Chat, Endpoint::Responses, Endpoint::Messages, Endpoint::Completions, Endpoint::Embeddings];
const UPSTREAMS: [ModelProtocol; 4] =
    [ModelProtocol::OpenaiChat, ModelProtocol::OpenaiResponses, ModelProtocol::Anthropic, ModelProtocol::GeminiOpenai];
const MODEL: &str = "up/model \"x\"";
const ID: &str = "chatcmpl-01890a5d-ac96-774b-bcce-b302099a8057";

fn model(protocol: ModelProtocol) -> Model {
    Model {
        name: "m".into(),
        protocol,
        base_url: String::new(),
        upstream_model: MODEL.to_owned(),
        api_key: None,
        max_output_tokens: 4_096,
        prices: PriceTable::new(Prices::default(), Vec::new()),
        max_concurrency: None,
        health_check: None,
    }
}
