//! Another configuration in the middle of everything.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rcgen::ExtendedKeyUsagePurpose;
use rusqlite::Connection;
use serde_json::{Value, json};
use slarouter_config::{Config, utc};
use slarouter_gateway::{Gateway, ReloadError, Reloaded};
use slarouter_store::Event;
use slarouter_testkit::{Script, Upstream, until};
use tempfile::TempDir;

use crate::prices::in_ms;
use crate::setup::{error, question, read, url, verified};
use crate::tls::{authority, issued};

const ADMIN: &str = "the-administrators-key";
const CLIENT: &str = "the-first-clients-key";

/// A gateway with a file.
struct Rig {
    upstream: Upstream,
    gateway: Gateway,
    client: reqwest::Client,
    folder: TempDir,
}

/// What the file says.
#[derive(Clone, Copy)]
struct File<'a> {
    server: &'a str,
    upstream: &'a str,
    /// Name, upstream's name, keys.
    models: &'a [(&'a str, &'a str, &'a str)],
    /// Models, keys.
    route: (&'a str, &'a str),
    alpha: f64,
    more: &'a str,
}

const SMALL: (&str, &str, &str) = ("small", "a/ok", "");
const LARGE: (&str, &str, &str) = ("large", "b/ok", "");
const FIRST: File<'_> = File {
    server: "",
    upstream: "",
    models: &[SMALL, LARGE],
    route: ("\"small\", \"large\"", "policy = \"fixed:small\""),
    alpha: 0.9,
    more: "",
};

impl File<'_> {
    fn text(&self, base_url: &str, folder: &TempDir) -> String {
        let model = |(name, upstream_model, more): &(&str, &str, &str)| {
            let price = if more.contains("price") { "" } else { "price = { input = 1, output = 2 }" };
            let base = if more.contains("base_url") { String::new() } else { format!("base_url = \"{base_url}\"") };
            format!("[[models]]\nname = \"{name}\"\n{base}\nupstream_model = \"{upstream_model}\"\n{price}\n{more}\n")
        };
        format!(
            "[server]\nlisten = \"127.0.0.1:0\"\nadmin_keys = [\"{ADMIN}\"]\n{}\n[store]\nurl = '{}'\n[upstream]\n{}\n{}\
             [routes.default]\nmodels = [{}]\nsla = {{ satisfaction = {} }}\n{}\n{}\n",
            self.server,
            url(folder),
            self.upstream,
            self.models.iter().map(model).collect::<String>(),
            self.route.0,
            self.alpha,
            self.route.1,
            self.more,
        )
    }
}

impl Rig {
    async fn start(file: File<'_>) -> Self {
        let (upstream, folder) = (Upstream::start().await, TempDir::new().unwrap());
        let path = folder.path().join("slarouter.toml");
        std::fs::write(&path, file.text(&upstream.base_url(), &folder)).unwrap();
        let gateway = Gateway::start(Config::load(&path).unwrap()).await.unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { upstream, gateway, client, folder }
    }

    fn write(&self, text: &str) {
        std::fs::write(self.folder.path().join("slarouter.toml"), text).unwrap();
    }

