//! `POST /v1/messages/count_tokens`.

use serde_json::{Value, json};
use slarouter_testkit::Script;

use crate::setup::{Rig, Settings};

const ANTHROPIC: Settings = Settings {
    small: "protocol = \"anthropic\"",
    server: "",
    upstream: "",
    store: "",
    feedback: "",
    features: String::new(),
    small_url: None,
    route: None,
};

async fn count(rig: &Rig, body: &Value) -> (u16, String, Value) {
    let request = rig.client.post(rig.url("/v1/messages/count_tokens")).header("anthropic-version", "2023-06-02");
    let answer = request.json(body).send().await.unwrap();
    let whose = answer.headers().get("x-slarouter-token-count").map(|value| value.to_str().unwrap().to_owned());
    (answer.status().as_u16(), whose.unwrap_or_default(), answer.json().await.unwrap())
}

fn question(model: &str) -> Value {
    json!({ "model": model, "system": "Be brief.", "messages": [{ "role": "user", "content": "one two three" }] })
}

#[tokio::test]
async fn the_provider_counts_where_it_can_and_else_it_is_an_estimate() {
    let rig = Rig::start(&ANTHROPIC).await;
    for (model, asked) in [("small", 1), ("auto", 2)] {
        assert_eq!(count(&rig, &question(model)).await, (200, "provider".to_owned(), json!({ "input_tokens": 12 })));
        let requests = rig.upstream.requests();
        assert_eq!(requests.len(), asked);
        let request = &requests[asked - 1];
        assert_eq!(
            (&*request.path, request.header("anthropic-version")),
            ("/v1/messages/count_tokens", Some("2023-06-02"))
        );
        let body = request.json();
        assert_eq!((&body["model"], &body["system"]), (&json!("a/ok"), &json!("Be brief.")));
    }
    let (status, whose, body) = count(&rig, &question("large")).await;
    let tokens = body["input_tokens"].as_u64().unwrap();
    assert_eq!((status, &*whose), (200, "estimate"));
    assert!((5..30).contains(&tokens), "{tokens}");
    assert_eq!(rig.upstream.requests().len(), 2);
    let left = rig.stop().await;
    assert!(left.outcomes.is_empty() && left.events.len() == 1, "nothing is decided: {:?}", left.events);

    let rig = Rig::start(&Settings::default()).await;
    assert_eq!(count(&rig, &question("auto")).await, (200, "estimate".to_owned(), body));
    assert!(rig.called().is_empty());
    rig.stop().await;
}

#[tokio::test]
async fn errors_have_the_protocols_shape() {
    let rig = Rig::start(&ANTHROPIC).await;
    for (body, status, kind) in [
        (question("none"), 404, "not_found_error"),
        (json!({ "model": "small" }), 400, "invalid_request_error"),
        (json!({ "model": "small", "messages": [] }), 400, "invalid_request_error"),
        (json!([]), 400, "invalid_request_error"),
    ] {
        let (got, _, answer) = count(&rig, &body).await;
        assert_eq!(
            (got, &answer["type"], &answer["error"]["type"]),
            (status, &json!("error"), &json!(kind)),
            "{answer}"
        );
    }
    assert!(rig.called().is_empty());
    let overloaded = json!({ "type": "error", "error": { "type": "overloaded_error", "message": "not now" } });
    rig.upstream.script(Script::json(529, &overloaded).header("retry-after", "3"));
    let answer = rig.client.post(rig.url("/v1/messages/count_tokens")).json(&question("small")).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["retry-after"]), (529, &"3".parse().unwrap()));
    assert_eq!(answer.headers()["x-should-retry"], "true");
    let body: Value = answer.json().await.unwrap();
    assert_eq!((&body["error"]["type"], &body["error"]["message"]), (&json!("overloaded_error"), &json!("not now")));
    rig.upstream.script(Script::bare().cut());
    rig.upstream.script(Script::bare().cut());
    let (status, _, body) = count(&rig, &question("small")).await;
    assert_eq!((status, &body["type"]), (502, &json!("error")), "{body}");
    rig.stop().await;
}

/// Two models that count and one that does not, in a route of their own.
fn two(upstream: &'static str) -> Settings {
    let more = "\n[[models]]\nname = \"third\"\nbase_url = \"UPSTREAM\"\nupstream_model = \"c/ok\"\nprotocol = \"anthropic\"\n\
                price = { input = 1, output = 2 }\n[routes.three]\nmodels = [\"large\", \"small\", \"third\"]\n\
                sla = { satisfaction = 0.9 }\npolicy = \"fixed:small\"\n";
    Settings { upstream, features: more.to_owned(), ..ANTHROPIC }
}

