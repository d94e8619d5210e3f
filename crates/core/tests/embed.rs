//! The example of docs/embed.md: it answers over HTTP, and learns from ratings.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

#[path = "../examples/embed.rs"]
#[expect(dead_code, reason = "its `main` is not called here")]
mod embed;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use serde_json::{Value, json};
use tower::ServiceExt;

/// Status and JSON of one exchange; null where the body is empty.
async fn post(service: &Router, path: &str, body: Value) -> (StatusCode, Value) {
    let request =
        Request::post(path).header(header::CONTENT_TYPE, "application/json").body(Body::from(body.to_string()));
    let answer = service.clone().oneshot(request.unwrap()).await.unwrap();
    let (status, body) = (answer.status(), to_bytes(answer.into_body(), 65_536).await.unwrap());
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

/// Asks 500 questions and rates each answer; of every hundred answers of the small model so many satisfy, and 98 of the large one.
/// How often the small one was chosen for the last hundred.
async fn small_of_the_last(satisfied: usize) -> usize {
    let (service, mut last) = (embed::service().unwrap(), 0);
    for number in 0..500 {
        let (status, told) = post(&service, "/choose", json!(format!("What is {number} and {number}?"))).await;
        assert_eq!(status, StatusCode::OK);
        let small = told["model"] == "small";
        assert!(small || told["model"] == "large", "{told}");
        assert!(told["propensity"].as_f64().is_some_and(|p| p > 0.0 && p <= 1.0), "{told}");
        last += usize::from(small && number >= 400);
        let rating = number * 37 % 100 < if small { satisfied } else { 98 };
        let rated = post(&service, "/rate", json!([told["id"], f64::from(u8::from(rating))])).await;
        assert_eq!(rated.0, StatusCode::OK);
    }
    last
}

/// α is 0.8: what satisfies 95 of a hundred may answer all, and of what satisfies 20 few can be borne.
#[tokio::test]
async fn the_mix_learns_how_good_the_small_model_is() {
    let (good, bad) = (small_of_the_last(95).await, small_of_the_last(20).await);
    assert!(good > 80 && bad < 50, "{good} and {bad} of the last hundred");
}

#[tokio::test]
async fn what_it_cannot_take_is_refused() {
    let service = embed::service().unwrap();
    assert_eq!(post(&service, "/rate", json!([0, 1.0])).await.0, StatusCode::NOT_FOUND);
    post(&service, "/choose", json!("What?")).await;
    assert_eq!(post(&service, "/rate", json!([0, 1.5])).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(post(&service, "/rate", json!([0, 1.0])).await.0, StatusCode::OK);
}

/// As its page says.
#[test]
fn it_has_less_than_sixty_lines() {
    assert!(include_str!("../examples/embed.rs").lines().count() < 60);
}