    /// Through the admin API: status and body.
    async fn post_reload(&self, key: &str) -> (u16, Value) {
        let url = format!("http://{}/admin/reload", self.gateway.addr());
        let answer = self.client.post(url).bearer_auth(key).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn reload(&self, file: File<'_>) -> (u16, Value) {
        self.write(&file.text(&self.upstream.base_url(), &self.folder));
        self.post_reload(ADMIN).await
    }

    fn post(&self, body: &Value) -> reqwest::RequestBuilder {
        self.client.post(format!("http://{}/v1/chat/completions", self.gateway.addr())).json(body)
    }

    async fn ask(&self, model: &str) -> reqwest::Response {
        let body = json!({ "model": model, "messages": [{ "role": "user", "content": "one" }] });
        self.post(&body).send().await.unwrap()
    }

    async fn metrics(&self) -> String {
        let url = format!("http://{}/metrics", self.gateway.addr());
        self.client.get(url).bearer_auth(ADMIN).send().await.unwrap().text().await.unwrap()
    }

    /// Whether the metrics have this line.
    async fn shows(&self, line: &str) -> bool {
        self.metrics().await.lines().any(|held| held == line)
    }
}

/// Ten reloads, each with other models, another α and another policy, while clients ask and streams are open: every request gets its
/// answer, and none is decided without what was learnt.
#[tokio::test(flavor = "multi_thread")]
async fn reloads_lose_no_request_and_cut_no_stream() {
    const CLIENTS: usize = 4;
    let slow = ("slow", "c/gated", "");
    let others = [LARGE, ("third", "d/ok", "")];
    let open = "allow_unauthenticated = true";
    let first = File { server: open, models: &[SMALL, LARGE, slow], ..FIRST };
    let second = File {
        server: open,
        models: &others,
        route: ("\"large\", \"third\"", "policy = \"fixed:third\""),
        alpha: 0.5,
        ..FIRST
    };
    let rig = Rig::start(first).await;
    let mut streams = Vec::new();
    for _ in 0..3 {
        let body = json!({ "model": "slow", "stream": true, "messages": [{ "role": "user", "content": "one two" }] });
        let mut answer = rig.post(&body).send().await.unwrap();
        let begun = answer.chunk().await.unwrap().unwrap();
        streams.push((answer, String::from_utf8(begun.to_vec()).unwrap()));
    }
    let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|n| {
            let (stop, asked, client) = (stop.clone(), asked.clone(), rig.client.clone());
            let url = format!("http://{}/v1/chat/completions", rig.gateway.addr());
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let answer = client.post(&url).json(&question(n % 2 == 0)).send().await.unwrap();
                    let (status, headers) = (answer.status(), answer.headers().clone());
                    let body = answer.text().await.unwrap();
                    assert_eq!(status, 200, "{body}");
                    assert!(!headers.contains_key("x-slarouter-degraded"), "{headers:?}");
                    let (model, decision) = (&headers["x-slarouter-model"], &headers["x-slarouter-decision"]);
                    assert!(model == "small" || model == "third", "{model:?}");
                    assert!(decision != "fallback" && decision != "rerouted", "{decision:?}");
                    assert!(n % 2 != 0 || body.ends_with("data: [DONE]\n\n"), "{body}");
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for round in 0..10 {
        let (file, models) = if round % 2 == 0 { (second, 2) } else { (first, 3) };
        let (status, body) = rig.reload(file).await;
        assert_eq!((status, &body), (200, &json!({ "models": models, "routes": 1, "changed": body["changed"] })));
        let changed: Vec<&str> =
            body["changed"].as_array().unwrap().iter().map(|said| said.as_str().unwrap()).collect();
        let forth = ["model third added", "model small removed", "model slow removed"];
        let back = ["model small added", "model slow added", "model third removed"];
        assert_eq!(&changed[..3], if round % 2 == 0 { forth } else { back });
        assert!(changed[3].starts_with("route default: models "), "{changed:?}");
        // Each configuration answers for a while, and only then is there another.
        let enough = asked.load(Ordering::Relaxed) + 2 * CLIENTS;
        until("the clients have more answers", async || {
            assert!(clients.iter().all(|client| !client.is_finished()), "a client failed");
            asked.load(Ordering::Relaxed) >= enough
        })
        .await;
        if round == 0 {
            assert_eq!(rig.ask("slow").await.status(), 404, "it is gone for new requests");
        }
    }
    rig.reload(second).await;
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    for (mut answer, mut text) in streams {
        rig.upstream.open();
        while let Some(bytes) = answer.chunk().await.unwrap() {
            text.push_str(std::str::from_utf8(&bytes).unwrap());
        }
        assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    }
    assert!(rig.shows("slarouter_config_reloads_total{result=\"success\"} 11").await);
    assert!(!rig.metrics().await.contains("circuit_state{model=\"small\"}"), "models that are gone have no circuit");
    let Rig { gateway, folder, .. } = rig;
    gateway.shutdown().await;
    let store = slarouter_store::open(&url(&folder)).await.unwrap();
    let (mut seq, mut configured, mut decided, mut failed) = (0, 0, 0, 0);
    loop {
        let events = store.events_after(seq, 1_000).await.unwrap();
        let Some(last) = events.last() else { break };
        seq = last.seq();
        for event in &events {
            match event {
                Event::Configured { .. } => configured += 1,
                Event::Decided { .. } => decided += 1,
                Event::Finished { outcome, .. } if !outcome.ok => failed += 1,
                _ => {}
            }
        }
    }
    store.close().await;
    assert_eq!((configured, failed), (12, 0));
    assert_eq!(decided, asked.load(Ordering::Relaxed) + 3);
    verified(&folder).await;
}

#[tokio::test]
async fn what_has_changed_counts_and_what_was_spent_stays_spent() {
    let keys = |name: &str, key: &str, usd: f64| {
        format!(
            "[[keys]]\nname = \"{name}\"\nkey = \"{key}\"\nscopes = [\"inference\"]\nlimits = {{ usd_per_day = {usd} }}\n"
        )
    };
    let before = keys("web", CLIENT, 0.04);
    let rig = Rig::start(File { more: &before, ..FIRST }).await;
    let ask = async |key: &str, model: &str| {
        let body = json!({ "model": model, "max_tokens": 10, "messages": [{ "role": "user", "content": "one" }] });
        rig.post(&body).bearer_auth(key).send().await.unwrap()
    };
    let cost = |answer: &reqwest::Response| -> f64 {
        answer.headers()["x-slarouter-cost-usd"].to_str().unwrap().parse().unwrap()
    };
    let first = ask(CLIENT, "auto").await;
    assert_eq!(first.headers()["x-slarouter-model"], "small");
    let cheap = cost(&first);
    assert!(rig.shows("slarouter_satisfaction_target_ratio{route=\"default\"} 0.9").await);

    // A thousand times the price: what one answer costs is just about the day's budget.
    let dear = ("small", "a/ok", "price = { input = 1000, output = 2000 }");
    let after = format!("{}{}", keys("web", CLIENT, 0.04), keys("other", "another-clients-key", 1.0));
    let models = [dear, ("fresh", "c/ok", "")];
    let file = File {
        models: &models,
        route: ("\"small\", \"fresh\"", "policy = \"fixed:small\""),
        alpha: 0.7,
        more: &after,
        ..FIRST
    };
    assert_eq!(rig.reload(file).await.0, 200);
    assert!(rig.shows("slarouter_satisfaction_target_ratio{route=\"default\"} 0.7").await, "at once");
    let second = ask(CLIENT, "auto").await;
    assert_eq!(second.status(), 200);
    assert!((cost(&second) / cheap - 1_000.0).abs() < 1e-3);
    assert_eq!(ask(CLIENT, "auto").await.status(), 429, "a reload begins no new budget");
    assert_eq!(ask("another-clients-key", "fresh").await.status(), 200);
    assert_eq!(ask("another-clients-key", "large").await.status(), 404);

    // The key goes, and comes back: its account was never forgotten.
    let without = keys("other", "another-clients-key", 1.0);
    assert_eq!(rig.reload(File { more: &without, ..file }).await.0, 200);
    assert_eq!(ask(CLIENT, "auto").await.status(), 401);
    assert_eq!(rig.reload(file).await.0, 200);
    assert_eq!(ask(CLIENT, "auto").await.status(), 429);
    let (gateway, folder) = (rig.gateway, rig.folder);
    gateway.shutdown().await;
    let targets: Vec<f64> = read(&folder)
        .await
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Configured { spec, .. } => serde_json::from_str::<Value>(spec).unwrap()["alpha"].as_f64(),
            _ => None,
        })
        .collect();
    assert_eq!(targets, [0.9, 0.7], "what is the same is no event");
}

