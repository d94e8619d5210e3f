//! Answers that are none, and reports that cannot be true.

use serde_json::{Value, json};
use slarouter_gateway::{Gateway, StartError};
use slarouter_testkit::Script;

use crate::setup::{Rig, Settings, chunk, error, question};

fn busy(code: Value, stream: bool) -> Script {
    let error = json!({ "message": "all engines are busy", "type": "server_error", "param": null, "code": code });
    let body = json!({ "error": error });
    if stream { Script::sse(&[&body.to_string()]) } else { Script::json(200, &body) }
}

#[tokio::test]
async fn an_error_under_status_200_is_tried_again() {
    for stream in [false, true] {
        let rig = Rig::start(&Settings::default()).await;
        rig.upstream.script(busy(503.into(), stream));
        let answer = rig.ask(stream).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["x-slarouter-model"], "small");
        let text = answer.text().await.unwrap();
        assert!(text.contains("two") && !text.contains("busy"), "{text}");
        assert_eq!(rig.called(), ["a/ok", "a/ok"]);
        let left = rig.stop().await;
        assert_eq!((left.outcomes[0].ok, left.outcomes[0].attempts), (true, 2));
    }
}

#[tokio::test]
async fn an_error_under_status_200_from_all_is_a_failure_with_the_upstreams_words() {
    for (code, status, kind, stream) in [
        (json!(503), 503, "server_error", false),
        (json!(503), 503, "server_error", true),
        (json!("overloaded"), 502, "server_error", false),
        (json!(429), 429, "rate_limited", false),
    ] {
        let rig = Rig::start(&Settings::default()).await;
        for _ in 0..3 {
            rig.upstream.script(busy(code.clone(), stream));
        }
        let answer = rig.ask(stream).await;
        assert_eq!(answer.status(), status, "{code}");
        assert_eq!(answer.headers()["content-type"], "application/json");
        assert_eq!(answer.headers()["x-should-retry"], "false");
        let body: Value = answer.json().await.unwrap();
        assert_eq!((&error(&body)["message"], &error(&body)["code"]), (&json!("all engines are busy"), &code));
        assert_eq!(rig.called(), ["a/ok", "a/ok", "b/ok"]);
        let failures = format!("slarouter_upstream_failures_total{{model=\"small\",kind=\"{kind}\"}} 2");
        assert!(rig.metrics().await.contains(&failures), "{code}");
        let left = rig.stop().await;
        let [outcome] = &left.outcomes[..] else { panic!("{:?}", left.outcomes) };
        assert_eq!((outcome.status, outcome.ok, outcome.cost), (status, false, 0.0), "{code}");
        assert!(outcome.error.as_deref().is_some_and(|error| error.contains("answered 200")), "{:?}", outcome.error);
    }
}

/// It was answered, and so paid: the same model would only be paid again.
#[tokio::test]
async fn an_answer_that_is_too_long_is_not_asked_for_twice_and_its_question_is_counted() {
    let long = "x".repeat(4_000);
    for stream in [false, true] {
        let whole = json!({ "choices": [{ "message": { "content": long } }] });
        let events = || Script::event_stream().chunk(chunk(&long, None));
        let too_long = || if stream { events() } else { Script::json(200, &whole) };
        let rig = Rig::start(&Settings { upstream: "max_response_bytes = 2000", ..Settings::default() }).await;
        rig.upstream.script(too_long());
        let answer = rig.ask(stream).await;
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["x-slarouter-model"]),
            (200, &"large".parse().unwrap())
        );
        answer.bytes().await.unwrap();
        let mut pinned = question(stream);
        pinned["model"] = "small".into();
        rig.upstream.script(too_long());
        let answer = rig.post(&pinned).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), &answer.headers()["x-should-retry"]), (502, &"false".parse().unwrap()));
        let body: Value = answer.json().await.unwrap();
        assert_eq!(error(&body)["code"], "upstream_answer_too_long");
        assert_eq!(rig.called(), ["a/ok", "b/ok", "a/ok"]);
        let metrics = rig.metrics().await;
        assert!(metrics.contains("slarouter_upstream_failures_total{model=\"small\",kind=\"too_long\"} 2"));
        let left = rig.stop().await;
        let [rerouted, refused] = &left.outcomes[..] else { panic!("{:?}", left.outcomes) };
        // `small` takes a dollar for a million tokens of a question, and this one has some ten, as the gateway counts them.
        let question = refused.cost;
        assert!((1.0..20.0).contains(&(question * 1e6)), "{question}");
        let large = rerouted.input_tokens.unwrap() * 1.0 / 1e6 + rerouted.output_tokens.unwrap() * 2.0 / 1e6;
        assert!((rerouted.cost - question - large).abs() < 1e-12, "{} for {question} and {large}", rerouted.cost);
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_used_is_asked_of_another_model_and_its_question_is_counted() {
    let message = json!({ "role": "assistant", "content": "lost" });
    let whole = json!({ "id": "up", "object": "chat.completion", "choices": [{ "index": 0, "message": message }] });
    let events = || Script::event_stream().chunk(chunk("lost", Some("stop"))).chunk("data: [DONE]\n\n").end();
    let no_answer = json!({ "object": "list", "data": [] });
    for (path, stream, script) in [
        ("chat/completions", true, Script::json(200, &whole)),
        ("messages", true, Script::json(200, &whole)),
        ("chat/completions", false, events()),
        ("messages", false, events()),
        ("messages", false, Script::json(200, &no_answer)),
    ] {
        let case = format!("{path}, stream: {stream}");
        let rig = Rig::start(&Settings::default()).await;
        let body =
            json!({ "model": "auto", "stream": stream, "max_tokens": 9, "messages": question(stream)["messages"] });
        let ask = |model: &str| {
            let mut body = body.clone();
            body["model"] = model.into();
            rig.client.post(rig.url(&format!("/v1/{path}"))).json(&body)
        };
        rig.upstream.script(script.clone());
        let answer = ask("auto").send().await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["x-slarouter-model"]),
            (200, &"large".parse().unwrap())
        );
        let is_stream = answer.headers()["content-type"].to_str().unwrap().starts_with("text/event-stream");
        assert_eq!(is_stream, stream, "{case}");
        assert!(!answer.text().await.unwrap().contains("lost"), "{case}");
        rig.upstream.script(script);
        let answer = ask("small").send().await.unwrap();
        assert_eq!((answer.status().as_u16(), &answer.headers()["x-should-retry"]), (502, &"false".parse().unwrap()));
        let text = answer.text().await.unwrap();
        assert!(text.contains("the upstream's answer cannot be used: "), "{case}: {text}");
        assert_eq!(rig.called(), ["a/ok", "b/ok", "a/ok"], "{case}");
        let metrics = rig.metrics().await;
        assert!(metrics.contains("slarouter_upstream_failures_total{model=\"small\",kind=\"unreadable\"} 2"), "{case}");
        let left = rig.stop().await;
        let [rerouted, refused] = &left.outcomes[..] else { panic!("{:?}", left.outcomes) };
        assert_eq!((rerouted.ok, refused.ok, refused.status), (true, false, 502), "{case}");
        assert!(refused.cost > 0.0 && rerouted.cost > refused.cost, "{case}: {} and {}", rerouted.cost, refused.cost);
    }
}

