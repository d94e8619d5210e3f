//! Hostile clients: connections that say nothing, bodies that do not end, bombs, and a rater who never stops. They are a process of their
//! own with the lowest priority: hostile clients are on other machines, and what their own work takes is not what the gateway is asked for.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::Client;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::{TcpSocket, TcpStream};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

/// Addresses of those that hold connections, none of which is that of the honest ones: one address has not ports enough for all that are
/// open or were a minute ago.
const HOMES: u8 = 16;
/// The address of the others.
const FROM: [u8; 4] = [127, 0, 0, 2];
/// Between two bytes of a slow body.
const PACE: Duration = Duration::from_millis(50);
/// Ratings and changes of them that one answer takes.
pub(crate) const WORDS_PER_ANSWER: usize = 1_000;
/// Words that the rater has under way at once, so that they share commits: the disk alone would bound them otherwise.
const TONGUES: usize = 16;
const DIGITS: usize = 1 << 20;

/// What their process says when all connections are there, when the rater has said all, and when they have been sent away.
const THERE: &str = "hostile clients are there";
const RATED: &str = "hostile ratings: ";
const BOMBS: &str = "hostile bombs: ";

/// How many there are of each.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Numbers {
    pub(crate) idle: usize,
    pub(crate) slow: usize,
    pub(crate) words: usize,
    /// Bombs a second.
    pub(crate) bombs: u32,
}

/// What became of their requests, by status.
pub(crate) type Statuses = BTreeMap<u16, usize>;

/// What their process reads first.
#[derive(Serialize, Deserialize)]
struct Orders {
    addr: SocketAddr,
    numbers: Numbers,
    /// Ids of answers to be rated, one for each thousand words.
    answers: Vec<String>,
}

/// Those that are at it until they are sent away.
pub(crate) struct Hostiles {
    child: Child,
    orders: Option<ChildStdin>,
    said: Lines<BufReader<ChildStdout>>,
}

impl Hostiles {
    /// Sets them on the gateway, and waits until all connections are there.
    pub(crate) async fn start(addr: SocketAddr, numbers: Numbers, answers: Vec<String>) -> Self {
        let mut command = Command::new("nice");
        command.args(["-n", "19"]).arg(std::env::current_exe().unwrap());
        command.args(["--exact", "hostile::at_work", "--ignored", "--nocapture"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let (mut orders, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let line = serde_json::to_string(&Orders { addr, numbers, answers }).unwrap() + "\n";
        orders.write_all(line.as_bytes()).await.unwrap();
        let mut hostiles = Self { child, orders: Some(orders), said: BufReader::new(stdout).lines() };
        hostiles.until(THERE).await;
        hostiles
    }

    /// What the rater got, once all has been said.
    pub(crate) async fn rated(&mut self) -> Statuses {
        serde_json::from_str(&self.until(RATED).await).unwrap()
    }

    /// Sends them away; what the bombs got.
    pub(crate) async fn leave(mut self) -> Statuses {
        // Its end is what they wait for.
        drop(self.orders.take());
        let bombs = serde_json::from_str(&self.until(BOMBS).await).unwrap();
        assert!(self.child.wait().await.unwrap().success());
        bombs
    }

    /// The rest of the next line that begins so.
    async fn until(&mut self, prefix: &str) -> String {
        loop {
            let line = self.said.next_line().await.unwrap().unwrap();
            if let Some(rest) = line.strip_prefix(prefix) {
                return rest.to_owned();
            }
        }
    }
}

/// Their process, which [`Hostiles::start`] begins: no test by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "is run by honest_clients_are_served_beside_hostile_ones"]
async fn at_work() {
    let Some(line) = next_order().await else { return };
    let Orders { addr, numbers, answers } = serde_json::from_str(&line).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let (mut holders, mut rater) = (JoinSet::new(), JoinSet::new());
    for number in 0..numbers.idle {
        // All are there before the first honest client asks.
        let stream = connect(home(number), addr).await;
        holders.spawn(hold(addr, stream, number));
    }
    for number in 0..numbers.slow {
        holders.spawn(drip(addr, number));
    }
    let bombs = tokio::spawn(throw(addr, numbers.bombs, stop.clone()));
    let shares = answers.len().div_ceil(TONGUES).max(1);
    let each = numbers.words.div_ceil(answers.len().max(1)).min(WORDS_PER_ANSWER);
    for answers in answers.chunks(shares) {
        rater.spawn(rate(addr, answers.to_vec(), each));
    }
    println!("{THERE}");
    let mut rated = Statuses::new();
    for statuses in rater.join_all().await {
        add(&mut rated, statuses);
    }
    println!("{RATED}{}", serde_json::to_string(&rated).unwrap());
    while next_order().await.is_some() {}
    stop.store(true, Ordering::Relaxed);
    holders.shutdown().await;
    println!("{BOMBS}{}", serde_json::to_string(&bombs.await.unwrap()).unwrap());
}

/// The next line of the standard input; `None` at its end.
async fn next_order() -> Option<String> {
    tokio::task::spawn_blocking(|| std::io::stdin().lines().next()).await.unwrap().transpose().unwrap()
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
async fn hold(addr: SocketAddr, mut stream: TcpStream, number: usize) {
    let mut read = [0; 1024];
    let says = idle(number);
    loop {
        // Who has been closed already cannot send, and sees it when it reads.
        let _ = stream.write_all(says).await;
        while matches!(stream.read(&mut read).await, Ok(1..)) {}
        stream = connect(home(number), addr).await;
    }
}

/// Sends a body byte by byte, and another one whenever it is refused.
async fn drip(addr: SocketAddr, number: usize) {
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000000\r\n\r\n";
    loop {
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

async fn throw(addr: SocketAddr, each_second: u32, stop: Arc<AtomicBool>) -> Statuses {
    let http = Client::builder().no_proxy().local_address(std::net::IpAddr::from(FROM)).build().unwrap();
    let (bombs, mut statuses) = (bombs(), Statuses::new());
    if each_second == 0 {
        return statuses;
    }
    let mut pace = interval(Duration::from_secs(1) / each_second);
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
