//! JSON as such: what the scanner takes, and what a splice leaves alone.

use serde::de::IgnoredAny;

use crate::json::{Edit, Object, WireError, splice};

/// The first byte says what to do with the members `a` and `b` of the object that follows.
pub fn json(data: &[u8]) {
    let Some((first, json)) = data.split_first() else { return };
    let accepted = serde_json::from_slice::<IgnoredAny>(json).is_ok();
    let object = match Object::scan(json) {
        Ok(object) => object,
        Err(WireError::Syntax { offset, .. }) => {
            assert!(offset <= json.len());
            return assert!(!accepted || std::str::from_utf8(json).is_err(), "serde_json takes it");
        }
        Err(WireError::NotAnObject | WireError::TooDeep { .. } | WireError::TooMany { .. }) => return,
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
