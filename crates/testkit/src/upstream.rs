//! The server.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::panic::Location;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::patience::within;
use crate::scenario;
use crate::script::{Left, Script};
use crate::wire::{Connection, Received};

/// A scripted provider on a free port of 127.0.0.1. It stops, with all its connections, when dropped.
///
/// Answers come from the queue that [`script`](Self::script) fills, first in first out. With an empty queue the part of
/// the request's `model` after the last `/` names the scenario:
///
/// | scenario | answer |
/// | --- | --- |
/// | `ok` `tools` `reasoning` | echoes the last user message; calls two tools; thinks first |
/// | `agent` | calls the shell of a coding agent when the user says "use your tool", and repeats what it said; echoes otherwise |
/// | `crlf` `split` | as `ok`, streamed with CRLF and comments; in chunks of one byte |
/// | `gated` | as `ok`, but the stream waits after its first words for [`open`](Self::open) |
/// | `err400` `err401` `err429` `err500` `err503` | an error of that status; 429 with `Retry-After: 7` |
/// | `cut` `eof` | breaks off after two words; ends cleanly after all words but with no finish and no `[DONE]` |
/// | `garbage` `error_event` | as `ok`, with a data line that is no JSON; with an error object after two words |
/// | `malformed_json` | 200 and half a JSON object |
/// | `refuse` `stall` | closes before the first byte; never answers |
/// | `once…` | the first request as `err…` (for digits) or as the scenario named, all later ones as `ok` |
///
/// Paths that end in `/messages` and `/responses` get the same answers in the protocols of Anthropic and of OpenAI's
/// responses (`ok`, `tools`, `reasoning`, `split`, `cut`, `eof`, `error_event`, `err…`), `/embeddings` a vector, `/count_tokens` a count.
/// A `GET` of `…/models` takes the next script, if there is one. Any other is a health check: it gets the status of [`set_health`](Self::set_health), and is not among the requests.
///
/// For tests in other languages: `GET /testkit/requests`, `DELETE /testkit/requests` (forgets counters too),
/// `POST /testkit/open`.
#[derive(Debug)]
pub struct Upstream {
    addr: SocketAddr,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

/// Makes an answer to a request.
type Answering = dyn Fn(&Received) -> Script + Send + Sync;

struct Shared {
    queue: Mutex<VecDeque<Script>>,
    /// By model.
    queues: Mutex<HashMap<String, VecDeque<Script>>>,
    /// What it lists, and answers as `ok`.
    models: Vec<String>,
    /// In place of queue and scenarios.
    answering: Option<Box<Answering>>,
    health: AtomicU16,
    checked: watch::Sender<usize>,
    /// Changes when all connections are to be closed.
    closing: watch::Sender<()>,
    requests: Mutex<Vec<Received>>,
    seen_by_model: Mutex<HashMap<String, u64>>,
    ids: AtomicU64,
    arrived: watch::Sender<usize>,
    hung_up: watch::Sender<usize>,
    gate: Arc<Semaphore>,
}

impl Upstream {
    /// Starts listening; the port is open on return.
    ///
    /// # Panics
    /// If there is no loopback interface to listen on.
    pub async fn start() -> Self {
        Self::free(&[], None).await
    }

    /// Starts listening; `GET …/models` lists these models, and each of them answers as `ok`.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub async fn serving(models: &[&str]) -> Self {
        Self::free(models, None).await
    }

    /// The same on an address of the caller's.
    ///
    /// # Errors
    /// If it cannot listen there.
    pub async fn bound(addr: SocketAddr, models: &[&str]) -> io::Result<Self> {
        Self::with(addr, models, None).await
    }