#[tokio::test]
async fn a_bad_file_changes_nothing_and_is_explained() {
    let rig = Rig::start(File { server: "allow_unauthenticated = true", ..FIRST }).await;
    let file = FIRST.text(&rig.upstream.base_url(), &rig.folder);
    let path = rig.folder.path().join("slarouter.toml");
    for (text, said) in [
        (file.replace("0.9", "1.9"), "between 0 and 1"),
        (
            file.replace("models = [\"small\", \"large\"]", "models = [\"small\", \"none\"]"),
            "there is no model \"none\"",
        ),
        ("[server".to_owned(), ":1:"),
        (file.replace("[routes.default]", "[routes.default]\nwarm_start = \"/none/warm.bin\""), "/none/warm.bin"),
        (file.replace("admin_keys", "admin_key"), "unknown key `admin_key`: did you mean `admin_keys`?"),
    ] {
        rig.write(&text);
        let (status, body) = rig.post_reload(ADMIN).await;
        let message = error(&body)["message"].as_str().unwrap();
        assert_eq!((status, &body["error"]["code"]), (422, &json!("invalid_configuration")), "{body}");
        assert!(message.contains(said), "{said:?} is not in {message:?}");
    }
    std::fs::remove_file(&path).unwrap();
    let (status, body) = rig.post_reload(ADMIN).await;
    assert!(status == 422 && body["error"]["message"].as_str().unwrap().contains("cannot be read"), "{body}");
    assert_eq!(rig.ask("auto").await.headers()["x-slarouter-model"], "small");
    assert!(rig.shows("slarouter_config_reloads_total{result=\"failure\"} 6").await);
    assert!(rig.shows("slarouter_satisfaction_target_ratio{route=\"default\"} 0.9").await);
    // Mended, it is taken.
    rig.write(&file.replace("0.9", "0.8"));
    assert_eq!(rig.post_reload(ADMIN).await.0, 200);
    assert!(rig.shows("slarouter_satisfaction_target_ratio{route=\"default\"} 0.8").await);
    rig.gateway.shutdown().await;
}

