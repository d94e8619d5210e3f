//! The tokenizer against Hugging Face's, and the static embedding.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use proptest::prelude::*;
use serde::Deserialize;
use slarouter_text::{Blend, Conversation, Encoder, StaticEmbedding, WordPiece};

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

#[test]
fn a_blend_holds_both_parts_at_equal_length() {
    let blend = Blend::new().unwrap();
    assert_eq!(blend.dim(), 128);
    let encode = |text: &str| {
        let mut out = vec![f32::NAN; blend.dim()];
        blend.encode(&Conversation::from_prompt(text), &mut out);
        out
    };
    let length = |part: &[f32]| part.iter().map(|x| x * x).sum::<f32>();
    let vector = encode("Where does the sun set?");
    for part in [&vector[..48], &vector[48..96]] {
        assert!((length(part) - 0.5).abs() < 1e-5, "{}", length(part));
    }
    let other = encode("sun set Where the does?");
    let distance = |range: std::ops::Range<usize>| {
        vector[range.clone()].iter().zip(&other[range]).map(|(x, y)| (x - y) * (x - y)).sum::<f32>()
    };
    assert!(distance(0..48) < 1e-9, "the embedding does not see the order");
    assert!(distance(48..96) > 0.05, "the n-grams do");
    let versions = [(48, 48), (48, 47), (47, 48)].map(|(width, ngrams)| {
        let other = Blend::of(StaticEmbedding::new().unwrap(), width, ngrams);
        assert_eq!(other.dim(), width + ngrams + 32);
        other.version()
    });
    assert!(versions[0] != versions[1] && versions[0] != versions[2] && versions[1] != versions[2], "{versions:?}");
}

/// If this fails, vectors have changed: give the encoder a new version, then new values here. The cosines are of two fixed
/// prompts, so that they hold on every platform.
#[test]
fn version_101_and_201_are_what_they_were() {
    let cosine = |encoder: &dyn Encoder| {
        let vector = |text: &str| {
            let mut out = vec![0.0; encoder.dim()];
            encoder.encode(&Conversation::from_prompt(text), &mut out);
            out
        };
        let (a, b) = (vector("How far is the moon?"), vector("Sort this list of 12 stars, please."));
        a[..encoder.dim() - 32].iter().zip(&b).map(|(x, y)| x * y).sum::<f32>()
    };
    let (table, blend) = (StaticEmbedding::new().unwrap(), Blend::new().unwrap());
    assert_eq!((table.version(), blend.version()), (101, 201));
    let found = [cosine(&table), cosine(&blend)];
    let wanted = [0.387_405_54_f32, 0.118_947_87];
    assert!(found.iter().zip(wanted).all(|(x, y)| (x - y).abs() < 1e-5), "{found:?}");
}
