//! Answers that are checked without a model, and what that makes of them.

use serde_json::{Value, json};
use slarouter_store::Event;
use slarouter_testkit::{Script, until};

use crate::setup::{Rig, Settings, chunk, question};

const CHECKED: Settings = Settings {
    server: "",
    upstream: "",
    store: "",
    feedback: "checks = { run = [\"empty\", \"format\"], count = \"all\" }",
    features: String::new(),
    small: "",
    small_url: None,
    route: None,
};

/// Asks for JSON, and gives the id of the answer, once it has gone out whole.
async fn ask(rig: &Rig, stream: bool, script: Script) -> String {
    rig.upstream.script(script);
    let mut body = question(stream);
    body["response_format"] = json!({ "type": "json_object" });
    let answer = rig.post(&body).send().await.unwrap();
    let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    answer.bytes().await.unwrap();
    id
}

/// What is said of an answer: rating and comment of each word.
async fn words(rig: &Rig, id: &str) -> Vec<(Value, Value)> {
    let answer = rig.client.get(rig.url(&format!("/admin/decisions/{id}"))).send().await.unwrap();
    let explained: Value = answer.json().await.unwrap();
    let words = explained["feedback"].as_array().cloned().unwrap_or_default();
    words.into_iter().map(|word| (word["rating"].clone(), word["comment"].clone())).collect()
}

fn whole(text: &str) -> Script {
    let message = json!({ "role": "assistant", "content": text });
    Script::json(
        200,
        &json!({ "id": "up", "model": "x", "choices": [{ "index": 0, "message": message, "finish_reason": "stop" }] }),
    )
}

fn streamed(text: &str) -> Script {
    let script = Script::event_stream().chunk(chunk(text, None)).chunk(chunk("", Some("stop")));
    script.chunk("data: [DONE]\n\n").end()
}

#[tokio::test]
async fn a_check_is_a_rating_of_its_own() {
    let rig = Rig::start(&CHECKED).await;
    for (stream, text, rating, comment) in [
        (false, "{}", 1.0, "checks passed"),
        (false, "Sure: {}", 0.0, "checks failed: format"),
        (false, "", 0.0, "checks failed: empty, format"),
        (true, "{\"a\":1}", 1.0, "checks passed"),
        (true, "{\"a\":", 0.0, "checks failed: format"),
    ] {
        let id = ask(&rig, stream, if stream { streamed(text) } else { whole(text) }).await;
        until("the answer is checked", async || !words(&rig, &id).await.is_empty()).await;
        assert_eq!(words(&rig, &id).await, [(json!(rating), json!(comment))]);
        // A person's word stands beside it.
        let up = json!({ "id": id, "rating": "up" });
        let said: Value =
            rig.client.post(rig.url("/v1/feedback")).json(&up).send().await.unwrap().json().await.unwrap();
        assert_eq!((&said["status"], words(&rig, &id).await.len()), (&json!("recorded"), 2));
    }
    rig.stop().await;
}

#[tokio::test]
async fn what_passes_is_not_rated_by_default_and_pinned_answers_never_are() {
    let feedback = "checks = { run = [\"format\"] }";
    let rig = Rig::start(&Settings { feedback, ..Settings::default() }).await;
    ask(&rig, false, whole("{}")).await;
    rig.upstream.script(whole("no"));
    let mut pinned = question(false);
    (pinned["model"], pinned["response_format"]) = (json!("small"), json!({ "type": "json_object" }));
    rig.post(&pinned).send().await.unwrap().bytes().await.unwrap();
    // Checks are made in the order of the answers' ends or nearly so: this one's is the last.
    let failed = ask(&rig, false, whole("no")).await;
    until("the answer is checked", async || !words(&rig, &failed).await.is_empty()).await;
    let left = rig.stop().await;
    assert_eq!(left.events.iter().filter(|event| matches!(event, Event::Rated { .. })).count(), 1);
}
