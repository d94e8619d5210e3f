//! In which words a server of OpenAI's chat protocol wants what it knows by two names.
//!
//! OpenAI renamed the role `system` to `developer` and `max_tokens` to `max_completion_tokens`. Its newer models refuse the old names,
//! and most other servers the new ones, or pass over them in silence.

use std::borrow::Cow;

use memchr::memmem::find;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json::{Edit, Object, count, splice};

/// The words that a server knows; `None` where that is not known, so that the client's own stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dialect {
    /// Whether it knows the role `developer`, or `system` alone.
    pub developer_role: Option<bool>,
    /// Whether it knows `max_completion_tokens`, or `max_tokens` alone.
    pub max_completion_tokens: Option<bool>,
}

/// The two names of one limit, the newer first.
const LIMITS: [&str; 2] = ["max_completion_tokens", "max_tokens"];

impl Dialect {
    /// These words, and those of `other` where they are not known.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            developer_role: self.developer_role.or(other.developer_role),
            max_completion_tokens: self.max_completion_tokens.or(other.max_completion_tokens),
        }
    }
}

/// In which words a chat request goes out, and how long an answer it may ask for; all else of it stays byte for byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wording {
    /// The words that its server knows.
    pub dialect: Dialect,
    /// The most tokens that may be asked for.
    pub longest: Option<u64>,
}

/// What becomes of members: raw JSON, or that they are taken out.
pub(crate) type Changes<'a> = Vec<(&'static str, Option<Cow<'a, [u8]>>)>;

impl Wording {
    /// What must change in a request for it to be in these words.
    pub(crate) fn changes<'a>(self, object: &Object, body: &'a [u8]) -> Changes<'a> {
        let mut changes = Changes::new();
        let limit = LIMITS.into_iter().find_map(|name| Some((name, object.get_some(body, name)?)));
        if let Some((name, written)) = limit {
            let name_here = match self.dialect.max_completion_tokens {
                Some(true) => LIMITS[0],
                Some(false) => LIMITS[1],
                None => name,
            };
            let capped = self.longest.filter(|most| count(written).is_some_and(|asked| asked > *most));
            let capped = capped.map(|most| most.to_string());
            if name_here != name || capped.is_some() {
                let other = LIMITS.into_iter().find(|other| *other != name_here);
                changes.extend(other.map(|other| (other, None)));
                let value = capped.map_or(Cow::Borrowed(written), |capped| capped.into_bytes().into());
                changes.push((name_here, Some(value)));
            }
        }
        if self.dialect.developer_role == Some(false) {
            let messages = object.get(body, "messages").filter(|messages| find(messages, b"developer").is_some());
            let renamed = messages.and_then(as_system);
            changes.extend(renamed.map(|messages| ("messages", Some(messages.into_bytes().into()))));
        }
        changes
    }

    /// A chat request in these words.
    #[must_use]
    pub fn put(self, body: Vec<u8>) -> Vec<u8> {
        if self == Self::default() {
            return body;
        }
        let Ok(object) = Object::scan(&body) else { return body };
        let changes = self.changes(&object, &body);
        if changes.is_empty() {
            return body;
        }
        let mut out = Vec::with_capacity(body.len() + 64);
        object.splice(&body, &edits(&changes), &mut out);
        out
    }
}

/// The changes, to be spliced.
pub(crate) fn edits<'a>(changes: &'a Changes<'_>) -> Vec<(&'static str, Edit<'a>)> {
    let edit = |value: &'a Option<Cow<'_, [u8]>>| value.as_deref().map_or(Edit::Remove, Edit::Set);
    changes.iter().map(|(name, value)| (*name, edit(value))).collect()
}

/// The messages with `system` in the place of `developer`; `None` if there is none of these, or they cannot be read.
fn as_system(messages: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Message<'a> {
        #[serde(borrow)]
        role: Cow<'a, str>,
    }
    let listed: Vec<&RawValue> = serde_json::from_slice(messages).ok()?;
    let renamed = listed.into_iter().map(|raw| {
        let is_developer = serde_json::from_str::<Message<'_>>(raw.get()).is_ok_and(|held| held.role == "developer");
        let edited = is_developer.then(|| splice(raw.get().as_bytes(), &[("role", Edit::Set(b"\"system\""))]).ok());
        edited.flatten().and_then(|edited| String::from_utf8(edited).ok()).map_or(Cow::Borrowed(raw.get()), Cow::Owned)
    });
    let renamed: Vec<_> = renamed.collect();
    let any = renamed.iter().any(|message| matches!(message, Cow::Owned(_)));
    any.then(|| format!("[{}]", renamed.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(dialect: Dialect, longest: Option<u64>, body: &str) -> String {
        String::from_utf8(Wording { dialect, longest }.put(body.as_bytes().to_vec())).unwrap()
    }

    #[test]
    fn what_is_not_known_stays_as_the_client_wrote_it() {
        for body in [
            r#"{"model":"m", "max_tokens": 5,"messages":[{"role":"developer","content":"x"}]}"#,
            r#"{"max_completion_tokens":5.0}"#,
            r#"{"max_tokens":"many"}"#,
            "[]",
            "no JSON",
        ] {
            assert_eq!(put(Dialect::default(), None, body), body);
        }
    }

    #[test]
    fn the_limit_has_the_name_that_is_known_and_no_other() {
        let named = |newer, body| put(Dialect { max_completion_tokens: Some(newer), ..Dialect::default() }, None, body);
        for (newer, body, expected) in [
            (true, r#"{"a":1,"max_tokens":5}"#, r#"{"a":1,"max_completion_tokens":5}"#),
            (true, r#"{"max_completion_tokens":5,"a":1}"#, r#"{"max_completion_tokens":5,"a":1}"#),
            (false, r#"{"max_completion_tokens":5,"a":1}"#, r#"{"a":1,"max_tokens":5}"#),
            (false, r#"{"max_completion_tokens":5,"max_tokens":6}"#, r#"{"max_tokens":5}"#),
            (
                false,
                r#"{"max_completion_tokens":null,"max_tokens":6}"#,
                r#"{"max_completion_tokens":null,"max_tokens":6}"#,
            ),
            (false, r#"{"a":1}"#, r#"{"a":1}"#),
        ] {
            assert_eq!(named(newer, body), expected);
        }
    }

    #[test]
    fn no_more_is_asked_for_than_a_model_can_write() {
        let most = |body| put(Dialect::default(), Some(8), body);
        assert_eq!(most(r#"{"max_tokens":9,"a":1}"#), r#"{"max_tokens":8,"a":1}"#);
        assert_eq!(most(r#"{"max_tokens":8,"a":1}"#), r#"{"max_tokens":8,"a":1}"#);
        assert_eq!(most(r#"{"a":1}"#), r#"{"a":1}"#);
    }

    #[test]
    fn the_role_has_the_name_that_is_known() {
        let old = Dialect { developer_role: Some(false), ..Dialect::default() };
        let body =
            r#"{"messages":[ {"role":"developer", "content":"a"},{"role":"user","content":"developer"}, 7],"a":1}"#;
        let expected =
            r#"{"messages":[{"role":"system", "content":"a"},{"role":"user","content":"developer"},7],"a":1}"#;
        assert_eq!(put(old, None, body), expected);
        let other = r#"{"messages":[{"role":"user","content":"a"}],"a":"developer"}"#;
        assert_eq!(put(old, None, other), other);
    }
}
