//! The configuration: the example, the reference, every refusal.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use proptest::prelude::*;
use slarouter_config::{Checks, Config, EncoderConfig};
use slarouter_core::policy::{CertifiedParams, Window};
use slarouter_core::{PolicySpec, Timestamp};

const EXAMPLE: &str = include_str!("../../../slarouter.example.toml");
const REFERENCE: &str = include_str!("../../../docs/configuration.md");
const RAW: &str =
    concat!(include_str!("../src/raw.rs"), include_str!("../src/raw/price.rs"), include_str!("../src/raw/takes.rs"));
const LIMITS: &str = include_str!("../src/grants.rs");

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

fn certified(text: &str, route: &str) -> CertifiedParams {
    let config = Config::parse(text, &none).unwrap();
    let params = match &config.routes[route].spec.policy {
        PolicySpec::Certified(params) => Some(params),
        _ => None,
    };
    params.unwrap().clone()
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
    assert_eq!(format!("{:?}", example.features), format!("{:?}", defaults.features));
    assert_eq!(example.feedback_window_ms, 30 * 86_400_000);
    for config in [&example, &defaults] {
        let spec = &config.routes["default"].spec;
        assert_eq!((spec.audit_rate, spec.rater_limit, spec.rater_share), (0.0, 100, 0.1));
    }
    let params = |fallback: &str| CertifiedParams {
        fallback: Some(fallback.to_owned()),
        window: Window::Requests(20_000),
        ..CertifiedParams::default()
    };
    assert_eq!(example.routes["default"].spec.policy, PolicySpec::Certified(params("large")));
    assert_eq!(defaults.routes["default"].spec.policy, PolicySpec::Certified(params("m")));
}

#[test]
fn which_words_of_others_and_of_checks_are_ratings() {
    let with =
        |feedback: &str| Config::parse(&format!("[feedback]\n{feedback}\n{}", minimal("", "", "")), &none).unwrap();
    let (plain, set) = (with(""), with("score_names = []\nchecks = { run = [\"tools\", \"empty\"], count = \"all\" }"));
    assert!(plain.score_names.iter().any(|name| name == "user-feedback") && plain.checks == Checks::default());
    assert!(set.score_names.is_empty() && set.checks.count_all);
    assert_eq!(set.checks.run.iter().map(|check| check.as_str()).collect::<Vec<_>>(), ["tools", "empty"]);
    assert_eq!(plain.changes(&set), ["feedback.score_names", "feedback.checks"]);
}

#[test]
fn audits_and_the_limits_are_part_of_every_route() {
    let with = |feedback: &str| format!("[feedback]\n{feedback}\n{}", minimal("", "", ""));
    let config = Config::parse(&with("audit_rate = 0.02\nrater_limit = 0\nrater_share = 0"), &none).unwrap();
    let spec = &config.routes["default"].spec;
    assert_eq!((spec.audit_rate, spec.rater_limit, spec.rater_share), (0.02, 0, 0.0));
    for wrong in ["-0.1", "1.1", "nan", "inf"] {
        for (key, place) in [("audit_rate", 14), ("rater_share", 15)] {
            let text = refusal(&with(&format!("{key} = {wrong}")));
            assert!(text.starts_with(&format!("slarouter.toml:2:{place}: must be from 0 to 1")), "{text}");
        }
    }
    for wrong in ["-1", "1.5", "\"many\""] {
        assert!(refusal(&with(&format!("rater_limit = {wrong}"))).starts_with("slarouter.toml:2:"), "{wrong}");
    }
}

/// The fields of the structs that the file is read into.
fn keys() -> Vec<&'static str> {
    let raw = RAW.lines().filter_map(|line| Some(line.trim().strip_prefix("pub(crate) ")?.split_once(": ")?.0));
    let limits = LIMITS.lines().filter_map(|line| Some(line.trim().strip_prefix("pub ")?.split_once(": Option<")?.0));
    raw.chain(limits).collect()
}

#[test]
fn every_key_is_in_reference_and_example() {
    let keys = keys();
    assert!(keys.len() > 40, "{keys:?}");
    let starts = ["`", "[", "[[", ".", "\n", "# ", "{ ", ", "];
    let within = |text: &str, key: &str, ends: &[&str]| {
        starts.iter().any(|start| ends.iter().any(|end| text.contains(&format!("{start}{key}{end}"))))
    };
    for key in keys {
        assert!(within(REFERENCE, key, &["`", "]", "]]", "."]), "{key} is not in docs/configuration.md");
        assert!(within(EXAMPLE, key, &[" = ", "]", "]]", "."]), "{key} is not in slarouter.example.toml");
    }
}

#[test]
fn the_reference_has_no_key_that_is_gone() {
    let keys = keys();
    let documented = REFERENCE.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    for (key, _) in documented {
        let last = key.rsplit('.').next().unwrap();
        assert!(keys.contains(&last), "{key} is in docs/configuration.md only");
    }
}

