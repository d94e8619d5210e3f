//! Requests as clients in the wild write them: odd paths, keys in other places, web pages, handshakes.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use slarouter_testkit::Script;

use crate::setup::{Rig, Settings, error, question};

const KEY: &str = "sixteen-letters-1";
const PAGE: &str = "https://app.example";

#[tokio::test]
async fn slashes_that_say_nothing_are_folded() {
    let rig = Rig::start(&Settings::default()).await;
    for path in
        ["/v1//chat/completions", "//v1/chat/completions", "/v1/chat/completions/", "/v1/chat//completions//?x=1"]
    {
        let answer = rig.client.post(rig.url(path)).json(&question(false)).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
    }
    for path in ["/v1/models/", "/v1/models//small", "/healthz/"] {
        assert_eq!(rig.client.get(rig.url(path)).send().await.unwrap().status(), 200, "{path}");
    }
    rig.stop().await;
}

#[tokio::test]
async fn a_wrong_path_is_told_the_base_url() {
    let rig = Rig::start(&Settings::default()).await;
    for path in ["/v1/v1/chat/completions", "/chat/completions", "/api/hello", "/openai/deployments/small/nothing"] {
        let answer = rig.client.post(rig.url(path)).json(&question(false)).send().await.unwrap();
        assert_eq!(answer.status(), 404, "{path}");
        let body: Value = answer.json().await.unwrap();
        let message = error(&body)["message"].as_str().unwrap();
        assert!(message.contains(path) && message.contains("/v1 for OpenAI's clients"), "{message}");
    }
    for (path, status) in [("/", 200), ("/api/hello", 404)] {
        assert_eq!(rig.client.head(rig.url(path)).send().await.unwrap().status(), status, "{path}");
    }
    rig.stop().await;
}

#[tokio::test]
async fn azures_paths_and_header_are_taken() {
    let rig = Rig::start(&Settings { server: "api_keys = [\"sixteen-letters-1\"]", ..Settings::default() }).await;
    let ask =
        |path: &str, key: &str, body: Value| rig.client.post(rig.url(path)).header("api-key", key).json(&body).send();
    let messages = json!([{ "role": "user", "content": "one two" }]);
    for (path, model) in [
        ("/openai/deployments/large/chat/completions?api-version=2025-01-01", "large"),
        ("/openai/deployments/auto%3Adefault/chat/completions", "small"),
    ] {
        // The path counts, whatever the body names, if it names one.
        for body in [json!({ "messages": messages }), json!({ "model": "gpt-x", "messages": messages })] {
            let answer = ask(path, KEY, body).await.unwrap();
            assert_eq!(
                (answer.status().as_u16(), answer.headers()["x-slarouter-model"].to_str().unwrap()),
                (200, model)
            );
        }
    }
    let embedded = ask("/openai/deployments/small/embeddings", KEY, json!({ "input": "x" })).await.unwrap();
    assert_eq!(embedded.status(), 200);
    let wrong = ask("/openai/deployments/large/chat/completions", "another-key-1234", json!({ "messages": messages }));
    assert_eq!(wrong.await.unwrap().status(), 401);
    let none =
        rig.client.post(rig.url("/openai/deployments/x/chat/completions")).bearer_auth(KEY).body("[]").send().await;
    assert_eq!(none.unwrap().status(), 400);
    rig.stop().await;
}

#[tokio::test]
async fn a_websocket_handshake_gets_an_answer_in_words() {
    let rig = Rig::start(&Settings::default()).await;
    for path in ["/v1/realtime?model=small", "/v1/responses"] {
        let request = rig.client.get(rig.url(path)).header("connection", "Upgrade").header("upgrade", "websocket");
        let answer =
            request.header("sec-websocket-key", "x").header("sec-websocket-version", "13").send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::UPGRADE_REQUIRED, "{path}");
        let body: Value = answer.json().await.unwrap();
        assert_eq!(error(&body)["code"], "websocket_not_supported");
        assert!(error(&body)["message"].as_str().unwrap().contains("use /v1/responses"), "{body}");
    }
    rig.stop().await;
}

