//! What each scope allows, and what a tenant's key sees of others.

use reqwest::Method;
use serde_json::{Value, json};

use crate::setup::{Rig, Settings, error, question};

const KEYS: &str = "admin_keys = [\"sixteen-letters-0\"]\n\
    [[keys]]\nname = \"asks\"\nkey = \"sixteen-letters-inference\"\nscopes = [\"inference\"]\n\
    [[keys]]\nname = \"rates\"\nkey = \"sixteen-letters-feedback\"\nscopes = [\"feedback\"]\n\
    [[keys]]\nname = \"judges\"\nkey = \"sixteen-letters-audit\"\nscopes = [\"audit\"]\n\
    [[keys]]\nname = \"rules\"\nkey = \"sixteen-letters-admin\"\nscopes = [\"admin\"]\n\
    [[keys]]\nname = \"sees\"\nkey = \"sixteen-letters-view\"\nscopes = [\"view\"]\n";

const AUDITED: &str = "audit_rate = 1.0";

/// What one key gets on each path, in the order of the table.
async fn statuses(rig: &Rig, key: &str, id: &str) -> Vec<u16> {
    let rated = json!({ "id": id, "rating": "up" });
    let audited = json!({ "id": id, "rating": "up", "source": "audit" });
    let messages = json!({ "model": "auto", "max_tokens": 5, "messages": [{ "role": "user", "content": "one" }] });
    let table = [
        (Method::POST, "/v1/chat/completions", Some(question(false))),
        (Method::POST, "/v1/messages/count_tokens", Some(messages)),
        (Method::POST, "/v1/route", Some(question(false))),
        (Method::POST, "/v1/feedback", Some(rated)),
        (Method::POST, "/v1/feedback", Some(audited)),
        (Method::GET, "/v1/audits", None),
        (Method::GET, "/v1/models", None),
        (Method::GET, "/metrics", None),
        (Method::GET, "/admin/decisions", None),
        (Method::GET, "/admin/keys", None),
    ];
    let mut found = Vec::new();
    for (method, path, body) in table {
        let request = rig.client.request(method, rig.url(path)).bearer_auth(key);
        let answer = body.iter().fold(request, |request, body| request.json(body)).send().await.unwrap();
        found.push(answer.status().as_u16());
    }
    found
}

#[tokio::test]
async fn a_key_of_one_scope_may_do_what_that_scope_says_and_nothing_else() {
    let rig = Rig::start(&Settings { server: KEYS, feedback: AUDITED, ..Settings::default() }).await;
    let answer = rig.post(&question(false)).bearer_auth("sixteen-letters-inference").send().await.unwrap();
    let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    answer.bytes().await.unwrap();
    for (scope, expected) in [
        ("inference", [200, 200, 200, 403, 403, 403, 200, 403, 403, 403]),
        ("feedback", [403, 403, 403, 202, 403, 403, 200, 403, 403, 403]),
        ("audit", [403, 403, 403, 403, 202, 200, 200, 403, 403, 403]),
        ("view", [403, 403, 403, 403, 403, 403, 200, 200, 200, 403]),
        ("admin", [403, 403, 403, 403, 403, 403, 200, 200, 200, 200]),
        ("none", [401; 10]),
    ] {
        assert_eq!(statuses(&rig, &format!("sixteen-letters-{scope}"), &id).await, expected, "{scope}");
    }
    rig.stop().await;
}

#[tokio::test]
async fn metrics_of_the_public_listener_need_a_key_unless_the_operator_says_otherwise() {
    for (server, expected) in [
        ("api_keys = [\"sixteen-letters-1\"]", vec![401]),
        ("api_keys = [\"sixteen-letters-1\"]\nallow_unauthenticated_metrics = true", vec![200]),
        ("api_keys = [\"sixteen-letters-1\"]\nadmin_listen = \"127.0.0.1:0\"", vec![404, 200]),
        ("allow_unauthenticated = true", vec![200]),
    ] {
        let rig = Rig::start(&Settings { server, ..Settings::default() }).await;
        let mut found = Vec::new();
        for addr in [Some(rig.gateway.addr()), rig.gateway.admin_addr()].into_iter().flatten() {
            found.push(rig.client.get(format!("http://{addr}/metrics")).send().await.unwrap().status().as_u16());
        }
        assert_eq!(found, expected, "{server}");
        rig.stop().await;
    }
}

