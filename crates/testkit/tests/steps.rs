//! Every kind of step and scenario, seen through a plain socket.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::io;
use std::sync::Arc;

use serde_json::{Value, json};
use slarouter_testkit::{Daemon, Script, Upstream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::sync::Semaphore;

async fn connect(upstream: &Upstream) -> TcpStream {
    TcpStream::connect(upstream.addr()).await.unwrap()
}

async fn send(stream: &mut TcpStream, body: &Value) {
    let body = body.to_string();
    let head = format!("POST /v1/chat/completions HTTP/1.1\r\nX-Mixed: Case\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
}

/// Reads until the bytes end with `last`.
async fn until(stream: &mut TcpStream, last: &str) -> String {
    let mut read = Vec::new();
    while !read.ends_with(last.as_bytes()) {
        assert!(stream.read_buf(&mut read).await.unwrap() > 0, "ended early: {}", String::from_utf8_lossy(&read));
    }
    String::from_utf8(read).unwrap()
}

async fn to_end(stream: &mut TcpStream) -> String {
    let mut read = String::new();
    stream.read_to_string(&mut read).await.unwrap();
    read
}

/// What one request gets, on a connection that the server closes or that is closed after the last chunk.
async fn ask(upstream: &Upstream, model: &str, streams: bool) -> String {
    let mut stream = connect(upstream).await;
    let message = json!({ "role": "user", "content": "one two" });
    send(&mut stream, &json!({ "model": model, "stream": streams, "messages": [message] })).await;
    stream.shutdown().await.unwrap();
    to_end(&mut stream).await
}

fn json_body(answer: &str) -> Value {
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[tokio::test]
async fn whole_answers_keep_the_connection_and_requests_are_recorded() {
    let upstream = Upstream::start().await;
    upstream.script(Script::json(201, &json!({ "n": 1 })));
    upstream.script(Script::sse(&["{}", "[DONE]"]));
    let mut stream = connect(&upstream).await;
    send(&mut stream, &json!({ "a": 1 })).await;
    let first = until(&mut stream, "{\"n\":1}").await;
    assert!(first.starts_with("HTTP/1.1 201 ") && first.contains("content-length: 7\r\n"), "{first}");
    stream
        .write_all(b"POST /x?y=1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        .await
        .unwrap();
    let second = until(&mut stream, "0\r\n\r\n").await;
    assert!(second.ends_with("\r\n\r\na\r\ndata: {}\n\n\r\ne\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"), "{second}");

    let requests = upstream.arrived(2).await;
    assert_eq!((requests[0].method.as_str(), requests[0].path.as_str()), ("POST", "/v1/chat/completions"));
    assert_eq!(requests[0].header("x-mixed"), Some("Case"));
    assert_eq!(requests[0].json(), json!({ "a": 1 }));
    assert_eq!((requests[1].path.as_str(), &requests[1].body[..]), ("/x?y=1", &b"abcde"[..]));
}

#[tokio::test]
async fn answers_that_are_not_whole_close_the_connection() {
    let upstream = Upstream::start().await;
    upstream.script(Script::new(200).raw("until the end"));
    upstream.script(Script::new(200).content_length(9).raw("half"));
    upstream.script(Script::sse(&["1", "2", "[DONE]"]).cut_after(1));
    upstream.script(Script::bare().raw("HTTP/9 nonsense\r\n"));
    for (ending, cut) in [
        ("connection: close\r\n\r\nuntil the end", "never"),
        ("content-length: 9\r\n\r\nhalf", "never"),
        ("\r\n\r\n9\r\ndata: 1\n\n\r\n", "data: 2"),
        ("HTTP/9 nonsense\r\n", "never"),
    ] {
        let mut stream = connect(&upstream).await;
        send(&mut stream, &json!({})).await;
        let answer = to_end(&mut stream).await;
        assert!(answer.ends_with(ending) && !answer.contains(cut), "{answer}");
    }
}

#[tokio::test]
async fn a_reset_is_no_end() {
    let upstream = Upstream::start().await;
    upstream.script(Script::new(200).reset());
    let mut stream = connect(&upstream).await;
    send(&mut stream, &json!({})).await;
    let error = stream.read_to_end(&mut Vec::new()).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_gate_holds_until_it_is_opened() {
    let upstream = Upstream::start().await;
    let gate = Arc::new(Semaphore::new(0));
    upstream.script(Script::event_stream().chunk("before").gate(&gate).chunk("after").end());
    let mut stream = connect(&upstream).await;
    send(&mut stream, &json!({})).await;
    until(&mut stream, "6\r\nbefore\r\n").await;
    // A second connection is served in the meantime.
    assert!(ask(&upstream, "ok", false).await.contains("one two"));
    let nothing = stream.try_read(&mut [0; 1]).unwrap_err();
    assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
    gate.add_permits(1);
    assert_eq!(until(&mut stream, "0\r\n\r\n").await, "5\r\nafter\r\n0\r\n\r\n");
}

#[tokio::test]
async fn a_client_that_leaves_is_noticed() {
    let upstream = Upstream::start().await;
    upstream.script(Script::event_stream().chunk("x").gate(&Arc::new(Semaphore::new(0))));
    upstream.script(Script::new(200).stall());
    for clients in 1..=2 {
        let mut stream = connect(&upstream).await;
        send(&mut stream, &json!({})).await;
        upstream.arrived(clients).await;
        drop(stream);
        upstream.hung_up(clients).await;
    }
}

#[tokio::test]
async fn health_checks_are_counted_apart() {
    let upstream = Upstream::start().await;
    for status in [200, 503] {
        upstream.set_health(status);
        let mut stream = connect(&upstream).await;
        stream.write_all(b"GET /health HTTP/1.1\r\n\r\n").await.unwrap();
        let answer = until(&mut stream, "{}").await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
    upstream.checked(2).await;
    upstream.set_health(0);
    let mut stream = connect(&upstream).await;
    stream.write_all(b"GET /health HTTP/1.1\r\n\r\n").await.unwrap();
    upstream.checked(3).await;
    upstream.disconnect();
    assert_eq!(stream.read_to_end(&mut Vec::new()).await.unwrap_or_default(), 0);
    assert!(upstream.requests().is_empty());
    assert!(ask(&upstream, "ok", false).await.contains("one two"), "new connections are served");
}

#[tokio::test]
async fn answers_may_be_made_from_the_request() {
    let upstream = Upstream::answering(|request| Script::json(200, &json!({ "model": request.json()["model"] }))).await;
    for model in ["a", "b"] {
        assert_eq!(json_body(&ask(&upstream, model, false).await)["model"], model);
    }
    assert!(upstream.requests().is_empty(), "none is kept");
    upstream.arrived(2).await;
}

#[tokio::test]
async fn dropping_the_upstream_closes_everything() {
    let upstream = Upstream::start().await;
    let mut stream = connect(&upstream).await;
    send(&mut stream, &json!({ "model": "stall" })).await;
    upstream.arrived(1).await;
    drop(upstream);
    assert_eq!(stream.read_to_end(&mut Vec::new()).await.unwrap_or_default(), 0);
}

#[tokio::test]
async fn plain_scenarios() {
    let upstream = Upstream::start().await;
    let ok = ask(&upstream, "vendor/ok", false).await;
    let head =
        r#"{"id":"chatcmpl-up-0","object":"chat.completion","created":1767225600,"model":"vendor/ok","choices":"#;
    assert!(ok.contains(head) && ok.contains(r#""x_extra":{"keep":1.0}"#), "{ok}");
    let ok = json_body(&ok);
    assert_eq!(ok["choices"][0]["message"]["content"], "You said: one two");
    assert_eq!((&ok["usage"]["completion_tokens"], &ok["usage"]["total_tokens"]), (&json!(4), &json!(16)));
    assert_eq!(ok["usage"]["prompt_tokens_details"]["cached_tokens"], 4);

    let calls = json_body(&ask(&upstream, "tools", false).await);
    assert_eq!(calls["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(calls["choices"][0]["message"]["tool_calls"][1]["function"]["arguments"], r#"{"city": "Oslo"}"#);
    let thought = json_body(&ask(&upstream, "reasoning", false).await);
    assert_eq!(thought["choices"][0]["message"]["reasoning_content"], "Six by seven.");

    for (scenario, status, code) in [
        ("err400", 400, json!("context_length_exceeded")),
        ("err401", 401, json!("invalid_api_key")),
        ("err429", 429, json!("rate_limit_exceeded")),
        ("err500", 500, Value::Null),
        ("err503", 503, json!("overloaded")),
        ("unheard-of", 404, json!("model_not_found")),
    ] {
        let answer = ask(&upstream, scenario, true).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert_eq!(answer.contains("\r\nretry-after: 7\r\n"), status == 429);
        assert_eq!(json_body(&answer)["error"]["code"], code);
    }
    assert_eq!(ask(&upstream, "refuse", false).await, "");
    let broken = ask(&upstream, "malformed_json", false).await;
    assert!(serde_json::from_str::<Value>(broken.split_once("\r\n\r\n").unwrap().1).is_err());
    let cut = ask(&upstream, "cut", false).await;
    let length = cut.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    assert!(cut.split_once("\r\n\r\n").unwrap().1.len() < length.parse().unwrap());
}

#[tokio::test]
async fn streamed_scenarios() {
    let upstream = Upstream::start().await;
    let ending = "data: [DONE]\n\n\r\n0\r\n\r\n";
    for (scenario, finishes, ends) in [
        ("ok", true, true),
        ("tools", true, true),
        ("reasoning", true, true),
        ("garbage", true, true),
        ("error_event", true, true),
        ("cut", false, false),
        ("eof", false, false),
    ] {
        let answer = ask(&upstream, scenario, true).await;
        assert!(answer.contains("text/event-stream"), "{answer}");
        let finish = ["stop", "tool_calls"].map(|finish| format!(r#""finish_reason":"{finish}""#));
        assert_eq!(finish.iter().any(|finish| answer.contains(finish)), finishes, "{answer}");
        assert_eq!(answer.ends_with(ending), ends, "{answer}");
        assert!(!answer.contains("usage"), "usage only if asked for");
    }
    assert!(ask(&upstream, "eof", true).await.ends_with("\r\n0\r\n\r\n"));
    assert!(ask(&upstream, "cut", true).await.contains("You"));
    let crlf = ask(&upstream, "crlf", true).await;
    assert!(crlf.contains(": keep-alive\r\n") && crlf.ends_with("data:[DONE]\r\n\r\n\r\n0\r\n\r\n"), "{crlf}");
    let split = ask(&upstream, "split", true).await;
    assert!(split.ends_with("1\r\n]\r\n1\r\n\n\r\n1\r\n\n\r\n0\r\n\r\n"), "{split}");
}

#[tokio::test]
async fn usage_comes_when_asked_for_and_a_gated_stream_waits() {
    let upstream = Upstream::start().await;
    let mut stream = connect(&upstream).await;
    let body = json!({ "model": "gated", "stream": true, "stream_options": { "include_usage": true } });
    send(&mut stream, &body).await;
    let before = until(&mut stream, "\n\n\r\n").await;
    upstream.open();
    let answer = before + &until(&mut stream, "0\r\n\r\n").await;
    assert!(answer.contains(r#""choices":[],"usage":{"#) && answer.contains(r#""usage":null"#), "{answer}");
}

#[tokio::test]
async fn once_fails_once_for_each_model() {
    let upstream = Upstream::start().await;
    for model in ["a/once503", "b/once503"] {
        assert!(ask(&upstream, model, false).await.starts_with("HTTP/1.1 503 "));
        assert!(ask(&upstream, model, false).await.starts_with("HTTP/1.1 200 "));
    }
    assert_eq!(ask(&upstream, "oncerefuse", false).await, "");
    assert!(ask(&upstream, "oncerefuse", false).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn the_binary_serves_until_its_input_closes() {
    let mut daemon = Daemon::spawn(&mut Command::new(env!("CARGO_BIN_EXE_slarouter-testkit-upstream"))).await.unwrap();
    assert_eq!(daemon.ready()["base_url"], format!("http://{}/v1", daemon.addr()));
    let mut stream = TcpStream::connect(daemon.addr()).await.unwrap();
    send(&mut stream, &json!({ "model": "ok" })).await;
    until(&mut stream, "{\"keep\":1.0}}").await;
    stream.write_all(b"GET /testkit/requests HTTP/1.1\r\n\r\n").await.unwrap();
    assert!(until(&mut stream, "\"}]").await.contains(r#"{\"model\":\"ok\"}"#));
    assert!(daemon.wait().await.unwrap().success());
}

#[tokio::test]
async fn daemons_are_killed_and_terminated() {
    use std::os::unix::process::ExitStatusExt;
    let program = env!("CARGO_BIN_EXE_slarouter-testkit-upstream");
    let mut daemon = Daemon::spawn(&mut Command::new(program)).await.unwrap();
    assert_eq!(daemon.kill().await.unwrap().signal(), Some(9));
    let mut daemon = Daemon::spawn(&mut Command::new(program)).await.unwrap();
    daemon.terminate().await.unwrap();
    assert_eq!(daemon.wait().await.unwrap().signal(), Some(15));
    let error = Daemon::spawn(Command::new("sh").args(["-c", "echo why >&2; echo no; exit 3"])).await.unwrap_err();
    assert!(error.to_string().contains("why") && error.to_string().contains("no"), "{error}");
}
