//! Keys from their making to their end, tenants, limits and budgets.

use reqwest::{Method, Response, StatusCode};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use slarouter_gateway::keys::{KeyBook, NewKey, first_secret};
use slarouter_gateway::{Gateway, StartError};
use slarouter_store::{DecisionRecord, Event};
use slarouter_testkit::Script;

use crate::setup::{Rig, Settings, chunk, detached, error, question, url};

async fn admin(rig: &Rig, method: Method, path: &str, key: &str, body: Option<Value>) -> (u16, Value) {
    let request = rig.client.request(method, rig.url(&format!("/admin/keys{path}")));
    let request = if key.is_empty() { request } else { request.bearer_auth(key) };
    let request = body.iter().fold(request, |request, body| request.json(body));
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn asks(rig: &Rig, key: &str) -> u16 {
    rig.post(&question(false)).bearer_auth(key).send().await.unwrap().status().as_u16()
}

fn key(body: &Value) -> String {
    body["key"].as_str().unwrap().to_owned()
}

fn new(name: &str, scopes: &[&str]) -> Option<Value> {
    Some(json!({ "name": name, "grants": { "scopes": scopes } }))
}

#[tokio::test]
async fn a_key_is_made_shown_once_rotated_and_revoked() {
    let rig = Rig::start(&Settings::default()).await;
    assert_eq!(rig.ask(false).await.status(), 200, "on loopback, before there is a key");
    // A proxy on this machine that adds no header cannot be told from a program of its own.
    for key in ["", "slr_0"] {
        let (status, body) = admin(&rig, Method::POST, "", key, new("boss", &["admin"])).await;
        assert_eq!((status, &error(&body)["code"]), (403, &json!("no_admin_key")), "{key}");
    }
    let first = first_secret(&url(rig.folder())).unwrap();
    let (status, body) = admin(&rig, Method::POST, "", first.expose_secret(), new("web", &["inference"])).await;
    assert_eq!((status, &error(&body)["code"]), (400, &json!("admin_key_first")));
    let (status, boss) = admin(&rig, Method::POST, "", first.expose_secret(), new("boss", &["admin"])).await;
    assert_eq!(status, 201, "{boss}");
    let boss = key(&boss);
    assert!(first_secret(&url(rig.folder())).is_none(), "it was good for the first key");
    assert_eq!(rig.ask(false).await.status(), 401, "now there is one");
    for (key, expected) in [("", 401), ("slr_0", 401), (first.expose_secret(), 401)] {
        assert_eq!(admin(&rig, Method::POST, "", key, new("x", &["admin"])).await.0, expected);
    }
    let (status, web) = admin(&rig, Method::POST, "", &boss, new("web", &["inference"])).await;
    assert_eq!(status, 201, "{web}");
    let (id, first) = (web["id"].as_str().unwrap().to_owned(), key(&web));
    assert_eq!((asks(&rig, &first).await, asks(&rig, &boss).await), (200, 403));
    assert_eq!(admin(&rig, Method::GET, "", &first, None).await.0, 403);
    let (status, body) = admin(&rig, Method::POST, "", &boss, new("web", &["inference"])).await;
    assert_eq!((status, &error(&body)["code"]), (409, &json!("key_exists")));

    let (status, second) = admin(&rig, Method::POST, &format!("/{id}/rotate"), &boss, None).await;
    assert_eq!((status, &second["replaces"]["id"]), (201, &json!(id)));
    let newer = key(&second);
    assert_eq!((asks(&rig, &first).await, asks(&rig, &newer).await), (200, 200), "both live");
    let (status, _) = admin(&rig, Method::POST, &format!("/{id}/rotate"), &boss, None).await;
    assert_eq!(status, 409, "a third one does not");
    assert_eq!(admin(&rig, Method::DELETE, &format!("/{id}"), &boss, None).await.1["status"], "revoked");
    assert_eq!((asks(&rig, &first).await, asks(&rig, &newer).await), (401, 200));
    assert_eq!(admin(&rig, Method::DELETE, "/key_none", &boss, None).await.0, 404);
    let id = second["id"].as_str().unwrap();
    let rotation = Some(json!({ "grace_hours": 0 }));
    let last = key(&admin(&rig, Method::POST, &format!("/{id}/rotate"), &boss, rotation).await.1);
    assert_eq!(
        (asks(&rig, &newer).await, asks(&rig, &last).await),
        (401, 200),
        "without grace the old one ends at once"
    );

    let rig = rig.restart(&Settings::default()).await;
    assert_eq!((asks(&rig, &first).await, asks(&rig, &last).await), (401, 200));
    let (_, list) = admin(&rig, Method::GET, "", &boss, None).await;
    let states: Vec<_> = list["data"].as_array().unwrap().iter().map(|key| key["status"].as_str().unwrap()).collect();
    assert_eq!(states, ["live", "revoked", "expired", "live"]);
    let (_, gateway, folder) = rig.into_parts();
    gateway.shutdown().await;
    let database = std::fs::read(folder.path().join("log.db")).unwrap();
    for secret in [&boss, &first, &last] {
        assert!(!list.to_string().contains(&**secret), "shown once");
        let secret = secret.as_bytes();
        assert!(!database.windows(secret.len()).any(|window| window == secret), "stored as a digest");
    }
}

#[tokio::test]
async fn bad_keys_are_refused_by_name_and_foreign_pages_make_none() {
    let rig = Rig::start(&Settings { server: "admin_keys = [\"sixteen-letters-1\"]", ..Settings::default() }).await;
    for (body, word) in [
        (json!({ "name": "A", "grants": { "scopes": ["audit"] } }), "name"),
        (json!({ "name": "a", "grants": { "scopes": [] } }), "scope"),
        (json!({ "name": "a", "grants": { "scopes": ["root"] } }), "root"),
        (json!({ "name": "a", "grants": { "scopes": ["audit"], "models": ["none"] } }), "none"),
        (json!({ "name": "a", "grants": { "scopes": ["audit"] }, "expires_days": -1 }), "expires_days"),
        (json!({ "name": "a", "grants": { "scopes": ["audit"], "limits": { "usd_per_day": -0.5 } } }), "usd_per_day"),
    ] {
        let (status, answer) = admin(&rig, Method::POST, "", "sixteen-letters-1", Some(body)).await;
        assert_eq!(status, 400, "{answer}");
        assert!(error(&answer)["message"].as_str().unwrap().contains(word), "{answer}");
    }
    let plain = rig.client.post(rig.url("/admin/keys")).bearer_auth("sixteen-letters-1");
    let plain = plain.header("content-type", "text/plain").body(r#"{"name":"a","grants":{"scopes":["admin"]}}"#);
    assert_eq!(plain.send().await.unwrap().status(), 415);
    rig.stop().await;

    // A web page that has its own name resolve to this machine, and a proxy on it.
    let rig = Rig::start(&Settings::default()).await;
    for (name, value) in [("host", "evil.example"), ("x-forwarded-for", "10.0.0.1"), ("origin", "http://evil.example")]
    {
        let answer = rig.client.get(rig.url("/admin/keys")).header(name, value).send().await.unwrap();
        assert_eq!(answer.status(), 403, "{name}");
    }
    rig.stop().await;
}

const TENANT: Settings = Settings {
    server: "[[keys]]\nname = \"a\"\nkey = \"sixteen-letters-a\"\nscopes = [\"inference\"]\ntenant = \"acme\"\nmodels = [\"auto\"]\n\
        [[keys]]\nname = \"b\"\nkey = \"sixteen-letters-b\"\nscopes = [\"inference\", \"audit\", \"feedback\"]\ntenant = \"other\"\n",
    upstream: "",
    store: "",
    feedback: "audit_rate = 1.0",
    features: String::new(),
    small: "",
    small_url: None,
    route: Some("policy = \"fixed:small\"\n[routes.default.tenants.acme]\npolicy = \"fixed:large\""),
};

#[tokio::test]
async fn a_key_is_its_tenants() {
    let rig = Rig::start(&TENANT).await;
    let ask = |key: &'static str, model: &'static str| {
        let mut body = question(false);
        body["model"] = model.into();
        rig.post(&body).bearer_auth(key).send()
    };
    for (key, model, status, route) in [
        ("sixteen-letters-a", "auto", 200, "default/acme"),
        ("sixteen-letters-a", "auto:default/acme", 200, "default/acme"),
        ("sixteen-letters-a", "small", 403, ""),
        ("sixteen-letters-b", "auto", 200, "default"),
        ("sixteen-letters-b", "auto:default/acme", 404, ""),
        ("sixteen-letters-b", "small", 200, "default"),
    ] {
        let answer = ask(key, model).await.unwrap();
        assert_eq!(answer.status(), status, "{key} {model}");
        let found = answer.headers().get("x-slarouter-route").map_or("", |route| route.to_str().unwrap());
        assert_eq!(found, route, "{key} {model}");
    }
    let list = rig.client.get(rig.url("/v1/models")).bearer_auth("sixteen-letters-a").send().await.unwrap();
    let list: Value = list.json().await.unwrap();
    let names: Vec<_> = list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
    assert_eq!(names, ["auto", "auto:default"]);
    for (key, status) in [("sixteen-letters-a", 403), ("sixteen-letters-b", 200)] {
        let audits = rig.client.get(rig.url("/v1/audits")).bearer_auth(key).send().await.unwrap();
        assert_eq!(audits.status(), status, "{key}");
    }
    let (_upstream, gateway, folder) = rig.into_parts();
    gateway.shutdown().await;
    // Who pays, and the place of the fallback: of `fixed` it is the fixed model.
    assert_eq!(
        billed(&folder).await,
        [
            "a of acme, fallback Some(1)",
            "a of acme, fallback Some(1)",
            "b of other, fallback Some(0)",
            "b of other, fallback None"
        ]
    );
}

/// Who pays for each decision of the log, and with what it is compared.
async fn billed(folder: &tempfile::TempDir) -> Vec<String> {
    let store = slarouter_store::open(&url(folder)).await.unwrap();
    let mut billed = Vec::new();
    for event in store.events_after(0, 1_000).await.unwrap() {
        let Event::Decided { id, .. } = event else { continue };
        let DecisionRecord { payer, fallback, .. } = store.decision(id).await.unwrap().unwrap().record;
        let [key, tenant] = [payer.key, payer.tenant].map(|name| name.unwrap_or_default());
        billed.push(format!("{key} of {tenant}, fallback {fallback:?}"));
    }
    billed
}

fn limited(answer: &Response) -> (u16, Option<u64>) {
    let wait = answer.headers().get("retry-after").map(|wait| wait.to_str().unwrap().parse().unwrap());
    (answer.status().as_u16(), wait)
}

#[tokio::test]
async fn requests_and_tokens_per_minute() {
    let settings = Settings {
        server: "[[keys]]\nname = \"a\"\nkey = \"sixteen-letters-a\"\nscopes = [\"inference\"]\nlimits = { requests_per_minute = 2 }\n\
            [[keys]]\nname = \"b\"\nkey = \"sixteen-letters-b\"\nscopes = [\"inference\"]\ntenant = \"t\"\n\
            [tenants.t]\ntokens_per_minute = 1000\n",
        ..Settings::default()
    };
    let rig = Rig::start(&settings).await;
    let ask = |key: &'static str| rig.post(&question(false)).bearer_auth(key).send();
    let answer = ask("sixteen-letters-a").await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["x-ratelimit-limit-requests"]),
        (200, &"2".parse().unwrap())
    );
    assert_eq!(ask("sixteen-letters-a").await.unwrap().status(), 200);
    let answer = ask("sixteen-letters-a").await.unwrap();
    let (status, wait) = limited(&answer);
    assert!(status == 429 && wait.is_some_and(|wait| (1..=30).contains(&wait)), "{status} {wait:?}");
    assert_eq!(answer.headers()["x-ratelimit-remaining-requests"], "0");
    let body: Value = answer.json().await.unwrap();
    assert_eq!(error(&body)["code"], "rate_limit_exceeded");

    // A client that says nothing of the length holds a minute's tokens, and gets back what it did not use.
    let answer = ask("sixteen-letters-b").await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["x-ratelimit-limit-tokens"]),
        (200, &"1000".parse().unwrap())
    );
    let mut long = question(false);
    long["max_tokens"] = 5_000.into();
    let answer = rig.post(&long).bearer_auth("sixteen-letters-b").send().await.unwrap();
    assert_eq!(limited(&answer), (429, None), "waiting does not help");
    assert_eq!(answer.headers()["x-should-retry"], "false");
    let body: Value = answer.json().await.unwrap();
    assert_eq!(error(&body)["code"], "request_over_limit");
    assert_eq!(rig.stop().await.outcomes.len(), 3, "what was refused is no decision");
}