    /// Starts listening; every answer is what `answering` makes of the request, and no request is kept.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub async fn answering(answering: impl Fn(&Received) -> Script + Send + Sync + 'static) -> Self {
        Self::free(&[], Some(Box::new(answering))).await
    }

    #[expect(clippy::expect_used, reason = "a test cannot go on without its upstream")]
    async fn free(models: &[&str], answering: Option<Box<Answering>>) -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self::with(any, models, answering).await.expect("a free port on 127.0.0.1")
    }

    async fn with(addr: SocketAddr, models: &[&str], answering: Option<Box<Answering>>) -> io::Result<Self> {
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            queues: Mutex::default(),
            models: models.iter().map(|model| (*model).to_owned()).collect(),
            answering,
            health: AtomicU16::new(200),
            checked: watch::Sender::new(0),
            closing: watch::Sender::new(()),
            requests: Mutex::default(),
            seen_by_model: Mutex::default(),
            ids: AtomicU64::new(0),
            arrived: watch::Sender::new(0),
            hung_up: watch::Sender::new(0),
            gate: Arc::new(Semaphore::new(0)),
        });
        let server = tokio::spawn(accept(listener, shared.clone()));
        Ok(Self { addr, shared, server })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `http://127.0.0.1:PORT/v1`.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.addr)
    }

    /// Queues the answer to one request.
    pub fn script(&self, script: Script) {
        locked(&self.shared.queue).push_back(script);
    }

    /// Queues the answer to one request for this model, by the upstream's name of it; taken before those of [`script`](Self::script).
    pub fn script_for(&self, model: &str, script: Script) {
        locked(&self.shared.queues).entry(model.to_owned()).or_default().push_back(script);
    }

    /// All requests so far, in the order of their arrival.
    pub fn requests(&self) -> Vec<Received> {
        locked(&self.shared.requests).clone()
    }

    /// Waits until so many requests have come in all, and returns them.
    ///
    /// # Panics
    /// If they have not after a minute.
    #[track_caller]
    pub fn arrived(&self, requests: usize) -> impl Future<Output = Vec<Received>> {
        let reached = reached("requests have come", &self.shared.arrived, requests);
        async {
            reached.await;
            self.requests()
        }
    }

    /// Waits until so many clients in all have gone away in the middle of an answer.
    ///
    /// # Panics
    /// If they have not after a minute.
    #[track_caller]
    pub fn hung_up(&self, clients: usize) -> impl Future<Output = ()> {
        reached("clients have gone away", &self.shared.hung_up, clients)
    }

    /// The status of answers to health checks from now on; 200 at first, and 0 for no answer.
    pub fn set_health(&self, status: u16) {
        self.shared.health.store(status, Ordering::Relaxed);
    }

    /// Waits until so many health checks have come in all.
    ///
    /// # Panics
    /// If they have not after a minute.
    #[track_caller]
    pub fn checked(&self, checks: usize) -> impl Future<Output = ()> {
        reached("health checks have come", &self.shared.checked, checks)
    }

    /// Closes all connections, whatever they are at; new ones are served.
    pub fn disconnect(&self) {
        self.shared.closing.send_replace(());
    }

    /// Lets one stream of the scenario `gated` go on.
    pub fn open(&self) {
        self.shared.gate.add_permits(1);
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("arrived", &*self.arrived.borrow()).finish_non_exhaustive()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Shared {
    /// A number that no other answer has.
    fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    /// How many requests for this model came before.
    fn seen(&self, model: &str) -> u64 {
        let mut seen = locked(&self.seen_by_model);
        let count = seen.entry(model.to_owned()).or_default();
        *count += 1;
        *count - 1
    }

    fn scripted(&self, request: &Received) -> Option<Script> {
        let mut queues = locked(&self.queues);
        if queues.is_empty() {
            return None;
        }
        queues.get_mut(request.json()["model"].as_str()?)?.pop_front()
    }

    fn answer(&self, request: Received) -> Script {
        if let Some(command) = request.path.strip_prefix("/testkit/") {
            return self.control(&request.method, command);
        }
        let scripted = request.path.ends_with("/models") && !locked(&self.queue).is_empty();
        if request.method == "GET" && !scripted {
            self.checked.send_modify(|count| *count += 1);
            return match self.health.load(Ordering::Relaxed) {
                200 if request.path.ends_with("/models") && !self.models.is_empty() => self.list(),
                0 => Script::bare().stall(),
                status => Script::json(status, &json!({})),
            };
        }
        if let Some(answering) = &self.answering {
            self.arrived.send_modify(|count| *count += 1);
            return answering(&request);
        }
        let script = self.scripted(&request).or_else(|| locked(&self.queue).pop_front());
        let script = script.unwrap_or_else(|| {
            let plain = |model: &str| self.models.iter().any(|listed| listed == model);
            scenario::answer(&request, self.next_id(), plain, |model| self.seen(model), &self.gate)
        });
        locked(&self.requests).push(request);
        self.arrived.send_modify(|count| *count += 1);
        script
    }

    /// The models, as OpenAI's API lists them.
    fn list(&self) -> Script {
        let data: Vec<_> = self.models.iter().map(|name| json!({ "id": name, "object": "model" })).collect();
        Script::json(200, &json!({ "object": "list", "data": data }))
    }

    fn control(&self, method: &str, command: &str) -> Script {
        match (method, command) {
            ("GET", "requests") => {
                let shown = |request: &Received| {
                    let headers: HashMap<_, _> = request.headers.iter().cloned().collect();
                    let body = String::from_utf8_lossy(&request.body);
                    json!({ "method": request.method, "path": request.path, "headers": headers, "body": body })
                };
                Script::json(200, &locked(&self.requests).iter().map(shown).collect())
            }
            ("DELETE", "requests") => {
                locked(&self.requests).clear();
                locked(&self.seen_by_model).clear();
                Script::json(200, &json!({}))
            }
            ("POST", "open") => {
                self.gate.add_permits(1);
                Script::json(200, &json!({}))
            }
            _ => Script::json(404, &json!({ "error": { "message": "no such command" } })),
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Dropped with this task, and all connections with it.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    let (shared, mut closing) = (shared.clone(), shared.closing.subscribe());
                    connections.spawn(async move {
                        tokio::select! {
                            () = serve(stream, shared) => {}
                            // An error would mean that the upstream is gone, and this task with it.
                            _ = closing.changed() => {}
                        }
                    });
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    drop(stream.set_nodelay(true));
    let mut connection = Connection::new(stream);
    loop {
        let script = match connection.request().await {
            Ok(Some(request)) => shared.answer(request),
            Ok(None) => return,
            Err(error) => Script::json(400, &json!({ "error": { "message": error.to_string() } })).cut(),
        };
        match script.play(&mut connection).await {
            Left::Open => {}
            Left::Closed => return,
            Left::HungUp => {
                shared.hung_up.send_modify(|count| *count += 1);
                return;
            }
        }
    }
}

#[track_caller]
fn reached(what: &str, count: &watch::Sender<usize>, target: usize) -> impl Future<Output = ()> {
    let asked = Location::caller();
    async move {
        let mut counted = count.subscribe();
        let what = format!("{target} {what}");
        // The sender is held by `self`, so the channel cannot close.
        drop(within(asked, &what, counted.wait_for(|count| *count >= target)).await);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
