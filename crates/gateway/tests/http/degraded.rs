//! Trouble of the log fails no request.

use serde_json::json;
use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use crate::setup::{Rig, Settings, url};

#[tokio::test]
async fn while_the_database_is_locked_requests_are_answered_and_say_so() {
    let rig = Rig::start(&Settings::default()).await;
    let options: SqliteConnectOptions = url(rig.folder()).parse().unwrap();
    let mut other = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();

    let answer = rig.ask(false).await;
    assert_eq!(answer.status(), 200);
    let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    let rate = || {
        let rating = json!({ "id": id, "rating": "up" });
        rig.client.post(rig.url("/v1/feedback")).json(&rating).send()
    };
    // A rating is acknowledged only when it is on disk; by its refusal the log has failed.
    let refused = rate().await.unwrap();
    assert_eq!((refused.status().as_u16(), refused.headers().contains_key("retry-after")), (503, true));
    for stream in [false, true] {
        let answer = rig.ask(stream).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["x-slarouter-degraded"], "store");
        answer.bytes().await.unwrap();
    }
    assert!(rig.metrics().await.contains("slarouter_degraded_total{reason=\"store\"} 2"));

    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    other.close().await.unwrap();
    assert_eq!(rate().await.unwrap().status(), 202, "what was logged meanwhile is there");
    assert!(!rig.ask(false).await.headers().contains_key("x-slarouter-degraded"));
    assert_eq!(rig.stop().await.outcomes.len(), 4, "nothing was lost");
}
