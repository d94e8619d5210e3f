//! Features are finite, bounded and the same everywhere; nothing panics on any text.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use proptest::prelude::*;
use slarouter_text::{Conversation, DIM, VERSION, estimate_tokens, features};

proptest! {
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
        let messages = serde_json::json!([{ "role": text, "content": [{ "type": "text", "text": text }] }]).to_string();
        Conversation::from_messages(&messages, None).unwrap();
    }
}

/// If this fails, the features have changed: give them a new `VERSION`, then new values here.
#[test]
fn version_1_is_what_it_was() {
    let digest = |prompt: &str| {
        let values = features(&Conversation::from_prompt(prompt));
        values.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, x| {
            x.to_bits().to_le_bytes().iter().fold(hash, |hash, b| (hash ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3))
        })
    };
    assert_eq!(VERSION, 1);
    let found = ["", "What is 17 * 23?", "Schreibe ein Gedicht über den Mond – 中文 too."].map(digest);
    assert_eq!(found, [16_993_375_828_253_028_425, 8_355_897_648_131_920_086, 3_590_497_671_427_880_300]);
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
