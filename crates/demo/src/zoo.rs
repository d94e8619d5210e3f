//! The simulated models, speaking the OpenAI protocol over real HTTP on loopback.

use std::sync::{Arc, Mutex, PoisonError};
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
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::judge::{self, Judged};

/// Pieces in which the text of a stream comes, at most.
const PIECES: usize = 4;
/// Pause between them.
const GAP: Duration = Duration::from_millis(5);

pub(crate) struct Zoo {
    base_url: String,
    called: Called,
    judged: Arc<Mutex<Judged>>,
    stop: oneshot::Sender<()>,
    server: JoinHandle<std::io::Result<()>>,
}

/// For which requests a model has been called, so that the next one may be sent.
#[derive(Clone)]
pub(crate) struct Called(Arc<watch::Sender<u64>>);

impl Called {
    /// No model will be called for request `n` that has not been.
    pub(crate) fn note(&self, n: u64) {
        self.0.send_if_modified(|next| {
            let later = n >= *next;
            *next = (*next).max(n + 1);
            later
        });
    }

    /// Waits until a model has been called for request `n` or a later one.
    pub(crate) async fn reached(&self, n: u64) {
        // The sender is `self`'s own, so it does not go away.
        let _ = self.0.subscribe().wait_for(|next| *next > n).await;
    }
}

impl Zoo {
    pub(crate) async fn start(world: Arc<World>) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let base_url = format!("http://{}/v1", listener.local_addr()?);
        let called = Called(Arc::new(watch::Sender::new(0)));
        let judged = Arc::new(Mutex::default());
        let played = Played { world, called: called.clone(), judged: judged.clone() };
        let paths = Router::new().route("/v1/chat/completions", post(chat)).with_state(played);
        let (stop, stopped) = oneshot::channel();
        let serving = axum::serve(listener, paths).with_graceful_shutdown(async {
            // The sender going away means stop as well.
            let _ = stopped.await;
        });
        let server = tokio::spawn(serving.into_future());
        Ok(Self { base_url, called, judged, stop, server })
    }

    pub(crate) fn base_url(&self) -> String {
        self.base_url.clone()
    }

    pub(crate) fn called(&self) -> Called {
        self.called.clone()
    }

    /// What the judge has done so far.
    pub(crate) fn judged(&self) -> Arc<Mutex<Judged>> {
        self.judged.clone()
    }

    pub(crate) async fn stop(self) {
        // It may have stopped by itself. Connections that clients keep open are not waited for.
        let _ = self.stop.send(());
        self.server.abort();
        let _ = self.server.await;
    }
}

/// What the models have in common.
#[derive(Clone)]
struct Played {
    world: Arc<World>,
    called: Called,
    judged: Arc<Mutex<Judged>>,
}

