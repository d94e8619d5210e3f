//! The simulated models, speaking the OpenAI protocol over real HTTP on loopback.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use futures_util::stream;
use serde_json::{Value, json};
use slarouter_lab::simulate::World;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Pieces in which a stream comes.
const PIECES: u32 = 4;
/// Pause between them.
const GAP: Duration = Duration::from_millis(5);

pub(crate) struct Zoo {
    base_url: String,
    stop: oneshot::Sender<()>,
    server: JoinHandle<std::io::Result<()>>,
}

impl Zoo {
    pub(crate) async fn start(world: Arc<World>) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let base_url = format!("http://{}/v1", listener.local_addr()?);
        let paths = Router::new().route("/v1/chat/completions", post(chat)).with_state(world);
        let (stop, stopped) = oneshot::channel();
        let serving = axum::serve(listener, paths).with_graceful_shutdown(async {
            // The sender going away means stop as well.
            let _ = stopped.await;
        });
        let server = tokio::spawn(serving.into_future());
        Ok(Self { base_url, stop, server })
    }

    pub(crate) fn base_url(&self) -> String {
        self.base_url.clone()
    }

    pub(crate) async fn stop(self) {
        // It may have stopped by itself.
        let _ = self.stop.send(());
        self.server.abort();
        let _ = self.server.await;
    }
}

/// Plays the model that the request names. `metadata.request` says which request of the world this is; the router passes
/// it on without a look.
async fn chat(State(world): State<Arc<World>>, Json(request): Json<Value>) -> Response {
    let number = request["metadata"]["request"].as_str().and_then(|n| n.parse().ok());
    let model = request["model"].as_str().and_then(|name| world.position(name));
    let (Some(number), Some(place)) = (number, model) else {
        let error = json!({ "error": { "message": "unknown model or request", "type": "invalid_request_error",
            "param": null, "code": null } });
        return (http_status(400), Json(error)).into_response();
    };
    let (model, answer) = (&world.models()[place], world.answer(number, place));
    let prompt_tokens = request["messages"].to_string().len() as u64 / 4;
    let usage = json!({ "prompt_tokens": prompt_tokens, "completion_tokens": answer.output_tokens,
        "total_tokens": prompt_tokens + u64::from(answer.output_tokens) });
    let text = if answer.satisfies { "Here is a good answer." } else { "Here is a poor answer." };
    let id = format!("sim-{place}-{number}");
    let name = model.name;
    tokio::time::sleep(Duration::from_millis(model.first_token_ms)).await;
    if request["stream"] != true {
        let choice = json!({ "index": 0, "message": { "role": "assistant", "content": text }, "finish_reason": "stop" });
        let body = json!({ "id": id, "object": "chat.completion", "created": 1_700_000_000, "model": name,
            "choices": [choice], "usage": usage });
        return Json(body).into_response();
    }
    let chunk = move |choices: Value, usage: Value| {
        let body = json!({ "id": id, "object": "chat.completion.chunk", "created": 1_700_000_000, "model": name,
            "choices": choices, "usage": usage });
        format!("data: {body}\n\n")
    };
    let words: Vec<&str> = text.split_inclusive(' ').collect();
    let mut events: Vec<String> = words
        .chunks(words.len().div_ceil(PIECES as usize))
        .map(|words| {
            let delta = json!({ "role": "assistant", "content": words.concat() });
            chunk(json!([{ "index": 0, "delta": delta, "finish_reason": null }]), Value::Null)
        })
        .collect();
    events.push(chunk(json!([{ "index": 0, "delta": {}, "finish_reason": "stop" }]), Value::Null));
    events.push(chunk(json!([]), usage));
    events.push("data: [DONE]\n\n".to_owned());
    let body = stream::unfold(events.into_iter(), |mut events| async move {
        let event = events.next()?;
        tokio::time::sleep(GAP).await;
        Some((Ok::<_, std::convert::Infallible>(Bytes::from(event)), events))
    });
    ([("content-type", "text/event-stream")], Body::from_stream(body)).into_response()
}

fn http_status(code: u16) -> axum::http::StatusCode {
    axum::http::StatusCode::from_u16(code).unwrap_or_default()
}
