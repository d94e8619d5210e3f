//! Bodies that come late, break off, or are too many at once.

use std::sync::Arc;

use serde_json::{Value, json};
use slarouter_testkit::Script;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::setup::{Rig, Settings, chunk, error};

#[tokio::test]
async fn a_body_that_does_not_come_gets_a_408_of_its_protocol() {
    let rig = Rig::start(&Settings { server: "body_timeout_s = 0.2", ..Settings::default() }).await;
    for (path, word) in [
        ("/v1/chat/completions", "body_timeout"),
        ("/v1/messages", "\"type\":\"error\""),
        ("/v1/feedback", "body_timeout"),
    ] {
        for framing in ["content-length: 100", "transfer-encoding: chunked"] {
            let mut stream = TcpStream::connect(rig.gateway.addr()).await.unwrap();
            let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\n{framing}\r\n\r\n1\r\n{{");
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut read = Vec::new();
            // Closed afterwards, as the rest of the body may yet come.
            let _ = stream.read_to_end(&mut read).await;
            let text = String::from_utf8_lossy(&read);
            assert!(
                text.starts_with("HTTP/1.1 408 ") && text.replace(": ", ":").contains(word),
                "{path} {framing}: {text}"
            );
        }
    }
    assert!(rig.stop().await.outcomes.is_empty());
}

#[tokio::test]
async fn a_body_in_broken_chunks_gets_an_error_of_its_protocol() {
    let rig = Rig::start(&Settings::default()).await;
    for (path, word) in [
        ("/v1/chat/completions", "\"code\":\"body_broken\""),
        ("/v1/responses", "\"code\":\"body_broken\""),
        ("/v1/messages", "\"type\":\"error\""),
        ("/v1/feedback", "\"code\":\"body_broken\""),
    ] {
        // No size, more than the size says, and a size that no number holds.
        for chunks in ["xyz\r\n", "2\r\n{\"model\":\r\n0\r\n\r\n", "fffffffffffffffff\r\n{"] {
            let mut stream = TcpStream::connect(rig.gateway.addr()).await.unwrap();
            let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n");
            stream.write_all((head + chunks).as_bytes()).await.unwrap();
            let mut read = Vec::new();
            let _ = stream.read_to_end(&mut read).await;
            let text = String::from_utf8_lossy(&read).replace(": ", ":");
            assert!(text.starts_with("HTTP/1.1 400 ") && text.contains(word), "{path} {chunks:?}: {text}");
        }
    }
    assert!(rig.stop().await.outcomes.is_empty());
}

/// A question of some 900 KiB.
fn long(model: &str, stream: bool) -> Value {
    json!({ "model": model, "stream": stream, "messages": [{ "role": "user", "content": "word ".repeat(180 << 10) }] })
}

#[tokio::test]
async fn large_bodies_beyond_the_room_are_told_to_come_later() {
    let settings =
        Settings { server: "max_body_bytes = 1048576\nmax_body_bytes_at_once = 1048576", ..Settings::default() };
    let rig = Rig::start(&settings).await;
    // The first waits for the head of its answer.
    let gate = Arc::new(Semaphore::new(0));
    let script = Script::event_stream().gate(&gate).chunk(chunk("one", None)).chunk(chunk("", Some("stop")));
    rig.upstream.script(script.chunk("data: [DONE]\n\n".to_owned()).end());
    let first = tokio::spawn(rig.post(&long("small", true)).send());
    rig.upstream.arrived(1).await;
    let refused = rig.post(&long("small", false)).send().await.unwrap();
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (503, &"1".parse().unwrap()));
    assert_eq!(refused.headers()["x-should-retry"], "true");
    let body: Value = refused.json().await.unwrap();
    assert_eq!(error(&body)["code"], "busy");
    assert_eq!(rig.ask(false).await.status(), 200, "short ones go through");
    gate.add_permits(1);
    let first = first.await.unwrap().unwrap();
    assert_eq!(first.status(), 200);
    first.bytes().await.unwrap();
    assert_eq!(rig.post(&long("small", false)).send().await.unwrap().status(), 200, "there is room again");
    let over = json!({ "model": "small", "messages": [{ "role": "user", "content": "x".repeat(1 << 20) }] });
    assert_eq!(rig.post(&over).send().await.unwrap().status(), 413);
    rig.stop().await;
}