#[tokio::test]
async fn a_dated_price_that_a_reload_brings_comes_into_force() {
    let open = File { server: "allow_unauthenticated = true", ..FIRST };
    let rig = Rig::start(open).await;
    let from = in_ms(1_500);
    let date = utc(from).replace('Z', &format!(".{:03}Z", from.0 % 1_000));
    let price = format!("price = [{{ input = 1, output = 2 }}, {{ from = \"{date}\", input = 100, output = 200 }}]");
    let models = [("small", "a/ok", &*price), LARGE];
    assert_eq!(rig.reload(File { models: &models, ..open }).await.0, 200);
    let ask = async || {
        let body = json!({ "model": "auto", "messages": [{ "role": "user", "content": "one" }] });
        let answer = rig.post(&body).header("x-slarouter-metadata", "enabled").send().await.unwrap();
        let body: Value = answer.json().await.unwrap();
        body["slarouter"]["candidates"][0]["predicted_cost_usd"].as_f64().unwrap()
    };
    let (mut before, mut now, mut asked) = (f64::INFINITY, ask().await, 1);
    while now < 10.0 * before {
        (before, now, asked) = (now, ask().await, asked + 1);
        assert!(asked < 100_000, "the decisions never heard of the new price");
    }
    rig.gateway.shutdown().await;
    let left = read(&rig.folder).await;
    let changes: Vec<_> = left
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Configured { time, .. } => Some(*time),
            _ => None,
        })
        .collect();
    // The reload itself changed nothing that was in force.
    assert!(changes.len() == 2 && changes[0] < from && changes[1] >= from, "{changes:?} around {from:?}");
}