const TENANTS: Settings = Settings {
    server: "[[keys]]\nname = \"a\"\nkey = \"sixteen-letters-a\"\nscopes = [\"inference\", \"feedback\", \"audit\"]\ntenant = \"acme\"\n\
        [[keys]]\nname = \"b\"\nkey = \"sixteen-letters-b\"\nscopes = [\"inference\", \"feedback\", \"audit\"]\ntenant = \"other\"\n\
        [[keys]]\nname = \"all\"\nkey = \"sixteen-letters-all\"\nscopes = [\"inference\", \"feedback\", \"audit\"]\n",
    upstream: "",
    store: "keep_prompts = true",
    feedback: AUDITED,
    features: String::new(),
    small: "",
    small_url: None,
    route: Some("policy = \"fixed:small\"\n[routes.default.tenants.acme]\n[routes.default.tenants.other]"),
};

#[tokio::test]
async fn a_tenants_key_neither_sees_nor_judges_the_answers_of_others() {
    let rig = Rig::start(&TENANTS).await;
    let mut ids = Vec::new();
    for key in ["a", "b", "all"] {
        let key = format!("sixteen-letters-{key}");
        let answer = rig.post(&question(false)).bearer_auth(&key).send().await.unwrap();
        ids.push(answer.headers()["x-request-id"].to_str().unwrap().to_owned());
        answer.bytes().await.unwrap();
    }
    let list = async |key: &str, query: &str| {
        let request = rig.client.get(rig.url(&format!("/v1/audits{query}"))).bearer_auth(key);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    for (key, own) in
        [("sixteen-letters-a", &ids[..1]), ("sixteen-letters-b", &ids[1..2]), ("sixteen-letters-all", &ids[..])]
    {
        let (status, page) = list(key, "").await;
        let listed: Vec<_> =
            page["data"].as_array().unwrap().iter().map(|entry| entry["id"].as_str().unwrap()).collect();
        assert_eq!((status, listed), (200, own.iter().map(String::as_str).collect()), "{key}");
        // A page of one is as long as the caller may see, whatever lies between.
        let (_, page) = list(key, "?limit=1").await;
        assert_eq!((page["data"].as_array().unwrap().len(), &page["has_more"]), (1, &json!(own.len() > 1)), "{key}");
    }
    let (status, body) = list("sixteen-letters-a", &format!("?after={}", ids[1])).await;
    assert_eq!((status, &error(&body)["code"]), (404, &json!("decision_not_found")));

    for (key, id, expected) in [("a", &ids[1], 404), ("b", &ids[0], 404), ("a", &ids[0], 202), ("all", &ids[1], 202)] {
        for source in ["user", "audit"] {
            let body = json!({ "id": id, "rating": "down", "source": source });
            let request = rig.client.post(rig.url("/v1/feedback")).bearer_auth(format!("sixteen-letters-{key}"));
            let answer = request.json(&body).send().await.unwrap();
            assert_eq!(answer.status(), expected, "{key} {id} {source}");
        }
    }
    // Nor are the outcomes of another's decisions to be told.
    let request = rig.client.post(rig.url("/v1/route")).bearer_auth("sixteen-letters-b").json(&question(false));
    let decided: Value = request.send().await.unwrap().json().await.unwrap();
    for (key, expected) in [("sixteen-letters-a", 404), ("sixteen-letters-b", 202)] {
        let request = rig.client.post(rig.url("/v1/outcomes")).bearer_auth(key);
        let answer = request.json(&json!({ "id": decided["id"], "ok": true })).send().await.unwrap();
        assert_eq!(answer.status(), expected, "{key}");
    }
    rig.stop().await;
}
