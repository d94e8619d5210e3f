//! Every encoder over HTTP, what becomes of requests when it fails, and a restart with another one.

use serde_json::{Value, json};
use slarouter_store::Event;
use slarouter_testkit::{Script, Upstream};
use tempfile::TempDir;

use crate::setup::{Left, Rig, Settings, read, verified};

const LEARNING: Option<&str> = Some("exploration = 0.0");

fn settings(features: &str) -> Settings {
    Settings { features: features.to_owned(), route: LEARNING, ..Settings::default() }
}

/// The service is the scripted upstream itself; its answers to `/embeddings` come first from the queue.
fn remote(keys: &str) -> Settings {
    settings(&format!(
        "encoder = \"remote\"\nbase_url = \"UPSTREAM\"\nmodel = \"an-embedding\"\ndim = 3\nwidth = 2\n{keys}"
    ))
}

fn vectors(vectors: &Value) -> Script {
    let data = vectors.as_array().unwrap().iter().enumerate();
    let data: Vec<_> = data.map(|(index, vector)| json!({ "index": index, "embedding": vector })).collect();
    Script::json(200, &json!({ "object": "list", "data": data }))
}

async fn ask(rig: &Rig, prompt: &str) -> String {
    let body = json!({ "model": "auto", "messages": [{ "role": "user", "content": prompt }] });
    let answer = rig.post(&body).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{prompt}");
    answer.headers()["x-request-id"].to_str().unwrap().to_owned()
}

async fn rate(rig: &Rig, id: &str, rating: f64) {
    let body = json!({ "id": id, "rating": rating });
    let answer = rig.client.post(rig.url("/v1/feedback")).json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 202);
}

/// Lengths and versions of the features of all rated requests, in the order of the ratings.
fn rated(left: &Left) -> Vec<(usize, u32)> {
    let features = |event: &Event| match event {
        Event::Rated { rated, .. } => Some((rated.features.len(), rated.feature_version)),
        _ => None,
    };
    left.events.iter().filter_map(features).collect()
}

async fn without_features(rig: &Rig, reason: &str) -> u64 {
    let line = format!("slarouter_without_features_total{{reason=\"{reason}\"}} ");
    rig.metrics().await.lines().find_map(|text| text.strip_prefix(&line)?.parse().ok()).unwrap_or(0)
}

/// Stops, checks the state against the log, and starts again.
async fn restart(rig: Rig, settings: &Settings) -> Rig {
    let (upstream, gateway, folder) = rig.into_parts();
    gateway.shutdown().await;
    verified(&folder).await;
    Rig::resume(settings, upstream, folder).await
}

async fn stop(rig: Rig) -> (Left, slarouter_learner::Learning) {
    let (_upstream, gateway, folder) = rig.into_parts();
    gateway.shutdown().await;
    (read(&folder).await, verified(&folder).await)
}

#[tokio::test]
async fn local_encoders_are_learnt_from_and_a_change_of_encoder_resets_the_heads_only() {
    let names = ["hashed", "static", "blend", "hashed"];
    let expected = [(128, 2), (96, 101), (128, 201), (128, 2)];
    let of = |name: &str| settings(&format!("encoder = \"{name}\""));
    let mut rig = Rig::resume(&of(names[0]), Upstream::start().await, TempDir::new().unwrap()).await;
    let mut late = Vec::new();
    for (place, name) in names.iter().enumerate() {
        if place > 0 {
            rig = restart(rig, &of(name)).await;
        }
        assert_eq!(rig.gateway.routes()[0].account.labels, 2 * place as u64, "the account goes on");
        for prompt in ["How tall is K2?", "Sort a list in Rust."] {
            let id = ask(&rig, prompt).await;
            rate(&rig, &id, 1.0).await;
        }
        late.push(ask(&rig, "Rated when another encoder is in force").await);
    }
    for id in &late {
        rate(&rig, id, 0.0).await;
    }
    let (left, learning) = stop(rig).await;
    let with: Vec<_> = expected.iter().flat_map(|features| [*features; 2]).chain(expected).collect();
    assert_eq!(rated(&left), with);
    let router = learning.learners()["default"].router();
    assert_eq!(router.features(), (128, 2));
    assert_eq!(router.account().labels, 12, "late ratings of other features count too");
    let encoders: Vec<_> = left.events.iter().filter_map(encoder).collect();
    assert_eq!(encoders, names);
}

