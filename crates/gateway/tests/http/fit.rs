//! Models that cannot take a request: left out where that is known, passed over and remembered where a provider says so.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use slarouter_testkit::{Received, Script, Upstream};
use tempfile::TempDir;

use crate::setup::{Rig, Settings, question};

fn refusal(status: u16, message: &str) -> Script {
    Script::json(status, &json!({ "error": { "message": message, "type": "invalid_request_error", "code": null } }))
}

fn long() -> Value {
    json!({ "model": "auto", "messages": [{ "role": "user", "content": "word ".repeat(1_200) }] })
}

fn image() -> Value {
    let part = json!({ "type": "image_url", "image_url": { "url": "data:image/png;base64,AAAA" } });
    json!({ "model": "auto", "messages": [{ "role": "user", "content": [{ "type": "text", "text": "look" }, part] }] })
}

/// The model that answered, and why.
async fn answered(rig: &Rig, body: &Value) -> (String, String) {
    let answer = rig.post(body).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    (header("x-slarouter-model"), header("x-slarouter-decision"))
}

#[tokio::test]
async fn what_is_known_of_a_model_keeps_requests_from_it() {
    let small = "takes = { context_tokens = 1000, input = [\"text\"], tools = false, schema = false }";
    let rig = Rig::start(&Settings { small, ..Settings::default() }).await;
    let mut tools = question(false);
    tools["tools"] = json!([{ "type": "function", "function": { "name": "f" } }]);
    let mut schema = question(false);
    schema["response_format"] = json!({ "type": "json_schema", "json_schema": { "name": "x", "schema": {} } });
    for (reason, body) in [("context", long()), ("image", image()), ("tools", tools), ("schema", schema)] {
        assert_eq!(answered(&rig, &body).await.0, "large", "{reason}");
        let counted = format!("slarouter_excluded_total{{route=\"default\",model=\"small\",reason=\"{reason}\"}} 1");
        assert!(rig.metrics().await.contains(&counted), "{reason}");
    }
    assert_eq!(answered(&rig, &question(false)).await.0, "small");
    // Whoever names a model has it asked.
    let mut pinned = image();
    pinned["model"] = "small".into();
    assert_eq!(answered(&rig, &pinned).await.0, "small");
    let left = rig.stop().await;
    for (place, expected) in [(0, 0.0), (4, 1.0)] {
        let decided = left.events.iter().filter_map(|event| match event {
            slarouter_store::Event::Decided { decision, .. } => Some(decision),
            _ => None,
        });
        let decision = decided.clone().nth(place).unwrap();
        let of_small = decision.candidates.iter().find(|candidate| &*candidate.model == "small").unwrap();
        assert_eq!(of_small.probability, expected, "decision {place}");
    }
}

#[tokio::test]
async fn a_refusal_that_another_model_need_not_share_is_passed_over_and_remembered() {
    let too_long = "This model's maximum context length is 1000 tokens. Please reduce the length of the messages.";
    let no_images = "messages[0]: unknown variant `image_url`, expected `text`";
    let mut seeded = question(false);
    seeded["seed"] = 7.into();
    for (status, words, body) in [
        (400, too_long, long()),
        (413, "maximum context length is 1000 tokens", long()),
        (400, no_images, image()),
        (422, "Unrecognized request argument supplied: 'seed'", seeded),
    ] {
        let rig = Rig::start(&Settings::default()).await;
        rig.upstream.script_for("a/ok", refusal(status, words));
        assert_eq!(answered(&rig, &body).await, ("large".to_owned(), "rerouted".to_owned()), "{words}");
        // Not asked again, and not for what is another matter.
        assert_eq!(answered(&rig, &body).await.0, "large", "{words}");
        assert_eq!(answered(&rig, &question(false)).await.0, "small", "{words}");
        assert_eq!(rig.called(), ["a/ok", "b/ok", "b/ok", "a/ok"], "{words}");
        assert!(rig.metrics().await.contains("slarouter_circuit_state{model=\"small\"} 0"));
        rig.stop().await;
    }
}

/// What is too large in bytes says nothing of tokens: nobody takes a model from the others by a large image.
#[tokio::test]
async fn a_body_that_is_too_large_is_passed_over_and_not_remembered() {
    let rig = Rig::start(&Settings::default()).await;
    for _ in 0..2 {
        rig.upstream.script_for("a/ok", refusal(413, "Request Entity Too Large"));
        assert_eq!(answered(&rig, &image()).await, ("large".to_owned(), "rerouted".to_owned()));
    }
    assert_eq!(answered(&rig, &question(false)).await.0, "small");
    rig.stop().await;
}

#[tokio::test]
async fn a_fault_of_the_client_goes_out_at_once_and_one_that_all_share_after_each_has_said_so() {
    let rig = Rig::start(&Settings::default()).await;
    rig.upstream.script(refusal(400, "temperature must be at most 2"));
    let answer = rig.ask(false).await;
    assert_eq!((answer.status().as_u16(), rig.called().len()), (400, 1));
    for model in ["a/ok", "b/ok"] {
        rig.upstream.script_for(model, refusal(400, "prompt is too long: 2000 tokens > 1000 maximum"));
    }
    let answer = rig.post(&long()).send().await.unwrap();
    assert_eq!(answer.status(), 400);
    let body: Value = answer.json().await.unwrap();
    assert!(body["error"]["message"].as_str().unwrap().contains("too long"), "{body}");
    assert_eq!(rig.called(), ["a/ok", "a/ok", "b/ok"]);
    // Now that it is known of both, one is asked, in case it has changed, and its word goes out at once.
    rig.upstream.script_for("a/ok", refusal(400, "prompt is too long: 2000 tokens > 1000 maximum"));
    assert_eq!(rig.post(&long()).send().await.unwrap().status(), 400);
    assert_eq!(rig.called().len(), 4);
    rig.stop().await;
}