#[tokio::test]
async fn a_refusal_that_is_too_long_counts_by_its_status() {
    let rig = Rig::start(&Settings { upstream: "max_response_bytes = 2000", ..Settings::default() }).await;
    rig.upstream.script(Script::json(401, &json!({ "error": "x".repeat(4_000) })));
    assert_eq!(rig.ask(false).await.headers()["x-slarouter-model"], "large");
    assert_eq!(rig.called(), ["a/ok", "b/ok"], "a broken answer would be asked for again");
    let mut pinned = question(false);
    pinned["model"] = "small".into();
    rig.upstream.script(Script::json(401, &json!({ "error": "x".repeat(4_000) })));
    let answer = rig.post(&pinned).send().await.unwrap();
    assert_eq!(answer.status(), 401);
    error(&answer.json().await.unwrap());
    rig.stop().await;
}

#[tokio::test]
async fn token_counts_beyond_reason_are_passed_on_but_neither_billed_nor_learnt() {
    let rig = Rig::start(&Settings::default()).await;
    let answer = |usage: Value| {
        let choice =
            json!({ "index": 0, "message": { "role": "assistant", "content": "hi" }, "finish_reason": "stop" });
        Script::json(200, &json!({ "id": "up", "object": "chat.completion", "choices": [choice], "usage": usage }))
    };
    for usage in [
        json!({ "prompt_tokens": 1e300, "completion_tokens": 3 }),
        json!({ "prompt_tokens": 3, "completion_tokens": 9_007_199_254_740_993_u64 }),
    ] {
        rig.upstream.script(answer(usage.clone()));
        let reply = rig.ask(false).await;
        let cost: f64 = reply.headers()["x-slarouter-cost-usd"].to_str().unwrap().parse().unwrap();
        assert!(cost > 0.0 && cost < 0.001, "of the estimated input: {cost}");
        let body: Value = reply.json().await.unwrap();
        assert_eq!(body["usage"]["completion_tokens"], usage["completion_tokens"]);
    }
    let left = rig.stop().await;
    assert_eq!(left.outcomes.len(), 2);
    for outcome in &left.outcomes {
        assert_eq!((outcome.ok, outcome.input_tokens, outcome.output_tokens), (true, None, None));
        assert!(outcome.cost < 0.001, "{}", outcome.cost);
    }
}

#[tokio::test]
async fn a_second_gateway_on_the_same_database_does_not_start() {
    let rig = Rig::start(&Settings::default()).await;
    let Err(error) = Gateway::start(rig.config()).await else { panic!("two gateways write one log") };
    assert!(matches!(error, StartError::Store(_)), "{error}");
    assert!(error.to_string().contains("another process uses the database"), "{error}");
    assert_eq!(rig.ask(false).await.status(), 200, "the first is not disturbed");
    assert_eq!(rig.stop().await.outcomes.len(), 1);
}

#[tokio::test]
async fn the_saved_state_says_when_it_was_saved() {
    let rig = Rig::start(&Settings::default()).await;
    assert_eq!(rig.ask(false).await.status(), 200);
    let left = rig.stop().await;
    let [saved, ..] = &left.saved[..] else { panic!("{:?}", left.saved) };
    assert!(saved.time >= left.outcomes[0].time, "{:?}, before the last outcome", saved.time);
}