/// Plays the model that the request names. `metadata.request` says which request of the world this is; the router passes
/// it on without a look.
async fn chat(State(played): State<Played>, Json(request): Json<Value>) -> Response {
    let Played { world, called, judged } = played;
    if request["model"] == judge::NAME
        && let Some((verdict, usage)) = judge::answer(&world, &request)
    {
        let mut judged = judged.lock().unwrap_or_else(PoisonError::into_inner);
        judged.verdicts += 1;
        judged.cost += judge::cost(&usage);
        return plain("sim-judge", judge::NAME, &verdict, &usage);
    }
    let number = request["metadata"]["request"].as_str().and_then(|n| n.parse().ok());
    let model = request["model"].as_str().and_then(|name| world.position(name));
    let (Some(number), Some(place)) = (number, model) else {
        let error = json!({ "error": { "message": "unknown model or request", "type": "invalid_request_error",
            "param": null, "code": null } });
        return (http_status(400), Json(error)).into_response();
    };
    called.note(number);
    let (model, answer) = (&world.models()[place], world.answer(number, place));
    let prompt_tokens = request["messages"].to_string().len() as u64 / 4;
    let usage = json!({ "prompt_tokens": prompt_tokens, "completion_tokens": answer.output_tokens,
        "total_tokens": prompt_tokens + u64::from(answer.output_tokens) });
    let text = if answer.satisfies { "Here is a good answer." } else { "Here is a poor answer." };
    let id = format!("sim-{place}-{number}");
    let name = model.name;
    tokio::time::sleep(Duration::from_millis(model.first_token_ms)).await;
    if request["stream"] != true {
        return plain(&id, name, text, &usage);
    }
    let chunk = move |choices: Value, usage: Value| {
        let body = json!({ "id": id, "object": "chat.completion.chunk", "created": 1_700_000_000, "model": name,
            "choices": choices, "usage": usage });
        format!("data: {body}\n\n")
    };
    let words: Vec<&str> = text.split_inclusive(' ').collect();
    let piece = |delta: Value| chunk(json!([{ "index": 0, "delta": delta, "finish_reason": null }]), Value::Null);
    let mut events = vec![piece(json!({ "role": "assistant", "content": "" }))];
    events.extend(words.chunks(words.len().div_ceil(PIECES)).map(|words| piece(json!({ "content": words.concat() }))));
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

fn plain(id: &str, model: &str, text: &str, usage: &Value) -> Response {
    let choice = json!({ "index": 0, "message": { "role": "assistant", "content": text }, "finish_reason": "stop" });
    let body = json!({ "id": id, "object": "chat.completion", "created": 1_700_000_000, "model": model,
        "choices": [choice], "usage": usage });
    Json(body).into_response()
}

fn http_status(code: u16) -> axum::http::StatusCode {
    axum::http::StatusCode::from_u16(code).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(base: &str, body: Value) -> reqwest::Response {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        client.post(format!("{base}/chat/completions")).json(&body).send().await.unwrap()
    }

    fn question(model: &str, stream: bool) -> Value {
        json!({ "model": model, "stream": stream, "messages": [{ "role": "user", "content": "Hi!" }],
            "metadata": { "request": "5" } })
    }

    #[tokio::test]
    async fn a_stream_is_well_formed_and_says_what_the_plain_answer_says() {
        let world = Arc::new(World::new(0));
        let zoo = Zoo::start(world.clone()).await.unwrap();
        for (place, model) in world.models().iter().enumerate() {
            let reply = ask(&zoo.base_url(), question(model.name, true)).await;
            assert_eq!(reply.headers()["content-type"], "text/event-stream");
            let text = reply.text().await.unwrap();
            let mut events: Vec<&str> = text.split_terminator("\n\n").collect();
            assert_eq!(events.pop(), Some("data: [DONE]"));
            let chunks: Vec<Value> = events
                .iter()
                .map(|event| serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap())
                .collect();
            assert!(
                chunks.iter().all(|chunk| chunk["object"] == "chat.completion.chunk" && chunk["model"] == model.name)
            );
            assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
            let (usage, rest) = chunks.split_last().unwrap();
            assert_eq!(usage["usage"]["completion_tokens"], world.answer(5, place).output_tokens);
            assert_eq!(usage["choices"], json!([]));
            let (finish, pieces) = rest.split_last().unwrap();
            assert_eq!(finish["choices"][0]["finish_reason"], "stop");
            let streamed: String =
                pieces.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect();

            let plain: Value = ask(&zoo.base_url(), question(model.name, false)).await.json().await.unwrap();
            assert_eq!(plain["choices"][0]["message"]["content"], streamed);
            assert_eq!(plain["usage"], usage["usage"]);
            assert_eq!(streamed.contains("good"), world.answer(5, place).satisfies);
        }
        zoo.stop().await;
    }

    #[tokio::test]
    async fn the_judge_reads_the_answer_and_errs_on_one_in_ten() {
        let world = Arc::new(World::new(0));
        let zoo = Zoo::start(world.clone()).await.unwrap();
        let (mut wrong, all) = (0, 400_u32);
        for n in 0..all {
            let word = if n % 2 == 0 { "good" } else { "poor" };
            let text = format!(
                "<<CONVERSATION 7f>>\n[{n}]\n<<END OF CONVERSATION 7f>>\n\n<<ANSWER 7f>>\nHere is a {word} answer.\n<<END OF ANSWER 7f>>"
            );
            let messages = json!([{ "role": "system", "content": "Judge." }, { "role": "user", "content": text }]);
            let reply = ask(&zoo.base_url(), json!({ "model": "judge", "messages": messages })).await;
            let body: Value = reply.json().await.unwrap();
            let verdict: Value =
                serde_json::from_str(body["choices"][0]["message"]["content"].as_str().unwrap()).unwrap();
            wrong += u32::from(verdict["satisfied"] != (word == "good"));
        }
        // Binomial(400, 0.1): outside 16..=66 with probability below 1e-4; the seed is fixed.
        assert!((16..=66).contains(&wrong), "{wrong} of {all} are wrong");
        let judged = *zoo.judged().lock().unwrap();
        assert_eq!(judged.verdicts, u64::from(all));
        assert!(judged.cost > 0.0);
        zoo.stop().await;
    }

    #[tokio::test]
    async fn an_unknown_model_is_refused_in_the_openai_shape() {
        let zoo = Zoo::start(Arc::new(World::new(0))).await.unwrap();
        let reply = ask(&zoo.base_url(), question("huge", false)).await;
        assert_eq!(reply.status(), 400);
        assert_eq!(reply.json::<Value>().await.unwrap()["error"]["type"], "invalid_request_error");
        zoo.stop().await;
    }
}