#[test]
fn all_mistakes_are_reported_at_once_with_their_places() {
    let text = r#"[server]
listen = "0.0.0.0:80"
max_connections = 0
port = 8080
[upstream]
idle_timeout_s = -1.0
max_attempts = "three"
[[models]]
name = "auto"
base_url = "ftp://x"
api_key = "${MISSING}"
price = { input = -1, output = 1 }
prior = 1.0
[routes.Default]
models = ["auto", "nope"]
sla = { satisfaction = 1.5, assurance = 95 }
policy = "best"
[routes.Default.slarouter]
v = -1
"#;
    let expected = r#"slarouter.toml:3:19: must be from 1 to 1099511627776, not 0
slarouter.toml:4:1: unknown key `port`: there are `listen`, `admin_listen`, `api_keys`, `admin_keys`, `allow_unauthenticated`, `allow_unauthenticated_metrics`, `tls`, `max_body_bytes`, `max_body_bytes_at_once`, `max_header_bytes`, `request_timeout_s`, `header_timeout_s`, `body_timeout_s`, `idle_timeout_s`, `ping_interval_s`, `shutdown_delay_s`, `shutdown_grace_s`, `max_connections`, `max_connections_per_address`, `cors_origins`, `seed`, `time_zone`, `log_format`
slarouter.toml:6:18: must be a time from 0.001 to 100000000 seconds, not -1
slarouter.toml:7:16: invalid type: a string, expected a whole number that is not negative
slarouter.toml:9:8: a model's name must not be empty, "auto", or begin with "auto:"
slarouter.toml:10:12: base_url must be http(s)://host[:port]/path, usually ending in /v1
slarouter.toml:11:11: the environment variable MISSING is not set
slarouter.toml:12:9: a price must be from 0 to 1000000 USD per million tokens, not -1
slarouter.toml:13:9: must be strictly between 0 and 1, not 1
slarouter.toml:14:9: a route's name has lower-case letters, digits, - and _ only
slarouter.toml:16:24: the satisfaction target must lie between 0 and 1, not 1.5
slarouter.toml:16:41: must be strictly between 0 and 1, not 95
slarouter.toml:17:10: unknown policy: use certified, slarouter, random, cheapest, most-expensive or fixed:<model>"#;
    assert_eq!(refusal(text), expected);
}

fn with_features(features: &str) -> String {
    format!("[features]\n{features}\n{}", minimal("", "", ""))
}

#[test]
fn encoders_and_their_keys() {
    for (features, version, dim) in [("", 2, 128), ("encoder = \"static\"", 101, 96), ("encoder = \"blend\"", 201, 128)]
    {
        let config = Config::parse(&with_features(features), &none).unwrap();
        let EncoderConfig::Local(local) = config.features.encoder else { panic!("not a local encoder: {features}") };
        let encoder = local.load().unwrap();
        assert_eq!((encoder.version(), encoder.dim()), (version, dim), "{features}");
    }
    let remote = "encoder = \"remote\"\nbase_url = \"http://h/v1\"\nmodel = \"e\"\ndim = 384\napi_key = \"${KEY}\"";
    let env = |name: &str| (name == "KEY").then(|| "a-secret".to_owned());
    let config = Config::parse(&with_features(remote), &env).unwrap();
    let EncoderConfig::Remote(remote) = &config.features.encoder else { panic!("another encoder") };
    assert_eq!((remote.dim, remote.width, remote.timeout.as_millis()), (384, 64, 300));
    assert!(!format!("{config:?}").contains("a-secret"));

    for (features, expected) in [
        ("encoder = \"gpt\"", "2:11: unknown encoder: use hashed, static, blend, bert or remote"),
        ("encoder = \"bert:/x\"", "2:11: unknown encoder: use hashed, static, blend, bert or remote"),
        ("encoder = \"blend\"\npath = \"/x\"", "3:8: path belongs to encoder bert, but the encoder is blend"),
        ("timeout_s = 1", "2:13: timeout_s belongs to encoder bert or remote, but the encoder is hashed"),
        ("encoder = 3", "2:11: invalid type: integer `3`, expected a string"),
        (
            "encoder = \"remote\"\nbase_url = \"h\"\nmodel = \"e\"\ndim = 0",
            "3:12: base_url must be http(s)://host[:port]/path, usually ending in /v1\n\
             slarouter.toml:5:7: must be from 1 to 65536, not 0",
        ),
        (
            "encoder = \"remote\"\nmodel = \"\"\nwidth = 513",
            "2:11: encoder \"remote\" needs base_url\nslarouter.toml:2:11: encoder \"remote\" needs dim\n\
             slarouter.toml:3:9: model must not be empty\nslarouter.toml:4:9: must be from 1 to 512, not 513",
        ),
    ] {
        assert_eq!(refusal(&with_features(features)), format!("slarouter.toml:{expected}"), "{features}");
    }
}

