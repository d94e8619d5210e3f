//! `POST /admin/what-if`.

use serde_json::{Value, json};

use crate::setup::{Rig, Settings, question};

async fn ask(rig: &Rig, body: &Value) -> (u16, Value) {
    let reply = rig.client.post(rig.url("/admin/what-if")).json(body).send().await.unwrap();
    (reply.status().as_u16(), reply.json().await.unwrap())
}

#[tokio::test]
async fn a_log_says_what_another_choice_would_have_come_to() {
    let rig = Rig::start(&Settings { route: Some("policy = \"random\""), ..Settings::default() }).await;
    let (status, early) = ask(&rig, &json!({})).await;
    assert_eq!((status, &early["error"]["code"]), (400, &json!("invalid_parameter")), "{early}");
    for _ in 0..20 {
        let answer: Value = rig.post(&question(false)).send().await.unwrap().json().await.unwrap();
        let rating = json!({ "id": answer["id"], "rating": "up" });
        assert_eq!(rig.client.post(rig.url("/v1/feedback")).json(&rating).send().await.unwrap().status(), 202);
    }
    let (status, answer) = ask(&rig, &json!({})).await;
    assert_eq!((status, &answer["requests"], &answer["ran"]["labels"]), (200, &json!(20), &json!(20)), "{answer}");
    assert_eq!(answer["frontier"].as_array().unwrap().len(), 21);
    assert_eq!((&answer["ran"]["ips"], &answer["ran"]["verdict"]), (&json!(1.0), &json!("same")));
    // Twenty ratings are too few for anything but that.
    assert_eq!(answer["models"][0]["refusals"][0]["reason"], "wide");

    let (status, unknown) = ask(&rig, &json!({ "alhpa": 0.8 })).await;
    assert_eq!((status, &unknown["error"]["code"]), (400, &json!("unknown_field")));
    let (status, new) = ask(&rig, &json!({ "policy": "fixed:new" })).await;
    assert_eq!((status, &new["error"]["code"]), (422, &json!("not_in_the_log")), "{new}");
    let form = rig.client.post(rig.url("/admin/what-if")).body("{}").send().await.unwrap();
    assert_eq!(form.status(), 415);
    rig.stop().await;
}
