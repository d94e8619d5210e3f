//! Going down with work at hand.

use std::net::SocketAddr;
use std::sync::Arc;

use slarouter_testkit::{Script, until};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::setup::{Rig, Settings, chunk, question, read};

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
