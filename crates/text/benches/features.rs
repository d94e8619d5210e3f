//! Time per prompt of the features and of the token estimate.

use slarouter_text::{Blend, Conversation, Encoder, HashedNgrams, StaticEmbedding, estimate_tokens, features};

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

const SCRIPTS: [(&str, &str); 4] = [
    ("English", "The operator writes down one number, and the gateway sends each request to the cheapest model. "),
    ("Russian", "Оператор задаёт одно число, и шлюз отправляет каждый запрос самой дешёвой модели. "),
    ("Chinese", "运营者只需写下一个数字，网关把每个请求发送给最便宜的模型。"),
    ("Korean", "운영자는 숫자 하나만 적으면 되고 게이트웨이는 각 요청을 가장 저렴한 모델로 보냅니다. "),
];

fn in_script(name: &str) -> Conversation {
    let text = SCRIPTS.iter().find(|(script, _)| *script == name).map_or("", |(_, text)| text);
    Conversation::from_prompt(&text.chars().cycle().take(1_000).collect::<String>())
}

fn encoded(bencher: divan::Bencher<'_, '_>, encoder: &dyn Encoder, conversation: &Conversation) {
    let mut out = vec![0.0; encoder.dim()];
    bencher.bench_local(|| {
        encoder.encode(divan::black_box(conversation), &mut out);
        out[0]
    });
}

#[divan::bench(args = SCRIPTS.map(|(name, _)| name))]
fn hashed_1_000_characters(bencher: divan::Bencher<'_, '_>, script: &str) {
    encoded(bencher, &HashedNgrams, &in_script(script));
}

#[divan::bench(args = SCRIPTS.map(|(name, _)| name))]
fn static_1_000_characters(bencher: divan::Bencher<'_, '_>, script: &str) {
    // A damaged table would leave the row without figures.
    if let Ok(encoder) = StaticEmbedding::new() {
        encoded(bencher, &encoder, &in_script(script));
    }
}

#[divan::bench(args = SCRIPTS.map(|(name, _)| name))]
fn blend_1_000_characters(bencher: divan::Bencher<'_, '_>, script: &str) {
    if let Ok(encoder) = Blend::new() {
        encoded(bencher, &encoder, &in_script(script));
    }
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
