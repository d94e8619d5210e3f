//! The body of an answer that comes whole.

use http::StatusCode;

use crate::endpoint::Protocol;
use crate::fault::Fault;
use crate::json::{self, Edit, Object, WireError};
use crate::tokens::tokens;
use crate::usage::{Usage, with_cost};

/// What an answer says about itself.
#[derive(Debug, Default)]
pub struct Facts {
    /// The tokens; `None` if the upstream does not report them.
    pub usage: Option<Usage>,
    /// The upstream's own id.
    pub id: Option<String>,
}

/// What to change in an answer.
#[derive(Debug)]
pub struct Rewrite<'a> {
    /// Takes the place of the upstream's id; `None` leaves the answer without.
    pub id: Option<&'a str>,
    /// A model's name, which goes in if the answer names no model.
    pub model_if_missing: &'a str,
    /// USD, for `usage.cost`; goes nowhere if the answer has no usage.
    pub cost: Option<f64>,
    /// Raw JSON for a member `slarouter`.
    pub metadata: Option<&'a [u8]>,
}

/// A body that is a JSON object, with the places of its members.
#[derive(Debug)]
pub struct Scanned<'a> {
    body: &'a [u8],
    object: Object,
}

/// [`Scanned::error_status`]; `None` for what is no JSON object.
pub fn error_status(body: &[u8]) -> Option<StatusCode> {
    Scanned::of(body).ok()?.error_status()
}

fn has_elements(array: &[u8]) -> bool {
    let mut any = false;
    json::each_element(array, |_| any = true).is_ok() && any
}

impl<'a> Scanned<'a> {
    /// Reads the whole body, once.
    ///
    /// # Errors
    /// If it is no JSON object.
    pub fn of(body: &'a [u8]) -> Result<Self, WireError> {
        Ok(Self { body, object: Object::scan(body)? })
    }

    /// What a body says in place of an answer: some providers report a failure under the status 200. The status to take it
    /// for is the error's own `code` where that is one, and 502 otherwise. `None` for an answer.
    pub fn error_status(&self) -> Option<StatusCode> {
        let Self { body, object } = self;
        let flat = object.get(body, "type").is_some_and(|kind| kind == b"\"error\"");
        if object.get_some(body, "error").is_none() && !flat {
            return None;
        }
        let answers = object.get(body, "choices").is_some_and(has_elements);
        if answers {
            return None;
        }
        Some(Fault::read(body).and_then(|fault| fault.status).unwrap_or(StatusCode::BAD_GATEWAY))
    }

    /// Reads the usage, as this protocol reports it, and the id.
    pub fn facts(&self, protocol: Protocol) -> Facts {
        let Self { body, object } = self;
        let usage = object.get(body, "usage").and_then(|usage| tokens(protocol, usage));
        Facts { usage, id: object.get(body, "id").and_then(json::text) }
    }