#[test]
fn hedges_and_health_checks() {
    let hedged = |hedge: &str| format!("[upstream]\nhedge = {hedge}\n{}", minimal("", "", ""));
    let config = Config::parse(&hedged("{ quantile = 0.95 }"), &none).unwrap();
    assert_eq!(format!("{:?}", config.upstream.hedge), "Some(Hedge { quantile: 0.95, to: Same, min: 100ms })");
    for (hedge, expected) in [
        ("{}", "upstream.hedge has no `quantile`: write quantile = 0.95"),
        ("{ quantile = 1 }", "must be from 0.5 to below 1, not 1"),
        ("{ quantile = 0.1 }", "must be from 0.5 to below 1, not 0.1"),
        ("{ quantile = nan }", "must be from 0.5 to below 1, not NaN"),
        ("{ quantile = 0.9, to = \"other\" }", "to must be \"same\" or \"next\""),
        ("{ quantile = 0.9, min_s = -1 }", "must be a time from 0.001 to 100000000 seconds, not -1"),
        ("{ quantile = 0.9, most_s = 1 }", "unknown key `most_s`: there are `quantile`, `to`, `min_s`"),
        ("0.95", "invalid type: floating point `0.95`, expected a table"),
    ] {
        let text = refusal(&hedged(hedge));
        assert!(text.starts_with("slarouter.toml:2:") && text.contains(expected), "{hedge}: {text}");
    }

    let checked = |check: &str| minimal("", &format!("health_check = {check}"), "");
    let path = |path: &str| {
        let config =
            Config::parse(&checked(&format!("{{ path = \"{path}\" }}")), &none).map_err(|error| error.to_string())?;
        Ok::<_, String>(config.models[0].health_check.clone().unwrap().url)
    };
    assert_eq!(path("/health").unwrap(), "http://127.0.0.1:1/health");
    assert_eq!(path("models").unwrap(), "http://127.0.0.1:1/v1/models");
    assert_eq!(path("models?all=1").unwrap(), "http://127.0.0.1:1/v1/models?all=1");
    // The model's key goes with it.
    for wrong in ["", "http://elsewhere/health", "//elsewhere/health", "http://user@127.0.0.1:1/x", "#x"] {
        let text = path(wrong).unwrap_err();
        assert!(text.contains("path must be a path at the model's base_url"), "{wrong}: {text}");
    }
    for (check, expected) in [
        ("{}", "the `health_check` of the model \"m\" has no `path`: write path = \"/health\""),
        ("{ path = \"/x\", interval_s = 0 }", "must be a time from 0.001 to 100000000 seconds, not 0"),
        ("{ path = \"/x\", timeout_s = \"1\" }", "invalid type"),
        ("{ path = \"/x\", unhealthy_after = 0 }", "must be from 1 to"),
        ("{ path = \"/x\", healthy_after = 0 }", "must be from 1 to"),
    ] {
        assert!(refusal(&checked(check)).contains(expected), "{check}: {}", refusal(&checked(check)));
    }
}

#[test]
fn bert_needs_a_folder_and_a_build_that_has_it() {
    let bert = with_features("encoder = \"bert\"\npath = \"/no/such/folder\"");
    if cfg!(feature = "bert") {
        let EncoderConfig::Local(local) = Config::parse(&bert, &none).unwrap().features.encoder else {
            panic!("not local")
        };
        let error = local.load().err().unwrap().to_string();
        assert!(error.contains("/no/such/folder") && error.contains("model.safetensors"), "{error}");
    } else {
        let expected = "slarouter.toml:2:11: this binary is built without bert: build it with `--features bert`, or take \
                        hashed, static, blend or remote";
        assert_eq!(refusal(&bert), expected);
    }
    let message = "slarouter.toml:2:11: encoder \"bert\" needs path, the folder of the model";
    assert!(refusal(&with_features("encoder = \"bert\"")).contains(message));
}