#[tokio::test]
async fn what_needs_a_restart_is_refused_by_name() {
    let rig = Rig::start(FIRST).await;
    let file = FIRST.text(&rig.upstream.base_url(), &rig.folder);
    for (text, keys) in [
        (file.replace("127.0.0.1:0", "127.0.0.1:1"), "server.listen changed"),
        (file.replace("log.db", "other.db"), "store.url changed"),
        (
            file.replace("[upstream]", "queue = 7\nsnapshot_every = 8\n[upstream]"),
            "store.snapshot_every, store.queue changed",
        ),
        (file.replace("[upstream]", "[telemetry]\npropagate = false\n[upstream]"), "[telemetry] changed"),
        (file.replace("[upstream]", "[features]\nencoder = \"static\"\n[upstream]"), "[features] changed"),
        (
            file.replace(
                "[store]",
                "max_connections = 5\nlog_format = \"json\"\nadmin_listen = \"127.0.0.1:2\"\n[store]",
            ),
            "server.admin_listen, server.max_connections, server.log_format changed",
        ),
        (file.replace("[store]", "tls = { cert = \"a\", key = \"b\" }\n[store]"), "server.tls changed"),
    ] {
        rig.write(&text);
        let (status, body) = rig.post_reload(ADMIN).await;
        let message = error(&body)["message"].as_str().unwrap();
        assert_eq!((status, &body["error"]["code"]), (409, &json!("restart_required")), "{body}");
        assert!(message.starts_with(keys) && message.contains("restart"), "{message}");
    }
    let from_text = Config::parse(&file.replace("log.db", "two.db"), &|_| None).unwrap();
    let gateway = Gateway::start(from_text).await.unwrap();
    assert!(matches!(gateway.reloads().reload().await, Err(ReloadError::NoFile)));
    let reloads = gateway.reloads();
    gateway.shutdown().await;
    assert!(matches!(reloads.reload().await, Err(ReloadError::Stopping)));
    rig.gateway.shutdown().await;
}

#[tokio::test]
async fn only_an_administrator_may_reload() {
    let client = format!("api_keys = [\"{CLIENT}\"]");
    let rig = Rig::start(File { server: &client, ..FIRST }).await;
    assert_eq!(rig.post_reload(CLIENT).await.0, 403);
    assert_eq!(rig.post_reload("nobody").await.0, 401);
    assert_eq!(rig.post_reload(ADMIN).await.0, 200);
    assert!(rig.shows("slarouter_config_reloads_total{result=\"success\"} 1").await);
    // Ten at once are ten reloads, one after the other.
    let reloads = futures_util::future::join_all((0..10).map(|_| rig.post_reload(ADMIN))).await;
    assert!(reloads.iter().all(|(status, _)| *status == 200), "{reloads:?}");
    rig.gateway.shutdown().await;
}

#[tokio::test]
async fn keys_made_while_it_runs_stay_and_no_reload_opens_the_gateway() {
    let rig = Rig::start(FIRST).await;
    let url = format!("http://{}/admin/keys", rig.gateway.addr());
    let new = json!({ "name": "late", "grants": { "scopes": ["inference"] } });
    let made: Value = rig.client.post(&url).bearer_auth(ADMIN).json(&new).send().await.unwrap().json().await.unwrap();
    let late = made["key"].as_str().unwrap();
    assert_eq!(rig.reload(FIRST).await.0, 200);
    let ask = async |key: &str| rig.post(&question(false)).bearer_auth(key).send().await.unwrap().status().as_u16();
    assert_eq!(ask(late).await, 200);
    // The administrator's key goes: another change of keys must not bring it back.
    let file = FIRST.text(&rig.upstream.base_url(), &rig.folder);
    let other = "another-administrators-key";
    rig.write(&file.replace(ADMIN, other));
    assert_eq!(rig.post_reload(ADMIN).await.0, 200);
    assert_eq!(rig.post_reload(ADMIN).await.0, 401);
    let new = json!({ "name": "later", "grants": { "scopes": ["inference"] } });
    assert_eq!(rig.client.post(&url).bearer_auth(other).json(&new).send().await.unwrap().status(), 201);
    assert_eq!(rig.post_reload(ADMIN).await.0, 401);
    assert_eq!(ask(late).await, 200);
    rig.gateway.shutdown().await;
}

