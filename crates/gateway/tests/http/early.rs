//! Streams that begin before any model has: a client that waits is told so, and hears the end whatever it is.

use std::sync::Arc;

use serde_json::{Value, json};
use slarouter_testkit::Script;
use tokio::sync::Semaphore;

use crate::setup::{Rig, Settings, chunk, error, question};

const PING: &str = ": ping\n\n";

const REFUSAL: &str = r#"{"error":{"message":"not for you","type":"invalid_request_error","code":"no"}}"#;

/// Reads until there have been two pings.
async fn pinged(answer: &mut reqwest::Response, ping: &str) -> String {
    let mut text = String::new();
    while text.matches(ping).count() < 2 {
        text.push_str(std::str::from_utf8(&answer.chunk().await.unwrap().unwrap()).unwrap());
    }
    text
}

/// An answer whose head is behind a gate.
fn late(gate: &Arc<Semaphore>, status: u16, kind: &str, body: &str) -> Script {
    let head = format!("HTTP/1.1 {status} \r\ncontent-type: {kind}\r\nconnection: close\r\n\r\n");
    Script::bare().gate(gate).raw(head + body)
}

fn late_stream(gate: &Arc<Semaphore>) -> Script {
    let events = [chunk("one", None), chunk("", Some("stop")), "data: [DONE]\n\n".to_owned()];
    late(gate, 200, "text/event-stream", &events.concat())
}

fn late_error(gate: &Arc<Semaphore>, status: u16) -> Script {
    late(gate, status, "application/json", REFUSAL)
}

#[tokio::test]
async fn a_client_hears_of_an_answer_whose_head_has_not_come() {
    let rig = Rig::start(&Settings { server: "ping_interval_s = 0.05", ..Settings::default() }).await;
    for (path, ping) in
        [("chat/completions", PING), ("responses", PING), ("messages", "event: ping\ndata: {\"type\": \"ping\"}\n\n")]
    {
        let gate = Arc::new(Semaphore::new(0));
        rig.upstream.script(late_stream(&gate));
        let name = if path == "responses" { "input" } else { "messages" };
        let question = json!({ "role": "user", "content": "one two" });
        let body = json!({ "model": "auto", "stream": true, "max_tokens": 9, name: [question] });
        let ask = rig.client.post(rig.url(&format!("/v1/{path}"))).json(&body);
        let mut answer = ask.header("x-slarouter-metadata", "enabled").send().await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["content-type"]),
            (200, &"text/event-stream".parse().unwrap())
        );
        assert_eq!(answer.headers()["x-slarouter-route"], "default");
        assert!(answer.headers().contains_key("x-request-id"));
        assert!(answer.headers().get("x-slarouter-model").is_none(), "it is not known yet");
        let mut text = pinged(&mut answer, ping).await;
        assert_eq!(text.replace(ping, ""), "", "{path}");
        gate.add_permits(1);
        text.push_str(&answer.text().await.unwrap());
        assert!(text.contains("one") && text.contains("\"model\":\"small\""), "{path}: {text}");
        let without = text.replace(ping, "");
        assert!(without.split_terminator("\n\n").all(|event| event.contains("data: ")), "{path}: {text}");
    }
    assert!(rig.stop().await.outcomes.iter().all(|outcome| outcome.ok && outcome.status == 200));
}

#[tokio::test]
async fn another_model_answers_in_a_stream_that_has_begun() {
    let whole = json!({ "id": "up", "object": "chat.completion", "choices": [] }).to_string();
    for (status, words) in [(401, REFUSAL), (200, whole.as_str())] {
        let rig = Rig::start(&Settings { server: "ping_interval_s = 0.05", ..Settings::default() }).await;
        let gate = Arc::new(Semaphore::new(0));
        rig.upstream.script(late(&gate, status, "application/json", words));
        let mut answer = rig.post(&question(true)).header("x-slarouter-metadata", "enabled").send().await.unwrap();
        let mut text = pinged(&mut answer, PING).await;
        gate.add_permits(1);
        text.push_str(&answer.text().await.unwrap());
        assert!(text.contains("\"model\":\"large\"") && text.contains("[DONE]"), "{text}");
        assert_eq!(rig.called(), ["a/ok", "b/ok"]);
        let left = rig.stop().await;
        assert_eq!((left.outcomes[0].ok, &*left.outcomes[0].model, left.outcomes[0].attempts), (true, "large", 2));
    }
}

#[tokio::test]
async fn an_error_after_the_beginning_is_the_streams_last_event() {
    let rig = Rig::start(&Settings { server: "ping_interval_s = 0.05", ..Settings::default() }).await;
    for (path, name) in [("chat/completions", "messages"), ("responses", "input"), ("messages", "messages")] {
        let gate = Arc::new(Semaphore::new(0));
        rig.upstream.script(late_error(&gate, 422));
        let question = json!({ "role": "user", "content": "one two" });
        let body = json!({ "model": "small", "stream": true, "max_tokens": 9, name: [question] });
        let mut answer = rig.client.post(rig.url(&format!("/v1/{path}"))).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let _ = answer.chunk().await.unwrap().unwrap();
        gate.add_permits(1);
        let text = answer.text().await.unwrap();
        let last = text.split_terminator("\n\n").last().unwrap();
        let data: Value = serde_json::from_str(last.split_once("data: ").unwrap().1).unwrap();
        assert_eq!(data["error"]["message"], "not for you", "{path}: {text}");
        if path == "chat/completions" {
            error(&data);
        } else {
            assert!(last.starts_with("event: error\n"), "{text}");
        }
    }
    let left = rig.stop().await;
    assert!(left.outcomes.iter().all(|outcome| (outcome.status, outcome.ok) == (422, false)), "{:?}", left.outcomes);
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_takes_the_call_with_it() {
    let rig = Rig::start(&Settings { server: "ping_interval_s = 0.05", ..Settings::default() }).await;
    rig.upstream.script(Script::bare().stall());
    let mut answer = rig.ask(true).await;
    let _ = answer.chunk().await.unwrap().unwrap();
    drop(answer);
    rig.upstream.hung_up(1).await;
    assert_eq!(rig.stop().await.outcomes[0].status, 499);
}

/// The room of a body is held for as long as a model may still have to be asked with it.
#[tokio::test]
async fn a_stream_that_has_begun_holds_the_room_of_its_question_until_there_is_an_answer() {
    let server = "ping_interval_s = 0.05\nmax_body_bytes = 1048576\nmax_body_bytes_at_once = 1048576";
    let rig = Rig::start(&Settings { server, ..Settings::default() }).await;
    let long = |stream: bool| json!({ "model": "small", "stream": stream, "messages": [{ "role": "user", "content": "word ".repeat(180 << 10) }] });
    let gate = Arc::new(Semaphore::new(0));
    rig.upstream.script(late_stream(&gate));
    let mut answer = rig.post(&long(true)).send().await.unwrap();
    let _ = answer.chunk().await.unwrap().unwrap();
    assert_eq!(rig.post(&long(false)).send().await.unwrap().status(), 503);
    gate.add_permits(1);
    assert!(answer.text().await.unwrap().contains("[DONE]"));
    assert_eq!(rig.post(&long(false)).send().await.unwrap().status(), 200);
    rig.stop().await;
}
