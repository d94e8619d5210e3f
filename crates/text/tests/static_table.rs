//! The tokenizer against Hugging Face's, and the static embedding.

use proptest::prelude::*;
use serde::Deserialize;
use slarouter_text::{Conversation, Encoder, StaticEmbedding, WordPiece};

/// The vocabulary inside the table that comes with the program.
fn vocabulary() -> String {
    let asset = include_bytes!("../assets/static-v1.bin");
    let length = u32::from_le_bytes(asset[16..20].try_into().unwrap()) as usize;
    String::from_utf8(asset[20..20 + length].to_vec()).unwrap()
}

#[derive(Deserialize)]
struct Example {
    text: String,
    ids: Vec<u32>,
}

#[test]
fn tokens_are_those_of_the_reference() {
    let vocabulary = vocabulary();
    let pieces = WordPiece::new(vocabulary.lines()).unwrap();
    assert_eq!(pieces.size(), 30_522);
    let examples: Vec<Example> = serde_json::from_str(include_str!("fixtures/wordpiece.json")).unwrap();
    assert!(examples.len() > 60);
    let wrong: Vec<_> = examples
        .iter()
        .filter(|example| pieces.encode(&example.text, 100_000) != example.ids)
        .map(|example| (&example.text, pieces.encode(&example.text, 100_000), &example.ids))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn vector(text: &str) -> Vec<f32> {
    let encoder = StaticEmbedding::new().unwrap();
    let mut out = vec![f32::NAN; encoder.dim()];
    encoder.encode(&Conversation::from_prompt(text), &mut out);
    out
}

#[test]
fn meaning_counts_not_wording() {
    let width = StaticEmbedding::new().unwrap().dim() - 32;
    let dot = |a: &str, b: &str| {
        let (a, b) = (vector(a), vector(b));
        a[..width].iter().zip(&b[..width]).map(|(x, y)| x * y).sum::<f32>()
    };
    let near = dot("compose some sad verses on the ocean", "please write a gloomy poem about the sea");
    let far = dot("compose some sad verses on the ocean", "what is the integral of a rational function?");
    assert!(near > far + 0.25, "{near} {far}");
}

proptest! {
    #[test]
    fn any_text_gives_finite_bounded_values(text in any::<String>(), repeat in 1_usize..200) {
        let values = vector(&text.repeat(repeat));
        prop_assert!(values.iter().all(|x| x.is_finite() && x.abs() <= 1.0001), "{:?}", values);
    }
}

#[test]
fn the_context_shifts_the_vector() {
    let encoder = StaticEmbedding::new().unwrap();
    let encode = |messages: &str| {
        let mut out = vec![0.0; encoder.dim()];
        encoder.encode(&Conversation::from_messages(messages, None).unwrap(), &mut out);
        out
    };
    let alone = encode(r#"[{"role":"user","content":"Hello there"}]"#);
    let tutor = encode(r#"[{"role":"system","content":"You teach algebra."},{"role":"user","content":"Hello there"}]"#);
    let empty = encode(r#"[{"role":"system","content":""},{"role":"user","content":"Hello there"}]"#);
    let width = encoder.dim() - 32;
    let dot = |a: &[f32], b: &[f32]| a[..width].iter().zip(&b[..width]).map(|(x, y)| x * y).sum::<f32>();
    assert!((0.5..0.999).contains(&dot(&alone, &tutor)), "{}", dot(&alone, &tutor));
    assert_eq!(alone[..width], empty[..width]);
}

#[test]
fn damaged_tables_are_refused() {
    let asset: &[u8] = include_bytes!("../assets/static-v1.bin");
    let again = StaticEmbedding::from_bytes(asset).unwrap();
    assert_ne!(again.version(), StaticEmbedding::new().unwrap().version(), "versions of files are apart");
    for (bytes, what) in [
        (&b"SLRTEMB2"[..], "begin"),
        (&asset[..15], "cut short"),
        (&asset[..1_000], "cut short"),
        (&asset[..asset.len() - 1], "length does not fit"),
    ] {
        let error = StaticEmbedding::from_bytes(bytes).unwrap_err().to_string();
        assert!(error.contains(what) && error.contains("tools/distil"), "{error}");
    }
}
