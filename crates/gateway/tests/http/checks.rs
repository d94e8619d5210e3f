//! Health checks: probes that open and close the circuit which the calls open and close too.

use secrecy::ExposeSecret;
use serde_json::{Value, json};
use slarouter_gateway::keys::first_secret;
use slarouter_testkit::{Script, Upstream, until};
use tempfile::TempDir;

use crate::setup::{Rig, Settings, url};

const CHECKED: &str =
    "health_check = { path = \"/health\", interval_s = 0.005, unhealthy_after = 2, healthy_after = 2 }";

async fn circuit(rig: &Rig, wanted: u8) {
    let line = format!("slarouter_circuit_state{{model=\"small\"}} {wanted}\n");
    until(&format!("the metrics say {line}"), async || rig.metrics().await.contains(&line)).await;
}

async fn view(rig: &Rig) -> Vec<Value> {
    let secret = first_secret(&url(rig.folder())).unwrap();
    let request = rig.client.get(rig.url("/admin/health")).bearer_auth(secret.expose_secret());
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let body: Value = answer.json().await.unwrap();
    body["data"].as_array().unwrap().clone()
}

#[tokio::test]
async fn probes_take_a_model_out_and_bring_it_back() {
    let rig = Rig::start(&Settings { small: CHECKED, ..Settings::default() }).await;
    rig.upstream.checked(2).await;
    assert_eq!(rig.ask(false).await.headers()["x-slarouter-model"], "small");
    rig.upstream.set_health(503);
    circuit(&rig, 2).await;
    let called = rig.called().len();
    assert_eq!(rig.ask(false).await.headers()["x-slarouter-model"], "large");
    assert_eq!(&rig.called()[called..], ["b/ok"], "no request is spent on finding out");
    let models = view(&rig).await;
    let [large, small] = &models[..] else { panic!("{models:?}") };
    assert_eq!(
        (&large["id"], &large["circuit"], &large["health_check"]),
        (&"large".into(), &"closed".into(), &false.into())
    );
    assert_eq!(
        (&small["id"], &small["circuit"], &small["health_check"]),
        (&"small".into(), &"open".into(), &true.into())
    );
    assert!(small["error"].as_str().is_some_and(|error| error.contains("503")), "{small}");
    let metrics = rig.metrics().await;
    assert!(metrics.contains("slarouter_health_checks_total{model=\"small\",result=\"failed\"}"), "{metrics}");
    assert!(!metrics.contains("slarouter_health_checks_total{model=\"large\""), "{metrics}");

    rig.upstream.set_health(200);
    circuit(&rig, 0).await;
    assert_eq!(rig.ask(false).await.headers()["x-slarouter-model"], "small");
    assert!(view(&rig).await.iter().all(|model| model["circuit"] == "closed" && model["error"].is_null()));
    assert_eq!(rig.stop().await.outcomes.len(), 3, "probes are no requests");
}

#[tokio::test]
async fn probes_close_what_calls_have_opened() {
    // Left to itself the circuit would stay open for good.
    let upstream = "retries = 0\nbreaker_failures = 1\nbreaker_open_s = 100000";
    let rig = Rig::start(&Settings { small: CHECKED, upstream, ..Settings::default() }).await;
    rig.upstream.script(Script::bare().cut());
    assert_eq!(rig.ask(false).await.headers()["x-slarouter-model"], "large");
    circuit(&rig, 0).await;
    assert_eq!(rig.ask(false).await.headers()["x-slarouter-model"], "small");
    rig.stop().await;
}

#[tokio::test]
async fn who_names_a_model_gets_it_whatever_its_probes_say() {
    let rig = Rig::start(&Settings { small: CHECKED, ..Settings::default() }).await;
    rig.upstream.set_health(404);
    circuit(&rig, 2).await;
    let named = json!({ "model": "small", "messages": [{ "role": "user", "content": "one" }] });
    let answer = rig.post(&named).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["x-slarouter-model"]), (200, &"small".parse().unwrap()));
    rig.stop().await;
}

#[tokio::test]
async fn a_probe_under_way_ends_with_the_gateway() {
    let small = "health_check = { path = \"models\", interval_s = 0.005, timeout_s = 100000 }";
    let upstream = Upstream::start().await;
    upstream.set_health(0);
    let rig = Rig::resume(&Settings { small, ..Settings::default() }, upstream, TempDir::new().unwrap()).await;
    rig.upstream.checked(1).await;
    let (upstream, gateway, _folder) = rig.into_parts();
    gateway.shutdown().await;
    upstream.hung_up(1).await;
}
