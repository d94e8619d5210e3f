//! The configuration: the example, the reference, every refusal.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use proptest::prelude::*;
use slarouter_gateway::Config;

const EXAMPLE: &str = include_str!("../../../slarouter.example.toml");
const REFERENCE: &str = include_str!("../../../docs/configuration.md");
const RAW: &str = include_str!("../src/config/raw.rs");

fn none(_: &str) -> Option<String> {
    None
}

fn minimal(server: &str, model: &str, route: &str) -> String {
    format!(
        "[server]\n{server}\n[[models]]\nname = \"m\"\nbase_url = \"http://127.0.0.1:1/v1\"\n\
         price = {{ input = 1, output = 1 }}\n{model}\n[routes.default]\nmodels = [\"m\"]\n\
         sla = {{ satisfaction = 0.9 }}\n{route}\n"
    )
}

fn refusal(text: &str) -> String {
    Config::parse(text, &none).unwrap_err().to_string()
}

#[test]
fn the_example_works_and_states_the_defaults() {
    let example = Config::parse(EXAMPLE, &none).unwrap();
    let defaults = Config::parse(&minimal("", "", ""), &none).unwrap();
    assert_eq!(format!("{:?}", example.server), format!("{:?}", defaults.server));
    assert_eq!(format!("{:?}", example.store), format!("{:?}", defaults.store));
    assert_eq!(format!("{:?}", example.upstream), format!("{:?}", defaults.upstream));
    assert_eq!(example.feedback_window_ms, 30 * 86_400_000);
    assert_eq!(example.routes["default"].spec.policy, defaults.routes["default"].spec.policy);
    assert_eq!(&*example.routes["default"].fallback, "large");
}

#[test]
fn every_key_is_in_reference_and_example() {
    let keys = RAW.lines().filter_map(|line| line.trim().strip_prefix("pub(super) ")?.split_once(": "));
    let keys: Vec<_> = keys.map(|(key, _)| key).collect();
    assert!(keys.len() > 30, "{keys:?}");
    for key in keys {
        assert!(REFERENCE.contains(key), "{key} is not in docs/configuration.md");
        assert!(EXAMPLE.contains(key), "{key} is not in slarouter.example.toml");
    }
}

#[test]
fn all_mistakes_are_reported_at_once_with_their_places() {
    let text = r#"[server]
listen = "0.0.0.0:80"
max_connections = 0
[upstream]
idle_timeout_s = -1.0
[[models]]
name = "auto"
base_url = "ftp://x"
api_key = "${MISSING}"
price = { input = -1, output = 1 }
prior = 1.0
[routes.Default]
models = ["nope"]
sla = { satisfaction = 1.5 }
policy = "best"
"#;
    let found = refusal(text);
    let lines: Vec<_> = found.lines().map(|line| line.split(": ").next().unwrap()).collect();
    let expected = [
        "slarouter.toml:2:10",
        "slarouter.toml:3:19",
        "slarouter.toml:5:18",
        "slarouter.toml:7:8",
        "slarouter.toml:8:12",
        "slarouter.toml:9:11",
        "slarouter.toml:10:9",
        "slarouter.toml:11:9",
        "slarouter.toml:12:9",
        "slarouter.toml:13:11",
        "slarouter.toml:14:24",
        "slarouter.toml:15:10",
    ];
    assert_eq!(lines, expected, "{found}");
}

#[test]
fn refusals_say_how_to_mend() {
    for (server, model, route, expected) in [
        ("listen = \"here\"", "", "", "write ip:port"),
        ("listen = \"0.0.0.0:1\"", "", "", "set api_keys"),
        ("api_keys = [\"short\"]", "", "", "16 characters"),
        ("port = 1", "", "", "unknown field `port`"),
        ("", "provider = \"x\"", "", "provider must be \"openai\""),
        ("", "prior = nan", "", "strictly between 0 and 1"),
        ("", "", "fallback = \"x\"", "fallback must be one of the route's models"),
        ("", "", "policy = \"fixed:x\"", "there is no such model"),
        ("", "", "slarouter = { v = -1.0 }", "parameter v must be finite"),
        ("", "", "policy = \"random\"\nslarouter = { v = 1.0 }", "another policy is chosen"),
    ] {
        let found = refusal(&minimal(server, model, route));
        assert!(found.contains(expected), "{expected:?} is not in {found:?}");
    }
    assert!(refusal("").contains("there is no model") && refusal("").contains("there is no route"));
    assert!(refusal("[server").starts_with("slarouter.toml:1:"));
}

#[test]
fn secrets_show_nowhere() {
    let env = |name: &str| (name == "KEY").then(|| "sesame-sesame-sesame".to_owned());
    let text = minimal("api_keys = [\"${KEY}\"]", "api_key = \"${KEY}\"", "");
    let config = Config::parse(&text, &env).unwrap();
    assert!(!format!("{config:?}").contains("sesame"));
    let broken = minimal("api_keys = [\"${KEY}\"]", "api_key = \"${KEY}\"", "fallback = \"${KEY}\"");
    assert!(!Config::parse(&broken, &env).unwrap_err().to_string().contains("sesame"));
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in any::<String>(), value in "[ -~]{0,20}") {
        let _ = Config::parse(&text, &none);
        let _ = Config::parse(&minimal(&format!("listen = \"{value}\""), "", ""), &none);
    }
}
