//! A route that is only observed, through the gateway and its log.

use serde_json::{Value, json};
use slarouter_store::Event;
use slarouter_testkit::until;

use crate::setup::{Rig, Settings};

fn observed(route: &'static str) -> Settings {
    Settings {
        server: "admin_listen = \"127.0.0.1:0\"",
        small: "price = { input = 0.1, output = 0.2 }",
        route: Some(route),
        ..Settings::default()
    }
}

async fn get(rig: &Rig, path: &str) -> reqwest::Response {
    rig.client.get(format!("http://{}{path}", rig.gateway.admin_addr().unwrap())).send().await.unwrap()
}

/// Asks and rates; the ids of the answers.
async fn ask(rig: &Rig, times: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for _ in 0..times {
        let answer: Value = rig.ask(false).await.json().await.unwrap();
        let id = answer["id"].as_str().unwrap().to_owned();
        let rating = json!({ "id": id, "rating": "up" });
        assert_eq!(rig.client.post(rig.url("/v1/feedback")).json(&rating).send().await.unwrap().status(), 202);
        ids.push(id);
    }
    ids
}

/// What would have been, once the sums have all of these requests and their ratings.
async fn plan(rig: &Rig, requests: usize) -> Value {
    let mut found = Value::Null;
    until("the sums have come up with the log", async || {
        let mut series: Value = get(rig, "/admin/routes/default/series?range=1h").await.json().await.unwrap();
        found = series["observed"].take();
        found["requests"] == requests && found["labels"] == requests
    })
    .await;
    found
}

#[tokio::test]
async fn the_fallback_serves_and_what_would_have_been_is_shown_until_it_is_switched_on() {
    let rig = Rig::start(&observed("observe = true\nexploration = 0.3")).await;
    let tried = |rig: &Rig| rig.called().iter().filter(|model| *model == "a/ok").count();
    // How often the other model is drawn is chance, and once enough is known it is seldom: asked until it was.
    let mut ids = ask(&rig, 60).await;
    while tried(&rig) == 0 {
        assert!(ids.len() < 2_000, "the other model is never tried");
        ids.append(&mut ask(&rig, 20).await);
    }
    let asked = ids.len();

    let found = plan(&rig, asked).await;
    // What was saved is told with the luck of the draw of so few; the store's own tests have the figures.
    let (saved, baseline) = (found["saved_usd"].as_f64().unwrap(), found["baseline_usd"].as_f64().unwrap());
    assert!(saved != 0.0 && baseline != 0.0, "{found}");
    assert_eq!((&found["labels"], found["tried"].as_u64()), (&json!(asked), Some(tried(&rig) as u64)), "{found}");
    assert!((found["supported"].as_f64().unwrap() - 1.0).abs() < 1e-9, "{found}");
    for id in &ids[asked - 5..] {
        let explained: Value = get(&rig, &format!("/admin/decisions/{id}")).await.json().await.unwrap();
        assert_eq!(explained["replay"]["result"], "same", "{explained}");
        assert!(explained["candidates"][0]["planned"].is_number(), "{explained}");
        assert!(explained["sentence"].as_str().unwrap().starts_with("The route is only observed"), "{explained}");
    }
    let page = get(&rig, "/dashboard/routes/default").await.text().await.unwrap();
    for told in ["Only observed: large serves.", "If it were switched on", "The plan would have saved", "Would satisfy"]
    {
        assert!(page.contains(told), "{told} is not in {page}");
    }
    assert!(get(&rig, "/dashboard").await.text().await.unwrap().contains("Would save"));

    let rig = rig.restart(&observed("exploration = 0.3")).await;
    let id = ask(&rig, 1).await.remove(0);
    let explained: Value = get(&rig, &format!("/admin/decisions/{id}")).await.json().await.unwrap();
    assert_eq!(explained["candidates"][0].get("planned"), None, "{explained}");
    assert_eq!(explained["then"]["certificate"]["requests"], 0, "the promise begins now: {explained}");
    let page = get(&rig, "/dashboard/routes/default").await.text().await.unwrap();
    assert!(page.contains("While it was only observed") && !page.contains("Only observed: large"), "{page}");
    let left = rig.stop().await;
    let planned =
        left.events.iter().filter(|event| matches!(event, Event::Decided { decision, .. } if decision.is_observed()));
    assert_eq!(planned.count(), asked);
}

#[tokio::test]
async fn with_nothing_to_spend_nobody_but_the_fallback_is_asked_also_after_a_restart() {
    let settings = observed("observe = true\nexploration = 0");
    let rig = Rig::start(&settings).await;
    ask(&rig, 10).await;
    let rig = rig.restart(&settings).await;
    until("the metrics have the sums", async || {
        let metrics = get(&rig, "/metrics").await.text().await.unwrap();
        let is_there = |name| metrics.contains(&format!("slarouter_{name}{{route=\"default\",bound=\"estimate\"}} "));
        ["observed_saving_ratio", "observed_satisfaction_ratio"].into_iter().all(is_there)
    })
    .await;
    ask(&rig, 10).await;
    assert_eq!(rig.called(), vec!["b/ok"; 20]);
    let found = plan(&rig, 20).await;
    assert_eq!((&found["tried"], &found["saved_interval_usd"]), (&json!(0), &Value::Null), "{found}");
    rig.stop().await;
}