const BUDGET: &str =
    "[[keys]]\nname = \"a\"\nkey = \"sixteen-letters-a\"\nscopes = [\"inference\"]\nlimits = { usd_per_day = 0.01 }\n";

/// An answer as long as was asked for: 0.002 USD at 2 USD per million tokens.
fn full(stream: bool) -> Script {
    let usage = json!({ "prompt_tokens": 1, "completion_tokens": 1_000, "total_tokens": 1_001 });
    if stream {
        let last =
            json!({ "id": "up", "object": "chat.completion.chunk", "model": "x", "choices": [], "usage": usage });
        return Script::event_stream()
            .chunk(chunk("one", None))
            .chunk(chunk("", Some("stop")))
            .chunk(format!("data: {last}\n\n"))
            .chunk("data: [DONE]\n\n".to_owned());
    }
    let choice = json!({ "index": 0, "message": { "role": "assistant", "content": "x" }, "finish_reason": "stop" });
    Script::json(
        200,
        &json!({ "id": "up", "object": "chat.completion", "model": "x", "choices": [choice], "usage": usage }),
    )
}

fn costly(stream: bool) -> Value {
    let mut body = question(stream);
    body["max_tokens"] = 1_000.into();
    body
}

#[tokio::test]
async fn a_budget_holds_when_all_come_at_once() {
    for stream in [false, true] {
        let settings = Settings { server: BUDGET, ..Settings::default() };
        let rig = Rig::start(&settings).await;
        for _ in 0..64 {
            rig.upstream.script(full(stream));
        }
        let body = costly(stream);
        let asked = (0..64).map(|_| async {
            let answer = rig.post(&body).bearer_auth("sixteen-letters-a").send().await.unwrap();
            let status = answer.status();
            answer.bytes().await.unwrap();
            status
        });
        let statuses = futures_util::future::join_all(asked).await;
        let served = statuses.iter().filter(|status| **status == StatusCode::OK).count();
        let refused = statuses.iter().filter(|status| **status == StatusCode::TOO_MANY_REQUESTS).count();
        assert_eq!((served, refused), (4, 60), "five would cost 0.010005 USD");

        // Nor does another process begin anew.
        let rig = rig.restart(&settings).await;
        let answer = rig.post(&body).bearer_auth("sixteen-letters-a").send().await.unwrap();
        assert_eq!(answer.status(), 429);
        assert!(answer.headers()["retry-after"].to_str().unwrap().parse::<u64>().unwrap() <= 86_400);
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(error(&answer)["code"], "budget_exceeded");
        let left = rig.stop().await;
        let spent: f64 = left.outcomes.iter().map(|outcome| outcome.cost).sum();
        assert!(left.outcomes.len() == 4 && spent <= 0.01, "{spent}");
    }
}

