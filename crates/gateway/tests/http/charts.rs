//! The page of a route and its charts: where they begin, what they mark, what is rated of late.

use serde_json::{Value, json};
use slarouter_testkit::{Script, until};

use crate::setup::{Rig, Settings, question};

fn settings(price: &'static str) -> Settings {
    Settings {
        server: "admin_listen = \"127.0.0.1:0\"",
        upstream: "retries = 0\nbreaker_failures = 3\nbreaker_open_s = 1000",
        small: price,
        ..Settings::default()
    }
}

async fn get(rig: &Rig, path: &str) -> reqwest::Response {
    rig.client.get(format!("http://{}{path}", rig.gateway.admin_addr().unwrap())).send().await.unwrap()
}

#[tokio::test]
async fn charts_begin_where_the_route_began_and_mark_what_changed() {
    let rig = Rig::start(&settings("price = { input = 1, output = 2 }")).await;
    let series: Value = get(&rig, "/admin/routes/default/series?range=1d").await.json().await.unwrap();
    assert!(
        series["columns"]["time_ms"].as_array().unwrap().len() > 20,
        "before there is anything it is the whole day"
    );
    assert_eq!(series["marks"], json!([]), "the first configuration changes nothing");
    let rig = rig.restart(&settings("price = { input = 3, output = 6 }")).await;
    for _ in 0..3 {
        rig.upstream.script(Script::json(503, &json!({ "error": { "message": "down", "type": "server_error" } })));
        assert_eq!(rig.ask(false).await.headers()["x-slarouter-model"], "large");
    }
    let named = json!({ "model": "small", "messages": [{ "role": "user", "content": "one" }] });
    assert_eq!(rig.post(&named).send().await.unwrap().status(), 200);
    let answer: Value = rig.post(&question(false)).send().await.unwrap().json().await.unwrap();
    let rating = json!({ "id": answer["id"], "rating": "up" });
    assert_eq!(rig.client.post(rig.url("/v1/feedback")).json(&rating).send().await.unwrap().status(), 202);

    let mut series = Value::Null;
    let rated = |series: &Value| series["columns"]["ratings"].as_array().unwrap().iter().any(|ratings| ratings == 1.0);
    until("the sums have the ratings", async || {
        series = get(&rig, "/admin/routes/default/series?range=1d").await.json().await.unwrap();
        rated(&series)
    })
    .await;
    // Where it began had been looked up before the sums were read, which may have been before there were any.
    series = get(&rig, "/admin/routes/default/series?range=1d").await.json().await.unwrap();
    let times = series["columns"]["time_ms"].as_array().unwrap();
    assert!(rated(&series) && times.len() <= 3, "a day on which it ran for seconds has as many minutes: {times:?}");
    let whole: Value = get(
        &rig,
        &format!("/admin/routes/default/series?from={}&step=60", times[0].as_f64().unwrap() as u64 - 36_000_000),
    )
    .await
    .json()
    .await
    .unwrap();
    assert!(
        whole["columns"]["time_ms"].as_array().unwrap().len() > 9,
        "what is asked for by its moments is told whole"
    );
    // The chart of a day begins with the minute of its first decision; the price may have changed in the minute before.
    let marks: Vec<_> = whole["marks"].as_array().unwrap().iter().map(|mark| (&mark["kind"], &mark["what"])).collect();
    let [price, open, closed] = &marks[..] else { panic!("{marks:?}") };
    assert_eq!(
        (price.0, price.1),
        (&json!("price"), &json!("price of small from 1/2 to 3/6 USD per million tokens, input/output"))
    );
    assert_eq!((open.1, closed.1), (&json!("circuit of small open"), &json!("circuit of small closed again")));

    let table = get(&rig, "/admin/routes/default/marks.csv?range=1d").await.text().await.unwrap();
    assert!(table.starts_with("time,kind,what\n") && table.contains(",circuit,circuit of small open\n"), "{table}");

    let mut page = String::new();
    until("the learner has the rating", async || {
        page = get(&rig, "/dashboard/routes/default").await.text().await.unwrap();
        page.contains("1 ratings, the last within a minute.")
    })
    .await;
    for told in [
        "/marks.csv?range=1d",
        "circuit of small open",
        "Calibration",
        "50 to 60 %",
        "Upstreams",
        "answers of the last hour",
    ] {
        assert!(page.contains(told), "{told} is not in {page}");
    }
    assert!(page.contains("that small alone would have cost"), "the tile and the chart name the baseline: {page}");
    // At its start the process looks at once, and later every some seconds.
    let rig = rig.restart(&settings("price = { input = 3, output = 6 }")).await;
    until("the metrics have the sums", async || {
        let metrics = get(&rig, "/metrics").await.text().await.unwrap();
        metrics.contains("slarouter_last_thousand_satisfaction_ratio{route=\"default\"} 1")
    })
    .await;
    rig.stop().await;
}
