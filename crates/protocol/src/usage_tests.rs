//! Usage reports of all protocols, sound and not.

use crate::messages::{merge_tokens, tokens as anthropic};
use crate::responses::tokens as responses;
use crate::usage::{Usage, with_cost};

fn chat(raw: &str) -> Usage {
    Usage::read(raw.as_bytes()).unwrap()
}

#[test]
fn reasoning_left_out_of_the_answer_is_found_in_the_total() {
    let output = |raw: &str| {
        let usage = chat(raw);
        (usage.output_tokens, usage.reasoning_tokens)
    };
    for (raw, expected) in [
        // OpenAI: the reasoning is in the answer.
        (
            r#"{"prompt_tokens":10,"completion_tokens":50,"total_tokens":60,"completion_tokens_details":{"reasoning_tokens":30}}"#,
            (50, 30),
        ),
        // xAI: beside it. Gemini: in the total alone.
        (
            r#"{"prompt_tokens":10,"completion_tokens":9,"total_tokens":110,"completion_tokens_details":{"reasoning_tokens":91}}"#,
            (100, 91),
        ),
        (r#"{"prompt_tokens":20,"completion_tokens":198,"total_tokens":623}"#, (603, 405)),
        (
            r#"{"prompt_tokens":21,"completion_tokens":0,"total_tokens":81,"completion_tokens_details":{"reasoning_tokens":60}}"#,
            (60, 60),
        ),
        // Totals that are none say nothing.
        (r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":0}"#, (5, 0)),
        (r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":"15"}"#, (5, 0)),
        (r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":-1}"#, (5, 0)),
        (r#"{"prompt_tokens":10,"completion_tokens":5,"completion_tokens_details":[]}"#, (5, 0)),
        (
            r#"{"prompt_tokens":18446744073709551615,"completion_tokens":18446744073709551615,"total_tokens":3}"#,
            (u64::MAX, 0),
        ),
    ] {
        assert_eq!(output(raw), expected, "{raw}");
    }
    let absurd = chat(r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":1e300}"#);
    assert!(!absurd.is_within(1e9, 1e7), "{absurd:?}");
}

#[test]
fn details_of_chat_and_responses() {
    let expected = Usage {
        input_tokens: 100,
        cached_tokens: 60,
        cache_write_tokens: 20,
        audio_input_tokens: 5,
        output_tokens: 50,
        reasoning_tokens: 30,
        audio_output_tokens: 10,
        ..Usage::default()
    };
    let input = r#"{"cached_tokens":60,"cache_write_tokens":20,"audio_tokens":5}"#;
    let output = r#"{"reasoning_tokens":30,"audio_tokens":10}"#;
    let raw = format!(
        r#"{{"prompt_tokens":100,"completion_tokens":50,"prompt_tokens_details":{input},"completion_tokens_details":{output}}}"#
    );
    assert_eq!(chat(&raw), expected);
    let raw = format!(
        r#"{{"input_tokens":100,"output_tokens":50,"input_tokens_details":{input},"output_tokens_details":{output}}}"#
    );
    assert_eq!(responses(raw.as_bytes()), Some(expected));
}

#[test]
fn anthropics_writes_are_told_apart_by_how_long_they_are_kept() {
    let of = |raw: &str| {
        let usage = anthropic(raw.as_bytes()).unwrap();
        (usage.input_tokens, usage.cached_tokens, usage.cache_write_tokens, usage.cache_write_1h_tokens)
    };
    for (raw, expected) in [
        (
            r#"{"input_tokens":3,"cache_read_input_tokens":7,"cache_creation_input_tokens":5,"output_tokens":1}"#,
            (15, 7, 5, 0),
        ),
        (
            r#"{"input_tokens":3,"cache_creation_input_tokens":5,"output_tokens":1,
                "cache_creation":{"ephemeral_5m_input_tokens":1,"ephemeral_1h_input_tokens":4}}"#,
            (8, 0, 5, 4),
        ),
        // The sum is missing, and then the parts.
        (
            r#"{"input_tokens":3,"cache_creation":{"ephemeral_5m_input_tokens":1,"ephemeral_1h_input_tokens":4}}"#,
            (8, 0, 5, 4),
        ),
        (r#"{"input_tokens":3,"cache_creation_input_tokens":5,"cache_creation":null}"#, (8, 0, 5, 0)),
        (
            r#"{"input_tokens":3,"cache_creation_input_tokens":-5,"cache_creation":{"ephemeral_1h_input_tokens":-4}}"#,
            (3, 0, 0, 0),
        ),
    ] {
        assert_eq!(of(raw), expected, "{raw}");
    }

    // In a stream the last report repeats the sums, but not how long they are kept.
    let first = r#"{"input_tokens":3,"cache_creation_input_tokens":5,"output_tokens":1,
                    "cache_creation":{"ephemeral_1h_input_tokens":4}}"#;
    let first = merge_tokens(None, first.as_bytes());
    for last in [r#"{"output_tokens":9}"#, r#"{"input_tokens":3,"cache_creation_input_tokens":5,"output_tokens":9}"#] {
        let usage = merge_tokens(first, last.as_bytes()).unwrap();
        assert_eq!((usage.cache_write_tokens, usage.cache_write_1h_tokens, usage.output_tokens), (5, 4, 9), "{last}");
    }
}

#[test]
fn images_and_the_providers_own_figure_are_kept() {
    let raw = r#"{"prompt_tokens":9,"completion_tokens":5,"prompt_tokens_details":{"image_tokens":4},
        "completion_tokens_details":{"image_tokens":2},"cost":0.00125}"#;
    let usage = chat(raw);
    assert_eq!((usage.image_input_tokens, usage.image_output_tokens, usage.told_usd()), (4, 2, Some(0.00125)));
    for (cost, told) in
        [("0", Some(0)), ("1e-9", Some(1)), ("-1", None), ("1e300", None), ("\"1\"", None), ("null", None)]
    {
        let usage = chat(&format!(r#"{{"prompt_tokens":9,"cost":{cost}}}"#));
        assert_eq!(usage.told_nano_usd, told, "{cost}");
    }
    let with = |usage: &str| String::from_utf8(with_cost(usage.as_bytes(), 0.5).unwrap()).unwrap();
    assert_eq!(with(r#"{"a":1}"#), r#"{"a":1,"cost":0.5}"#);
    assert_eq!(with(r#"{"cost":0.25,"a":1}"#), r#"{"cost":0.5,"a":1,"upstream_cost":0.25}"#);
    assert_eq!(with(r#"{"cost":"x"}"#), r#"{"cost":0.5}"#);
}