#[tokio::test]
async fn pages_of_configured_origins_may_ask_with_a_key_and_those_of_others_may_not() {
    let server = "api_keys = [\"sixteen-letters-1\"]\ncors_origins = [\"https://app.example\"]";
    let rig = Rig::start(&Settings { server, ..Settings::default() }).await;
    for (path, origin, allowed) in [
        ("/v1/chat/completions", PAGE, PAGE),
        ("/v1/messages", PAGE, PAGE),
        ("/v1/models", PAGE, PAGE),
        ("/v1/chat/completions", "https://evil.example", ""),
        ("/v1/chat/completions", "null", ""),
    ] {
        let preflight = rig.client.request(Method::OPTIONS, rig.url(path)).header("origin", origin);
        let preflight = preflight.header("access-control-request-method", "POST");
        let answer = preflight.header("access-control-request-headers", "x-stainless-os").send().await.unwrap();
        let told = |name: &str| answer.headers().get(name).map_or("", |value| value.to_str().unwrap());
        assert_eq!((answer.status().as_u16(), told("access-control-allow-origin")), (204, allowed), "{path} {origin}");
        assert_eq!(told("access-control-allow-headers"), if allowed.is_empty() { "" } else { "x-stainless-os" });
        assert_eq!(told("access-control-allow-credentials"), "");
    }
    for (key, origin, status, allowed) in
        [(KEY, PAGE, 200, true), ("", PAGE, 401, true), (KEY, "https://evil.example", 200, false)]
    {
        let answer = rig.post(&question(false)).bearer_auth(key).header("origin", origin).send().await.unwrap();
        assert_eq!(answer.status(), status, "{origin}");
        assert_eq!(answer.headers().contains_key("access-control-allow-origin"), allowed, "{origin}");
    }
    // What rates and what administers has its own leave, or none.
    for path in ["/v1/feedback", "/v1/audits", "/admin/keys"] {
        let preflight = rig.client.request(Method::OPTIONS, rig.url(path)).header("origin", PAGE);
        let answer = preflight.header("access-control-request-method", "POST").send().await.unwrap();
        assert!(!answer.headers().contains_key("access-control-allow-origin"), "{path}");
    }
    rig.stop().await;
}

#[tokio::test]
async fn leave_for_pages_does_not_open_a_gateway_without_keys() {
    let rig = Rig::start(&Settings { server: "cors_origins = [\"https://app.example\"]", ..Settings::default() }).await;
    let answer = rig.post(&question(false)).header("origin", PAGE).send().await.unwrap();
    assert_eq!(answer.status(), 403);
    let body: Value = answer.json().await.unwrap();
    assert_eq!(error(&body)["code"], "not_local");
    assert!(rig.called().is_empty());
    rig.stop().await;
}

#[tokio::test]
async fn a_wait_that_the_upstream_asks_for_is_left_to_the_client() {
    for (status, retry_after, again) in [(429, Some("2"), "true"), (503, Some("2"), "true"), (503, None, "false")] {
        for model in ["small", "auto"] {
            let rig = Rig::start(&Settings::default()).await;
            for _ in 0..3 {
                let script = Script::json(status, &json!({ "error": { "message": "later", "type": "t" } }));
                rig.upstream.script(retry_after.iter().fold(script, |script, wait| script.header("retry-after", wait)));
            }
            let mut body = question(false);
            body["model"] = model.into();
            let answer = rig.post(&body).send().await.unwrap();
            assert_eq!(answer.status(), status);
            assert_eq!(answer.headers()["x-should-retry"], again, "{status} {retry_after:?} {model}");
            assert_eq!(answer.headers().get("retry-after").map(|wait| wait.to_str().unwrap()), retry_after);
            rig.stop().await;
        }
    }
}

#[tokio::test]
async fn models_are_listed_as_clients_read_them() {
    let small = "takes = { context_tokens = 1000, output_tokens = 100, input = [\"text\", \"image\"] }";
    let rig = Rig::start(&Settings { small, ..Settings::default() }).await;
    let list: Value = rig.client.get(rig.url("/v1/models")).send().await.unwrap().json().await.unwrap();
    assert_eq!((&list["object"], &list["has_more"]), (&json!("list"), &json!(false)));
    assert_eq!((&list["first_id"], &list["last_id"]), (&json!("auto"), &json!("large")));
    let ids: Vec<_> = list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["auto", "auto:default", "small", "large"]);
    for model in list["data"].as_array().unwrap() {
        assert_eq!(
            (&model["object"], &model["type"], &model["owned_by"]),
            (&json!("model"), &json!("model"), &json!("slarouter"))
        );
        assert_eq!(model["display_name"], model["id"]);
        assert!(model["created"].as_u64().unwrap() > 1_700_000_000, "{model}");
        assert!(model["created_at"].as_str().unwrap().ends_with('Z'), "{model}");
        let known = model["id"] == "small";
        assert_eq!(model.get("context_length"), known.then_some(&json!(1_000)), "{model}");
        assert_eq!(model.get("max_output_tokens"), known.then_some(&json!(100)));
        assert_eq!(model.get("input_modalities"), known.then_some(&json!(["image", "text"])));
    }
    rig.stop().await;
}