#[tokio::test]
async fn a_gateway_that_others_reach_keeps_a_key() {
    let folder = TempDir::new().unwrap();
    let file = FIRST.text("http://127.0.0.1:1/v1", &folder).replace("127.0.0.1:0", "0.0.0.0:0");
    let path = folder.path().join("slarouter.toml");
    std::fs::write(&path, &file).unwrap();
    let gateway = Gateway::start(Config::load(&path).unwrap()).await.unwrap();
    std::fs::write(&path, file.replace(&format!("admin_keys = [\"{ADMIN}\"]"), "")).unwrap();
    let refused = gateway.reloads().reload().await.unwrap_err();
    assert!(matches!(refused, ReloadError::Open), "{refused}");
    std::fs::write(&path, &file).unwrap();
    assert_eq!(gateway.reloads().reload().await.unwrap(), Reloaded { models: 2, routes: 1, changed: Vec::new() });
    gateway.shutdown().await;
}

/// What a reload says of certificates is what becomes of them.
#[tokio::test]
async fn a_reload_says_what_changed_and_whose_certificate_begins_anew() {
    const RATED: usize = 60;
    let certified = |more: &'static str| File {
        server: "allow_unauthenticated = true",
        route: ("\"small\", \"large\"", more),
        ..FIRST
    };
    let rig = Rig::start(certified("fallback = \"small\"")).await;
    for _ in 0..RATED {
        let answer = rig.ask("auto").await;
        let rating = json!({ "id": answer.headers()["x-request-id"].to_str().unwrap(), "rating": "down" });
        let url = format!("http://{}/v1/feedback", rig.gateway.addr());
        assert_eq!(rig.client.post(url).json(&rating).send().await.unwrap().status(), 202);
    }
    let labelled = format!("slarouter_labelled_decisions{{route=\"default\"}} {RATED}");
    until("all ratings are learnt", async || rig.shows(&labelled).await).await;
    let fresh = "slarouter_certificate_upper{route=\"default\"} 1.0";
    assert!(!rig.shows(fresh).await, "sixty thumbs down say something");
    let told = async |file: File<'_>| {
        let (status, body) = rig.reload(file).await;
        assert_eq!(status, 200, "{body}");
        body["changed"].clone()
    };
    assert_eq!(told(certified("fallback = \"small\"")).await, json!([]));
    let kept = told(certified("fallback = \"large\"\nexploration = 0.1")).await;
    assert_eq!(kept, json!(["route default: fallback small → large, exploration 0.05 → 0.1"]));
    assert!(!rig.shows(fresh).await, "the same promise");
    let anew = told(File { alpha: 0.8, ..certified("fallback = \"large\"\nexploration = 0.1") }).await;
    assert_eq!(anew, json!(["route default: satisfaction 0.9 → 0.8, its certificate begins anew"]));
    assert!(rig.shows(fresh).await, "{}", rig.metrics().await);
    rig.gateway.shutdown().await;
}