/// As the log names it with a configuration.
fn encoder(event: &Event) -> Option<String> {
    let Event::Configured { spec, .. } = event else { return None };
    let spec: Value = serde_json::from_str(spec).unwrap();
    Some(spec["features"]["encoder"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_remote_encoder_is_asked_once_per_text() {
    let rig = Rig::start(&remote("api_key = \"the-service\'s-key\"")).await;
    rig.upstream.script(vectors(&json!([[1.0, 0.5, -2.0]])));
    for _ in 0..2 {
        let id = ask(&rig, "the same").await;
        rate(&rig, &id, 1.0).await;
    }
    let requests = rig.upstream.requests();
    let paths: Vec<_> = requests.iter().map(|request| &*request.path).collect();
    assert_eq!(paths, ["/v1/embeddings", "/v1/chat/completions", "/v1/chat/completions"]);
    assert_eq!(requests[0].header("authorization"), Some("Bearer the-service\'s-key"));
    let sent = json!({ "model": "an-embedding", "input": ["the same"], "encoding_format": "float" });
    assert_eq!(requests[0].json(), sent);

    // A pinned request needs no features.
    let pinned = json!({ "model": "small", "messages": [{ "role": "user", "content": "new" }] });
    assert_eq!(rig.post(&pinned).send().await.unwrap().status(), 200);
    assert_eq!(rig.upstream.requests().len(), 4);
    let (left, learning) = stop(rig).await;
    let (dim, version) = learning.learners()["default"].router().features();
    assert_eq!(rated(&left), [(dim, version); 2]);
    assert!(dim == 34 && version >= 1 << 31);
}

#[tokio::test]
async fn whatever_a_remote_encoder_answers_the_request_is_served() {
    let nan = "{\"data\":[{\"index\":0,\"embedding\":[NaN,1,2]}]}";
    let infinite = "{\"data\":[{\"index\":0,\"embedding\":[1e999,1,2]}]}";
    let body = |text: &str| Script::new(200).header("content-type", "application/json").whole(text.to_owned());
    let cases: Vec<(&str, Script)> = vec![
        ("malformed", body("{")),
        ("malformed", body(nan)),
        ("malformed", body(infinite)),
        ("malformed", vectors(&json!([[1.0, null, 2.0]]))),
        ("malformed", vectors(&json!([[1e30, 1.0, 2.0]]))),
        ("malformed", vectors(&json!([]))),
        ("dimension", vectors(&json!([[1.0, 2.0, 3.0, 4.0]]))),
        ("dimension", vectors(&json!([[]]))),
        ("status", Script::json(401, &json!({ "error": {} }))),
        ("unreachable", Script::bare().reset()),
    ];
    for (number, (reason, script)) in cases.into_iter().enumerate() {
        let rig = Rig::start(&remote("timeout_s = 60")).await;
        rig.upstream.script(script);
        let id = ask(&rig, "a prompt").await;
        rate(&rig, &id, 1.0).await;
        assert_eq!(without_features(&rig, reason).await, 1, "case {number}");
        let (left, learning) = stop(rig).await;
        assert_eq!(rated(&left)[0].0, 0, "case {number}: no features are logged");
        assert_eq!(learning.learners()["default"].router().account().labels, 1, "case {number}");
    }
}

#[tokio::test]
async fn a_remote_encoder_that_is_late_is_not_waited_for() {
    let rig = Rig::start(&remote("timeout_s = 0.02")).await;
    for _ in 0..3 {
        rig.upstream.script(Script::bare().stall());
        ask(&rig, "a prompt").await;
    }
    assert_eq!(without_features(&rig, "timeout").await, 3);
    let (_, learning) = stop(rig).await;
    assert_eq!(learning.learners()["default"].router().account().requests, 3);
}
