//! Everything else that comes from outside: JSON as such, the configuration, feedback, keys and tokens.

use std::sync::OnceLock;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::de::IgnoredAny;
use slarouter_core::{DecisionId, Rating, Timestamp};

use crate::auth::{self, Auth};
use crate::clock::{parse_id, public_id};
use crate::config::{Config, Sources};
use crate::keys::Scope;
use crate::token::Signer;
use crate::wire::json::{Edit, Object, WireError, splice};
use crate::{feedback as feedback_api, route};

const KEY: &str = "sk-0123456789abcdef";
const SECRET: &str = "0123456789abcdef0123456789abcdef";
const LIFETIME: Duration = Duration::from_secs(60);
/// No fuzzer guesses it, so that one in a message has come from a variable.
const VALUE: &str = "v4lu3-of-a-s3cr3t-v4r14bl3";

/// The first byte says what to do with the members `a` and `b` of the object that follows.
pub(super) fn json(data: &[u8]) {
    let Some((first, json)) = data.split_first() else { return };
    let accepted = serde_json::from_slice::<IgnoredAny>(json).is_ok();
    let object = match Object::scan(json) {
        Ok(object) => object,
        Err(WireError::Syntax { offset, .. }) => {
            assert!(offset <= json.len());
            return assert!(!accepted || std::str::from_utf8(json).is_err(), "serde_json takes it");
        }
        Err(WireError::NotAnObject | WireError::TooDeep { .. }) => return,
    };
    assert!(accepted || std::str::from_utf8(json).is_err(), "serde_json does not take it");
    let edit = |kind: u8| match kind & 3 {
        0 => Edit::Set(b"[1e5,\"\\u00e9\"]"),
        1 => Edit::Default(b"null"),
        _ => Edit::Set(b"{}"),
    };
    let edits = [("a", edit(*first)), ("b", edit(first >> 2))];
    let mut out = Vec::new();
    object.splice(json, &edits, &mut out);
    assert_eq!(splice(json, &edits).as_ref(), Ok(&out));
    assert_eq!(splice(&out, &edits).as_ref(), Ok(&out), "not the same a second time");
    assert_eq!(splice(json, &[]).as_deref(), Ok(json));
    for (name, edit) in edits {
        let (before, after) = (object.get(json, name), Object::scan(&out).ok().and_then(|o| o.get(&out, name)));
        let expected = match edit {
            Edit::Set(value) => Some(value),
            Edit::Default(value) => before.or(Some(value)),
            Edit::Remove => None,
        };
        assert_eq!(after, expected, "{name}");
    }
}

/// Where every variable is set and every file is there.
struct Everything;

impl Sources for Everything {
    fn variable(&self, _: &str) -> Option<String> {
        Some(VALUE.to_owned())
    }

    fn file(&self, _: &str) -> Result<String, String> {
        Ok(VALUE.to_owned())
    }
}

/// A configuration file.
pub(super) fn config(data: &[u8]) {
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

/// A body of `/v1/feedback`, `/v1/outcomes` or `/v1/route`.
pub(super) fn feedback(data: &[u8]) {
    match feedback_api::parse(data) {
        Ok(given) => {
            assert!(given.rating.is_none_or(|rating| (0.0..=1.0).contains(&Rating::get(rating))));
            assert_eq!(parse_id(&public_id(given.decision)), Some(given.decision));
        }
        Err(error) => assert!(error.status.is_client_error() && !error.message.is_empty()),
    }
    drop(serde_json::from_slice::<route::Report>(data));
    drop(serde_json::from_slice::<route::RouteRequest>(data));
    if let Ok(value) = serde_json::from_slice(data)
        && let Ok(usage) = route::usage(&value)
    {
        assert!(usage.is_plausible());
    }
}

/// Lines: what stands in `authorization`, in `x-api-key`, in `host`, and as a feedback token.
pub(super) fn credentials(data: &[u8]) {
    static KNOWN: OnceLock<Option<(Auth, Signer)>> = OnceLock::new();
    let known = KNOWN.get_or_init(|| {
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\napi_keys = [\"{KEY}\"]\n[[models]]\nname = \"m\"\nbase_url = \"http://h/v1\"\n\
             price = {{ input = 1, output = 1 }}\n[routes.default]\nmodels = [\"m\"]\nsla = {{ satisfaction = 0.9 }}\n"
        );
        let config = Config::parse(&text, &|_| None).ok()?;
        Some((Auth::new(&config, &[], Timestamp(0)), Signer::new(&SECRET.to_owned().into(), LIFETIME)?))
    });
    assert!(known.is_some());
    let Some((auth, signer)) = known else { return };
    let mut lines = data.splitn(4, |byte| *byte == b'\n');
    let mut headers = HeaderMap::new();
    for name in [header::AUTHORIZATION, HeaderName::from_static("x-api-key"), header::HOST] {
        if let Some(value) = lines.next().and_then(|line| HeaderValue::from_bytes(line).ok()) {
            headers.insert(name, value);
        }
    }
    let shown = auth::token(&headers);
    let caller = auth.check(&headers, Some(Scope::Inference), Timestamp(0));
    assert_eq!(caller.is_ok(), shown == Some(KEY.as_bytes()));
    assert!(auth.check(&headers, Some(Scope::Admin), Timestamp(0)).is_err());
    auth::is_local([127, 0, 0, 1].into(), &headers);

    let token = lines.next().unwrap_or_default();
    let good = signer.sign(DecisionId(7), Timestamp(0));
    let checked = signer.check(token, Timestamp(0));
    assert_eq!(checked.is_ok(), token == good.as_bytes());
    assert!(signer.check(token, Timestamp(60_000)).is_err(), "it has no end");
    if let Some(id) = std::str::from_utf8(token).ok().and_then(parse_id) {
        assert_eq!(parse_id(&public_id(id)), Some(id));
    }
}