fn fault(code: u16) -> Script {
    let error = json!({ "type": "error", "error": { "type": "api_error", "message": "no" } });
    Script::json(code, &error)
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_what_does_not_is_asked_of_another_model() {
    let json_head = || Script::new(200).header("content-type", "application/json");
    for (name, script, kind, again) in [
        ("cut", Script::bare().cut(), "broken", true),
        ("reset", Script::bare().reset(), "broken", true),
        ("silence", Script::bare().stall(), "timeout", false),
        ("silence in the body", json_head().content_length(9).raw("{").stall(), "timeout", false),
        ("half a body", json_head().whole("{\"input_tokens\": 1"), "broken", true),
        ("no count", json_head().whole("{\"tokens\": 12}"), "broken", true),
        ("no number", json_head().whole("{\"input_tokens\": \"12\"}"), "broken", true),
        ("a stream", Script::event_stream().chunk("data: {}\n\n").end(), "broken", true),
        ("an error under 200", fault(200), "server_error", true),
        ("500", fault(500), "server_error", true),
        ("529", fault(529), "server_error", true),
        ("429", fault(429), "rate_limited", true),
        ("429, later", fault(429).header("retry-after", "7"), "rate_limited", false),
        ("401", fault(401), "refused", false),
        ("404", fault(404), "refused", false),
    ] {
        let rig =
            Rig::start(&two("retries = 1\nresponse_timeout_s = 1\nidle_timeout_s = 1\nbreaker_failures = 1")).await;
        rig.upstream.script(script);
        let found = count(&rig, &question("auto:three")).await;
        assert_eq!(found, (200, "provider".to_owned(), json!({ "input_tokens": 12 })), "{name}");
        assert_eq!(rig.called(), ["a/ok", if again { "a/ok" } else { "c/ok" }], "{name}");
        let metrics = rig.metrics().await;
        for line in [
            format!("slarouter_upstream_failures_total{{model=\"small\",kind=\"{kind}\"}} 1"),
            format!("slarouter_upstream_calls_total{{model=\"small\"}} {}", 1 + u8::from(again)),
            "slarouter_circuit_state{model=\"small\"} 0".to_owned(),
        ] {
            assert!(metrics.contains(&line), "{name}: {line} is not in\n{metrics}");
        }
        // Nor is the model that cannot count kept from answering.
        assert_eq!(rig.ask(false).await.headers()["x-slarouter-model"], "small", "{name}");
        rig.stop().await;
    }
}

#[tokio::test]
async fn when_nobody_counts_the_last_words_are_passed_on() {
    let rig = Rig::start(&two("retries = 1\nmax_attempts = 9")).await;
    for code in [500, 502, 503] {
        rig.upstream.script(fault(code));
    }
    assert_eq!(count(&rig, &question("auto:three")).await.0, 503);
    assert_eq!(rig.called(), ["a/ok", "a/ok", "c/ok"]);
    rig.upstream.script(fault(400));
    assert_eq!(count(&rig, &question("auto:three")).await.0, 400, "the request is at fault");
    assert_eq!(rig.called().len(), 4);
    // A named model is alone.
    rig.upstream.script(fault(401));
    assert_eq!(count(&rig, &question("third")).await.0, 401);
    assert_eq!(rig.called()[4..], ["c/ok"]);
    let left = rig.stop().await;
    assert!(left.outcomes.is_empty(), "{:?}", left.outcomes);
}

#[tokio::test]
async fn a_model_whose_circuit_is_open_is_passed_over_and_attempts_and_time_are_bounded() {
    let rig = Rig::start(&two("retries = 5\nbackoff_s = 0.001\nbreaker_failures = 1\nmax_attempts = 3")).await;
    for _ in 0..4 {
        rig.upstream.script(fault(500));
    }
    assert_eq!(count(&rig, &question("auto:three")).await.0, 500);
    assert_eq!(rig.called(), ["a/ok"; 3], "no more than `max_attempts`");
    // An answer that fails opens the circuit.
    assert_eq!(rig.ask(false).await.headers()["x-slarouter-model"], "large");
    let before = rig.called().len();
    assert_eq!(count(&rig, &question("auto:three")).await.0, 200);
    assert_eq!(rig.called()[before..], ["c/ok"]);
    assert_eq!(count(&rig, &question("small")).await.0, 200, "alone, it is tried all the same");
    rig.stop().await;

    let settings = Settings { server: "request_timeout_s = 1", ..two("retries = 0") };
    let rig = Rig::start(&settings).await;
    rig.upstream.script(Script::bare().stall());
    let (status, _, body) = count(&rig, &question("auto:three")).await;
    assert_eq!(
        (status, &body["type"], &body["error"]["type"]),
        (504, &json!("error"), &json!("timeout_error")),
        "{body}"
    );
    rig.stop().await;
}