#[tokio::test]
async fn circuits_and_conversations_outlive_a_reload() {
    let calls = "retries = 0\nbreaker_failures = 2\nbreaker_open_s = 1000";
    let first = File { server: "allow_unauthenticated = true", upstream: calls, ..FIRST };
    let rig = Rig::start(first).await;
    for _ in 0..2 {
        rig.upstream.script(Script::json(503, &json!({ "error": { "message": "down" } })));
        assert_eq!(rig.ask("auto").await.headers()["x-slarouter-model"], "large");
    }
    let open = "slarouter_circuit_state{model=\"small\"} 2";
    assert!(rig.shows(open).await);
    assert_eq!(rig.reload(File { alpha: 0.8, ..first }).await.0, 200);
    assert!(rig.shows(open).await, "it is asked as before");
    let calls = format!("{calls}\nbreaker_rate = 0.9");
    assert_eq!(rig.reload(File { upstream: &calls, ..first }).await.0, 200);
    assert!(rig.shows(open).await, "other rules, the same model");
    let mended = ("small", "a/ok", "api_key = \"mended\"");
    assert_eq!(rig.reload(File { models: &[mended, LARGE], ..first }).await.0, 200);
    assert_eq!(rig.ask("auto").await.headers()["x-slarouter-model"], "small", "a key that was mended is tried at once");

    // By chance one in 2^20 would pass.
    let random = File { route: ("\"small\", \"large\"", "policy = \"random\""), ..first };
    assert_eq!(rig.reload(random).await.0, 200);
    let turn = async || {
        let answer = rig.post(&question(false)).header("x-slarouter-session", "s-1").send().await.unwrap();
        answer.headers()["x-slarouter-model"].clone()
    };
    let held = turn().await;
    for _ in 0..4 {
        assert_eq!(rig.reload(random).await.0, 200);
        for _ in 0..5 {
            assert_eq!(turn().await, held);
        }
    }
    rig.gateway.shutdown().await;
}

#[tokio::test]
async fn places_grow_and_shrink_with_the_configuration() {
    let busy = "queue_timeout_s = 0.001";
    let first = File { server: "allow_unauthenticated = true", upstream: busy, ..FIRST };
    let with = |most: &'static str| ("slow", "c/gated", most);
    let one = [SMALL, LARGE, with("max_concurrency = 1")];
    let two = [SMALL, LARGE, with("max_concurrency = 2")];
    let rig = Rig::start(File { models: &one, ..first }).await;
    let stream = async || {
        let body = json!({ "model": "slow", "stream": true, "messages": [{ "role": "user", "content": "one two" }] });
        rig.post(&body).send().await.unwrap()
    };
    let held = stream().await;
    assert_eq!(
        (held.status(), stream().await.status()),
        (reqwest::StatusCode::OK, reqwest::StatusCode::SERVICE_UNAVAILABLE)
    );
    assert_eq!(rig.reload(File { models: &two, ..first }).await.0, 200);
    let also = stream().await;
    assert_eq!((also.status().as_u16(), stream().await.status().as_u16()), (200, 503), "one more, and no more");
    assert_eq!(rig.reload(File { models: &one, ..first }).await.0, 200);
    for (answer, after) in [(held, 503), (also, 200)] {
        rig.upstream.open();
        answer.bytes().await.unwrap();
        // The last byte is with the client a moment before the place is free.
        if after == 503 {
            for _ in 0..20 {
                assert_eq!(stream().await.status(), after, "of two calls the first to end frees no place");
            }
        }
        until(&format!("a further call gets {after}"), async || stream().await.status() == after).await;
    }
    rig.upstream.open();
    rig.gateway.shutdown().await;
}

