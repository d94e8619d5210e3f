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
