//! Features are finite, bounded and the same everywhere; nothing panics on any text.

use proptest::prelude::*;
use serde_json::{Value, json};
use slarouter_text::{Conversation, DIM, VERSION, estimate_tokens, features, features_into};

/// Any JSON, with the field names of a chat often enough that the parser gets past the first of them.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        prop_oneof!["user", "system", "image_url", "text"].prop_map(Value::from),
    ];
    let key = prop_oneof!["role", "content", "type", "text", "refusal", "tool_calls", "image_url", "[a-z]{1,4}"];
    leaf.prop_recursive(5, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(key.clone(), inner, 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_json_value_is_read_or_refused(messages in prop::collection::vec(any_json(), 0..6), tools in any_json()) {
        let (messages, tools) = (Value::from(messages).to_string(), tools.to_string());
        if let Ok(read) = Conversation::from_messages(&messages, Some(&tools)) {
            let values = features(&read);
            prop_assert!(values.iter().all(|x| x.is_finite() && x.abs() <= 1.0), "{:?}", values);
            let mut again = [f32::NAN; DIM];
            features_into(&read, &mut again);
            prop_assert_eq!(&values[..], &again[..]);
        }
    }

    #[test]
    fn any_text_gives_finite_bounded_features(text in any::<String>(), repeat in 1_usize..200) {
        for text in [text.clone(), text.repeat(repeat)] {
            let values = features(&Conversation::from_prompt(&text));
            prop_assert_eq!(values.len(), DIM);
            prop_assert!(values.iter().all(|x| x.is_finite() && x.abs() <= 1.0), "{:?}", values);
            prop_assert_eq!(&values, &features(&Conversation::from_prompt(&text)));
            prop_assert!(estimate_tokens(&text) as usize <= text.len() + 1);
        }
    }

    #[test]
    fn any_json_is_read_or_refused(text in any::<String>()) {
        let _ = Conversation::from_messages(&text, Some(&text));
        let messages = json!([{ "role": text, "content": [{ "type": "text", "text": text }] }]).to_string();
        Conversation::from_messages(&messages, None).unwrap();
    }
}

/// If this fails, the features have changed: give them a new `VERSION`, then new values here.
#[test]
fn version_2_is_what_it_was() {
    let digest = |prompt: &str| {
        let values = features(&Conversation::from_prompt(prompt));
        values.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, x| {
            x.to_bits().to_le_bytes().iter().fold(hash, |hash, b| (hash ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3))
        })
    };
    assert_eq!(VERSION, 2);
    let found = ["", "What is 17 * 23?", "Schreibe ein Gedicht über den Mond – 中文 too."].map(digest);
    assert_eq!(found, [16_993_375_828_253_028_425, 16_328_994_887_223_474_453, 1_797_894_687_326_920_841]);
}

#[test]
fn kinds_of_text_differ() {
    let vector = |text: &str| features(&Conversation::from_prompt(text));
    let dot = |a: &[f32], b: &[f32]| a[..96].iter().zip(&b[..96]).map(|(x, y)| x * y).sum::<f32>();
    let (a, b) = (vector("please write a sad poem about the sea"), vector("please write a sad poem about the hills"));
    let c = vector("def f(x): return x ** 2 + 1 # what does it return for 12?");
    assert!(dot(&a, &b) > 0.6, "near texts are near: {}", dot(&a, &b));
    assert!(dot(&a, &c) < 0.3, "far texts are far: {}", dot(&a, &c));
}

#[test]
fn a_chat_of_100_000_tokens_is_read_whole_and_seen_in_part() {
    let turn = "The quick brown fox jumps over the lazy dog.\n\0".repeat(2_000);
    let messages: Vec<Value> =
        (0..6).map(|i| json!({ "role": (["user", "assistant"][i % 2]), "content": turn })).collect();
    let read = Conversation::from_messages(&Value::from(messages).to_string(), None).unwrap();
    assert!(read.input_tokens() > 100_000, "{}", read.input_tokens());
    assert!(features(&read).iter().all(|x| x.is_finite() && x.abs() <= 1.0));
}

#[test]
fn deep_nesting_is_no_stack_overflow() {
    for (open, close) in [("[", "]"), ("{\"content\":", "}")] {
        let deep = format!("{}null{}", open.repeat(100_000), close.repeat(100_000));
        let _ = Conversation::from_messages(&deep, Some(&deep));
        let _ = Conversation::from_messages(&format!("[{{\"content\":{deep}}}]"), None);
        let unused = format!("[{{\"content\":\"a\",\"extra\":{deep},\"tool_calls\":{deep}}}]");
        let _ = Conversation::from_messages(&unused, None);
    }
}
