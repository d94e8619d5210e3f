//! Time per prompt of the features and of the token estimate.

use slarouter_text::{Conversation, estimate_tokens, features};

fn main() {
    divan::main();
}

fn prompt(characters: usize) -> String {
    let sentence = "Write a function that returns the 42nd prime, and explain why it is O(n log n) in 3 steps. ";
    sentence.chars().cycle().take(characters).collect()
}

#[divan::bench(args = [100, 1_000, 8_000, 400_000])]
fn encode(bencher: divan::Bencher<'_, '_>, characters: usize) {
    let conversation = Conversation::from_prompt(&prompt(characters));
    bencher.bench(|| features(divan::black_box(&conversation)));
}

#[divan::bench(args = [1_000, 400_000])]
fn tokens(bencher: divan::Bencher<'_, '_>, characters: usize) {
    let text = prompt(characters);
    bencher.bench(|| estimate_tokens(divan::black_box(&text)));
}

#[divan::bench(args = [1_000, 400_000])]
fn whole_request(bencher: divan::Bencher<'_, '_>, characters: usize) {
    let messages = serde_json::json!([{ "role": "user", "content": prompt(characters) }]).to_string();
    bencher.bench(|| {
        let conversation = Conversation::from_messages(divan::black_box(&messages), None);
        conversation.map(|conversation| (features(&conversation), conversation.input_tokens()))
    });
}