#[test]
fn one_mistake_makes_one_message() {
    let model = "name = \"m\"\nbase_url = \"http://h/v1\"\nprice = { input = 1, output = 1 }\n";
    let route = "[routes.default]\nmodels = [\"m\"]\nsla = { satisfaction = 0.9 }\n";
    let price = model.replace("input = 1", "input = \"1\"");
    for (text, expected) in [
        (format!("[[models]]\n{price}{route}"), "slarouter.toml:4:19: invalid type: a string, expected a number"),
        (
            format!("[[models]]\nname = \"m\"\n[[models]]\n{model}{route}"),
            "slarouter.toml:1:1: the model \"m\" has no `base_url`: write base_url = \"https://api.openai.com/v1\"",
        ),
        (
            format!("[[models]]\n{model}[routes.default]\nmodels = [\"m\"]"),
            "slarouter.toml:5:1: the route \"default\" has no `sla`: write sla = { satisfaction = 0.9 }",
        ),
        (format!("{route}[models]\n{model}"), "slarouter.toml:4:1: invalid type: map, expected a list"),
        (
            format!("[server]\nlisten = \"0.0.0.0:1\"\napi_keys = \"sesame\"\n[[models]]\n{model}{route}"),
            "slarouter.toml:3:12: invalid type: a string, expected a list",
        ),
        (
            format!("[server]\napi_keys = [5, \"sixteen characters\"]\n[[models]]\n{model}{route}"),
            "slarouter.toml:2:13: invalid type: integer `5`, expected a string",
        ),
        (
            format!("[server]\nseed = -1\n[[models]]\n{model}{route}"),
            "slarouter.toml:2:8: invalid value: integer `-1`, expected a whole number that is not negative",
        ),
        (
            format!("[[models]]\n{}{route}", model.replace("\"m\"", "\"${X}\"")),
            "slarouter.toml:2:8: the environment variable X is not set",
        ),
        ("seed = 1\nseed = 2".to_owned(), "slarouter.toml:2:1: duplicate key"),
        ("[server]\nlisten = \"a\nb\"".to_owned(), "slarouter.toml:2:12: invalid basic string, expected `\"`"),
    ] {
        assert_eq!(refusal(&text), expected, "{text}");
    }
}

#[test]
fn refusals_say_how_to_mend() {
    for (server, model, route, expected) in [
        ("listen = \"here\"", "", "", "write ip:port or name:port"),
        ("admin_keys = [\"short\"]", "", "", "16 characters"),
        ("max_header_bytes = 1", "", "", "8192"),
        ("admin_listen = \"127.0.0.1:8080\"", "", "", "choose another"),
        ("admin_listen = \"9090\"", "", "", "write ip:port or name:port"),
        ("api_keys = [\"short\"]", "", "", "16 characters"),
        ("api_keys = [\"${UNSET}\"]", "", "", "UNSET is not set"),
        ("port = 1", "", "", "unknown key `port`"),
        ("max_connections = 9000000000000000000", "", "", "must be from 1 to"),
        ("request_timeout_s = 0", "", "", "must be a time from"),
        ("shutdown_delay_s = -1", "", "", "a time from 0 to"),
        ("shutdown_delay_s = nan", "", "", "a time from 0 to"),
        ("time_zone = \"Berlin\"", "", "", "a name of the IANA's"),
        ("log_format = \"xml\"", "", "", "\"json\" or \"text\""),
        ("request_timeout_s = inf", "", "", "must be a time from"),
        ("request_timeout_s = 1e9", "", "", "must be a time from"),
        ("[store]\nurl = \"mysql://h/d\"", "", "", "url must be sqlite://"),
        ("[store]\nurl = \"sqlite://:memory:\"", "", "", "url must be sqlite://"),
        ("[store]\nqueue = 0", "", "", "must be from 1 to"),
        ("[feedback]\nwindow_days = 0", "", "", "above 0 and at most 36500"),
        ("[feedback]\nwindow_days = nan", "", "", "above 0 and at most 36500"),
        ("[feedback]\nchecks = { run = [\"spelling\"] }", "", "", "there are the checks `empty`"),
        ("[feedback]\nchecks = { count = \"some\" }", "", "", "count is \"failures\" or \"all\""),
        ("", "protocol = \"x\"", "", "protocol must be openai-chat"),
        ("", "max_output_tokens = 0", "", "must be from 1 to"),
        ("", "prior = nan", "", "strictly between 0 and 1"),
        ("", "api_key = \"a\\nb\"", "", "printable ASCII"),
        ("", "api_key = \"\"", "", "leave it out"),
        ("", "[[models]]\nname = \"m\"\nbase_url = \"http://h\"\nprice = { input = 1, output = 1 }", "", "of its own"),
        ("", "", "fallback = \"x\"", "fallback must be one of the route's models"),
        ("", "", "policy = \"fixed:x\"", "there is no such model"),
        ("", "", "policy = \"fixed:\"", "unknown policy"),
        ("", "", "policy = \"slarouter\"\nslarouter = { v = -1.0 }", "finite and not negative"),
        ("", "", "policy = \"slarouter\"\nslarouter = { c = inf }", "finite and not negative"),
        ("", "", "policy = \"slarouter\"\nslarouter = { initial_queue = nan }", "finite and not negative"),
        ("", "", "policy = \"slarouter\"\nslarouter = { learning_rate = 0 }", "finite and positive"),
        ("", "", "exploration = -0.1", "must be from 0 to 1, not -0.1"),
        ("", "", "exploration_floor = 0.06", "must be from 0 to 0.05, not 0.06"),
        ("", "", "policy = \"random\"\nobserve = true", "observe is for policy certified"),
        ("", "", "observe = 1", "expected a boolean"),
        ("", "", "exploration = nan", "must be from 0 to 1"),
        ("", "", "slarouter = { v = 1.0 }", "another policy is chosen"),
        ("", "", "policy = \"random\"\nslarouter = { v = 1.0 }", "another policy is chosen"),
        ("", "", "[routes.\"a b\"]\nmodels = [\"m\"]\nsla = { satisfaction = 0.8 }", "lower-case letters"),
    ] {
        let found = refusal(&minimal(server, model, route));
        assert!(found.contains(expected) && found.lines().count() == 1, "{expected:?} is not all of {found:?}");
    }
    let whole = minimal("", "", "");
    for (old, new, expected) in [
        ("name = \"m\"", "name = \"auto:x\"", "must not be empty"),
        ("name = \"m\"", "name = \"\"", "must not be empty"),
        ("name = \"m\"", "name = \"ü\"", "printable ASCII"),
        ("http://127.0.0.1:1/v1", "http://h/v1?x=1", "base_url must be http(s)"),
        ("http://127.0.0.1:1/v1", "http://me:word@h/v1", "no user or password"),
        ("input = 1", "input = inf", "a price must be from 0 to 1000000 USD"),
        ("output = 1", "output = 1, cached_input = -1", "a price must be from 0"),
        ("output = 1", "output = 1e300", "a price must be from 0 to 1000000 USD per million tokens, not 1"),
        ("output = 1", "output = 1, cached_input = 1000001.0", "a price must be from 0"),
        ("models = [\"m\"]", "models = []", "at least one model"),
        ("models = [\"m\"]", "models = [\"m\", \"m\"]", "in the list twice"),
        ("models = [\"m\"]", "models = [\"m\", \"n\"]", "there is no model \"n\""),
        ("satisfaction = 0.9", "satisfaction = nan", "between 0 and 1"),
        ("satisfaction = 0.9", "satisfaction = 0.9, window = \"\"", "window must be \"run\""),
        ("satisfaction = 0.9", "satisfaction = 0.9, window = \"15 requests\"", "window must be \"run\""),
        ("satisfaction = 0.9", "satisfaction = 0.9, window = \"0 days\"", "window must be \"run\""),
        ("satisfaction = 0.9", "satisfaction = 0.9, window = \"1 month\"", "window must be \"run\""),
        ("satisfaction = 0.9", "satisfaction = 0.9, window = \"36501 days\"", "window must be \"run\""),
        ("satisfaction = 0.9", "satisfaction = 0.9, window = \"${X}\"", "X is not set"),
        ("satisfaction = 0.9", "satisfaction = 0.9, assurance = 1", "strictly between 0 and 1"),
    ] {
        let found = refusal(&whole.replace(old, new));
        assert!(found.contains(expected), "{expected:?} is not in {found:?}");
    }
    let two =
        whole.replace("[routes.default]", "[routes.a]\nmodels = [\"m\"]\nsla = { satisfaction = 0.8 }\n[routes.b]");
    assert!(refusal(&two).contains("one must be called default"));
    assert!(refusal("").contains("there is no model") && refusal("").contains("there is no route"));
}