/// Who trusts which authority is told by whose certificate is served.
#[tokio::test]
async fn renewed_certificates_are_served_to_new_connections() {
    let folder = TempDir::new().unwrap();
    let (old, new) = (authority("old"), authority("new"));
    let install = |by| {
        let (cert, key) = issued(by, "localhost", ExtendedKeyUsagePurpose::ServerAuth);
        std::fs::write(folder.path().join("cert.pem"), cert).unwrap();
        std::fs::write(folder.path().join("key.pem"), key).unwrap();
    };
    install(&old);
    let path = |name: &str| folder.path().join(name).display().to_string();
    let server =
        format!("allow_unauthenticated = true\ntls = {{ cert = '{}', key = '{}' }}", path("cert.pem"), path("key.pem"));
    let rig = Rig::start(File { server: &server, ..FIRST }).await;
    let url = format!("https://localhost:{}/v1/chat/completions", rig.gateway.addr().port());
    let trusting = |authority: &str| {
        let authority = reqwest::Certificate::from_pem(authority.as_bytes()).unwrap();
        reqwest::Client::builder().no_proxy().tls_certs_only([authority]).build().unwrap()
    };
    let ask = |client: &reqwest::Client| client.post(&url).json(&question(false)).send();
    let (olds, news) = (trusting(&old.pem()), trusting(&new.pem()));
    assert_eq!((ask(&olds).await.unwrap().status().as_u16(), ask(&news).await.is_ok()), (200, false));
    install(&new);
    rig.gateway.reloads().reload().await.unwrap();
    assert_eq!(ask(&news).await.unwrap().status(), 200);
    assert_eq!(ask(&olds).await.unwrap().status(), 200, "its connection goes on");
    assert!(ask(&trusting(&old.pem())).await.is_err());
    // A key that does not belong to the certificate is refused, and the pair in force stays.
    std::fs::write(folder.path().join("key.pem"), issued(&old, "localhost", ExtendedKeyUsagePurpose::ServerAuth).1)
        .unwrap();
    let refused = rig.gateway.reloads().reload().await.unwrap_err();
    assert!(matches!(refused, ReloadError::Tls(_)), "{refused}");
    assert_eq!(ask(&trusting(&new.pem())).await.unwrap().status(), 200);
    rig.gateway.shutdown().await;
}

/// The log is locked before the reload, and the reload is what finds out.
#[tokio::test]
async fn while_the_log_cannot_be_written_the_old_configuration_stays_and_learns_on() {
    let open = File { server: "allow_unauthenticated = true", ..FIRST };
    let rig = Rig::start(open).await;
    let answer = rig.ask("auto").await;
    let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    answer.bytes().await.unwrap();
    let rate = async || {
        let rating = json!({ "id": id, "rating": "up" });
        let url = format!("http://{}/v1/feedback", rig.gateway.addr());
        rig.client.post(url).json(&rating).send().await.unwrap().status().as_u16()
    };
    // Its outcome too is on disk before the lock.
    assert_eq!(rate().await, 202);
    let other = Connection::open(url(&rig.folder).strip_prefix("sqlite://").unwrap()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let changed = File { alpha: 0.5, ..open };
    for _ in 0..2 {
        let (status, body) = rig.reload(changed).await;
        assert_eq!((status, &error(&body)["code"]), (503, &json!("store_unavailable")), "{body}");
    }
    assert_eq!(rig.ask("auto").await.status(), 200);
    assert!(rig.shows("slarouter_satisfaction_target_ratio{route=\"default\"} 0.9").await);

    other.execute_batch("ROLLBACK").unwrap();
    drop(other);
    let answer = rig.ask("auto").await;
    let second = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    answer.bytes().await.unwrap();
    let rating = json!({ "id": second, "rating": "up" });
    let url = format!("http://{}/v1/feedback", rig.gateway.addr());
    assert_eq!(rig.client.post(url).json(&rating).send().await.unwrap().status(), 202);
    // What is learnt reaches the requests of the configuration that has stayed.
    until("both ratings are learnt", async || rig.shows("slarouter_labelled_decisions{route=\"default\"} 2").await)
        .await;
    assert!(rig.shows("slarouter_satisfaction_target_ratio{route=\"default\"} 0.9").await);
    assert_eq!(rig.reload(changed).await.0, 200);
    assert!(rig.shows("slarouter_satisfaction_target_ratio{route=\"default\"} 0.5").await);
    rig.gateway.shutdown().await;
    verified(&rig.folder).await;
}
