//! The edges of what is taken: heads, depth, connections.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::setup::{Rig, Settings, error, question};

/// Sends bytes and reads until the connection closes or `enough`.
async fn talk(stream: &mut TcpStream, sent: &str, enough: &str) -> String {
    stream.write_all(sent.as_bytes()).await.unwrap();
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        // A reset after the answer says only that not all was read.
        if text.contains(enough) || matches!(stream.read_buf(&mut read).await, Ok(0) | Err(_)) {
            return text;
        }
    }
}

#[tokio::test]
async fn a_head_over_the_limit_gets_an_error_of_its_protocol_and_one_far_over_it_a_bare_one() {
    let rig = Rig::start(&Settings { server: "max_header_bytes = 8192", ..Settings::default() }).await;
    let ask = |path: &str, bytes: usize| {
        rig.client.post(rig.url(path)).header("x-long", "x".repeat(bytes)).json(&question(false))
    };
    assert_eq!(ask("/v1/chat/completions", 7_500).send().await.unwrap().status(), 200);
    for path in ["/v1/chat/completions", "/v1/responses", "/v1/messages", "/v1/feedback", "/v1/none"] {
        let answer = ask(path, 9_000).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), &answer.headers()["x-should-retry"]), (431, &"false".parse().unwrap()));
        let body: Value = answer.json().await.unwrap();
        let message = body["error"]["message"].as_str().unwrap();
        assert!(message.contains("8192 bytes") && message.contains("max_header_bytes"), "{body}");
        if path == "/v1/messages" {
            assert_eq!((&body["type"], &body["error"]["type"]), (&json!("error"), &json!("invalid_request_error")));
        } else {
            assert_eq!(error(&body)["code"], "headers_too_large", "{path}");
        }
    }
    // What hyper itself sends, byte by byte.
    let many = "a: b\r\n".repeat(150);
    let long = format!("x-long: {}\r\n", "x".repeat(40_000));
    for head in [many, long] {
        let mut stream = TcpStream::connect(rig.gateway.addr()).await.unwrap();
        let answer = talk(&mut stream, &format!("GET /healthz HTTP/1.1\r\nhost: x\r\n{head}\r\n"), "\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n"), "{answer}");
        assert!(answer.contains("content-length: 0\r\n") && answer.contains("connection: close\r\n"), "{answer}");
    }
    // HTTP/2 does likewise.
    let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    for (bytes, code) in [(9_000, Some("headers_too_large")), (40_000, None)] {
        let request = client.post(rig.url("/v1/chat/completions")).header("x-long", "x".repeat(bytes));
        let answer = request.json(&question(false)).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (431, reqwest::Version::HTTP_2));
        let text = answer.text().await.unwrap();
        assert_eq!(text.is_empty(), code.is_none(), "{text}");
        assert!(text.contains(code.unwrap_or_default()), "{text}");
    }
    assert_eq!(rig.stop().await.outcomes.len(), 1);
}

#[tokio::test]
async fn json_that_is_nested_too_deep_is_refused_where_it_is() {
    let rig = Rig::start(&Settings::default()).await;
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    for (path, body) in [
        ("/v1/chat/completions", format!(r#"{{"model":"auto","messages":[{}]}}"#, deep(127))),
        ("/v1/responses", format!(r#"{{"model":"auto","input":[{}]}}"#, deep(127))),
        ("/v1/messages", format!(r#"{{"model":"auto","messages":[{}],"max_tokens":1}}"#, deep(100_000))),
        ("/v1/feedback", format!(r#"{{"id":{}}}"#, deep(10_000))),
    ] {
        let answer = rig.client.post(rig.url(path)).body(body).send().await.unwrap();
        assert_eq!(answer.status(), 400, "{path}");
        let body: Value = answer.json().await.unwrap();
        let message = body["error"]["message"].as_str().unwrap();
        assert!(message.contains("too deep") || message.contains("recursion limit"), "{path}: {message}");
        if path == "/v1/messages" {
            assert_eq!(body["type"], "error");
        } else {
            assert_eq!(error(&body)["code"], "invalid_json", "{path}");
        }
    }
    // What it does not read it does not refuse for its depth.
    let body = format!(r#"{{"messages":[{}]}}"#, deep(100_000));
    let answer = rig.client.post(rig.url("/v1/route")).body(body).send().await.unwrap();
    assert_eq!(answer.status(), 400);
    let body: Value = answer.json().await.unwrap();
    assert_eq!(error(&body)["code"], "invalid_messages");
    let fits = format!(r#"{{"model":"auto","messages":[{{"role":"user","content":"x"}}],"x":{}}}"#, deep(126));
    assert_eq!(rig.client.post(rig.url("/v1/chat/completions")).body(fits).send().await.unwrap().status(), 200);
    assert_eq!(rig.stop().await.outcomes.len(), 1);
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_place() {
    let rig = Rig::start(&Settings { server: "max_connections = 1", ..Settings::default() }).await;
    let ask = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut first = TcpStream::connect(rig.gateway.addr()).await.unwrap();
    assert!(talk(&mut first, ask, "\r\n\r\nok").await.ends_with("ok"));
    // The system takes it, the gateway does not.
    let mut second = TcpStream::connect(rig.gateway.addr()).await.unwrap();
    let second = tokio::spawn(async move { talk(&mut second, ask, "\r\n\r\nok").await });
    for _ in 0..20 {
        assert!(talk(&mut first, ask, "\r\n\r\nok").await.ends_with("ok"));
    }
    assert!(!second.is_finished());
    drop(first);
    assert!(second.await.unwrap().ends_with("ok"), "once there is a place, it is served");
    rig.stop().await;
}