#[test]
fn variables_stand_in_all_strings() {
    let env = |name: &str| (name == "M").then(|| "m".to_owned());
    let text = minimal("", "", "fallback = \"${M}\"\npolicy = \"fixed:${M}\"").replace("\"m\"", "\"${M}\"");
    let config = Config::parse(&text, &env).unwrap();
    assert_eq!(config.routes["default"].spec.policy.to_string(), "fixed:m");
    assert_eq!((&*config.models[0].name, &*config.models[0].upstream_model), ("m", "m"));
}

#[test]
fn the_only_route_is_the_default_and_the_most_expensive_model_the_fallback() {
    let cheap = "[[models]]\nname = \"c\"\nbase_url = \"https://h/v1/\"\nprice = { input = 0, output = 0 }";
    let text = minimal("", cheap, "").replace("routes.default", "routes.chat").replace("[\"m\"]", "[\"c\", \"m\"]");
    let config = Config::parse(&text, &none).unwrap();
    assert_eq!(&*config.default_route, "chat");
    assert_eq!(certified(&text, "chat").fallback.as_deref(), Some("m"));
}

#[test]
fn the_promise_is_read_into_the_policy() {
    let text = minimal("", "", "fallback = \"m\"\nexploration = 0.0");
    for (written, window) in [
        ("run", Window::Run),
        ("16 requests", Window::Requests(16)),
        ("5000 requests", Window::Requests(5_000)),
        ("1 day", Window::Period(86_400_000)),
        ("36500 days", Window::Period(36_500 * 86_400_000)),
        ("12 hours", Window::Period(43_200_000)),
        ("90 minutes", Window::Period(5_400_000)),
        ("1 second", Window::Period(1_000)),
        ("2 weeks", Window::Period(14 * 86_400_000)),
    ] {
        let sla = format!("satisfaction = 0.9, assurance = 0.8, window = \"{written}\"");
        let params = certified(&text.replace("satisfaction = 0.9", &sla), "default");
        let fallback = Some("m".to_owned());
        assert_eq!(
            params,
            CertifiedParams { assurance: 0.8, fallback, exploration: 0.0, window, ..CertifiedParams::default() },
            "{written}"
        );
    }
}

