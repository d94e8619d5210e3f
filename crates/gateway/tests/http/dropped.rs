//! What a model is not told of a request, and which models a request excludes: never without a word.

use serde_json::{Value, json};

use crate::protocols::Rig;

const ROUTES: &str = "[routes.both]\nmodels = [\"anthropic/ok\", \"openai-chat/ok\"]\nsla = { satisfaction = 0.9 }\n\
                      policy = \"fixed:anthropic/ok\"\n";

fn told<'a>(reply: &'a reqwest::Response, header: &str) -> Option<&'a str> {
    reply.headers().get(header).map(|value| value.to_str().unwrap())
}

fn of_an_agent(model: &str) -> Value {
    json!({
        "model": model, "max_tokens": 99, "stream": false, "thinking": { "type": "adaptive" },
        "context_management": { "edits": [{ "type": "clear_thinking_20251015", "keep": "all" }] },
        "messages": [{ "role": "user", "content": "one two" }],
    })
}

#[tokio::test]
async fn what_is_left_out_is_said_in_header_and_metadata() {
    let rig = Rig::start(&["ok"], ROUTES).await;
    for (model, dropped) in [("openai-chat/ok", Some("context_management")), ("anthropic/ok", None)] {
        for stream in [false, true] {
            let mut body = of_an_agent(model);
            body["stream"] = stream.into();
            let reply = rig.post("messages", &body).header("x-slarouter-metadata", "enabled").send().await.unwrap();
            assert_eq!((reply.status().as_u16(), told(&reply, "x-slarouter-dropped")), (200, dropped), "{model}");
            assert_eq!(told(&reply, "x-slarouter-excluded"), None);
            let text = reply.text().await.unwrap();
            let expected = format!("\"dropped\":{}", json!(dropped));
            assert!(text.contains(&expected), "{model}, stream {stream}: {text}");
        }
    }
    let sent = rig.upstream.requests();
    assert_eq!((sent[0].json()["reasoning_effort"].as_str(), sent[0].json().get("thinking")), (Some("high"), None));
    assert_eq!(sent[2].json()["thinking"], json!({ "type": "adaptive" }), "what passes keeps all");
}

/// A provider would refuse to force a call of a tool that it does not get.
#[tokio::test]
async fn a_forced_tool_that_a_protocol_lacks_keeps_its_models_out() {
    let rig = Rig::start(&["ok"], ROUTES).await;
    let mut body = of_an_agent("auto:both");
    body["thinking"] = json!({ "type": "disabled" });
    body["tools"] = json!([
        { "name": "f", "input_schema": {} }, { "type": "web_search_20250305", "name": "web_search" },
    ]);
    body["tool_choice"] = json!({ "type": "tool", "name": "web_search" });
    let reply = rig.send("messages", &body).await;
    assert_eq!((reply.status().as_u16(), told(&reply, "x-slarouter-model")), (200, Some("anthropic/ok")));
    assert_eq!(told(&reply, "x-slarouter-excluded"), Some("openai-chat/ok: unsupported tool_choice"));
    body["model"] = "openai-chat/ok".into();
    let reply = rig.send("messages", &body).await;
    assert_eq!(reply.status(), 400);
    let error: Value = reply.json().await.unwrap();
    assert!(error["error"]["message"].as_str().unwrap().contains("= \"web_search\" wants a tool"), "{error}");
    assert_eq!(rig.upstream.requests().len(), 1, "nobody was asked what would be refused");
}

/// The second step of a loop with tools, in which the tool's message has a name: the conversation stays with its model.
#[tokio::test]
async fn a_name_on_a_tools_message_moves_no_conversation() {
    let rig = Rig::start(&["ok"], ROUTES).await;
    let body = json!({ "model": "auto:both", "messages": [
        { "role": "user", "content": "one two" },
        { "role": "assistant", "content": "", "tool_calls": [
            { "id": "c", "type": "function", "function": { "name": "f", "arguments": "{}" } }] },
        { "role": "tool", "tool_call_id": "c", "name": "f", "content": "3" },
    ] });
    let reply = rig.send("chat/completions", &body).await;
    assert_eq!(told(&reply, "x-slarouter-model"), Some("anthropic/ok"));
    assert_eq!(told(&reply, "x-slarouter-dropped"), Some("messages[2].name"));
}

#[tokio::test]
async fn a_model_that_a_request_excludes_is_told_and_counted() {
    let rig = Rig::start(&["ok"], ROUTES).await;
    let body = json!({ "model": "auto:both", "messages": [{ "role": "user", "content": "one two" }], "n": 2 });
    let reply = rig.post("chat/completions", &body).header("x-slarouter-metadata", "enabled").send().await.unwrap();
    assert_eq!(told(&reply, "x-slarouter-model"), Some("openai-chat/ok"));
    assert_eq!(told(&reply, "x-slarouter-excluded"), Some("anthropic/ok: unsupported n"));
    let answer: Value = reply.json().await.unwrap();
    let candidates = answer["slarouter"]["candidates"].as_array().unwrap();
    let excluded: Vec<_> = candidates.iter().map(|one| (&one["model"], &one["excluded"])).collect();
    let expected = [(json!("anthropic/ok"), json!("unsupported")), (json!("openai-chat/ok"), json!(null))];
    assert_eq!(excluded, expected.each_ref().map(|(model, why)| (model, why)));

    let text = rig.client.get(format!("http://{}/metrics", rig.gateway.addr())).send().await.unwrap();
    let text = text.text().await.unwrap();
    let line = "slarouter_excluded_total{route=\"both\",model=\"anthropic/ok\",reason=\"unsupported\"} 1";
    assert!(text.contains(line), "{text}");
}

#[tokio::test]
async fn hostile_names_cannot_break_the_header() {
    let rig = Rig::start(&["ok"], "").await;
    let mut body = of_an_agent("openai-chat/ok");
    for n in 0..200 {
        body[format!("{n}\r\nset-cookie: \u{e9}{}", "x".repeat(200))] = 1.into();
    }
    let reply = rig.send("messages", &body).await;
    assert_eq!(reply.status(), 200);
    let dropped = told(&reply, "x-slarouter-dropped").unwrap();
    assert!(dropped.len() < 1_000 && dropped.ends_with(" more") && dropped.contains("set-cookie:??xxx"), "{dropped}");
    assert!(reply.headers().get("set-cookie").is_none());
}
