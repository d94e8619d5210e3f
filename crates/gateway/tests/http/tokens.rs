//! The counts of tokens in the log.

use serde_json::{Value, json};
use slarouter_store::OutcomeRecord;
use slarouter_testkit::Script;

use crate::setup::{Rig, Settings, chunk, question};

/// Input, read from a cache, written to it, output, reasoning.
type Counts = [Option<f64>; 5];

fn counts(outcome: &OutcomeRecord) -> Counts {
    let OutcomeRecord { input_tokens, cached_tokens, cache_write_tokens, output_tokens, reasoning_tokens, .. } =
        outcome;
    [*input_tokens, *cached_tokens, *cache_write_tokens, *output_tokens, *reasoning_tokens]
}

/// A whole answer in this protocol.
fn answer(protocol: &str, usage: &Value) -> Script {
    let body = match protocol {
        "anthropic" => {
            json!({ "id": "up", "type": "message", "role": "assistant", "model": "x", "stop_reason": "end_turn",
            "content": [{ "type": "text", "text": "hi" }], "usage": usage })
        }
        "openai-responses" => json!({ "id": "up", "object": "response", "status": "completed", "model": "x",
            "output": [{ "type": "message", "role": "assistant", "content": [{ "type": "output_text", "text": "hi" }] }],
            "usage": usage }),
        _ => json!({ "id": "up", "object": "chat.completion", "model": "x", "usage": usage,
            "choices": [{ "index": 0, "message": { "role": "assistant", "content": "hi" }, "finish_reason": "stop" }] }),
    };
    Script::json(200, &body)
}

#[tokio::test]
async fn the_log_has_the_counts_of_every_protocol() {
    let input = json!({ "cached_tokens": 60, "cache_write_tokens": 20 });
    let output = json!({ "reasoning_tokens": 30 });
    let chat = json!({ "prompt_tokens": 100, "completion_tokens": 50, "prompt_tokens_details": input,
                       "completion_tokens_details": output });
    let responses = json!({ "input_tokens": 100, "output_tokens": 50, "input_tokens_details": input,
                            "output_tokens_details": output });
    let messages = json!({ "input_tokens": 20, "cache_read_input_tokens": 60, "cache_creation_input_tokens": 20,
                           "output_tokens": 50 });
    // Its reasoning is in the total alone.
    let gemini = json!({ "prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 150 });
    let all = [100.0, 60.0, 20.0, 50.0, 30.0].map(Some);
    for (protocol, usage, expected) in [
        ("openai-chat", chat, all),
        ("openai-responses", responses, all),
        ("anthropic", messages, [Some(100.0), Some(60.0), Some(20.0), Some(50.0), None]),
        ("gemini-openai", gemini, [100.0, 0.0, 0.0, 50.0, 30.0].map(Some)),
    ] {
        let small = format!("protocol = \"{protocol}\"").leak();
        let rig = Rig::start(&Settings { small, ..Settings::default() }).await;
        for usage in [&usage, &Value::Null, &json!({ "input_tokens": 1e300, "prompt_tokens": 1e300 })] {
            rig.upstream.script(answer(protocol, usage));
            assert_eq!(rig.ask(false).await.status(), 200, "{protocol}, {usage}");
        }
        let left = rig.stop().await;
        let found: Vec<Counts> = left.outcomes.iter().map(counts).collect();
        assert_eq!(found, [expected, [None; 5], [None; 5]], "{protocol}: what is not reported is unknown");
    }
}

#[tokio::test]
async fn the_log_has_the_counts_of_streams_and_of_reports() {
    let rig = Rig::start(&Settings::default()).await;
    let usage = json!({ "prompt_tokens": 9, "completion_tokens": 7, "completion_tokens_details": { "reasoning_tokens": 4 },
                        "prompt_tokens_details": { "cached_tokens": 3, "cache_write_tokens": 2 } });
    let last = json!({ "id": "up", "object": "chat.completion.chunk", "model": "x", "choices": [], "usage": usage });
    let stream = Script::event_stream().chunk(chunk("hi", Some("stop"))).chunk(format!("data: {last}\n\n"));
    rig.upstream.script(stream.chunk("data: [DONE]\n\n").end());
    let text = rig.post(&question(true)).send().await.unwrap().text().await.unwrap();
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    for usage in [&usage, &Value::Null] {
        let decision = rig.client.post(rig.url("/v1/route")).json(&question(false)).send().await.unwrap();
        let id = decision.json::<Value>().await.unwrap()["id"].clone();
        let report = json!({ "id": id, "usage": usage });
        assert_eq!(rig.client.post(rig.url("/v1/outcomes")).json(&report).send().await.unwrap().status(), 202);
    }
    let left = rig.stop().await;
    let told = [9.0, 3.0, 2.0, 7.0, 4.0].map(Some);
    assert_eq!(left.outcomes.iter().map(counts).collect::<Vec<_>>(), [told, told, [None; 5]]);
}