fn priced(price: &str) -> String {
    minimal("", "", "").replace("{ input = 1, output = 1 }", price)
}

#[test]
fn prices_of_all_forms() {
    let at = |price: &str, ms: u64| {
        let config = Config::parse(&priced(price), &none).unwrap();
        config.models[0].prices.at(Timestamp(ms))
    };
    let flat = at("{ input = 1, output = 2 }", 0);
    assert_eq!((flat.cached_input, flat.cache_write, flat.cache_write_1h), (1.0, 1.0, 1.0));
    assert_eq!((flat.reasoning, flat.audio_input, flat.audio_output), (2.0, 1.0, 2.0));
    let kinds = at("{ input = 1, output = 2, cache_write = 1.25, reasoning = 3 }", 0);
    assert_eq!((kinds.cache_write_1h, kinds.reasoning), (1.25, 3.0));

    let date = 1_796_083_200_000;
    for dated in [
        "[{ input = 1, output = 2 }, { from = \"2026-12-01\", input = 5, output = 2 }]",
        "[{ from = 2026-12-01, input = 5, output = 2 }, { input = 1, output = 2 }]",
        "[{ input = 1, output = 2 }, { from = \"2026-12-01T01:00:00+01:00\", input = 5, output = 2 }]",
    ] {
        assert_eq!((at(dated, date - 1).input, at(dated, date).input), (1.0, 5.0), "{dated}");
    }
    let table = priced("[]").replace("price = []\n", "")
        + "[[models]]\nname = \"n\"\nbase_url = \"http://h/v1\"\n[[models.price]]\ninput = 1\noutput = 2\n\
           [[models.price]]\nfrom = \"2026-12-01\"\ninput = 5\noutput = 2\n";
    let table =
        table.replacen("base_url = \"http://127.0.0.1:1/v1\"", "base_url = \"http://h/v1\"\nprice = \"unknown\"", 1);
    let config = Config::parse(&table, &none).unwrap();
    assert!(!config.models[0].prices.is_known() && config.models[1].prices.is_known());
    assert_eq!(config.models[0].prices.at(Timestamp(date)), config.models[1].prices.at(Timestamp(date)));
    assert_eq!(config.next_price_change(Timestamp(0)), Some(Timestamp(date)));
}

#[test]
fn prices_that_are_none_are_refused_where_they_stand() {
    for (price, expected) in [
        ("\"cheap\"", "6:9: a price is a table of USD per million tokens, a list of such, or \"unknown\""),
        ("3", "6:9: invalid type: integer `3`, expected a table of prices, a list of such tables, or \"unknown\""),
        (
            "{ input = 1 }",
            "6:9: the `price` of the model \"m\" has no `output`: write output = 0.6, in USD per million tokens",
        ),
        ("{ input = 1, output = nan }", "6:9: a price must be from 0 to 1000000 USD per million tokens, not NaN"),
        ("{ input = 1, output = 1, reasoning = -1 }", "6:9: a price must be from 0"),
        ("{ input = 1, output = 1, cache_write_1h = inf }", "6:9: a price must be from 0"),
        ("{ input = 1, output = 1, audio_output = 1e7 }", "6:9: a price must be from 0"),
        ("{ input = 1, output = 1, inptu = 1 }", "6:34: unknown key `inptu`: did you mean `input`?"),
        ("[]", "6:9: one price must have no `from`"),
        ("[{ from = \"2026-12-01\", input = 1, output = 1 }]", "6:9: one price must have no `from`"),
        ("{ from = \"2026-12-01\", input = 1, output = 1 }", "6:9: one price must have no `from`"),
        ("[{ input = 1, output = 1 }, { input = 1, output = 1 }]", "6:37: this model has two prices without a date"),
        (
            "[{ input = 1, output = 1 }, { from = 2026-12-01, input = 1, output = 1 }, \
             { from = \"2026-12-01T00:00:00Z\", input = 1, output = 1 }]",
            "6:92: this model has another price from the same moment on",
        ),
        ("[{ input = 1, output = 1 }, { from = \"soon\", input = 1, output = 1 }]", "6:46: from must be a date"),
        ("[{ input = 1, output = 1 }, { from = 5, input = 1, output = 1 }]", "6:46: invalid type: integer `5`"),
        ("[{ input = 1, output = 1 }, { from = 09:00:00, input = 1, output = 1 }]", "6:46: from must be a date"),
        (
            "[{ input = 1, output = 1 }, { from = 2026-12-01T09:00:00, input = 1, output = 1 }]",
            "6:46: from must be a date",
        ),
        ("\"unknown\"", "6:9: no model has a known price"),
    ] {
        let found = refusal(&priced(price));
        assert!(found.starts_with(&format!("slarouter.toml:{expected}")), "{price}: {found}");
        assert_eq!(found.lines().count(), 1, "{found}");
    }
    let two = priced("\"unknown\"").replace("models = [\"m\"]", "models = [\"m\", \"n\"]")
        + "[[models]]\nname = \"n\"\nbase_url = \"http://h/v1\"\nprice = { input = 1, output = 1 }\n";
    let trusted = certified(&two, "default").fallback;
    assert_eq!(trusted.as_deref(), Some("n"), "no model is trusted for a price that nobody knows");
    let found = refusal(&two.replace("satisfaction = 0.9 }", "satisfaction = 0.9 }\npolicy = \"most-expensive\""));
    assert!(found.contains("policy most-expensive compares prices, and nobody knows that of \"m\""), "{found}");
}

