//! What the fuzzers run: functions of bytes that panic where a promise is broken. No part of the interface: it may change or go
//! at any time.
//!
//! `tests/fuzz.rs` runs them on the corpus in `fuzz/` and on mutations of it, `make fuzz` under a coverage-guided fuzzer.

mod bodies;
mod texts;

use slarouter_protocol::fuzz as protocol;

/// What runs on an input.
pub type Target = fn(&[u8]);

/// All targets by name.
pub const TARGETS: [(&str, Target); 9] = [
    ("request", request),
    ("answer", protocol::answer),
    ("json", protocol::json),
    ("stream", protocol::stream),
    ("config", slarouter_config::fuzz::config),
    ("feedback", texts::feedback),
    ("credentials", texts::credentials),
    ("coding", bodies::coding),
    ("refusal", bodies::refusal),
];

/// Runs the target of this name.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|(held, _)| *held == name);
    assert!(target.is_some(), "there is no target {name}");
    if let Some((_, target)) = target {
        target(data);
    }
}

/// The body of a request, and the session that it belongs to.
fn request(data: &[u8]) {
    protocol::request(data);
    texts::session(data);
}
