//! What RFC 9110 and 9112 let a client say, and what they do not.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::setup::{Rig, Settings};

/// The status of the answer to these bytes; the connection is closed for writing after them.
async fn status(rig: &Rig, sent: &str) -> u16 {
    let mut stream = TcpStream::connect(rig.gateway.addr()).await.unwrap();
    stream.write_all(sent.as_bytes()).await.unwrap();
    let mut read = Vec::new();
    while !read.windows(4).any(|window| window == b"\r\n\r\n") {
        // A reset after the answer says only that not all was read.
        if matches!(stream.read_buf(&mut read).await, Ok(0) | Err(_)) {
            break;
        }
    }
    let text = String::from_utf8_lossy(&read);
    let code = text.strip_prefix("HTTP/1.1 ").or_else(|| text.strip_prefix("HTTP/1.0 "));
    let code = code.and_then(|rest| rest.get(..3)?.parse().ok());
    assert!(code.is_some(), "{sent:?}: {text:?}");
    code.unwrap_or_default()
}

#[tokio::test]
async fn heads_by_the_book() {
    let rig = Rig::start(&Settings { server: "api_keys = [\"sixteen-letters-1\"]", ..Settings::default() }).await;
    let body = "{\"model\":\"auto\",\"messages\":[{\"role\":\"user\",\"content\":\"one\"}]}";
    let length = body.len();
    let chunked = format!("{length:x}\r\n{body}\r\n0\r\n\r\n");
    let get = |rest: &str| format!("GET /healthz HTTP/1.1\r\n{rest}\r\n");
    let list = |rest: &str| format!("GET /v1/models HTTP/1.1\r\nhost: x\r\n{rest}\r\n");
    let post = |rest: &str, body: &str| {
        format!("POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-api-key: sixteen-letters-1\r\n{rest}\r\n{body}")
    };
    for (expected, sent) in [
        // RFC 9112, 3.2: one Host, and one that is valid.
        (200, get("host: x\r\n")),
        (200, get("HOST:x\r\n")),
        (200, get("host:  x:80 \t\r\n")),
        (200, get("host: [::1]:80\r\n")),
        (400, get("")),
        (400, get("host: x\r\nhost: x\r\n")),
        (400, get("host: x\r\nhost: y\r\n")),
        (400, get("host: x y\r\n")),
        (400, get("host: x/y\r\n")),
        (400, get("host: user@x\r\n")),
        (200, "GET /healthz HTTP/1.0\r\n\r\n".to_owned()),
        (400, "GET /healthz HTTP/1.0\r\nhost: x\r\nhost: y\r\n\r\n".to_owned()),
        // 3.2.2: the absolute form; the name in it counts.
        (200, "GET http://x/healthz HTTP/1.1\r\nhost: x\r\n\r\n".to_owned()),
        // RFC 9110, 11.1: the scheme has no case, and one or more spaces follow it.
        (200, list("authorization: Bearer sixteen-letters-1\r\n")),
        (200, list("Authorization: bearer sixteen-letters-1\r\n")),
        (200, list("AUTHORIZATION: BEARER   sixteen-letters-1  \r\n")),
        (200, list("X-API-KEY: sixteen-letters-1\r\n")),
        (401, list("authorization: Bearersixteen-letters-1\r\n")),
        (401, list("authorization: Basic sixteen-letters-1\r\n")),
        (401, list("authorization: sixteen-letters-1\r\n")),
        // RFC 9112, 6.1 to 6.3: how long a body is.
        (200, post(&format!("content-length: {length}\r\n"), body)),
        (200, post("transfer-encoding: chunked\r\n", &chunked)),
        (200, post("Transfer-Encoding: Chunked\r\n", &chunked)),
        (400, post("transfer-encoding: gzip, chunked\r\n", &chunked)),
        (400, post("transfer-encoding: chunked, chunked\r\n", &chunked)),
        (400, post("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n", &chunked)),
        (400, post("transfer-encoding: identity\r\n", "")),
        (400, post("transfer-encoding: xchunked\r\n", &chunked)),
        // 6.3: the coding overrides the length. Nothing of the head goes on to anybody, so there is nothing to be smuggled.
        (200, post(&format!("transfer-encoding: chunked\r\ncontent-length: {length}\r\n"), &chunked)),
        (200, post(&format!("content-length: {length}\r\ntransfer-encoding: chunked\r\n"), &chunked)),
        (400, post(&format!("content-length: {length}\r\ncontent-length: 1\r\n"), body)),
        (400, post("content-length: -1\r\n", body)),
        (400, post(&format!("content-length: +{length}\r\n"), body)),
        // 5.1: no space before the colon, no folded line.
        (400, get("host : x\r\n")),
        (400, get("host: x\r\nx-a: b\r\n c\r\n")),
        // RFC 9110, 8.3.1: types have no case. 10.1.1: who expects leave gets it.
        (200, post(&format!("Content-Type: Application/JSON; Charset=UTF-8\r\ncontent-length: {length}\r\n"), body)),
    ] {
        assert_eq!(status(&rig, &sent).await, expected, "{sent:?}");
    }
    rig.stop().await;
}
