//! What coding agents and SDKs send that other clients do not.

use serde_json::{Value, json};

use crate::protocols::Rig;

const ROUTES: &str = "[routes.both]\nmodels = [\"openai-responses/ok\", \"openai-chat/ok\"]\nsla = { satisfaction = 0.9 }\n\
                      policy = \"fixed:openai-responses/ok\"\n";

async fn error(reply: reqwest::Response) -> (u16, String, String) {
    let status = reply.status().as_u16();
    let body: Value = reply.json().await.unwrap();
    let word = |name: &str| body["error"][name].as_str().unwrap_or_default().to_owned();
    (status, word("param"), word("message"))
}

#[tokio::test]
async fn reasoning_comes_back_beside_its_calls_to_the_model_that_wrote_it() {
    let rig = Rig::start(&["reasoning"], "").await;
    for (inbound, stream) in [("messages", false), ("messages", true), ("responses", false), ("responses", true)] {
        let mut body = json!({ "model": "openai-chat/reasoning", "max_tokens": 99, "stream": stream });
        body[if inbound == "messages" { "messages" } else { "input" }] = json!([{ "role": "user", "content": "one" }]);
        if inbound == "responses" {
            body.as_object_mut().unwrap().remove("max_tokens");
        }
        let answer = rig.send(inbound, &body).await.text().await.unwrap();
        let seal = "slarouter-reasoning-of-another-model/reasoning";
        assert!(answer.contains(seal), "{inbound}, stream {stream}: {answer}");
        let more = match inbound {
            "messages" => json!([
                { "role": "user", "content": "one" },
                { "role": "assistant", "content": [
                    { "type": "thinking", "thinking": "Six by seven.", "signature": seal },
                    { "type": "tool_use", "id": "c", "name": "f", "input": {} } ] },
                { "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "c", "content": "42" }] },
            ]),
            _ => json!([
                { "role": "user", "content": "one" },
                { "type": "reasoning", "summary": [{ "type": "summary_text", "text": "Six by seven." }], "encrypted_content": seal },
                { "type": "function_call", "call_id": "c", "name": "f", "arguments": "{}" },
                { "type": "function_call_output", "call_id": "c", "output": "42" },
            ]),
        };
        body[if inbound == "messages" { "messages" } else { "input" }] = more;
        assert_eq!(rig.send(inbound, &body).await.status(), 200, "{inbound}");
        let sent = rig.upstream.requests().pop().unwrap().json();
        assert_eq!(sent["messages"][1]["reasoning_content"], "Six by seven.", "{inbound}: {sent}");
    }
}

#[tokio::test]
async fn what_one_provider_keeps_passes_to_it_and_is_refused_on_a_route() {
    let rig = Rig::start(&["ok"], ROUTES).await;
    let prompt = |model: &str| json!({ "model": model, "prompt": { "id": "pmpt_1" } });
    assert_eq!(rig.send("responses", &prompt("openai-responses/ok")).await.status(), 200);
    assert_eq!(rig.upstream.requests().pop().unwrap().json(), prompt("ok"));
    let (status, param, message) = error(rig.send("responses", &prompt("auto:both")).await).await;
    assert_eq!((status, param.as_str()), (400, "prompt"), "{message}");
    let (status, param, message) = error(rig.send("responses", &prompt("openai-chat/ok")).await).await;
    assert_eq!((status, param.as_str()), (400, "prompt"), "{message}");

    let reference = |model: &str| {
        json!({ "model": model, "input": [
            { "role": "user", "content": "one" }, { "type": "item_reference", "id": "msg_1_0" }, { "role": "user", "content": "two" }] })
    };
    assert_eq!(rig.send("responses", &reference("openai-responses/ok")).await.status(), 200);
    let before = rig.upstream.requests().len();
    for model in ["auto:both", "openai-chat/ok"] {
        let (status, param, message) = error(rig.send("responses", &reference(model)).await).await;
        assert_eq!((status, param.as_str()), (400, "input[1]"), "{message}");
        assert!(message.contains("send the items themselves") && message.contains("`.chat()`"), "{message}");
    }
    assert_eq!(rig.upstream.requests().len(), before, "nothing was asked");
}

/// Clients that take the provider to keep what it has said send ids in the next turn, some of which the gateway has made up.
#[tokio::test]
async fn items_of_an_answer_are_known_again_to_the_caller_who_got_it() {
    let rig = Rig::start(&["ok"], ROUTES).await;
    let user = json!({ "role": "user", "content": "one two" });
    for (model, stream) in [("anthropic/ok", false), ("anthropic/ok", true), ("openai-responses/ok", true)] {
        let asked = json!({ "model": model, "input": [user], "stream": stream });
        let ask = async |body: &Value, key: &str| rig.post("responses", body).bearer_auth(key).send().await.unwrap();
        let said = ask(&asked, "a").await.text().await.unwrap();
        let last = said.lines().rev().find_map(|line| line.strip_prefix("data: ")).unwrap_or(&said);
        let answer: Value = serde_json::from_str(last).unwrap();
        let item = answer.get("response").unwrap_or(&answer)["output"][0].clone();
        let turn =
            |id: &Value| json!({ "model": "auto:both", "input": [user, { "type": "item_reference", "id": id }, user] });
        let before = rig.upstream.requests().len();
        assert_eq!(ask(&turn(&item["id"]), "a").await.status(), 200, "{item}");
        let sent = rig.upstream.requests()[before].json();
        assert!(sent.to_string().contains("You said: one two"), "{sent}");
        for (id, key) in [(&item["id"], "b"), (&json!("msg_of_nobody"), "a")] {
            let (status, param, _) = error(ask(&turn(id), key).await).await;
            assert_eq!((status, param.as_str()), (400, "input[1]"), "{id} for {key}");
        }
    }
    // Who wants nothing kept has nothing kept.
    let asked = json!({ "model": "anthropic/ok", "input": [user], "store": false });
    let answer = rig.json("responses", &asked).await;
    let turn =
        json!({ "model": "auto:both", "input": [{ "type": "item_reference", "id": answer["output"][0]["id"] }, user] });
    assert_eq!(rig.send("responses", &turn).await.status(), 400);
}

#[tokio::test]
async fn a_compaction_passes_to_a_model_that_can_and_is_refused_in_words_elsewhere() {
    let rig = Rig::start(&["ok"], ROUTES).await;
    let body =
        |model: &str| json!({ "model": model, "instructions": "i", "input": [{ "role": "user", "content": "x" }] });
    let reply = rig.send("responses/compact", &body("openai-responses/ok")).await;
    assert_eq!(reply.status(), 200);
    let sent = rig.upstream.requests().pop().unwrap();
    assert_eq!((sent.path.as_str(), sent.json()), ("/v1/responses/compact", body("ok")));
    for (model, words) in [
        ("openai-chat/ok", "`openai-responses`"),
        ("anthropic/ok", "`openai-responses`"),
        ("auto", "a route without a model of the protocol `openai-responses`"),
    ] {
        let (status, param, message) = error(rig.send("responses/compact", &body(model)).await).await;
        assert_eq!((status, param.as_str()), (400, "model"), "{message}");
        assert!(message.contains(words), "{message}");
    }
}

#[tokio::test]
async fn a_route_has_a_conversation_compacted_by_a_model_that_can_and_it_stays_there() {
    let routes = "[routes.all]\nmodels = [\"anthropic/ok\", \"openai-responses/ok\", \"openai-responses/tools\"]\n\
                  sla = { satisfaction = 0.9 }\npolicy = \"fixed:anthropic/ok\"\n";
    let rig = Rig::start(&["ok", "tools"], routes).await;
    let turn = |n: usize| {
        let mut input = vec![json!({ "role": "user", "content": "one" })];
        (0..n).for_each(|_| input.push(json!({ "role": "assistant", "content": "two" })));
        input.push(json!({ "role": "user", "content": "three" }));
        json!({ "model": "auto:all", "input": input })
    };
    let model = async |path: &str, n: usize| {
        let reply = rig.post(path, &turn(n)).header("x-slarouter-session", "talk").send().await.unwrap();
        assert_eq!(reply.status(), 200, "{path}");
        reply.headers()["x-slarouter-model"].to_str().unwrap().to_owned()
    };
    assert_eq!(model("responses", 0).await, "anthropic/ok");
    assert_eq!(model("responses/compact", 1).await, "openai-responses/ok", "the first that can");
    assert_eq!(model("responses", 1).await, "openai-responses/ok", "only there it can be read");
    let mut kept = turn(0);
    kept["previous_response_id"] = "resp_1".into();
    let (status, param, _) = error(rig.send("responses/compact", &kept).await).await;
    assert_eq!((status, param.as_str()), (400, "previous_response_id"));
}

/// At every endpoint the same: it is mended, and everything else passes as it is.
#[tokio::test]
async fn half_a_surrogate_pair_is_mended_at_every_endpoint() {
    let rig = Rig::start(&["ok"], "").await;
    for (path, model, question) in [
        ("chat/completions", "openai-chat/ok", "messages"),
        ("messages", "anthropic/ok", "messages"),
        ("responses", "openai-responses/ok", "input"),
        ("messages", "openai-chat/ok", "messages"),
        ("messages/count_tokens", "openai-chat/ok", "messages"),
        ("route", "openai-chat/ok", "messages"),
    ] {
        let body =
            format!(r#"{{"model":"{model}","max_tokens":9,"{question}":[{{"role":"user","content":"cut \ud83d"}}]}}"#);
        let body = if path == "responses" { body.replace(r#""max_tokens":9,"#, "") } else { body };
        let before = rig.upstream.requests().len();
        let reply =
            rig.client.post(format!("http://{}/v1/{path}", rig.gateway.addr())).body(body).send().await.unwrap();
        assert_eq!(reply.status(), 200, "{path} to {model}");
        if let Some(sent) = rig.upstream.requests().get(before) {
            let sent = sent.json();
            let content = &sent[if path == "responses" { "input" } else { "messages" }][0]["content"];
            assert_eq!(*content, "cut \u{fffd}", "{path} to {model}: {sent}");
        }
    }
}

#[tokio::test]
async fn a_path_that_is_no_text_gets_an_error_in_shape() {
    let rig = Rig::start(&["ok"], "").await;
    for path in ["/v1/models/%ff", "/v1/feedback/%ff", "/v1/feedback/librechat/%ff/x", "/v1/outcomes/%c3", "/%80"] {
        let reply = rig.client.get(format!("http://{}{path}", rig.gateway.addr())).send().await.unwrap();
        let (status, param, message) = error(reply).await;
        assert_eq!((status, param.as_str()), (400, ""), "{path}");
        assert!(message.contains("not UTF-8"), "{path}: {message}");
    }
}
