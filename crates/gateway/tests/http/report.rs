//! The report of a running gateway.

use serde_json::Value;
use slarouter_report::Terms;

use crate::setup::{Rig, Settings};

async fn get(rig: &Rig, query: &str) -> (u16, String, String) {
    let answer = rig.client.get(rig.url(&format!("/admin/report{query}"))).send().await.unwrap();
    let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
    (answer.status().as_u16(), kind, answer.text().await.unwrap())
}

#[tokio::test]
async fn the_report_is_the_one_that_the_log_gives() {
    let rig = Rig::start(&Settings { server: "time_zone = \"Europe/Berlin\"", ..Settings::default() }).await;
    for _ in 0..3 {
        assert_eq!(rig.ask(false).await.status(), 200);
    }
    // Whenever the test runs.
    let ever = "?from=2020-01&to=2100-01";
    let (status, kind, json) = get(&rig, &format!("{ever}&format=json")).await;
    assert_eq!((status, &*kind), (200, "application/json; charset=utf-8"));
    let facts: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(facts["months"][0]["routes"][0]["requests"], 3, "{facts}");
    for (format, expected) in [("html", "text/html; charset=utf-8"), ("md", "text/markdown; charset=utf-8")] {
        let (status, kind, text) = get(&rig, &format!("{ever}&format={format}")).await;
        assert_eq!((status, &*kind), (200, expected));
        let terms = Terms::of(&text).unwrap();
        assert_eq!((&*terms.from, &*terms.to), ("2020-01-01", "2100-01-01"));
    }
    for (query, param) in [("", "from"), ("?from=November", "from"), ("?from=2026-11&to=2026-10", "to")] {
        let (status, _, text) = get(&rig, query).await;
        let refusal: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((status, refusal["error"]["param"].as_str()), (400, Some(param)), "{query}: {refusal}");
    }
    rig.stop().await;
}
