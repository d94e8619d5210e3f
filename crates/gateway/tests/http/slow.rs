//! Clients that take their time, or never come to an end.

use std::time::Duration;

use futures_util::stream;
use serde_json::Value;
use slarouter_testkit::until;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::setup::{Rig, Settings, error, question};

/// A guard against a hang, not a measure.
const PATIENCE: Duration = Duration::from_secs(60);

/// Reads until the gateway closes the connection; all that came.
async fn closed(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut read)).await.unwrap().unwrap();
    String::from_utf8(read).unwrap()
}

async fn connect(rig: &Rig) -> TcpStream {
    TcpStream::connect(rig.gateway.addr()).await.unwrap()
}

/// A body whose pieces come when they are sent.
fn pieces() -> (mpsc::Sender<&'static str>, reqwest::Body) {
    let (sender, receiver) = mpsc::channel(1);
    let body = stream::unfold(receiver, |mut receiver| async move {
        let piece: &str = receiver.recv().await?;
        Some((Ok::<_, std::io::Error>(piece), receiver))
    });
    (sender, reqwest::Body::wrap_stream(body))
}

fn http2() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap()
}

const HALVES: [&str; 2] = [r#"{"model":"auto","messages":[{"role":"user","#, r#""content":"one two"}]}"#];

#[tokio::test]
async fn half_a_head_holds_a_connection_no_longer_than_its_time() {
    let rig = Rig::start(&Settings { server: "header_timeout_s = 0.05", ..Settings::default() }).await;
    for head in ["POST /v1/chat/comple", "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-slow: 1\r\n"] {
        let mut stream = connect(&rig).await;
        stream.write_all(head.as_bytes()).await.unwrap();
        let answer = closed(&mut stream).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408 "), "{head:?}: {answer}");
    }
    assert!(rig.stop().await.events.iter().all(|event| matches!(event, slarouter_store::Event::Configured { .. })));
}

#[tokio::test]
async fn an_idle_connection_closes_after_its_time() {
    let rig = Rig::start(&Settings { server: "idle_timeout_s = 0.2", ..Settings::default() }).await;
    // If the machine is too slow to send a head within that time, once more.
    until("a connection is answered and then closed", async || {
        let mut stream = connect(&rig).await;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        closed(&mut stream).await.ends_with("\r\n\r\nok")
    })
    .await;
    rig.stop().await;
}

#[tokio::test]
async fn a_body_that_comes_slowly_is_waited_for_and_answered() {
    let rig = Rig::start(&Settings::default()).await;
    for client in [rig.client.clone(), http2()] {
        let (sender, body) = pieces();
        let url = rig.url("/v1/chat/completions");
        let asked = tokio::spawn(client.post(url).header("content-type", "application/json").body(body).send());
        sender.send(HALVES[0]).await.unwrap();
        // Others are answered meanwhile.
        for _ in 0..10 {
            assert_eq!(rig.ask(false).await.status(), 200);
        }
        assert!(!asked.is_finished());
        sender.send(HALVES[1]).await.unwrap();
        drop(sender);
        let answer = timeout(PATIENCE, asked).await.unwrap().unwrap().unwrap();
        assert_eq!(answer.status(), 200, "{:?}", answer.version());
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["choices"][0]["message"]["content"], "You said: one two");
    }
    assert_eq!(rig.stop().await.outcomes.len(), 22);
}

#[tokio::test]
async fn a_body_whose_client_goes_away_leaves_nothing_behind() {
    let rig =
        Rig::start(&Settings { server: "max_connections = 2\nmax_connections_per_address = 2", ..Settings::default() })
            .await;
    for version in ["HTTP/1.1", "HTTP/2"] {
        for _ in 0..4 {
            // Each takes a place, and gives it back.
            let (sender, body) = pieces();
            let client =
                if version == "HTTP/2" { http2() } else { reqwest::Client::builder().no_proxy().build().unwrap() };
            let asked = tokio::spawn(client.post(rig.url("/v1/chat/completions")).body(body).send());
            sender.send(HALVES[0]).await.unwrap();
            // The connection has taken the first half when there is room for the other.
            drop(timeout(PATIENCE, sender.reserve()).await.unwrap().unwrap());
            drop(client);
            asked.abort();
            drop(sender);
        }
        let answer = timeout(PATIENCE, rig.ask(false)).await.unwrap();
        assert_eq!(answer.status(), 200, "after {version}");
    }
    assert_eq!(rig.stop().await.outcomes.len(), 2);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_in_http2_too() {
    let rig = Rig::start(&Settings { server: "max_body_bytes = 1000", ..Settings::default() }).await;
    let client = http2();
    let ask = async |bytes: usize| {
        let mut body = question(false);
        body["messages"][0]["content"] = "x".repeat(bytes).into();
        client.post(rig.url("/v1/chat/completions")).json(&body).send().await.unwrap()
    };
    let answer = ask(2_000).await;
    assert_eq!((answer.status().as_u16(), answer.version()), (413, reqwest::Version::HTTP_2));
    let body: Value = answer.json().await.unwrap();
    assert_eq!(error(&body)["code"], "request_too_large");
    assert_eq!(ask(100).await.status(), 200, "the connection goes on");
    assert_eq!(rig.stop().await.outcomes.len(), 1);
}
