//! What the fuzzers run on this crate: functions of bytes that panic where a promise is broken. No part of the interface: it may
//! change or go at any time.

use std::net::IpAddr;

use crate::settings::Config;
use crate::substitute::Sources;

/// No fuzzer guesses it, so that one in a message has come from a variable.
const VALUE: &str = "v4lu3-of-a-s3cr3t-v4r14bl3";

/// Where every variable is set and every file is there.
struct Everything;

impl Sources for Everything {
    fn variable(&self, _: &str) -> Option<String> {
        Some(VALUE.to_owned())
    }

    fn file(&self, _: &str) -> Result<String, String> {
        Ok(VALUE.to_owned())
    }

    fn addresses(&self, _: &str) -> Result<Vec<IpAddr>, String> {
        Ok(vec![IpAddr::from([127, 0, 0, 1])])
    }
}

/// A configuration file: its settings hang together, and a message shows no value of a variable or a file.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Config::parse_with(text, &Everything) {
        Ok(config) => {
            assert!(config.routes.contains_key(&config.default_route));
            for (name, route) in &config.routes {
                for model in route.spec.zoo.models() {
                    let known = config.models.iter().any(|held| held.name == model.name);
                    assert!(known, "{name} has {}, which is not there", model.name);
                }
            }
        }
        Err(errors) => {
            let shown = errors.to_string();
            assert!(!shown.is_empty() && errors.messages().count() > 0);
            assert!(!shown.contains(VALUE), "a message shows what a variable or file holds: {shown}");
        }
    }
}
