//! Feedback as other products send it.

use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::setup::{Rig, Settings, question};

const KEYS: &str = "[[keys]]\nname = \"a\"\nkey = \"sixteen-letters-a\"\nscopes = [\"inference\"]\n\
    [[keys]]\nname = \"b\"\nkey = \"sixteen-letters-b\"\nscopes = [\"feedback\"]\nlimits = { requests_per_minute = 5 }\n";

/// Asks with an id of the application's own, and gives the gateway's id of the answer.
async fn ask(rig: &Rig, trace: &str) -> String {
    let asked = rig.post(&question(false)).bearer_auth("sixteen-letters-a").header("x-slarouter-trace-id", trace);
    let answer = asked.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.headers()["x-request-id"].to_str().unwrap().to_owned()
}

async fn send(rig: &Rig, path: &str, body: &Value) -> (u16, Value) {
    let put = rig.client.put(rig.url(path)).bearer_auth("sixteen-letters-b").json(body).send().await.unwrap();
    (put.status().as_u16(), put.json().await.unwrap())
}

#[tokio::test]
async fn a_thumb_of_a_chat_program_finds_its_answer() {
    let rig = Rig::start(&Settings { server: KEYS, ..Settings::default() }).await;
    let first = ask(&rig, "m-1").await;
    let thumb = json!({ "feedback": { "rating": "thumbsUp", "tag": "accurate_reliable" } });
    let path = "/v1/feedback/librechat/api/messages/c-1/m-1/feedback";
    assert_eq!(send(&rig, path, &thumb).await, (202, json!({ "id": first, "status": "recorded" })));
    assert_eq!(send(&rig, path, &json!({ "feedback": null })).await.1["status"], "withdrawn");
    let (status, refusal) = send(&rig, "/v1/feedback/chainlit", &json!({ "forId": "m-2", "value": 1 })).await;
    assert_eq!((status, &refusal["error"]["code"]), (404, &json!("decision_not_found")), "{refusal}");
    let (status, refusal) = send(&rig, "/v1/feedback/dify", &json!({})).await;
    assert_eq!((status, &refusal["error"]["code"]), (404, &json!("unknown_product")), "{refusal}");
    rig.stop().await;
}

#[tokio::test]
async fn a_list_is_taken_word_by_word_and_each_word_counts_as_a_request() {
    let rig = Rig::start(&Settings { server: KEYS, ..Settings::default() }).await;
    ask(&rig, "4bf9").await;
    let score = |trace: &str, name: &str| json!({ "traceId": trace, "name": name, "value": 1, "dataType": "NUMERIC" });
    let scores = json!([score("4bf9", "user-feedback"), score("4bf9", "toxicity"), score("4bfa", "user-feedback")]);
    let langfuse = async |path: &str, body: &Value| {
        let sent = rig.client.post(rig.url(&format!("/v1/feedback/langfuse/{path}"))).json(body);
        let basic = format!("Basic {}", BASE64.encode(b"public:sixteen-letters-b"));
        let answer = sent.header("authorization", basic).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let (status, said) = langfuse("api/public/scores", &scores).await;
    assert_eq!(
        (status, &said["accepted"], &said["ignored"], &said["rejected"]),
        (207, &json!(1), &json!(1), &json!(1))
    );
    assert_eq!((&said["errors"][0]["id"], &said["errors"][0]["status"]), (&json!(2), &json!(404)));
    let event = json!({ "id": "e-1", "type": "score-create", "body": score("4bf9", "user-feedback") });
    let (status, said) = langfuse("api/public/ingestion", &json!({ "batch": [event] })).await;
    assert_eq!((status, said), (207, json!({ "successes": [{ "id": "e-1", "status": 201 }], "errors": [] })));
    // Four words were counted, and the second of these is over the limit: all are to be sent again.
    let (status, refusal) = langfuse("api/public/scores", &scores).await;
    assert_eq!((status, &refusal["error"]["code"]), (429, &json!("rate_limit_exceeded")), "{refusal}");
    let left = rig.stop().await;
    let ratings = left.events.iter().filter(|event| matches!(event, slarouter_store::Event::Rated { .. })).count();
    assert_eq!(ratings, 1, "the same word again is nothing new");
}

#[tokio::test]
async fn which_scores_mean_satisfaction_is_configured() {
    let rig = Rig::start(&Settings { feedback: "score_names = [\"stars\"]", ..Settings::default() }).await;
    let asked = rig.post(&question(false)).header("x-slarouter-trace-id", "r-1").send().await.unwrap();
    assert_eq!(asked.status(), 200);
    for (key, status) in [("user-feedback", "ignored"), ("stars", "recorded")] {
        let body = json!({ "run_id": "r-1", "key": key, "score": 0.75 });
        let sent = rig.client.post(rig.url("/v1/feedback/langsmith/feedback")).json(&body).send().await.unwrap();
        assert_eq!(
            (sent.status().as_u16(), &sent.json::<Value>().await.unwrap()["status"]),
            (202, &json!(status)),
            "{key}"
        );
    }
    rig.stop().await;
}
