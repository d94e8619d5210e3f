//! One release in the place of another while clients ask, stream and rate: none of them sees an error or a broken stream, and all that was
//! acknowledged is in the log once.
//!
//! `SLAROUTER_BEFORE` names the binary that serves first, as `make upgrade` does; without it all are this one, as in a restart.
#![expect(clippy::print_stdout, reason = "it says what was asked meanwhile, and how long the slowest client waited")]

use std::collections::{HashSet, VecDeque};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};
use slarouter_testkit::{Daemon, Front, Postgres, Script, Upstream, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::crowd::{ADMIN, Crowd, KEY, Said, all_know_the_same, check, check_log, decision_id, on, send_away, verify};
use crate::{BIN, client, configuration, serving_by, write};

const CLIENTS: usize = 6;
/// A client would give up; nobody waits so long.
const PATIENCE: Duration = Duration::from_secs(60);
/// What a client does between two answers.
const PACE: Duration = Duration::from_millis(5);
/// So many answers later a client rates every fourth one: also those of a gateway that has ended meanwhile.
const LATER: usize = 4;
/// Ratings before, between and after exchanges.
const ENOUGH: usize = 60;

/// The binary that serves first.
fn before() -> PathBuf {
    std::env::var_os("SLAROUTER_BEFORE").map_or_else(|| BIN.into(), PathBuf::from)
}

/// Whether the binary that serves first is another one, which clients' open connections are not tried on: a release that closes them while it stops may
/// close one in which a request is on its way.
fn is_upgrade() -> bool {
    before() != Path::new(BIN)
}

/// Whether a binary can be handed a socket.
fn takes_sockets(binary: &Path) -> bool {
    let bytes = std::fs::read(binary).unwrap_or_else(|error| panic!("{}: {error}", binary.display()));
    bytes.windows(10).any(|name| name == b"LISTEN_FDS")
}

/// Clients who ask at one address, and stand no error.
struct Traffic {
    crowd: Arc<Crowd>,
    base: String,
    seen: Mutex<Seen>,
    stop: AtomicBool,
}

/// What they saw.
#[derive(Debug, Default)]
struct Seen {
    requests: usize,
    streams: usize,
    ratings: usize,
    longest: Duration,
    errors: Vec<String>,
}

impl Traffic {
    fn at(addr: SocketAddr) -> Arc<Self> {
        let (base, seen, stop) = (format!("http://{addr}"), Mutex::default(), AtomicBool::new(false));
        Arc::new(Self { crowd: Crowd::new(PATIENCE, PACE), base, seen, stop })
    }

    /// A client that keeps its connection, and so its gateway, for its next request, or opens one for each and comes to another gateway.
    fn http(keeps: bool) -> reqwest::Client {
        let kept = usize::from(keeps && !is_upgrade());
        reqwest::Client::builder().no_proxy().timeout(PATIENCE).pool_max_idle_per_host(kept).build().unwrap()
    }

    async fn ask(&self, http: &reqwest::Client, words: &str, streams: bool) -> Result<String, String> {
        let asked = Instant::now();
        let body = json!({ "model": "auto", "stream": streams, "messages": [{ "role": "user", "content": words }] });
        let url = format!("{}/v1/chat/completions", self.base);
        let answer = http.post(url).bearer_auth(KEY).json(&body).send().await.map_err(|error| format!("{error:?}"))?;
        let (status, id) = (answer.status(), answer.headers().get("x-request-id").cloned());
        let text = answer.text().await.map_err(|error| format!("a broken answer: {error:?}"))?;
        if status != StatusCode::OK {
            return Err(format!("{status}: {text}"));
        }
        self.answered(asked, streams, &text)?;
        Ok(id.ok_or("no id")?.to_str().unwrap().to_owned())
    }

    /// Notes an answer, if it is whole.
    fn answered(&self, asked: Instant, streams: bool, text: &str) -> Result<(), String> {
        if streams && !(text.ends_with("data: [DONE]\n\n") && text.contains("\"finish_reason\":\"stop\"")) {
            return Err(format!("a stream without its end: {text}"));
        }
        let mut seen = self.seen.lock().unwrap();
        seen.requests += 1;
        seen.streams += usize::from(streams);
        seen.longest = seen.longest.max(asked.elapsed());
        Ok(())
    }

    async fn rate(&self, http: &reqwest::Client, written: &str, rating: f64) -> Result<(), String> {
        let (id, said) = (decision_id(written), Said { rating: Some(rating), is_acknowledged: false });
        self.crowd.said.lock().unwrap().insert(id, said);
        let asked = Instant::now();
        let url = format!("{}/v1/feedback", self.base);
        let body = json!({ "id": written, "rating": rating });
        let reply = http.post(url).bearer_auth(KEY).json(&body).send().await.map_err(|error| format!("{error:?}"))?;
        let status = reply.status();
        let receipt = reply.text().await.map_err(|error| format!("a broken receipt: {error:?}"))?;
        if status != StatusCode::ACCEPTED || !receipt.contains("recorded") {
            return Err(format!("{status}: {receipt}"));
        }
        self.crowd.said.lock().unwrap().insert(id, Said { is_acknowledged: true, ..said });
        self.crowd.counts.send_modify(|counts| counts.rated += 1);
        let mut seen = self.seen.lock().unwrap();
        seen.ratings += 1;
        seen.longest = seen.longest.max(asked.elapsed());
        Ok(())
    }

    /// Asks, and rates this answer or an earlier one.
    async fn round(&self, http: &reqwest::Client, turn: usize, later: &mut VecDeque<String>) -> Result<(), String> {
        let id = self.ask(http, &format!("hello {turn}"), turn.is_multiple_of(3)).await?;
        if turn.is_multiple_of(4) {
            later.push_back(id);
        } else {
            self.rate(http, &id, f64::from(u8::from(!turn.is_multiple_of(5)))).await?;
        }
        match later.pop_front_if(|_| turn.is_multiple_of(4 * LATER)) {
            Some(id) => self.rate(http, &id, 1.0).await,
            None => Ok(()),
        }
    }

    /// Asks and rates until the end, when all is rated.
    async fn insist(self: Arc<Self>, mut turn: usize, keeps: bool) {
        let (http, mut later) = (Self::http(keeps), VecDeque::new());
        while !self.stop.load(Ordering::Relaxed) {
            turn += 1;
            tokio::time::sleep(PACE).await;
            if let Err(error) = self.round(&http, turn, &mut later).await {
                self.seen.lock().unwrap().errors.push(error);
            }
        }
        for id in later {
            if let Err(error) = self.rate(&http, &id, 1.0).await {
                self.seen.lock().unwrap().errors.push(error);
            }
        }
    }

    fn begin(self: &Arc<Self>) -> Vec<tokio::task::JoinHandle<()>> {
        (0..CLIENTS).map(|n| tokio::spawn(self.clone().insist(n * 1_000_000, n.is_multiple_of(2)))).collect()
    }

    /// More clients have rated, and nobody has seen an error so far.
    async fn goes_on(&self) {
        self.crowd.until_rated(ENOUGH).await;
        let seen = self.seen.lock().unwrap();
        assert!(seen.errors.is_empty(), "{seen:#?}");
    }

    async fn end(&self, clients: Vec<tokio::task::JoinHandle<()>>, what: &str) {
        self.stop.store(true, Ordering::Relaxed);
        for client in clients {
            client.await.unwrap();
        }
        let seen = self.seen.lock().unwrap();
        assert!(seen.errors.is_empty(), "{seen:#?}");
        let Seen { requests, streams, ratings, longest, .. } = &*seen;
        println!(
            "{what}: {requests} requests ({streams} streams) and {ratings} ratings without an error, the longest took {} ms",
            longest.as_millis()
        );
    }
}

/// A stream of which the client has the beginning, and the model goes on when it may.
struct Open {
    answer: reqwest::Response,
    gate: Arc<Semaphore>,
    text: String,
}

impl Open {
    /// To be called while nobody else asks.
    async fn begin(traffic: &Traffic, upstream: &Upstream) -> Self {
        let gate = Arc::new(Semaphore::new(0));
        let chunk = |content: &str, reason: Option<&str>| {
            let choice = json!({ "index": 0, "delta": { "content": content }, "finish_reason": reason });
            let chunk = json!({ "id": "u", "object": "chat.completion.chunk", "model": "m", "choices": [choice] });
            format!("data: {chunk}\n\n")
        };
        let script = Script::event_stream().chunk(chunk("one", None)).gate(&gate).chunk(chunk(" two", Some("stop")));
        upstream.script(script.chunk("data: [DONE]\n\n").end());
        let body = json!({ "model": "auto", "stream": true, "messages": [{ "role": "user", "content": "tell me" }] });
        let url = format!("{}/v1/chat/completions", traffic.base);
        let mut answer = Traffic::http(false).post(url).bearer_auth(KEY).json(&body).send().await.unwrap();
        let first = answer.chunk().await.unwrap().unwrap();
        Self { answer, gate, text: String::from_utf8(first.to_vec()).unwrap() }
    }

    /// Lets it go on to its end; its id.
    async fn end(mut self, traffic: &Traffic) -> String {
        self.gate.add_permits(1);
        while let Some(bytes) = self.answer.chunk().await.unwrap() {
            self.text.push_str(std::str::from_utf8(&bytes).unwrap());
        }
        // How long it was held up is this test's doing, and is not counted.
        traffic.answered(Instant::now(), true, &self.text).unwrap();
        self.answer.headers()["x-request-id"].to_str().unwrap().to_owned()
    }
}

/// Tells a gateway to stop, and waits until it says that it does.
async fn send_off(gateway: &Daemon) {
    let ready = format!("http://{}/readyz", gateway.ready()["admin"].as_str().unwrap());
    let http = client();
    gateway.terminate().await.unwrap();
    until("the gateway says that it stops", async || {
        http.get(&ready).send().await.is_ok_and(|reply| reply.status() == StatusCode::SERVICE_UNAVAILABLE)
    })
    .await;
}

async fn ends(gateway: &mut Daemon) {
    assert!(gateway.wait().await.unwrap().success(), "{}", gateway.stderr());
    assert!(!gateway.stderr().contains("panicked"), "{}", gateway.stderr());
}

/// How clients come to a gateway whatever becomes of its process.
enum Way {
    Socket(TcpListener),
    Front(Front),
}

impl Way {
    async fn before(binary: &Path) -> Self {
        if takes_sockets(binary) {
            Self::Socket(TcpListener::bind("127.0.0.1:0").unwrap())
        } else {
            Self::Front(Front::start().await)
        }
    }

    fn addr(&self) -> SocketAddr {
        match self {
            Self::Socket(socket) => socket.local_addr().unwrap(),
            Self::Front(front) => front.addr(),
        }
    }

    /// Where a gateway is to listen.
    fn listen(&self) -> SocketAddr {
        match self {
            Self::Socket(_) => self.addr(),
            Self::Front(_) => "127.0.0.1:0".parse().unwrap(),
        }
    }

    async fn start(&self, binary: &Path, config: &Path) -> Daemon {
        let command = &mut serving_by(binary, config, &["--log", "warn"]);
        match self {
            Self::Socket(socket) => Daemon::spawn_on(command, socket).await.unwrap(),
            Self::Front(front) => {
                let gateway = Daemon::spawn(command).await.unwrap();
                front.add(gateway.addr());
                gateway
            }
        }
    }

    /// Before the gateway is told to stop.
    fn take_out(&self, gateway: &Daemon) {
        if let Self::Front(front) = self {
            front.remove(gateway.addr());
        }
    }
}

/// A configuration on a file, with what a load balancer needs where there is one.
fn on_a_file(way: &Way, folder: &Path, upstream: &str) -> String {
    let delay = if matches!(way, Way::Front(_)) { "\nshutdown_delay_s = 0.3" } else { "" };
    let server = format!(
        "listen = \"{}\"\nadmin_listen = \"127.0.0.1:0\"\nadmin_keys = [\"{ADMIN}\"]\napi_keys = [\"{KEY}\"]{delay}",
        way.listen()
    );
    let text = configuration(folder, upstream, &server, &["small", "large"]);
    // Named, as 0.1 takes another model where none is.
    let route = "[routes.default]\nfallback = \"large\"\n";
    text.replace("[routes.default]\n", route).replace("[store]\n", "[store]\nsnapshot_every = 100\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_on_a_file_is_exchanged_and_nobody_sees_an_error() {
    let (folder, upstream, before) = (tempfile::tempdir().unwrap(), Upstream::start().await, before());
    let way = Way::before(&before).await;
    let config = write(folder.path(), &on_a_file(&way, folder.path(), &upstream.base_url()));
    let traffic = Traffic::at(way.addr());
    let mut gateway = way.start(&before, &config).await;
    let stream = Open::begin(&traffic, &upstream).await;
    let clients = traffic.begin();
    traffic.goes_on().await;

    way.take_out(&gateway);
    send_off(&gateway).await;
    let streamed = stream.end(&traffic).await;
    ends(&mut gateway).await;
    // There is no process now, and the other one is started after this client has sent its request.
    let mut waiting = TcpStream::connect(way.addr()).await.unwrap();
    waiting.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut gateway = way.start(Path::new(BIN), &config).await;
    let mut answer = String::new();
    waiting.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    traffic.rate(&Traffic::http(false), &streamed, 1.0).await.unwrap();
    traffic.goes_on().await;

    traffic.end(clients, "a gateway on a file").await;
    gateway.terminate().await.unwrap();
    ends(&mut gateway).await;
    let mut verified = verify(&config).await;
    if verified["same"] != true {
        verified = learnt_anew(&way, &config, &verified).await;
    }
    let url = format!("sqlite://{}", folder.path().join("log.db").display());
    let found = check_log(&url, &HashSet::new(), &verified, &traffic.crowd).await;
    assert_eq!((found.lost, found.unheard), (0, 0), "{found:?}");
}

/// A state that another release has saved may differ from what this one learns from the log, in the policy and the last days alone; then what docs/operations.md says
/// makes it the same.
async fn learnt_anew(way: &Way, config: &Path, verified: &Value) -> Value {
    assert!(is_upgrade(), "{verified:#}");
    println!("what was saved differs from the log in: {}", verified["differences"]["default"]["parts"]);
    let parts = verified["differences"]["default"]["parts"].as_array().unwrap();
    assert!(parts.iter().all(|part| part == "policy" || part == "last days"), "{verified:#}");
    let database = rusqlite::Connection::open(config.with_file_name("log.db")).unwrap();
    database.execute("DELETE FROM snapshots", []).unwrap();
    drop(database);
    let mut gateway = way.start(Path::new(BIN), config).await;
    gateway.terminate().await.unwrap();
    ends(&mut gateway).await;
    let verified = verify(config).await;
    assert_eq!(verified["same"], true, "{verified:#}");
    verified
}

#[tokio::test(flavor = "multi_thread")]
async fn gateways_on_postgresql_are_exchanged_one_by_one_and_nobody_sees_an_error() {
    let (folder, upstream, before) = (tempfile::tempdir().unwrap(), Upstream::start().await, before());
    let database = Postgres::shared().database();
    let text = on(&database.url(), folder.path(), &upstream.base_url(), 100);
    let config = write(folder.path(), &text.replace("[server]\n", "[server]\nshutdown_delay_s = 0.3\n"));
    let way = Way::Front(Front::start().await);
    let traffic = Traffic::at(way.addr());
    let (mut gateways, mut streams) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        let gateway = way.start(&before, &config).await;
        // At each of them one.
        gateways.iter().for_each(|other| way.take_out(other));
        streams.push(Open::begin(&traffic, &upstream).await);
        gateways.push(gateway);
    }
    if let Way::Front(front) = &way {
        front.add(gateways[0].addr());
    }
    let clients = traffic.begin();
    traffic.goes_on().await;

    for stream in streams {
        let mut leaving = gateways.remove(0);
        way.take_out(&leaving);
        send_off(&leaving).await;
        let streamed = stream.end(&traffic).await;
        traffic.rate(&Traffic::http(false), &streamed, 1.0).await.unwrap();
        ends(&mut leaving).await;
        gateways.push(way.start(Path::new(BIN), &config).await);
        traffic.goes_on().await;
    }

    traffic.end(clients, "two gateways on PostgreSQL").await;
    // Their own questions are rated by nobody.
    all_know_the_same(&gateways, &database).await;
    send_away(gateways, &database).await;
    let found = check(&database, &config, &traffic.crowd).await;
    assert_eq!((found.lost, found.unheard), (0, 0), "{found:?}");
}

/// What systemd passes on has to be what the configuration says.
#[tokio::test]
async fn a_socket_that_no_setting_names_is_a_mistake_of_the_configuration() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start().await);
    let text = configuration(folder.path(), &upstream.base_url(), "listen = \"127.0.0.1:0\"", &["small"]);
    let config = write(folder.path(), &text);
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let said = Daemon::spawn_on(&serving_by(Path::new(BIN), &config, &[]), &socket).await.unwrap_err().to_string();
    let addr = socket.local_addr().unwrap().to_string();
    assert!(said.contains("exit status: 64"), "{said}");
    assert!(
        [&addr, "LISTEN_FDS", "server.listen is 127.0.0.1:0", "ListenStream="].iter().all(|part| said.contains(*part)),
        "{said}"
    );
}
