//! The upstream of the bench: it answers at once, always the same, and costs as little as it can.

use std::io::{self, Write};
use std::time::Duration;

use bytes::Bytes;
use memchr::memmem;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep_until};

use crate::http::Connection;

/// Stands once in each word of a stream, and in nothing that a gateway writes of its own.
pub(crate) const MARK: u8 = b'~';

#[derive(clap::Args)]
pub(crate) struct MockArgs {
    /// Words of a streamed answer, an event each.
    #[arg(long, default_value_t = 32)]
    words: u32,
    /// Between two of them.
    #[arg(long, default_value_t = 10)]
    gap_ms: u64,
}

/// What it says.
struct Answers {
    plain: Bytes,
    head: Bytes,
    words: Vec<Bytes>,
    /// The end of a stream, without and with usage.
    ends: [Bytes; 2],
    gap: Duration,
}

/// Serves until its standard input closes.
pub(crate) async fn serve(args: MockArgs) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    writeln!(io::stdout(), "{}", json!({ "listening": listener.local_addr()?.to_string() }))?;
    let answers: &'static Answers = Box::leak(Box::new(Answers::new(&args)));
    let end = tokio::task::spawn_blocking(|| io::copy(&mut io::stdin().lock(), &mut io::sink()));
    tokio::select! {
        result = accept(listener, answers) => result?,
        _ = end => {}
    }
    Ok(())
}

async fn accept(listener: TcpListener, answers: &'static Answers) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        // A client that goes away in the middle is none of the mock's business.
        tokio::spawn(async move { drop(answer(stream, answers).await) });
    }
}

async fn answer(stream: TcpStream, answers: &Answers) -> io::Result<()> {
    let mut connection = Connection::over(stream)?;
    while let Some(body) = connection.request().await? {
        let asks = |what: &str| [":true", ": true"].iter().any(|value| has(&body, &format!("\"{what}\"{value}")));
        if !asks("stream") {
            connection.write(&answers.plain).await?;
            continue;
        }
        let began = Instant::now();
        connection.write(&answers.head).await?;
        for (word, after) in answers.words.iter().zip(0..) {
            if after > 0 {
                sleep_until(began + answers.gap * after).await;
            }
            connection.write(word).await?;
        }
        connection.write(&answers.ends[usize::from(asks("include_usage"))]).await?;
    }
    Ok(())
}

fn has(body: &[u8], what: &str) -> bool {
    memmem::find(body, what.as_bytes()).is_some()
}

impl Answers {
    fn new(args: &MockArgs) -> Self {
        let usage = json!({ "prompt_tokens": 210, "completion_tokens": 48, "total_tokens": 258 });
        let text = "Short waves scatter more than long ones, and the sky is full of what is scattered. ".repeat(4);
        let message = json!({ "role": "assistant", "content": text, "refusal": null });
        let choice = json!({ "index": 0, "message": message, "logprobs": null, "finish_reason": "stop" });
        let plain = json!({
            "id": "chatcmpl-mock", "object": "chat.completion", "created": 1_767_225_600, "model": "mock",
            "choices": [choice], "usage": usage, "system_fingerprint": "fp_mock",
        })
        .to_string();
        let plain = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{plain}",
            plain.len()
        );
        let event = |choices: Value, usage: &Value| {
            let data = json!({
                "id": "chatcmpl-mock", "object": "chat.completion.chunk", "created": 1_767_225_600, "model": "mock",
                "choices": choices, "usage": usage, "system_fingerprint": "fp_mock",
            });
            chunk(&format!("data: {data}\n\n"))
        };
        let delta = |delta: Value, finish: Value| json!([{ "index": 0, "delta": delta, "finish_reason": finish }]);
        let word = |number| {
            let text = format!("{}{number} ", char::from(MARK));
            event(delta(json!({ "role": "assistant", "content": text }), Value::Null), &Value::Null).into()
        };
        let finish = event(delta(json!({}), "stop".into()), &Value::Null);
        let done = format!("{}0\r\n\r\n", chunk("data: [DONE]\n\n"));
        Self {
            plain: plain.into(),
            head: "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n".into(),
            words: (0..args.words).map(word).collect(),
            ends: [format!("{finish}{done}").into(), format!("{finish}{}{done}", event(json!([]), &usage)).into()],
            gap: Duration::from_millis(args.gap_ms),
        }
    }
}

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}
