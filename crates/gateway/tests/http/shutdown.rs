//! Going down with work at hand.

use std::net::SocketAddr;
use std::sync::Arc;

use slarouter_testkit::{Script, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::setup::{Rig, Settings, chunk, question, read};

const ASK: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";

/// Until nobody listens there any more; what was accepted last is closed at once.
async fn refused(addr: SocketAddr) {
    until(&format!("nobody listens at {addr}"), async || TcpStream::connect(addr).await.is_err()).await;
}

#[tokio::test]
async fn an_open_stream_finishes_while_new_clients_are_refused() {
    let rig = Rig::start(&Settings { server: "admin_listen = \"127.0.0.1:0\"", ..Settings::default() }).await;
    let gate = Arc::new(Semaphore::new(0));
    let stream = Script::event_stream().chunk(chunk("one", None)).gate(&gate);
    rig.upstream.script(stream.chunk(chunk(" two", Some("stop"))).chunk("data: [DONE]\n\n").end());
    let client = rig.client.clone();
    let mut answer = rig.ask(true).await;
    let first = answer.chunk().await.unwrap().unwrap();
    let admin = rig.gateway.admin_addr().unwrap();
    let ready = async |client: &reqwest::Client| {
        client.get(format!("http://{admin}/readyz")).send().await.unwrap().status().as_u16()
    };
    assert_eq!(ready(&client).await, 200);

    let (_upstream, gateway, folder) = rig.into_parts();
    let addr = gateway.addr();
    let stopping = tokio::spawn(gateway.shutdown());
    refused(addr).await;
    assert_eq!(ready(&client).await, 503, "the operator still sees it draining");
    assert!(!stopping.is_finished());

    gate.add_permits(1);
    let mut text = String::from_utf8(first.to_vec()).unwrap();
    while let Some(bytes) = answer.chunk().await.unwrap() {
        text.push_str(std::str::from_utf8(&bytes).unwrap());
    }
    assert!(text.contains("\"content\":\" two\"") && text.ends_with("data: [DONE]\n\n"), "{text}");
    stopping.await.unwrap();
    refused(admin).await;
    let left = read(&folder).await;
    let [outcome] = &left.outcomes[..] else { panic!("{:?}", left.outcomes) };
    assert_eq!((outcome.status, outcome.ok), (200, true));
}

/// The delay never ends in this test: what happens in it does.
#[tokio::test]
async fn load_balancers_see_it_go_before_it_refuses_anybody() {
    let rig = Rig::start(&Settings { server: "shutdown_delay_s = 100000", ..Settings::default() }).await;
    let (client, ready) = (rig.client.clone(), rig.url("/readyz"));
    let (alive, chat) = (rig.url("/healthz"), rig.url("/v1/chat/completions"));
    let status = async |url: &str| client.get(url).send().await.unwrap().status().as_u16();
    assert_eq!(status(&ready).await, 200);
    let (_upstream, gateway, _folder) = rig.into_parts();
    let stopping = tokio::spawn(gateway.shutdown());
    until("/readyz answers 503", async || status(&ready).await == 503).await;
    assert_eq!(status(&alive).await, 200, "nobody should kill what only drains");
    let fresh = reqwest::Client::builder().no_proxy().build().unwrap();
    assert_eq!(fresh.post(&chat).json(&question(false)).send().await.unwrap().status(), 200);
    assert!(!stopping.is_finished());
    stopping.abort();
}

#[tokio::test]
async fn after_the_delay_it_refuses_new_clients_and_ends() {
    let rig = Rig::start(&Settings { server: "shutdown_delay_s = 0.05", ..Settings::default() }).await;
    let (_upstream, gateway, folder) = rig.into_parts();
    let addr = gateway.addr();
    let stopping = tokio::spawn(gateway.shutdown());
    refused(addr).await;
    stopping.await.unwrap();
    assert!(read(&folder).await.outcomes.is_empty());
}

#[tokio::test]
async fn what_outlives_the_grace_period_is_cut_off_and_logged() {
    let rig = Rig::start(&Settings { server: "shutdown_grace_s = 0.1", ..Settings::default() }).await;
    rig.upstream.script(Script::event_stream().chunk(chunk("one", None)).stall());
    let mut answer = rig.ask(true).await;
    assert!(answer.chunk().await.unwrap().is_some());
    let left = rig.stop().await;
    let [outcome] = &left.outcomes[..] else { panic!("{:?}", left.outcomes) };
    assert_eq!((outcome.status, outcome.ok), (499, false));
    // To the client it looks broken, not finished.
    answer.chunk().await.unwrap_err();
}

/// Asks on this connection; all that comes until its end.
async fn last_answer(mut stream: TcpStream) -> String {
    stream.write_all(ASK).await.unwrap();
    let mut read = Vec::new();
    stream.read_to_end(&mut read).await.unwrap();
    String::from_utf8(read).unwrap()
}

/// No request is lost by having been sent while the gateway was closing its connection: who has one, used or not, may ask once more.
#[tokio::test]
async fn whoever_has_a_connection_gets_one_more_answer() {
    let rig = Rig::start(&Settings::default()).await;
    let addr = rig.gateway.addr();
    let mut used = TcpStream::connect(addr).await.unwrap();
    used.write_all(ASK).await.unwrap();
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\nok") {
        assert!(used.read_buf(&mut read).await.unwrap() > 0, "it stays open");
    }
    let unused = TcpStream::connect(addr).await.unwrap();
    let mut half = TcpStream::connect(addr).await.unwrap();
    half.write_all(&ASK[..10]).await.unwrap();
    // By the time of this answer the gateway has read what came before.
    assert_eq!(rig.client.get(rig.url("/healthz")).send().await.unwrap().status(), 200);
    let (_upstream, gateway, _folder) = rig.into_parts();
    let stopping = tokio::spawn(gateway.shutdown());
    refused(addr).await;
    half.write_all(&ASK[10..]).await.unwrap();
    let mut rest = String::new();
    half.read_to_string(&mut rest).await.unwrap();
    for answer in [rest, last_answer(used).await, last_answer(unused).await] {
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("connection: close\r\n"), "{answer}");
    }
    stopping.await.unwrap();
}