#[tokio::test]
async fn a_server_has_its_own_words_once_it_has_asked_for_them() {
    let rig = Rig::start(&Settings::default()).await;
    let mut body = question(false);
    body["messages"] =
        json!([{ "role": "developer", "content": "Be brief." }, { "role": "user", "content": "one two" }]);
    body["max_completion_tokens"] = 9.into();
    rig.upstream.script_for("a/ok", refusal(422, "messages[0].role: unknown variant `developer`, expected `system`"));
    assert_eq!(answered(&rig, &body).await.0, "small");
    rig.upstream.script_for("a/ok", refusal(400, "Unrecognized request argument supplied: max_completion_tokens"));
    assert_eq!(answered(&rig, &body).await.0, "small");
    assert_eq!(answered(&rig, &body).await.0, "small");
    let said = |place: usize| {
        let body = rig.upstream.requests()[place].json();
        (
            body["messages"][0]["role"].as_str().unwrap().to_owned(),
            body["max_tokens"].as_u64(),
            body["max_completion_tokens"].as_u64(),
        )
    };
    assert_eq!(said(0), ("developer".to_owned(), None, Some(9)));
    assert_eq!((said(1), said(2)), (("system".to_owned(), None, Some(9)), ("system".to_owned(), None, Some(9))));
    assert_eq!((said(3), said(4)), (("system".to_owned(), Some(9), None), ("system".to_owned(), Some(9), None)));
    assert_eq!(rig.called().len(), 5, "no word is learnt twice");
    // A server that goes on refusing what it asked for is not asked for ever.
    for _ in 0..4 {
        rig.upstream.script(refusal(400, "Unrecognized request argument supplied: max_completion_tokens"));
    }
    assert_eq!(rig.post(&body).send().await.unwrap().status(), 400);
    assert_eq!(rig.called().len(), 8, "the one model in words that it asked for already, and the other in two");
    rig.stop().await;
}

#[tokio::test]
async fn settings_say_in_which_words_and_for_how_long_an_answer_is_asked_for() {
    let small = "takes = { output_tokens = 8, developer_role = false, max_completion_tokens = false }";
    let rig = Rig::start(&Settings { small, ..Settings::default() }).await;
    let mut body = question(false);
    body["messages"] = json!([{ "role": "developer", "content": "x" }, { "role": "user", "content": "one two" }]);
    body["max_completion_tokens"] = 100.into();
    assert_eq!(answered(&rig, &body).await.0, "small");
    let sent = rig.upstream.requests()[0].json();
    assert_eq!((&sent["messages"][0]["role"], &sent["max_tokens"]), (&json!("system"), &json!(8)));
    assert!(sent.get("max_completion_tokens").is_none(), "{sent}");
    rig.stop().await;
}

/// What an upstream says next, by a draw.
fn drawn(draw: u64) -> Script {
    match draw % 9 {
        0 => refusal(400, "temperature must be at most 2"),
        1 => refusal(400, "maximum context length is 10 tokens"),
        2 => refusal(422, "unknown field 'messages'"),
        3 => refusal(400, "something is not supported"),
        4 => refusal(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."),
        5 => refusal(422, "unknown variant `developer`"),
        6 => refusal(429, "later").header("retry-after", "1"),
        7 => refusal(500, "no"),
        _ => Script::json(
            200,
            &json!({ "id": "x", "object": "chat.completion", "model": "x", "choices": [{ "index": 0,
            "message": { "role": "assistant", "content": "yes" }, "finish_reason": "stop" }] }),
        ),
    }
}

/// Whatever upstreams say, in whichever order: no request is asked without end, and no answer is paid for twice.
#[tokio::test]
async fn no_order_of_refusals_makes_a_loop_or_a_second_bill() {
    let kinds = Arc::new(Mutex::new(Vec::new()));
    let (seen, seeds) = (kinds.clone(), AtomicU64::new(0));
    let upstream = Upstream::answering(move |_: &Received| {
        // SplitMix64, so that each run draws the same.
        let mut x = seeds.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let draw = (x ^ (x >> 31)) % 9;
        seen.lock().unwrap().push(draw);
        drawn(draw)
    })
    .await;
    let settings = Settings { upstream: "backoff_s = 0.001\nbreaker_failures = 0", ..Settings::default() };
    let rig = Rig::resume(&settings, upstream, TempDir::new().unwrap()).await;
    for n in 0..300 {
        let mut body = question(false);
        body["model"] = ["auto", "small", "large"][n % 3].into();
        body["max_tokens"] = 5.into();
        let status = rig.post(&body).send().await.unwrap().status().as_u16();
        let calls = std::mem::take(&mut *kinds.lock().unwrap());
        // Three calls at most, each of them once more in other words.
        assert!((1..=6).contains(&calls.len()), "{n}: {calls:?}");
        let answers = calls.iter().filter(|kind| **kind == 8).count();
        assert_eq!(
            (answers, calls.last() == Some(&8)),
            if status == 200 { (1, true) } else { (0, false) },
            "{n}: {calls:?}"
        );
        if let Some(place) = calls.iter().position(|kind| *kind == 0) {
            assert_eq!((place, status), (calls.len() - 1, 400), "{n}: a fault of the client's is passed on: {calls:?}");
        }
    }
    assert_eq!(rig.stop().await.outcomes.len(), 300);
}