#[tokio::test]
async fn hanging_up_is_no_way_past_a_budget_and_failing_costs_nothing() {
    let rig = Rig::start(&Settings { server: BUDGET, upstream: "max_attempts = 1", ..Settings::default() }).await;
    let ask = |stream| rig.post(&costly(stream)).bearer_auth("sixteen-letters-a").send();
    // What failed gives back what it held: more often than the budget would allow.
    for _ in 0..8 {
        rig.upstream.script(Script::json(400, &json!({ "error": { "message": "no" } })));
        assert_eq!(ask(false).await.unwrap().status(), 400);
    }
    for round in 0..4 {
        rig.upstream.script(Script::event_stream().chunk(chunk("one", None)).stall());
        let mut answer = ask(true).await.unwrap();
        assert_eq!(answer.status(), 200, "{round}");
        answer.chunk().await.unwrap().unwrap();
        drop(answer);
        rig.upstream.hung_up(round + 1).await;
    }
    assert_eq!(ask(false).await.unwrap().status(), 429);
    rig.stop().await;
}

#[tokio::test]
async fn an_address_for_all_needs_a_key_or_a_word() {
    let folder = tempfile::TempDir::new().unwrap();
    let start = |server: &'static str| {
        let mut config = detached(&Settings { server, ..Settings::default() }, &folder);
        config.server.listen.set_ip([0, 0, 0, 0].into());
        Gateway::start(config)
    };
    assert!(matches!(start("").await, Err(StartError::Open { .. })));
    for server in
        ["allow_unauthenticated = true", "admin_keys = [\"sixteen-letters-1\"]", "api_keys = [\"sixteen-letters-1\"]"]
    {
        start(server).await.unwrap().shutdown().await;
    }
    // A key in the database is one, whatever has become of it.
    let store = slarouter_store::open(&detached(&Settings::default(), &folder).store.url).await.unwrap();
    let book = KeyBook::new(store.clone(), Vec::new());
    let new: NewKey = serde_json::from_value(new("web", &["inference"]).unwrap()).unwrap();
    let made = book.create(new).await.unwrap();
    book.revoke(made["id"].as_str().unwrap()).await.unwrap();
    store.close().await;
    start("").await.unwrap().shutdown().await;
}
