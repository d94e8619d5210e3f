//! `/metrics` of a gateway that has served: as documented, and bounded whatever clients send.

use std::collections::BTreeSet;

use serde_json::json;
use slarouter_testkit::{Script, documented, exposition};

use crate::setup::{Rig, Settings};

const CONTRACT: &str = include_str!("../../../../docs/metrics.md");

#[tokio::test]
async fn what_is_scraped_after_traffic_is_what_the_documentation_says() {
    let feedback = "audit_rate = 1.0";
    let rig = Rig::start(&Settings { feedback, route: Some("exploration = 0.5"), ..Settings::default() }).await;
    for stream in [false, true] {
        let answer = rig.ask(stream).await;
        let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
        answer.bytes().await.unwrap();
        for source in ["user", "audit"] {
            let rating = json!({ "id": id, "rating": 1, "source": source });
            let rated = rig.client.post(rig.url("/v1/feedback")).json(&rating).send().await.unwrap();
            assert_eq!(rated.status(), 202);
        }
    }
    // Of the model that serves first, so that another one answers.
    for _ in 0..2 {
        rig.upstream.script(Script::json(500, &json!({ "error": { "message": "down" } })));
    }
    assert_eq!(rig.ask(false).await.status(), 200);
    let documented = documented(CONTRACT);
    let scraped = exposition(&rig.metrics().await);
    for (name, metric) in &scraped {
        let (kind, labels) = documented.get(name).unwrap_or_else(|| panic!("{name} is not in docs/metrics.md"));
        assert_eq!((&metric.kind, &metric.labels), (kind, labels), "{name}");
    }
    for name in ["requests_total", "upstream_failures_total", "rerouted_total", "cost_usd_total", "audits_given_total"]
    {
        assert!(!scraped[&format!("slarouter_{name}")].series.is_empty(), "{name}");
    }
    rig.gateway.shutdown().await;
}

#[tokio::test]
async fn nothing_that_clients_send_makes_a_series() {
    let rig = Rig::start(&Settings::default()).await;
    let ask = async |model: &str, n: usize| {
        let body =
            json!({ "model": model, "user": format!("u{n}"), "messages": [{ "role": "user", "content": "one" }] });
        let request =
            rig.post(&body).header("x-slarouter-session", format!("s{n}")).header("user-agent", format!("a{n}"));
        request.bearer_auth(format!("key-{n}")).send().await.unwrap().status().as_u16()
    };
    let series = async || -> BTreeSet<String> {
        exposition(&rig.metrics().await).into_values().flat_map(|metric| metric.series).collect()
    };
    for model in ["auto", "auto:default", "small", "large"] {
        assert_eq!(ask(model, 0).await, 200);
    }
    let before = series().await;
    for n in 0..50 {
        assert_eq!(ask("auto", n).await, 200);
        for hostile in ["evil\"} 1\n", "{}", "auto:", "auto:\\", "auto:default/x", "slarouter_up 1", "ü", ""] {
            let status = ask(&format!("{hostile}{n}"), n).await;
            assert!((400..500).contains(&status), "{hostile:?}: {status}");
        }
        let id = format!("chatcmpl-00000000-0000-7000-8000-{n:012}");
        let rating = json!({ "id": id, "rating": 1, "rater": format!("r{n}") });
        assert_eq!(rig.client.post(rig.url("/v1/feedback")).json(&rating).send().await.unwrap().status(), 404);
        assert_eq!(rig.client.get(rig.url(&format!("/v1/x{n}"))).send().await.unwrap().status(), 404);
    }
    assert_eq!(series().await, before);
    rig.gateway.shutdown().await;
}

/// What was paid and what there was to pay count the same answers from the same moment on, also after a restart.
#[tokio::test]
async fn the_ratio_of_the_two_costs_is_what_was_saved() {
    let prices = Settings { small: "price = { input = 0.1, output = 0.2 }", ..Settings::default() };
    let mut rig = Rig::start(&prices).await;
    for life in 0..2_u32 {
        let (mut paid, mut most) = (0.0, 0.0);
        // The route saves, a named model does not, and a request that fails saves nothing either.
        for model in ["auto", "auto", "large", "auto"] {
            let body = json!({ "model": model, "messages": [{ "role": "user", "content": "one two" }] });
            let answer = rig.post(&body).header("x-slarouter-metadata", "enabled").send().await.unwrap();
            let body: serde_json::Value = answer.json().await.unwrap();
            let cost = body["usage"]["cost"].as_f64().unwrap();
            let candidates = body["slarouter"]["candidates"].as_array().unwrap();
            let predicted =
                candidates.iter().map(|one| one["predicted_cost_usd"].as_f64().unwrap()).fold(0.0, f64::max);
            assert!(model == "large" || predicted > 5.0 * cost, "{body}");
            (paid, most) = (paid + cost, most + if model == "auto" { predicted } else { cost });
        }
        for _ in 0..4 {
            rig.upstream.script(Script::json(500, &json!({ "error": { "message": "down" } })));
        }
        assert_eq!(rig.ask(false).await.status(), 500);
        let scraped = rig.metrics().await;
        let sum = |name: &str| -> f64 {
            let samples = scraped.lines().filter(|line| line.starts_with(&format!("slarouter_{name}_total{{")));
            samples.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
        };
        let near = |found: f64, expected: f64| (found - expected).abs() < 1e-9 * expected;
        let (cost, most_expensive) = (sum("cost_usd"), sum("most_expensive_cost_usd"));
        assert!(near(cost, paid) && near(most_expensive, most), "{life}: {cost} {paid} {most_expensive} {most}");
        rig = rig.restart(&prices).await;
    }
    rig.stop().await;
}
