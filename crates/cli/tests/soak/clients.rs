//! Clients that ask, plain and streaming, go away now and then, and rate.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use reqwest::{Client, Response};
use serde_json::{Value, json};
use slarouter_core::DecisionId;
use tokio::sync::watch;

use crate::faults::draw;

pub(crate) const KEY: &str = "sixteen-letters-1";
const SESSIONS: u64 = 400;

/// What all clients share.
pub(crate) struct Load {
    pub(crate) base: String,
    pub(crate) seed: u64,
    pub(crate) requests: u64,
    /// The number of the next request.
    pub(crate) next: AtomicU64,
    pub(crate) done: watch::Sender<u64>,
}

/// What a client knows of one request.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) number: u64,
    /// `None` where it went away before the answer began.
    pub(crate) id: Option<DecisionId>,
    pub(crate) whole: Option<Whole>,
    /// It went away.
    pub(crate) gone: bool,
    /// Its rating was acknowledged.
    pub(crate) rated: bool,
}

/// What a whole answer says of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Whole {
    pub(crate) cost: f64,
    pub(crate) input: u64,
    pub(crate) output: u64,
}

/// One client, until all requests have been made.
pub(crate) async fn run(load: Arc<Load>) -> Vec<Seen> {
    let http = Client::new();
    let mut all = Vec::new();
    loop {
        let number = load.next.fetch_add(1, Ordering::Relaxed);
        if number >= load.requests {
            return all;
        }
        let mut seen = ask(&load, &http, number).await;
        if let Some(id) = seen.id.filter(|_| draw([load.seed, number, 6], 5) == 0) {
            let rating = draw([load.seed, number, 7], 2);
            let body = json!({ "id": uuid::Uuid::from_u128(id.0).to_string(), "rating": rating });
            let request = http.post(format!("{}/v1/feedback", load.base)).bearer_auth(KEY).json(&body);
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), 202, "request {number}: {}", answer.text().await.unwrap());
            seen.rated = true;
        }
        all.push(seen);
        load.done.send_modify(|done| *done += 1);
    }
}

async fn ask(load: &Load, http: &Client, number: u64) -> Seen {
    let draw = |what, n| draw([load.seed, number, what], n);
    let streamed = draw(3, 2) == 0;
    let mut body = json!({
        "model": if draw(8, 20) == 0 { "small" } else { "auto" }, "stream": streamed, "max_tokens": 64,
        "messages": [{ "role": "user", "content": format!("a question, number {number}") }],
    });
    if streamed {
        body["stream_options"] = json!({ "include_usage": true });
    }
    let request = http.post(format!("{}/v1/chat/completions", load.base)).bearer_auth(KEY).json(&body);
    let request = request.header("x-slarouter-session", format!("session {}", draw(9, SESSIONS)));
    let (leaves, patience) = (draw(4, 100), draw(5, 400));
    let mut seen = Seen { number, ..Seen::default() };
    let answer = if leaves < 2 {
        // Some way into it, as far as the machine got by then.
        let patience = async {
            for _ in 0..patience {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            answer = request.send() => answer,
            () = patience => {
                seen.gone = true;
                return seen;
            }
        }
    } else {
        request.send().await
    };
    let mut answer = answer.unwrap();
    seen.id = id(&answer);
    if leaves == 2 {
        // After the first piece; what has not been read is not taken.
        drop(answer.chunk().await);
        seen.gone = true;
    } else {
        seen.whole = whole(answer, streamed).await;
    }
    seen
}

fn id(answer: &Response) -> Option<DecisionId> {
    let id = answer.headers()["x-request-id"].to_str().unwrap().strip_prefix("chatcmpl-").unwrap();
    Some(DecisionId(u128::from_str_radix(&id.replace('-', ""), 16).unwrap()))
}

/// `None` for an answer that failed or broke off, as the client can tell.
async fn whole(answer: Response, streamed: bool) -> Option<Whole> {
    let status = answer.status().as_u16();
    assert!([200, 429, 500, 502, 503, 504].contains(&status), "{status}");
    let text = answer.text().await.unwrap();
    let usage = |usage: &Value| Whole {
        cost: usage["cost"].as_f64().unwrap(),
        input: usage["prompt_tokens"].as_u64().unwrap(),
        output: usage["completion_tokens"].as_u64().unwrap(),
    };
    if status != 200 {
        let body: Value = serde_json::from_str(&text).unwrap();
        assert!(body["error"]["message"].is_string(), "{text}");
        return None;
    }
    if !streamed {
        let body: Value = serde_json::from_str(&text).unwrap();
        return Some(usage(&body["usage"]));
    }
    let events: Vec<&str> = text.split_terminator("\n\n").map(|event| event.strip_prefix("data: ").unwrap()).collect();
    let (last, before) = events.split_last().unwrap();
    if *last != "[DONE]" {
        let error: Value = serde_json::from_str(last).unwrap();
        assert_eq!(error["error"]["code"], "stream_truncated", "{text}");
        return None;
    }
    let body: Value = serde_json::from_str(before.last().unwrap()).unwrap();
    Some(usage(&body["usage"]))
}
