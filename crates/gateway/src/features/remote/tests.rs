use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Json;
use axum::http::HeaderMap;
use axum::routing::post;
use serde_json::{Value, json};

use super::*;

const KEY: &str = "a-key-of-the-service";

/// What the service does; the number of calls it had.
#[derive(Clone, Copy)]
enum Behaviour {
    Good,
    Refuses,
    /// Texts over 100 bytes, as a model with a short window.
    RefusesLong,
    Hangs,
    Nonsense,
}

async fn service(behaviour: Behaviour) -> (RemoteEncoder, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let answer = move |headers: HeaderMap, Json(ask): Json<Value>| async move {
        count.fetch_add(1, Ordering::SeqCst);
        assert_eq!(headers["authorization"], format!("Bearer {KEY}"));
        assert_eq!(ask["model"], "small-embedding");
        match behaviour {
            Behaviour::RefusesLong if ask["input"][0].as_str().unwrap().len() > 100 => {
                (StatusCode::BAD_REQUEST, Json(json!({ "error": { "message": "too long" } })))
            }
            Behaviour::Good | Behaviour::RefusesLong => {
                // By the text's length, and in the wrong order.
                let texts = ask["input"].as_array().unwrap();
                let vector = |text: &Value| {
                    let length = text.as_str().unwrap().len() as f32;
                    (0..100).map(|i| (length + i as f32).sin()).collect::<Vec<f32>>()
                };
                let data: Vec<Value> = texts
                    .iter()
                    .enumerate()
                    .rev()
                    .map(|(index, text)| json!({ "object": "embedding", "index": index, "embedding": vector(text) }))
                    .collect();
                (StatusCode::OK, Json(json!({ "object": "list", "data": data })))
            }
            Behaviour::Refuses => (StatusCode::UNAUTHORIZED, Json(json!({ "error": {} }))),
            Behaviour::Hangs => std::future::pending().await,
            Behaviour::Nonsense => {
                let data = json!([{ "index": 0, "embedding": [1.0] }, { "index": 0, "embedding": [2.0] }]);
                (StatusCode::OK, Json(json!({ "data": data })))
            }
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = axum::Router::new().route("/v1/embeddings", post(answer));
    tokio::spawn(async move { axum::serve(listener, app).await });
    let config = EmbeddingConfig {
        base_url: format!("http://{address}/v1/"),
        model: "small-embedding".to_owned(),
        api_key: Some(KEY.into()),
        dim: 100,
        width: 8,
        max_text_bytes: 1_000,
        timeout: Duration::from_millis(match behaviour {
            Behaviour::Hangs => 50,
            _ => 30_000,
        }),
    };
    (RemoteEncoder::new(reqwest::Client::new(), config), calls)
}

fn conversation(prompt: &str) -> Conversation {
    Conversation::from_prompt(prompt)
}

#[tokio::test]
async fn vectors_are_projected_and_the_context_counts() {
    let (encoder, calls) = service(Behaviour::Good).await;
    assert_eq!(encoder.dim(), 40);
    let plain = encoder.encode(&conversation("Hello")).await.unwrap();
    assert_eq!(plain.len(), 40);
    let length: f32 = plain[..8].iter().map(|x| x * x).sum();
    assert!((length - 1.0).abs() < 1e-5, "{length}");
    let expected: Vec<f32> = (0..100).map(|i| (5.0 + i as f32).sin()).collect();
    assert_eq!(plain[..8], Projection::to(Some(8)).apply(&expected));

    let messages = r#"[{"role":"system","content":"You teach algebra."},{"role":"user","content":"Good day"}]"#;
    let with = encoder.encode(&Conversation::from_messages(messages, None).unwrap()).await.unwrap();
    let without = encoder.encode(&conversation("Good day")).await.unwrap();
    assert_ne!(without[..8], with[..8]);
    assert_eq!(calls.load(Ordering::SeqCst), 2, "both texts in one call, and what was asked is remembered");

    let empty = encoder.encode(&conversation(" ")).await.unwrap();
    assert_eq!(empty[..8], [0.0; 8]);
    assert_eq!(calls.load(Ordering::SeqCst), 2, "nothing to ask");
}

#[tokio::test]
async fn a_service_that_fails_is_left_alone_after_a_while() {
    let (encoder, calls) = service(Behaviour::Refuses).await;
    for _ in 0..MOST_FAILURES {
        let failure = encoder.encode(&conversation("What is 17 * 23?")).await.unwrap_err();
        assert_eq!(failure, EmbeddingError::Status(StatusCode::UNAUTHORIZED));
    }
    assert_eq!(encoder.encode(&conversation("Hi")).await, Err(EmbeddingError::Resting));
    assert_eq!(calls.load(Ordering::SeqCst), MOST_FAILURES as usize);
    // The rest is over.
    encoder.health.lock().unwrap().rest_until = Some(Instant::now());
    assert_ne!(encoder.encode(&conversation("Hi")).await, Err(EmbeddingError::Resting));
    assert_eq!(encoder.encode(&conversation("Hi")).await, Err(EmbeddingError::Resting));
}

#[tokio::test]
async fn slow_wrong_and_absent_services() {
    let (slow, _) = service(Behaviour::Hangs).await;
    let failure = slow.encode(&conversation("Hi")).await.unwrap_err();
    assert_eq!(failure, EmbeddingError::Timeout(Duration::from_millis(50)));
    let (wrong, _) = service(Behaviour::Nonsense).await;
    let failure = wrong.encode(&conversation("Hi")).await.unwrap_err();
    assert!(matches!(failure, EmbeddingError::Malformed(_)), "{failure}");
    let config = EmbeddingConfig { base_url: "http://127.0.0.1:1/v1".to_owned(), ..wrong.config.clone() };
    let absent = RemoteEncoder::new(reqwest::Client::new(), config);
    let failure = absent.encode(&conversation("Hi")).await.unwrap_err();
    assert!(matches!(failure, EmbeddingError::Unreachable(_)) && failure.to_string().contains("base_url"), "{failure}");
    let (mut long, _) = service(Behaviour::Good).await;
    long.config.dim = 99;
    let failure = long.encode(&conversation("Hi")).await.unwrap_err();
    assert_eq!(failure, EmbeddingError::Dimension { expected: 99, got: 100 });
}

#[tokio::test]
async fn versions_follow_model_length_and_width() {
    let (one, _) = service(Behaviour::Good).await;
    let version = |model: &str, dim, width| {
        let config = EmbeddingConfig { model: model.to_owned(), dim, width, ..one.config.clone() };
        RemoteEncoder::new(reqwest::Client::new(), config).version()
    };
    assert_eq!(version("a", 9, 8), version("a", 9, 8));
    for other in [version("b", 9, 8), version("a", 8, 8), version("a", 9, 9)] {
        assert_ne!(version("a", 9, 8), other);
    }
}

#[tokio::test]
async fn who_asks_for_too_much_takes_the_service_from_nobody_else() {
    let (encoder, calls) = service(Behaviour::RefusesLong).await;
    for turn in 0..3 * MOST_FAILURES {
        let failure = encoder.encode(&conversation(&"long ".repeat(30 + turn as usize))).await.unwrap_err();
        assert_eq!(failure, EmbeddingError::Status(StatusCode::BAD_REQUEST));
    }
    assert!(encoder.encode(&conversation("Hi")).await.is_ok());
    assert_eq!(calls.load(Ordering::SeqCst), 3 * MOST_FAILURES as usize + 1);
}

#[tokio::test]
async fn a_text_is_cut_to_what_the_service_takes() {
    let (mut encoder, calls) = service(Behaviour::RefusesLong).await;
    encoder.config.max_text_bytes = 100;
    let (long, longer) = ("ä".repeat(51), "ä".repeat(5_000));
    let features =
        [encoder.encode(&conversation(&long)).await.unwrap(), encoder.encode(&conversation(&longer)).await.unwrap()];
    assert_eq!(features[0][..8], features[1][..8], "both begin alike");
    assert_eq!(calls.load(Ordering::SeqCst), 1, "and are one text to it");
}
