//! An upstream that fails in every way: each call by a draw from the seed, the request's number and how often it came.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

use serde_json::{Value, json};
use slarouter_testkit::{Received, Script};

static CALLS: LazyLock<Mutex<HashMap<u64, u64>>> = LazyLock::new(Mutex::default);

/// A number from 0 to below `n` that hangs on `parts` alone.
pub(crate) fn draw(parts: [u64; 3], n: u64) -> u64 {
    let mut z = 0x9E37_79B9_7F4A_7C15_u64;
    for part in parts {
        // SplitMix64.
        z = (z ^ part).wrapping_mul(0xBF58_476D_1CE4_E5B9).wrapping_add(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
    }
    z % n
}

/// Tokens in and out that every answer to the request reports.
pub(crate) fn usage(seed: u64, number: u64) -> (u64, u64) {
    (10 + draw([seed, number, 1], 90), 1 + draw([seed, number, 2], 50))
}

pub(crate) fn answer(seed: u64, request: &Received) -> Script {
    let body = request.json();
    let question = body["messages"][0]["content"].as_str().unwrap_or_default();
    let number: u64 = question.split(' ').next_back().and_then(|number| number.parse().ok()).unwrap_or_default();
    let call = {
        let mut calls = CALLS.lock().unwrap();
        let call = calls.entry(number).or_default();
        *call += 1;
        *call
    };
    let (input, output) = usage(seed, number);
    let usage = json!({ "prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output });
    let whole = if body["stream"] == true { Pieces::streamed(&usage) } else { Pieces::plain(&usage) };
    match draw([seed, number, 100 + call], 1_000) {
        0..=879 => whole.script(),
        880..=899 => error(500),
        900..=914 => error(503),
        915..=919 => error(429),
        920..=924 => error(429).header("retry-after", "1"),
        925..=939 => Script::bare().cut(),
        940..=949 => Script::bare().reset(),
        950..=959 => whole.cut(),
        960..=964 => whole.stall(),
        965..=979 => whole.unfinished(),
        980..=989 => Script::json(200, &json!({ "error": { "message": "busy", "type": "server_error", "code": 503 } })),
        990..=994 => whole.script().drip(),
        _ => Script::bare().stall(),
    }
}

fn error(status: u16) -> Script {
    Script::json(status, &json!({ "error": { "message": "no", "type": "server_error", "param": null, "code": null } }))
}

/// An answer in pieces.
enum Pieces {
    Plain(String),
    Streamed(Vec<String>),
}

impl Pieces {
    fn plain(usage: &Value) -> Self {
        let message = json!({ "role": "assistant", "content": "a few words" });
        let choice = json!({ "index": 0, "message": message, "finish_reason": "stop" });
        Self::Plain(
            json!({ "id": "up", "object": "chat.completion", "model": "m", "choices": [choice], "usage": usage })
                .to_string(),
        )
    }

    fn streamed(usage: &Value) -> Self {
        let chunk = |choices: Value, usage: &Value| {
            let chunk = json!({ "id": "up", "object": "chat.completion.chunk", "model": "m", "choices": choices, "usage": usage });
            format!("data: {chunk}\n\n")
        };
        let word = |word: &str, finish: Value| {
            chunk(json!([{ "index": 0, "delta": { "content": word }, "finish_reason": finish }]), &Value::Null)
        };
        let words = ["a ", "few ", "words"].map(|text| word(text, Value::Null));
        let end = [word("", "stop".into()), chunk(json!([]), usage), "data: [DONE]\n\n".to_owned()];
        Self::Streamed(words.into_iter().chain(end).collect())
    }

    fn script(&self) -> Script {
        match self {
            Self::Plain(body) => Script::new(200).header("content-type", "application/json").whole(body.clone()),
            Self::Streamed(events) => begun(events).end(),
        }
    }

    /// Half of it, and then nothing more but the connection.
    fn half(&self) -> Script {
        match self {
            Self::Plain(body) => {
                let head = Script::new(200).header("content-type", "application/json").content_length(body.len());
                head.raw(body[..body.len() / 2].to_owned())
            }
            Self::Streamed(events) => begun(&events[..2]),
        }
    }

    fn cut(&self) -> Script {
        self.half().cut()
    }

    fn stall(&self) -> Script {
        self.half().stall()
    }

    /// Half of it, with a clean end.
    fn unfinished(&self) -> Script {
        match self {
            Self::Plain(body) => {
                Script::new(200).header("content-type", "application/json").whole(body[..body.len() / 2].to_owned())
            }
            Self::Streamed(_) => self.half().end(),
        }
    }
}

fn begun(events: &[String]) -> Script {
    events.iter().fold(Script::event_stream(), |script, event| script.chunk(event.clone()))
}
