//! The list of decisions, and one decision explained.

use serde_json::{Value, json};
use slarouter_store::{DecisionRecord, Entry};
use slarouter_testkit::Upstream;
use tempfile::TempDir;

use crate::setup::{Rig, Settings, question, url};

#[path = "../../../store/tests/common/records.rs"]
mod records;

async fn get(rig: &Rig, path: &str) -> (u16, Value) {
    let reply = rig.client.get(rig.url(path)).send().await.unwrap();
    (reply.status().as_u16(), reply.json().await.unwrap())
}

#[tokio::test]
async fn what_was_decided_is_listed_and_explained_as_the_client_saw_it() {
    let rig = Rig::start(&Settings { route: Some("policy = \"certified\""), ..Settings::default() }).await;
    let mut answers = Vec::new();
    for _ in 0..5 {
        let asked = rig.post(&question(false)).header("x-slarouter-metadata", "enabled").send().await.unwrap();
        answers.push(asked.json::<Value>().await.unwrap());
    }
    let last = &answers[4];
    let id = last["id"].as_str().unwrap();
    let comment = "<script>alert(1)</script>";
    let rating = json!({ "id": id, "rating": "down", "comment": comment });
    assert_eq!(rig.client.post(rig.url("/v1/feedback")).json(&rating).send().await.unwrap().status(), 202);

    let (status, explained) = get(&rig, &format!("/admin/decisions/{id}")).await;
    assert_eq!((status, &explained["id"], &explained["alpha"]), (200, &json!(id), &json!(0.9)));
    assert_eq!(explained["replay"]["result"], "same", "{explained}");
    for (mine, theirs) in
        explained["candidates"].as_array().unwrap().iter().zip(last["slarouter"]["candidates"].as_array().unwrap())
    {
        for (name, other) in [
            ("model", "model"),
            ("probability", "probability"),
            ("satisfaction", "predicted_satisfaction"),
            ("cost_usd", "predicted_cost_usd"),
        ] {
            assert_eq!(mine[name], theirs[other], "{name}");
        }
        assert!(mine["satisfaction_error"].as_f64().unwrap() > 0.0);
    }
    assert_eq!((&explained["outcome"]["status"], &explained["outcome"]["attempts"]), (&json!(200), &json!(1)));
    assert_eq!(explained["outcome"]["cost_usd"], last["usage"]["cost"]);
    let word = &explained["feedback"][0];
    assert_eq!(
        (&word["rating"], &word["receipt"], &word["comment"]),
        (&json!(0.0), &json!("recorded"), &json!(comment))
    );

    let (_, first) = get(&rig, "/admin/decisions?limit=3").await;
    let ids = |page: &Value| -> Vec<Value> {
        page["data"].as_array().unwrap().iter().map(|line| line["id"].clone()).collect()
    };
    let (_, rest) = get(&rig, &format!("/admin/decisions?limit=3&before={}", first["next"])).await;
    let all: Vec<Value> = ids(&first).into_iter().chain(ids(&rest)).rev().collect();
    assert_eq!(all, answers.iter().map(|answer| answer["id"].clone()).collect::<Vec<_>>());
    assert_eq!((&first["data"][0]["rating"], &rest["next"]), (&json!(0.0), &Value::Null));
    let (_, none) = get(&rig, "/admin/decisions?route=other").await;
    assert_eq!(none["data"], json!([]));
    rig.stop().await;
}

/// A table of more lines than are read at a time: it has them all, in their order, and ends where it is told to.
#[tokio::test]
async fn a_long_list_is_one_table() {
    let folder = TempDir::new().unwrap();
    let store = slarouter_store::open(&url(&folder)).await.unwrap();
    for id in 1..=1_203 {
        let Entry::Decision(record) = records::decision(id, None) else { panic!("no decision") };
        let route = if id == 2 { "=1+1" } else { "r" };
        store.log(Entry::Decision(DecisionRecord { route: route.into(), ..record })).unwrap();
    }
    store.rate(records::rating(2, 1, Some(1.0), 5), 9).await.unwrap();
    store.close().await;
    let settings = Settings { server: "time_zone = \"Asia/Kathmandu\"", ..Settings::default() };
    let rig = Rig::resume(&settings, Upstream::start().await, folder).await;
    let table = async |query: &str| {
        let answer = rig.client.get(rig.url(&format!("/admin/decisions?format=csv{query}"))).send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "text/csv; charset=utf-8");
        answer.text().await.unwrap().lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let whole = table("").await;
    assert_eq!(
        whole[0],
        "id,seq,time,route,reason,chosen,model,predicted_satisfaction,predicted_cost_usd,status,cost_usd,latency_ms,rating,\
         trace_id"
    );
    let seqs = |lines: &[String]| -> Vec<u64> {
        lines[1..].iter().map(|line| line.split(',').nth(1).unwrap().parse().unwrap()).collect()
    };
    assert_eq!(seqs(&whole), (1..=1_203).rev().collect::<Vec<_>>());
    assert_eq!(
        whole[1_202],
        "chatcmpl-00000000-0000-0000-0000-000000000002,2,1970-01-01T05:30:00+05:30,'=1+1,exploit,m,m,0.5,0,,,,1,"
    );
    assert_eq!(seqs(&table("&limit=700").await), (504..=1_203).rev().collect::<Vec<_>>());
    assert_eq!(seqs(&table("&route=%3D1%2B1").await), [2]);
    assert_eq!(table("&model=none").await, whole[..1], "an empty table has its head");
    rig.stop().await;
}

#[tokio::test]
async fn unknown_ids_and_wrong_parameters_are_named() {
    let rig = Rig::start(&Settings::default()).await;
    for id in ["x", "chatcmpl-01890a5d-ac96-774b-bcce-b302099a8056", "%3Cscript%3E"] {
        let (status, refusal) = get(&rig, &format!("/admin/decisions/{id}")).await;
        assert_eq!((status, &refusal["error"]["code"]), (404, &json!("decision_not_found")), "{id}");
    }
    let (status, refusal) = get(&rig, "/admin/decisions?limit=0").await;
    assert_eq!((status, &refusal["error"]["param"]), (400, &json!("limit")));
    rig.stop().await;
}
