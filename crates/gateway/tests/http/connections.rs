//! No client holds a place for ever.

use std::net::SocketAddr;

use serde_json::{Value, json};
use slarouter_testkit::Script;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::setup::{Rig, Settings, chunk, question};

const ASK: &str = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
/// HTTP/2's opening, with settings that ask for nothing.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// Sends bytes and reads until the end, or until `enough` has come.
async fn talk(stream: &mut TcpStream, sent: &[u8], enough: &str) -> String {
    // Who has been closed already cannot send; what there is to read says so.
    let _ = stream.write_all(sent).await;
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if (!enough.is_empty() && text.contains(enough)) || matches!(stream.read_buf(&mut read).await, Ok(0) | Err(_)) {
            return text;
        }
    }
}

async fn connect(rig: &Rig) -> TcpStream {
    TcpStream::connect(rig.gateway.addr()).await.unwrap()
}

#[tokio::test]
async fn who_says_nothing_or_half_of_it_loses_the_place() {
    let rig =
        Rig::start(&Settings { server: "max_connections = 1\nheader_timeout_s = 0.2", ..Settings::default() }).await;
    for silent in
        [&b""[..], b"P", b"PRI", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", PREFACE, b"GET /healthz HTTP/1.1\r\nhost:"]
    {
        let mut holder = connect(&rig).await;
        holder.write_all(silent).await.unwrap();
        // There is one place: an honest client waits for it, and gets it.
        let mut honest = connect(&rig).await;
        assert!(talk(&mut honest, ASK.as_bytes(), "\r\n\r\nok").await.ends_with("ok"), "{silent:?}");
        drop(honest);
        talk(&mut holder, b"", "").await;
    }
    // A second head that is not ended holds it no better.
    let mut holder = connect(&rig).await;
    assert!(talk(&mut holder, ASK.as_bytes(), "\r\n\r\nok").await.ends_with("ok"));
    talk(&mut holder, b"GET /healthz HTTP/1.1\r\n", "").await;
    rig.stop().await;
}

#[tokio::test]
async fn idle_connections_end_and_busy_ones_do_not() {
    let rig = Rig::start(&Settings { server: "idle_timeout_s = 0.3", ..Settings::default() }).await;
    // Busy: it waits for the upstream for longer than an idle one lives.
    let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let script = Script::event_stream().chunk(chunk("one", None)).gate(&gate).chunk(chunk("", Some("stop")));
    rig.upstream.script(script.chunk("data: [DONE]\n\n".to_owned()).end());
    let mut busy = rig.post(&question(true)).send().await.unwrap();
    assert!(busy.chunk().await.unwrap().is_some());
    // Idle in HTTP/1: it ends by itself, after an answer.
    let mut idle = connect(&rig).await;
    let text = talk(&mut idle, ASK.as_bytes(), "").await;
    assert!(text.ends_with("\r\n\r\nok"), "{text}");
    // Idle in HTTP/2: the settings of both sides, then the farewell.
    let mut idle = connect(&rig).await;
    let text = talk(&mut idle, PREFACE, "").await;
    assert!(!text.is_empty());
    gate.add_permits(1);
    let mut rest = String::new();
    while let Some(chunk) = busy.chunk().await.unwrap() {
        rest.push_str(&String::from_utf8_lossy(&chunk));
    }
    assert!(rest.contains("[DONE]"), "{rest}");
    rig.stop().await;
}

#[tokio::test]
async fn who_does_not_read_the_answer_is_cut_off() {
    let settings = Settings { server: "idle_timeout_s = 0.3", ..Settings::default() };
    let rig = Rig::start(&settings).await;
    // More than the buffers of both sides hold.
    let script = (0..512).fold(Script::event_stream(), |script, _| script.chunk(chunk(&"x".repeat(64 << 10), None)));
    rig.upstream.script(script.chunk(chunk("", Some("stop"))).end());
    let body = question(true).to_string();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut deaf = connect(&rig).await;
    deaf.write_all(head.as_bytes()).await.unwrap();
    // The call to the upstream ends with the connection.
    rig.upstream.hung_up(1).await;
    let left = rig.stop().await;
    assert_eq!(left.outcomes.iter().map(|outcome| outcome.status).collect::<Vec<_>>(), [499]);
}

#[tokio::test]
async fn a_stream_that_nobody_reads_ends_while_others_keep_its_connection_busy() {
    let settings = Settings {
        server: "idle_timeout_s = 0.3\nmax_connections = 1\nmax_connections_per_address = 1",
        ..Settings::default()
    };
    let rig = Rig::start(&settings).await;
    let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().http2_initial_stream_window_size(1_000);
    let client = client.build().unwrap();
    let ask = async |stream| client.post(rig.url("/v1/chat/completions")).json(&question(stream)).send().await.unwrap();
    let long = "x".repeat(200 << 10);
    let message = json!({ "role": "assistant", "content": long });
    let plain = Script::json(200, &json!({ "choices": [{ "index": 0, "message": message, "finish_reason": "stop" }] }));
    rig.upstream.script(plain.clone());
    let whole = ask(false).await;
    // More than the buffers on the way hold.
    let script = (0..160).fold(Script::event_stream(), |script, _| script.chunk(chunk(&long, None)));
    rig.upstream.script(script.chunk(chunk("", Some("stop"))).end());
    let streamed = ask(true).await;

    let healthy = async || client.get(rig.url("/healthz")).send().await.unwrap().text().await.unwrap() == "ok";
    let busy = async { while healthy().await {} };
    tokio::select! {
        () = rig.upstream.hung_up(1) => {}
        () = busy => panic!("the connection has ended"),
    }
    for unread in [whole, streamed] {
        assert!(unread.bytes().await.is_err(), "it has been reset");
    }
    assert!(healthy().await);
    // Who reads gets all of it, the last byte of each piece included.
    rig.upstream.script(plain);
    let answer: Value = ask(false).await.json().await.unwrap();
    assert_eq!(answer["choices"][0]["message"]["content"], long);
    let mut statuses: Vec<_> = rig.stop().await.outcomes.iter().map(|outcome| outcome.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 499]);
}

#[tokio::test]
async fn one_address_has_no_more_than_its_share_of_the_places() {
    let rig = Rig::start(&Settings { server: "max_connections_per_address = 2", ..Settings::default() }).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = connect(&rig).await;
        assert!(talk(&mut stream, ASK.as_bytes(), "\r\n\r\nok").await.ends_with("ok"));
        held.push(stream);
    }
    let mut third = connect(&rig).await;
    assert_eq!(talk(&mut third, ASK.as_bytes(), "").await, "", "it is closed at once");
    let from = |address: SocketAddr| async move {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(address).unwrap();
        socket
    };
    let socket = from("127.0.0.2:0".parse().unwrap()).await;
    let mut other = socket.connect(rig.gateway.addr()).await.unwrap();
    assert!(talk(&mut other, ASK.as_bytes(), "\r\n\r\nok").await.ends_with("ok"), "others have theirs");
    held.pop();
    // As soon as the gateway has seen that it is gone.
    while !talk(&mut connect(&rig).await, ASK.as_bytes(), "\r\n\r\nok").await.ends_with("ok") {}
    rig.stop().await;
}