#[test]
fn a_tenant_differs_from_its_route_where_it_says_so() {
    let tenants = "fallback = \"m\"\n[routes.default.tenants.acme]\nsla = { satisfaction = 0.97, assurance = 0.8 }\nobserve = true\nexploration_floor = 0.02\n\
                   [routes.default.tenants.frugal]\nexploration = 0.01\npolicy = \"fixed:m\"\n";
    let config = Config::parse(&minimal("", "", tenants), &none).unwrap();
    let names: Vec<_> = config.routes.keys().map(|name| &**name).collect();
    assert_eq!(names, ["default", "default/acme", "default/frugal"]);
    let spec = |name: &str| &config.routes[name].spec;
    assert_eq!((spec("default/acme").alpha.get(), spec("default/frugal").alpha), (0.97, spec("default").alpha));
    assert_eq!(spec("default/acme").zoo, spec("default").zoo);
    assert_eq!(spec("default/frugal").policy, PolicySpec::Fixed("m".to_owned()));
    let PolicySpec::Certified(params) = &spec("default/acme").policy else { panic!("another policy") };
    assert_eq!((params.assurance, params.fallback.as_deref()), (0.8, Some("m")));
    assert_eq!((params.exploration, params.exploration_floor), (0.05, 0.02));
    assert_eq!((spec("default").is_observed(), spec("default/acme").is_observed()), (false, true));
    assert_eq!(&*config.default_route, "default");

    let wrong = "[routes.default.tenants.\"A/B\"]\nmodels = [\"x\"]\n";
    let errors = Config::parse(&minimal("", "", wrong), &none).unwrap_err();
    let said = errors.to_string();
    assert!(
        said.contains("a tenant's name has lower-case letters") && said.contains("there is no model \"x\""),
        "{said}"
    );
}

#[test]
fn keys_and_tenants_are_checked_where_they_stand() {
    let keys = "[[keys]]\nname = \"web\"\nkey = \"sixteen-letters-1\"\nscopes = [\"inference\"]\nmodels = [\"auto\"]\n\
                limits = { usd_per_month = 5 }\n[tenants.acme]\nrequests_per_minute = 60\n";
    let config = Config::parse(&minimal("", "", keys), &none).unwrap();
    assert_eq!(config.keys[0].grants.limits.usd_per_month, Some(5.0));
    assert_eq!(config.tenants["acme"].requests_per_minute, Some(60));
    let wrong = "[[keys]]\nname = \"Web\"\nkey = \"short\"\nscopes = [\"root\"]\nmodels = [\"nothing\"]\n\
                 [tenants.acme]\nrequests_per_minute = 0\n[feedback]\ntoken_secret = \"short\"\n\
                 cors_origins = [\"*\"]\n";
    let errors = Config::parse(&minimal("", "", wrong), &none).unwrap_err().to_string();
    for said in [
        "a key's name",
        "at least 16 characters",
        "a scope is",
        "\"nothing\"",
        "requests_per_minute",
        "at least 32",
        "an origin is",
    ] {
        assert!(errors.contains(said), "{said}: {errors}");
    }
}

