//! Hostile clients: connections that say nothing, bodies that do not end, bombs, and a rater who never stops.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::Client;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

/// Addresses of those that hold connections, none of which is that of the honest ones: one address has not ports enough for all that are
/// open or were a minute ago.
const HOMES: u8 = 16;
/// The address of the others.
const FROM: [u8; 4] = [127, 0, 0, 2];
/// Between two bytes of a slow body, and between two bombs.
const PACE: Duration = Duration::from_millis(50);
/// Ratings and changes of them that one answer takes.
pub(crate) const WORDS_PER_ANSWER: usize = 1_000;
/// Words that the rater has under way at once, so that they share commits: the disk alone would bound them otherwise.
const TONGUES: usize = 16;
const DIGITS: usize = 1 << 20;

/// How many there are of each.
#[derive(Clone, Copy)]
pub(crate) struct Numbers {
    pub(crate) idle: usize,
    pub(crate) slow: usize,
    pub(crate) words: usize,
}

/// What became of their requests, by status.
pub(crate) type Statuses = BTreeMap<u16, usize>;

/// Those that are at it until they are told to stop.
pub(crate) struct Hostiles {
    stop: Arc<AtomicBool>,
    holders: JoinSet<()>,
    bombs: JoinSet<Statuses>,
    rater: JoinSet<Statuses>,
}

impl Hostiles {
    /// Sets them on the gateway. `answers` are ids of answers to be rated, one for each thousand words.
    pub(crate) async fn start(addr: SocketAddr, numbers: Numbers, answers: Vec<String>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (mut holders, mut bombs, mut rater) = (JoinSet::new(), JoinSet::new(), JoinSet::new());
        for number in 0..numbers.idle {
            // All are there before the first honest client asks.
            let stream = connect(home(number), addr).await;
            holders.spawn(hold(addr, stream, number, stop.clone()));
        }
        for number in 0..numbers.slow {
            holders.spawn(drip(addr, number, stop.clone()));
        }
        bombs.spawn(throw(addr, stop.clone()));
        let shares = answers.len().div_ceil(TONGUES).max(1);
        let each = numbers.words.div_ceil(answers.len().max(1)).min(WORDS_PER_ANSWER);
        for answers in answers.chunks(shares) {
            rater.spawn(rate(addr, answers.to_vec(), each));
        }
        Self { stop, holders, bombs, rater }
    }

    /// Whether the rater has said all that it had to say.
    pub(crate) fn rater_is_done(&mut self, statuses: &mut Statuses) -> bool {
        while let Some(done) = self.rater.try_join_next() {
            add(statuses, done.unwrap());
        }
        self.rater.is_empty()
    }

    /// Sends them away; what the bombs got.
    pub(crate) async fn leave(mut self) -> Statuses {
        self.stop.store(true, Ordering::Relaxed);
        self.holders.shutdown().await;
        let mut statuses = Statuses::new();
        for done in self.bombs.join_all().await {
            add(&mut statuses, done);
        }
        statuses
    }
}

fn add(all: &mut Statuses, more: Statuses) {
    more.into_iter().for_each(|(status, count)| *all.entry(status).or_default() += count);
}

fn home(number: usize) -> [u8; 4] {
    [127, 0, 1, (number % usize::from(HOMES)) as u8]
}

async fn connect(from: [u8; 4], addr: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    // Ports of connections that have ended are taken again.
    socket.set_reuseaddr(true).unwrap();
    socket.bind((from, 0).into()).unwrap();
    socket.connect(addr).await.unwrap()
}

/// What one says before it says nothing more: nothing, half a head, or a request and then no other.
fn idle(number: usize) -> &'static [u8] {
    [&b""[..], b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n", b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"]
        [number % 3]
}

/// Holds a connection, and another one whenever it is closed.
async fn hold(addr: SocketAddr, mut stream: TcpStream, number: usize, stop: Arc<AtomicBool>) {
    let mut read = [0; 1024];
    let says = idle(number);
    loop {
        // Who has been closed already cannot send, and sees it when it reads.
        let _ = stream.write_all(says).await;
        while matches!(stream.read(&mut read).await, Ok(1..)) {}
        if stop.load(Ordering::Relaxed) {
            return;
        }
        stream = connect(home(number), addr).await;
    }
}

/// Sends a body byte by byte, and another one whenever it is refused.
async fn drip(addr: SocketAddr, number: usize, stop: Arc<AtomicBool>) {
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000000\r\n\r\n";
    while !stop.load(Ordering::Relaxed) {
        let mut stream = connect(home(number), addr).await;
        let _ = stream.write_all(head.as_bytes()).await;
        while stream.write_all(b" ").await.is_ok() {
            sleep(PACE).await;
        }
    }
}

/// Bodies that are to cost more than they weigh.
fn bombs() -> Vec<(Vec<u8>, bool)> {
    let numbered = |field: &str, value: &str| {
        let body = format!(r#"{{"model":"auto","messages":[{{"role":"user","content":"x"}}],"{field}":{value}}}"#);
        (body.into_bytes(), false)
    };
    let gzip =
        [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 0xff][..], &[0xed, 0xc1, 1, 1, 0, 0, 0, 0x80, 0x90, 0xfe].repeat(10_000)];
    vec![
        ("[".repeat(DIGITS).into_bytes(), false),
        (r#"{"messages":"#.repeat(DIGITS / 12).into_bytes(), false),
        numbered("tools", &format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))),
        numbered("max_tokens", &"9".repeat(DIGITS)),
        numbered("n", &format!("1e{}", "9".repeat(DIGITS))),
        numbered("temperature", &format!("0.{}", "1".repeat(DIGITS))),
        numbered("user", &format!("\"{}\"", "\\u0041".repeat(DIGITS / 6))),
        (gzip.concat(), true),
    ]
}

async fn throw(addr: SocketAddr, stop: Arc<AtomicBool>) -> Statuses {
    let http = Client::builder().no_proxy().local_address(std::net::IpAddr::from(FROM)).build().unwrap();
    let (bombs, mut statuses) = (bombs(), Statuses::new());
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for (body, compressed) in bombs.iter().cycle() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        pace.tick().await;
        let request =
            http.post(format!("http://{addr}/v1/chat/completions")).header("content-type", "application/json");
        let request = if *compressed { request.header("content-encoding", "gzip") } else { request };
        let answer = request.body(body.clone()).send().await.unwrap();
        *statuses.entry(answer.status().as_u16()).or_default() += 1;
        answer.bytes().await.unwrap();
    }
    statuses
}

/// Says `each` words on each of these answers, always another one than before.
async fn rate(addr: SocketAddr, answers: Vec<String>, each: usize) -> Statuses {
    let http = Client::builder().no_proxy().local_address(std::net::IpAddr::from(FROM)).build().unwrap();
    let mut statuses = Statuses::new();
    for id in answers {
        for word in 0..each {
            let body = json!({ "id": id, "rater": "the same", "rating": if word % 2 == 0 { "down" } else { "up" } });
            let answer = http.post(format!("http://{addr}/v1/feedback")).json(&body).send().await.unwrap();
            *statuses.entry(answer.status().as_u16()).or_default() += 1;
            answer.bytes().await.unwrap();
        }
    }
    statuses
}
