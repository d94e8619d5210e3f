//! Bodies of our own, whose every field is known: what is wrong with one is told by its name.

use http::{HeaderMap, StatusCode, header};
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use slarouter_config::{refused_name, suggestion};

use super::coding::too_large;
use crate::admission::room::SMALL;
use crate::error::ApiError;

/// Characters of an unknown name that a message repeats.
const SHOWN: usize = 64;

/// Reads a body.
///
/// # Errors
/// 400 with the field that is missing, unknown or of another type.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    // A list would be taken for the fields in their order.
    if body.trim_ascii_start().starts_with(b"[") {
        return Err(ApiError::invalid("", "invalid_json", "the body must be a JSON object, not an array"));
    }
    serde_json::from_slice(body).map_err(|error| {
        let message = error.to_string();
        if let Some((name, known)) = refused_name(&message) {
            return unknown(name, &known);
        }
        let missing = message.strip_prefix("missing field `").and_then(|rest| rest.split_once('`'));
        match missing {
            Some((name, _)) => {
                let error = ApiError::invalid("", "missing_field", format!("`{name}` is missing"));
                ApiError { place: Some(name.to_owned()), ..error }
            }
            None => unread(&error),
        }
    })
}

/// What serde says of a body, without the names of our types.
pub(super) fn unread(error: &serde_json::Error) -> ApiError {
    let mut message = error.to_string();
    if let Some((before, after)) = message.split_once("expected struct ") {
        let rest = after.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_');
        message = format!("{before}expected an object{rest}");
    }
    ApiError::invalid("", "invalid_json", format!("the body cannot be read: {message}"))
}

/// A body of ours, all of which is short: as a tree a body takes many times its bytes.
///
/// # Errors
/// 413 for one that no client of ours sends.
pub(super) fn short(body: &[u8]) -> Result<&[u8], ApiError> {
    if body.len() > SMALL { Err(too_large(SMALL)) } else { Ok(body) }
}

/// The parameters of a query by their names, of which there are these. Those left empty are left out: a form sends them too.
///
/// # Errors
/// 400 for a name that is none of them.
pub(super) fn parameters(query: &str, names: &[&'static str]) -> Result<Vec<(&'static str, String)>, ApiError> {
    let mut found = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = names.iter().find(|known| **known == name).ok_or_else(|| unknown(name, names))?;
        let value = percent_decode_str(&value.replace('+', " ")).decode_utf8_lossy().into_owned();
        if !value.is_empty() {
            found.push((*name, value));
        }
    }
    Ok(found)
}

/// Only JSON: a form of a foreign web page, which a browser sends without asking us, is none.
///
/// # Errors
/// 415 for another content type; else as [`read`] and [`short`].
pub(super) fn json<T: DeserializeOwned>(headers: &HeaderMap, body: &[u8]) -> Result<T, ApiError> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json")) {
        let message = "the body must be JSON: send `Content-Type: application/json`";
        return Err(
            ApiError::invalid("", "invalid_content_type", message).with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE)
        );
    }
    read(short(body)?)
}

/// Refuses a field that is none of `known`: taken without a word it would do nothing, and its sender would not know.
pub(super) fn unknown(name: &str, known: &[&str]) -> ApiError {
    let shown: String = name.chars().take(SHOWN).collect();
    let message = format!("unknown field `{shown}`: {}", suggestion(name, known));
    ApiError { place: Some(shown), ..ApiError::invalid("", "unknown_field", message) }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        #[expect(dead_code, reason = "read and not looked at")]
        cost: f64,
        #[expect(dead_code, reason = "read and not looked at")]
        error: Option<String>,
    }

    #[test]
    fn what_is_wrong_is_named() {
        let told = |body: &str| {
            let error = read::<Body>(body.as_bytes()).unwrap_err();
            (error.code, error.place, error.message)
        };
        let place = |name: &str| Some(name.to_owned());
        let meant = "unknown field `costs`: did you mean `cost`?".to_owned();
        assert_eq!(told(r#"{"cost":1,"costs":1}"#), ("unknown_field", place("costs"), meant));
        let (code, param, message) = told(r#"{"cost":1,"x":1}"#);
        assert_eq!((code, param), ("unknown_field", place("x")));
        assert_eq!(message, "unknown field `x`: there are `cost`, `error`");
        assert_eq!(told("{}"), ("missing_field", place("cost"), "`cost` is missing".to_owned()));
        for (body, what) in [("{", "EOF"), ("[1]", "not an array"), (r#"{"cost":"1"}"#, "invalid type: string \"1\"")] {
            let (code, param, message) = told(body);
            assert!(code == "invalid_json" && param.is_none() && message.contains(what), "{body}: {message}");
        }
        assert_eq!(
            told("7").2,
            "the body cannot be read: invalid type: integer `7`, expected an object at line 1 column 1"
        );
        let long = "x".repeat(1_000);
        assert_eq!(told(&format!("{{\"{long}\":1}}")).1, place(&"x".repeat(SHOWN)));
    }
}