    /// The body with these changes, for the client.
    pub fn rewrite(&self, rewrite: &Rewrite<'_>) -> Vec<u8> {
        let Self { body, object } = self;
        let (id, model) = (rewrite.id.map(json::quote), json::quote(rewrite.model_if_missing));
        let usage = object.get(body, "usage").and_then(|usage| with_cost(usage, rewrite.cost?));
        let mut edits = vec![("model", Edit::Default(model.as_bytes()))];
        edits.splice(..0, id.as_ref().map(|id| ("id", Edit::Set(id.as_bytes()))));
        edits.extend(usage.as_deref().map(|usage| ("usage", Edit::Set(usage))));
        edits.extend(rewrite.metadata.map(|metadata| ("slarouter", Edit::Set(metadata))));
        let mut out = Vec::with_capacity(body.len() + 256 + rewrite.metadata.map_or(0, <[u8]>::len));
        object.splice(body, &edits, &mut out);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = r#"{ "id" : "chatcmpl-1", "object":"chat.completion","created":1.0,"model":"gpt-x",
  "choices":[{"index":0,"message":{"role":"assistant","content":"\u00e9 \"id\"","reasoning_content":"r"}}],
  "usage":{"prompt_tokens":10,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":4},"cost":9}, "x_unknown":[1e3]}
"#;

    fn is_object(body: &[u8]) -> bool {
        Scanned::of(body).is_ok()
    }

    fn read(protocol: Protocol, body: &[u8]) -> Facts {
        Scanned::of(body).map(|scanned| scanned.facts(protocol)).unwrap_or_default()
    }

    fn client(body: &str, cost: Option<f64>, metadata: Option<&str>) -> String {
        let metadata = metadata.map(str::as_bytes);
        let rewrite = Rewrite { id: Some("ours"), model_if_missing: "m\"", cost, metadata };
        String::from_utf8(Scanned::of(body.as_bytes()).unwrap().rewrite(&rewrite)).unwrap()
    }

    #[test]
    fn reads_usage_and_id() {
        let facts = read(Protocol::Chat, BODY.as_bytes());
        assert_eq!(facts.id.as_deref(), Some("chatcmpl-1"));
        assert_eq!(
            facts.usage,
            Some(Usage {
                input_tokens: 10,
                cached_tokens: 4,
                output_tokens: 3,
                told_nano_usd: Some(9_000_000_000),
                ..Usage::default()
            })
        );
        for none in
            ["{}", r#"{"usage":null}"#, r#"{"usage":{}}"#, r#"{"usage":[1]}"#, r#"{"usage":{"prompt_tokens":"1"}}"#]
        {
            assert_eq!(read(Protocol::Chat, none.as_bytes()).usage, None, "{none}");
        }
        let deepseek = read(Protocol::Chat, br#"{"usage":{"prompt_tokens":5.0,"prompt_cache_hit_tokens":2}}"#);
        assert_eq!(deepseek.usage, Some(Usage { input_tokens: 5, cached_tokens: 2, ..Usage::default() }));
    }

    #[test]
    fn an_error_in_place_of_an_answer_is_told_from_an_answer() {
        for (body, status) in [
            (r#"{"error":{"message":"busy","code":503}}"#, Some(503)),
            (r#"{"error":{"message":"slow down","code":429},"choices":[]}"#, Some(429)),
            (r#"{"error":{"message":"no","code":"server_error"},"choices":null}"#, Some(502)),
            (r#"{"error":{"message":"no","code":200}}"#, Some(502)),
            (r#"{"error":"no","id":"x"}"#, Some(502)),
            (r#"{"error":{"message":"late","code":502},"choices":[{"index":0}]}"#, None),
            (r#"{"error":null}"#, None),
            (r#"{"choices":[{"index":0}]}"#, None),
        ] {
            assert_eq!(error_status(body.as_bytes()).map(|status| status.as_u16()), status, "{body}");
        }
    }

    #[test]
    fn changes_id_and_cost_alone() {
        let expected = BODY.replace("chatcmpl-1", "ours").replace(r#""cost":9"#, r#""cost":0.00125,"upstream_cost":9"#);
        assert_eq!(client(BODY, Some(0.00125), None), expected);
        let marked = expected.replace("[1e3]}", r#"[1e3],"slarouter":{"a":1}}"#);
        assert_eq!(client(BODY, Some(0.00125), Some(r#"{"a":1}"#)), marked);
    }

    #[test]
    fn fills_in_what_is_missing() {
        assert_eq!(client("{}", Some(1.0), None), r#"{"id":"ours","model":"m\""}"#);
        assert_eq!(client(r#"{"usage":{}}"#, Some(1.0), None), r#"{"usage":{"cost":1.0},"id":"ours","model":"m\""}"#);
    }

    #[test]
    fn leaves_usage_alone_where_no_cost_fits() {
        assert_eq!(client(BODY, Some(f64::NAN), None), BODY.replace("chatcmpl-1", "ours"));
        let null = r#"{"id":"","model":"","usage":null}"#;
        assert_eq!(client(null, Some(1.0), None), r#"{"id":"ours","model":"","usage":null}"#);
    }

    #[test]
    fn broken_bodies_are_errors() {
        for cut in 0..BODY.len() - 2 {
            let Some(part) = BODY.get(..cut) else { continue };
            assert!(!is_object(part.as_bytes()), "{part}");
        }
        assert!(is_object(BODY.as_bytes()));
        assert!(!is_object(b"<html>") && !is_object(b"[]"));
    }
}
