use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::scanner::plain_run;
use super::*;

fn edited(json: &str, edits: &[(&str, Edit<'_>)]) -> String {
    String::from_utf8(splice(json.as_bytes(), edits).unwrap()).unwrap()
}

fn set(json: &str) -> String {
    edited(json, &[("b", Edit::Set(b"0"))])
}

fn remove(json: &str) -> String {
    edited(json, &[("b", Edit::Remove)])
}

#[test]
fn replaces_in_place() {
    assert_eq!(set(r#"{"a":1.0,"b":"x\"}" , "c":1e3}"#), r#"{"a":1.0,"b":0 , "c":1e3}"#);
    assert_eq!(set("\n { \"b\" :\t[{\"b\":[]}] } \n"), "\n { \"b\" :\t0 } \n");
}

#[test]
fn recognises_escaped_keys() {
    assert_eq!(set(r#"{"\u0062":1}"#), r#"{"\u0062":0}"#);
    assert_eq!(set(r#"{"\\u0062":1}"#), r#"{"\\u0062":1,"b":0}"#);
    assert_eq!(set(r#"{"\ud800":1}"#), r#"{"\ud800":1,"b":0}"#);
}

#[test]
fn replaces_all_duplicates_and_reads_the_last() {
    assert_eq!(set(r#"{"b":1,"a":2,"\u0062":3}"#), r#"{"b":0,"a":2,"\u0062":0}"#);
    let json = br#"{"b":1,"a":2,"\u0062":3}"#;
    assert_eq!(Object::scan(json).unwrap().get(json, "b"), Some(&b"3"[..]));
}

#[test]
fn appends_what_is_missing() {
    assert_eq!(set("{}"), r#"{"b":0}"#);
    assert_eq!(set("{ \n}"), "{\"b\":0 \n}");
    assert_eq!(set("{\n  \"a\": 1\n}"), "{\n  \"a\": 1,\"b\":0\n}");
    assert_eq!(edited("{}", &[("a\n", Edit::Set(b"1")), ("b", Edit::Default(b"2"))]), r#"{"a\n":1,"b":2}"#);
}

#[test]
fn a_default_leaves_what_is_there() {
    assert_eq!(edited(r#"{"b": null}"#, &[("b", Edit::Default(b"2"))]), r#"{"b": null}"#);
}

#[test]
fn removes_with_the_right_comma() {
    assert_eq!(remove(r#"{ "b":1 , "a":2 }"#), r#"{ "a":2 }"#);
    assert_eq!(remove(r#"{ "a":2 , "b":1 }"#), r#"{ "a":2 }"#);
    assert_eq!(remove(r#"{ "b":1, "b":1, "a":2, "b":3, "c":4,"b":5 }"#), r#"{ "a":2, "c":4 }"#);
    assert_eq!(remove(r#"{ "b":1, "b":2 }"#), "{  }");
    assert_eq!(edited(r#"{"b":1}"#, &[("b", Edit::Remove), ("c", Edit::Set(b"2"))]), r#"{"c":2}"#);
    assert_eq!(edited(r#"{"b":1,"c":1}"#, &[("b", Edit::Remove), ("c", Edit::Set(b"2"))]), r#"{"c":2}"#);
}

#[test]
fn says_where_and_what_is_wrong() {
    let fault = |json: &str| splice(json.as_bytes(), &[]).unwrap_err();
    let syntax = |offset, what| WireError::Syntax { offset, what };
    assert_eq!(fault(r#"{"a":1,}"#), syntax(7, "expected a key in double quotes"));
    assert_eq!(fault(r#"{"a":tru}"#), syntax(5, "expected a value"));
    assert_eq!(fault(r#"{"a":1"#), syntax(6, "it ends too early"));
    assert_eq!(fault(r#"{"a":1} x"#), syntax(8, "something follows the end of the value"));
    assert_eq!(fault("hello"), syntax(0, "expected a value"));
    assert_eq!(fault(""), syntax(0, "it ends too early"));
    assert_eq!(fault(" [1]"), WireError::NotAnObject);
}

#[test]
fn depth_is_limited() {
    let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
    assert!(splice(nested(128).as_bytes(), &[]).is_ok());
    assert_eq!(splice(nested(129).as_bytes(), &[]), Err(WireError::TooDeep { offset: 132 }));
    let hostile = "[".repeat(1_000_000);
    assert_eq!(splice(hostile.as_bytes(), &[]), Err(WireError::TooDeep { offset: 128 }));
}

#[test]
fn elements_are_listed() {
    let list = |json: &'static str| {
        let mut found = Vec::new();
        each_element(json.as_bytes(), |element| found.push(std::str::from_utf8(element).unwrap())).map(|()| found)
    };
    assert_eq!(list(r#" [ 1 ,{"a":[2]}, "]" ] "#).unwrap(), ["1", r#"{"a":[2]}"#, r#""]""#]);
    assert!(list("[ ]").unwrap().is_empty());
    assert!(list("7").unwrap().is_empty());
    assert!(list("[1,]").is_err());
}

#[test]
fn elements_are_read_one_by_one() {
    let list =
        |json: &'static str| elements(json.as_bytes()).map(|raw| std::str::from_utf8(raw).unwrap()).collect::<Vec<_>>();
    assert_eq!(list(r#" [ 1 ,{"a":[2]}, "]" ] "#), ["1", r#"{"a":[2]}"#, r#""]""#]);
    for none in ["[ ]", "7", "", "{}", "[", "[}"] {
        assert!(list(none).is_empty(), "{none}");
    }
    assert_eq!(list("[1,2,}"), ["1", "2"], "what comes before a fault has been read");
    assert_eq!(elements(b"[1,2,}").take(2).count(), 2);
}

#[test]
fn counts_are_lenient() {
    assert_eq!(count(b"12"), Some(12));
    assert_eq!(count(b"12.0"), Some(12));
    for odd in ["-1", "null", "\"12\"", "{}", ""] {
        assert_eq!(count(odd.as_bytes()), None, "{odd}");
    }
}

/// A value, its depth and its size kept small.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::from),
            btree_map(key(), inner, 0..5).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof!["[a-d]", any::<String>()]
}

/// An object as text, with duplicates, odd spacing and escaped keys; beside it each member's text.
fn object() -> impl Strategy<Value = (String, Vec<(String, String)>)> {
    let member = (key(), value(), any::<bool>(), "[ \t\r\n]{0,3}");
    (vec(member, 0..8), "[ \n]{0,2}").prop_map(|(members, space)| {
        let members: Vec<_> = members
            .into_iter()
            .map(|(key, value, escaped, space)| {
                let units = key.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect::<String>();
                let written = if escaped { format!("\"{units}\"") } else { quote(&key) };
                (key, format!("{written}{space}:{space}{value}"))
            })
            .collect();
        let texts: Vec<_> = members.iter().map(|(_, text)| text.as_str()).collect();
        (format!("{space}{{{space}{}{space}}}{space}", texts.join(&format!("{space},"))), members)
    })
}

proptest! {
    #[test]
    fn splice_edits_as_a_tree_would((json, members) in object(), edits in btree_map("[a-f]", proptest::option::of(value()), 0..4)) {
        let raw: Vec<_> = edits.iter().map(|(key, value)| (key, value.as_ref().map(Value::to_string))).collect();
        let list: Vec<_> = raw
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_ref().map_or(Edit::Remove, |value| Edit::Set(value.as_bytes()))))
            .collect();
        let mut expected: Map<String, Value> = serde_json::from_str(&json).unwrap();
        for (key, value) in &edits {
            match value {
                Some(value) => drop(expected.insert(key.clone(), value.clone())),
                None => drop(expected.remove(key)),
            }
        }
        let spliced = edited(&json, &list);
        prop_assert_eq!(&serde_json::from_str::<Map<String, Value>>(&spliced).unwrap(), &expected);

        // The members not edited are there in their order, byte for byte.
        let mut from = 0;
        for (_, text) in members.iter().filter(|(key, _)| !edits.contains_key(key)) {
            let found = spliced[from..].find(text.as_str());
            prop_assert!(found.is_some(), "{text} not in {spliced}");
            from += found.unwrap() + text.len();
        }
        if edits.is_empty() {
            prop_assert_eq!(spliced, json);
        }
    }

    #[test]
    fn reads_the_member_serde_json_reads((json, _) in object(), name in "[a-d]") {
        let map: Map<String, Value> = serde_json::from_str(&json).unwrap();
        let object = Object::scan(json.as_bytes()).unwrap();
        let found = object.get(json.as_bytes(), &name).map(|raw| serde_json::from_slice::<Value>(raw).unwrap());
        prop_assert_eq!(found.as_ref(), map.get(&name));
    }

    #[test]
    fn accepts_what_serde_json_accepts(bytes in prop_oneof![
        vec(any::<u8>(), 0..64),
        "[\\[\\]{}\",:0-9eE.+tfn \\\\u-]{0,24}".prop_map(String::into_bytes),
        (object(), any::<prop::sample::Index>(), any::<u8>()).prop_map(|((json, _), at, byte)| {
            let mut bytes = json.into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes
        }),
    ]) {
        let accepted = !matches!(splice(&bytes, &[]), Err(WireError::Syntax { .. }));
        prop_assert_eq!(accepted, serde_json::from_slice::<IgnoredAny>(&bytes).is_ok());
        if let Ok(same) = splice(&bytes, &[]) {
            prop_assert_eq!(same, bytes);
        }
    }

    #[test]
    fn finds_the_first_special_byte(bytes in vec(prop_oneof![any::<u8>(), 0x20_u8..0x7f, Just(0x22), Just(0x5c)], 0..40)) {
        let expected = bytes.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)).unwrap_or(bytes.len());
        prop_assert_eq!(plain_run(&bytes), expected);
    }
}

#[test]
fn halves_of_surrogate_pairs_are_mended_in_their_place() {
    for (raw, mended) in [
        (r#""\ud83d""#, r#""\ufffd""#),
        (r#""a\uD83D b\uDE00c""#, r#""a\ufffd b\ufffdc""#),
        (r#""\ud83d\ude00 \uD83D\uDE00""#, r#""\ud83d\ude00 \uD83D\uDE00""#),
        (r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
        (r#""\\ud83d \\\ud83d""#, r#""\\ud83d \\\ufffd""#),
        (r#""\u00e9\n\ud83""#, r#""\u00e9\n\ud83""#),
        (r#""\ud83d\"#, r#""\ufffd\"#),
        (r"\", r"\"),
    ] {
        let mut bytes = raw.as_bytes().to_vec();
        mend_surrogates(&mut bytes);
        assert_eq!(String::from_utf8(bytes).unwrap(), mended, "{raw}");
    }
}