#[test]
fn secrets_show_nowhere() {
    let env = |name: &str| (name == "KEY").then(|| "sesame-sesame-sesame".to_owned());
    let text = minimal("api_keys = [\"${KEY}\"]", "api_key = \"${KEY}\"", "");
    let config = Config::parse(&text, &env).unwrap();
    assert!(!format!("{config:?}").contains("sesame"));
    // A variable in every place that refuses it, so that every message which could quote it is made.
    let model = "name = \"${KEY}\"\nbase_url = \"${KEY}\"\nprotocol = \"${KEY}\"\napi_key = \"${KEY}é\"\n\
                 price = { input = -1, output = 1 }\n";
    let text = format!(
        "[server]\nlisten = \"${{KEY}}\"\nadmin_listen = \"${{KEY}}\"\n[store]\nurl = \"${{KEY}}\"\n[[models]]\n{model}\
         [[models]]\n{model}[routes.default]\nmodels = [\"${{KEY}}\", \"${{KEY}}\", \"x${{KEY}}\"]\n\
         fallback = \"x${{KEY}}\"\npolicy = \"${{KEY}}\"\nsla = {{ satisfaction = 0.9 }}\n\
         [routes.b]\nmodels = [\"${{KEY}}\"]\nfallback = \"x${{KEY}}\"\npolicy = \"fixed:x${{KEY}}\"\n\
         sla = {{ satisfaction = 0.9, window = \"${{KEY}}\" }}\n"
    );
    let errors = Config::parse(&text, &env).unwrap_err();
    assert!(errors.to_string().lines().count() > 14, "{errors}");
    assert!(!format!("{errors} {errors:?}").contains("sesame"), "{errors}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("none.toml");
    let found = Config::load(&path).unwrap_err().to_string();
    assert!(found.starts_with(&format!("{}: cannot be read", path.display())), "{found}");
    std::fs::write(&path, "[server]\nport = 1\n").unwrap();
    let found = Config::load(&path).unwrap_err().to_string();
    assert!(found.contains(&format!("{}:2:1: unknown key `port`", path.display())), "{found}");
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in any::<String>(), value in "[ -~]{0,20}") {
        let _ = Config::parse(&text, &none);
        let _ = Config::parse(&minimal(&format!("listen = \"{value}\""), "", ""), &none);
    }

    /// Lines of a sound file taken out, doubled, swapped or given another value: near enough to reach every check.
    #[test]
    fn any_change_of_the_example_is_read_or_refused(
        changes in prop::collection::vec((0usize..80, 0usize..80, 0usize..9), 1..8)
    ) {
        let mut lines: Vec<String> = EXAMPLE.lines().map(str::to_owned).collect();
        for (at, other, what) in changes {
            let (at, other) = (at % lines.len(), other % lines.len());
            match (what, lines[at].split_once(" = ")) {
                (0, _) => lines.swap(at, other),
                (1, _) => lines[at] = lines[other].clone(),
                (2, _) if lines.len() > 1 => { lines.remove(at); }
                (what, Some((key, _))) => {
                    let value = ["-1", "nan", "\"${X}\"", "[]", "{}", "[[1, {a = \"b\"}]]", "9223372036854775807"][what % 7];
                    lines[at] = format!("{key} = {value}");
                }
                _ => {}
            }
        }
        if let Err(errors) = Config::parse(&lines.join("\n"), &none) {
            prop_assert!(errors.to_string().lines().all(|line| line.starts_with("slarouter.toml:")), "{errors}");
            prop_assert!(errors.messages().count() > 0);
        }
    }
}

#[test]
fn a_key_stands_in_one_place() {
    let key = |name: &str, key: &str| format!("[[keys]]\nname = \"{name}\"\nkey = \"{key}\"\nscopes = [\"audit\"]\n");
    let (one, two) = ("sixteen-letters-1", "sixteen-letters-2");
    for (server, keys, lines) in [
        (format!("api_keys = [\"{one}\"]\nadmin_keys = [\"{two}\"]"), String::new(), vec![]),
        (format!("api_keys = [\"{one}\"]\nadmin_keys = [\"{one}\"]"), String::new(), vec![3]),
        (format!("api_keys = [\"{one}\", \"{one}\"]"), String::new(), vec![2]),
        (format!("api_keys = [\"{one}\"]"), key("a", one), vec![5]),
        (format!("admin_keys = [\"{one}\"]"), key("a", two) + &key("b", two), vec![9]),
    ] {
        let text = minimal(&format!("{server}\n{keys}"), "", "");
        let said = Config::parse(&text, &none).err().map(|errors| errors.to_string()).unwrap_or_default();
        let found: Vec<_> = said.lines().filter(|line| line.contains("stands in another place")).collect();
        assert_eq!(found.len(), lines.len(), "{text}: {said}");
        for (line, found) in lines.iter().zip(found) {
            assert!(found.starts_with(&format!("slarouter.toml:{line}:")) && !found.contains("sixteen"), "{found}");
        }
    }
}

#[test]
fn limits_of_connections_and_bodies_fit_each_other() {
    let with = |server: &str| Config::parse(&minimal(server, "", ""), &none);
    let server = with("").unwrap().server;
    assert_eq!((server.max_connections, server.max_connections_per_address), (10_000, 5_000));
    assert_eq!(server.max_body_bytes_at_once, 256 << 20);
    assert_eq!(with("max_connections = 1").unwrap().server.max_connections_per_address, 1);
    assert_eq!(with("max_body_bytes = 1073741824").unwrap().server.max_body_bytes_at_once, 1 << 30);
    assert!(with("max_body_bytes = 1000\nmax_body_bytes_at_once = 1000").is_ok());
    let error = with("max_body_bytes_at_once = 1000").unwrap_err().to_string();
    assert!(error.starts_with("slarouter.toml:2:26: max_body_bytes_at_once must not be below"), "{error}");
}