/// A connection that nobody has accepted yet is none that was refused.
#[tokio::test]
async fn who_waits_in_the_queue_is_answered() {
    let rig = Rig::start(&Settings::default()).await;
    let addr = rig.gateway.addr();
    let (_upstream, gateway, _folder) = rig.into_parts();
    let connect = || {
        let stream = std::net::TcpStream::connect(addr).unwrap();
        stream.set_nonblocking(true).unwrap();
        TcpStream::from_std(stream).unwrap()
    };
    // The gateway is on this thread: until the first wait it accepts none of them, and then it is stopping.
    let waiting: Vec<_> = (0..32).map(|_| connect()).collect();
    let stopping = tokio::spawn(gateway.shutdown());
    for stream in waiting {
        let answer = last_answer(stream).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    stopping.await.unwrap();
}

/// In HTTP/2 a client is told what is the last request that is answered, and nobody waits for another.
#[tokio::test]
async fn clients_of_http2_are_told() {
    let rig = Rig::start(&Settings { server: "shutdown_grace_s = 1000", ..Settings::default() }).await;
    let mut stream = TcpStream::connect(rig.gateway.addr()).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    // The head of the gateway's settings: the connection is made.
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(head[3], 4);
    let left = tokio::spawn(rig.stop());
    let mut read = vec![0; usize::from(head[2]) + 256 * usize::from(head[1])];
    stream.read_exact(&mut read).await.unwrap();
    read.clear();
    stream.read_to_end(&mut read).await.unwrap();
    let (mut frames, mut rest) = (Vec::new(), &read[..]);
    while let [a, b, c, kind, ..] = rest {
        frames.push(*kind);
        rest = &rest[9 + usize::from(*a) * 65_536 + usize::from(*b) * 256 + usize::from(*c)..];
    }
    // GOAWAY is 7 in RFC 9113.
    assert!(frames.contains(&7), "{frames:?}");
    left.await.unwrap();
}
