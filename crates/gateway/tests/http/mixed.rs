//! Routes whose models speak several protocols.

use serde_json::{Value, json};
use slarouter_testkit::Script;

use crate::answers::gist;
use crate::protocols::{Rig, message_of, question};

const MIXED: &str = "[routes.mixed]\nmodels = [\"openai-responses/ok\", \"anthropic/ok\", \"openai-chat/ok\"]\n\
                     sla = { satisfaction = 0.9 }\npolicy = \"fixed:openai-responses/ok\"\n\
                     [routes.claude]\nmodels = [\"anthropic/ok\"]\nsla = { satisfaction = 0.9 }\n";

#[tokio::test]
async fn routes_pass_over_models_that_cannot_be_asked_and_refuse_when_none_can() {
    let rig = Rig::start(&["ok"], MIXED).await;
    let ask = |more: Value| {
        let mut body = json!({ "model": "auto:mixed", "messages": [{ "role": "user", "content": "one two" }] });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let model = async |body: &Value| {
        let reply = rig.send("chat/completions", body).await;
        assert_eq!(reply.status(), 200, "{body}");
        reply.headers()["x-slarouter-model"].to_str().unwrap().to_owned()
    };
    assert_eq!(model(&ask(json!({}))).await, "openai-responses/ok");
    // A responses upstream knows no stop sequences; others do, and `n` is known to chat alone.
    assert_ne!(model(&ask(json!({ "stop": ["x"] }))).await, "openai-responses/ok");
    assert_eq!(model(&ask(json!({ "n": 2 }))).await, "openai-chat/ok");

    for (inbound, body, param) in [
        (
            "chat/completions",
            json!({ "model": "auto:claude", "messages": [{ "role": "user", "content": "x" }], "n": 2 }),
            "n",
        ),
        ("responses", json!({ "model": "auto:claude", "input": "x", "background": true }), "background"),
        (
            "responses",
            json!({ "model": "auto:mixed", "input": "x", "previous_response_id": "r" }),
            "previous_response_id",
        ),
        (
            "messages",
            json!({ "model": "openai-chat/ok", "max_tokens": 9, "container": "c", "messages": [{ "role": "user", "content": "x" }] }),
            "container",
        ),
        ("embeddings", json!({ "model": "auto", "input": "x" }), "model"),
        ("embeddings", json!({ "model": "anthropic/ok", "input": "x" }), "model"),
    ] {
        let before = rig.upstream.requests().len();
        let reply = rig.send(inbound, &body).await;
        assert_eq!(reply.status(), 400, "{body}");
        let refusal: Value = reply.json().await.unwrap();
        let message = message_of(inbound, &refusal);
        assert!(message.contains(param), "{message}");
        if inbound != "messages" {
            assert_eq!(refusal["error"]["param"], param);
        }
        assert_eq!(rig.upstream.requests().len(), before, "nothing was asked: {body}");
    }
    assert_eq!(rig.stop().await.outcomes.len(), 3);
}

#[tokio::test]
async fn an_answer_that_cannot_be_translated_is_tried_elsewhere() {
    let rig = Rig::start(&["ok"], MIXED).await;
    rig.upstream.script(Script::json(200, &json!({ "id": "x", "status": "completed", "output": 7 })));
    let reply = rig.send("messages", &question("messages", "auto:mixed", false)).await;
    assert_eq!(reply.status(), 200);
    assert_ne!(reply.headers()["x-slarouter-model"], "openai-responses/ok");
    assert_eq!(gist("messages", &reply.json().await.unwrap()).0, "You said: one two");
    assert_eq!(rig.stop().await.outcomes[0].attempts, 2);
}
