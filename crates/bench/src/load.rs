//! The load: closed loops, an open loop at a constant rate, and streams.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, sleep_until};

use crate::agent;
use crate::http::Connection;
use crate::mock::MARK;

/// Clients of the closed loops.
pub(crate) const CLIENTS: [usize; 3] = [1, 16, 64];
/// Every so many answers one is rated, where the gateway learns.
const RATED: u64 = 100;
/// Different questions, so that no gateway sees one and the same all the time.
const QUESTIONS: usize = 16;

/// Who is asked, and how.
#[derive(Clone)]
pub(crate) struct Target {
    addr: SocketAddr,
    plain: Vec<Bytes>,
    streamed: Vec<Bytes>,
    /// Agents' requests, by the place of their size in [`agent::SIZES`].
    agents: [Vec<Bytes>; agent::SIZES.len()],
    /// Head of a request that rates, up to the number of its bytes.
    rating: Option<String>,
}

/// What streamed answers are asked for.
#[derive(Clone, Copy)]
pub(crate) enum Traffic {
    /// One short question.
    Chat,
    /// A conversation with tools, of the size at this place of [`agent::SIZES`].
    Agent(usize),
}

/// When a closed loop ends.
#[derive(Clone, Copy)]
pub(crate) enum Until {
    Time(Duration),
    Requests(u64),
}

/// What was measured; times in nanoseconds.
#[derive(Default)]
pub(crate) struct Sample {
    pub(crate) latencies: Vec<u64>,
    pub(crate) errors: u64,
    pub(crate) seconds: f64,
    pub(crate) ratings: u64,
}

/// What was measured of streams; times in nanoseconds.
#[derive(Default)]
pub(crate) struct Streams {
    pub(crate) first: Vec<u64>,
    pub(crate) gaps: Vec<u64>,
    pub(crate) errors: u64,
    pub(crate) seconds: f64,
}

/// What the clients of a loop share.
struct Shared {
    latencies: RefCell<Vec<u64>>,
    errors: Cell<u64>,
    /// The number of the next request.
    next: Cell<u64>,
}

// === impl Shared ===

impl Shared {
    fn new() -> Rc<Self> {
        Rc::new(Self { latencies: RefCell::default(), errors: Cell::new(0), next: Cell::new(0) })
    }

    /// The number of the next request, below `end`.
    fn next(&self, end: u64) -> Option<u64> {
        let number = self.next.get();
        self.next.set(number + 1);
        (number < end).then_some(number)
    }

    /// Notes a time; how many there are.
    fn answered(&self, time: Duration) -> u64 {
        let mut latencies = self.latencies.borrow_mut();
        latencies.push(nanos(time));
        latencies.len() as u64
    }

    fn sample(&self, seconds: f64) -> Sample {
        Sample { latencies: self.latencies.take(), errors: self.errors.get(), seconds, ratings: 0 }
    }
}

// === impl Target ===

impl Target {
    /// `learns`: whether it takes ratings at `/v1/feedback`.
    pub(crate) fn new(addr: SocketAddr, path: &str, model: &str, key: Option<&str>, learns: bool) -> Self {
        let key = key.map(|key| format!("authorization: Bearer {key}\r\n")).unwrap_or_default();
        let head = |path: &str| {
            format!("POST {path} HTTP/1.1\r\nhost: {addr}\r\ncontent-type: application/json\r\n{key}content-length: ")
        };
        let request = |stream: bool, number: usize| {
            let text = format!("Explain in two sentences why sky number {number} is blue. ").repeat(18);
            let mut body = json!({ "model": model, "messages": [{ "role": "user", "content": text }] });
            if stream {
                body["stream"] = true.into();
            }
            whole(&head(path), &body)
        };
        let requests = |stream| (0..QUESTIONS).map(|number| request(stream, number)).collect();
        let rating = learns.then(|| head("/v1/feedback"));
        let of_agents =
            |bytes| (0..QUESTIONS).map(move |number| whole(&head(path), &agent::request(model, number, bytes)));
        let agents = agent::SIZES.map(|bytes| of_agents(bytes).collect());
        Self { addr, plain: requests(false), streamed: requests(true), agents, rating }
    }

    /// So many clients, each asking again as soon as it has its answer.
    pub(crate) async fn closed(&self, clients: usize, until: Until) -> io::Result<Sample> {
        let began = Instant::now();
        let (end, most) = match until {
            Until::Time(time) => (began + time, u64::MAX),
            Until::Requests(number) => (began + Duration::from_secs(86_400), number),
        };
        let shared = Shared::new();
        let (rate, ratings) = mpsc::unbounded_channel();
        let tasks = LocalSet::new();
        let mut workers = JoinSet::new();
        for _ in 0..clients {
            let (target, shared, rate) = (self.clone(), shared.clone(), rate.clone());
            let work = async move {
                let mut connection = Connection::open(target.addr).await?;
                loop {
                    let now = Instant::now();
                    let Some(number) = shared.next(most).filter(|_| now < end) else { return Ok(()) };
                    match ask(&mut connection, target.question(number), target.rating.is_some()).await {
                        Ok(id) => {
                            let answers = shared.answered(now.elapsed());
                            if let Some(id) = id.filter(|_| answers.is_multiple_of(RATED)) {
                                drop(rate.send(id));
                            }
                        }
                        Err(_) => {
                            shared.errors.set(shared.errors.get() + 1);
                            connection = Connection::open(target.addr).await?;
                        }
                    }
                }
            };
            workers.spawn_local_on(work, &tasks);
        }
        drop(rate);
        let (worked, rated) = tasks.run_until(async { tokio::join!(all(workers, began), self.rate(ratings)) }).await;
        Ok(Sample { ratings: rated?, ..shared.sample(worked?) })
    }

    /// Requests at a constant rate, whether earlier ones have been answered or not. One that had to wait for a free client is
    /// timed from when it was due, so that a gateway which stalls is charged for all that would have come meanwhile.
    pub(crate) async fn open(&self, per_second: f64, clients: usize, time: Duration) -> io::Result<Sample> {
        let due = (per_second * time.as_secs_f64()) as u64;
        let (shared, began) = (Shared::new(), Instant::now());
        let tasks = LocalSet::new();
        let mut workers = JoinSet::new();
        for _ in 0..clients {
            let (target, shared) = (self.clone(), shared.clone());
            let work = async move {
                let mut connection = Connection::open(target.addr).await?;
                while let Some(number) = shared.next(due) {
                    let at = began + Duration::from_secs_f64(number as f64 / per_second);
                    // The timer's own lateness is not the gateway's.
                    let from = if Instant::now() < at {
                        sleep_until(at).await;
                        Instant::now()
                    } else {
                        at
                    };
                    match ask(&mut connection, target.question(number), false).await {
                        Ok(_) => {
                            shared.answered(from.elapsed());
                        }
                        Err(_) => {
                            shared.errors.set(shared.errors.get() + 1);
                            connection = Connection::open(target.addr).await?;
                        }
                    }
                }
                Ok(())
            };
            workers.spawn_local_on(work, &tasks);
        }
        let seconds = tasks.run_until(all(workers, began)).await?;
        Ok(shared.sample(seconds))
    }

    fn question(&self, number: u64) -> &[u8] {
        &self.plain[(number % QUESTIONS as u64) as usize]
    }

    /// So many clients, each reading one streamed answer after the other, so many each.
    pub(crate) async fn streams(
        &self,
        traffic: Traffic,
        clients: usize,
        each: usize,
        words: usize,
    ) -> io::Result<Streams> {
        let requests = match traffic {
            Traffic::Chat => &self.streamed,
            Traffic::Agent(place) => &self.agents[place],
        };
        let (mut workers, from) = (JoinSet::new(), Instant::now());
        for first in 0..clients {
            let (addr, requests) = (self.addr, requests.clone());
            workers.spawn(async move {
                let mut streams = Streams::default();
                let mut connection = Connection::open(addr).await?;
                for number in 0..each {
                    let began = Instant::now();
                    let mut seen = Vec::with_capacity(words);
                    let request = &requests[(first + number) % QUESTIONS];
                    let status = connection
                        .exchange(request, &mut |piece| {
                            let now = Instant::now();
                            seen.extend(memchr::memchr_iter(MARK, piece).map(|_| now));
                        })
                        .await;
                    if !matches!(status, Ok(200)) || seen.len() != words {
                        streams.errors += 1;
                        connection = Connection::open(addr).await?;
                        continue;
                    }
                    streams.first.push(nanos(seen[0].duration_since(began)));
                    streams.gaps.extend(seen.windows(2).map(|pair| nanos(pair[1].duration_since(pair[0]))));
                }
                Ok::<_, io::Error>(streams)
            });
        }
        let mut all = Streams::default();
        while let Some(worker) = workers.join_next().await {
            let streams = worker??;
            all.first.extend(streams.first);
            all.gaps.extend(streams.gaps);
            all.errors += streams.errors;
        }
        all.seconds = from.elapsed().as_secs_f64();
        Ok(all)
    }

    /// Rates the answers of these ids one by one; how many. Every third is not satisfied.
    async fn rate(&self, mut ids: mpsc::UnboundedReceiver<String>) -> io::Result<u64> {
        let Some(head) = &self.rating else { return Ok(0) };
        let mut connection = Connection::open(self.addr).await?;
        let mut rated = 0;
        while let Some(id) = ids.recv().await {
            let word = if rated % 3 == 2 { "down" } else { "up" };
            let request = whole(head, &json!({ "id": id, "rating": word }));
            match connection.exchange(&request, &mut |_| {}).await? {
                202 => rated += 1,
                status => return Err(io::Error::other(format!("a rating was answered {status}"))),
            }
        }
        Ok(rated)
    }
}

/// Waits for all workers; seconds since `began`.
async fn all(mut workers: JoinSet<io::Result<()>>, began: Instant) -> io::Result<f64> {
    while let Some(worker) = workers.join_next().await {
        worker??;
    }
    Ok(began.elapsed().as_secs_f64())
}

/// One whole answer, with its id if that is wanted.
async fn ask(connection: &mut Connection, request: &[u8], wants_id: bool) -> io::Result<Option<String>> {
    let mut body = Vec::new();
    let mut length = 0;
    let status = connection
        .exchange(request, &mut |piece| {
            length += piece.len();
            if wants_id && body.len() < 64 {
                body.extend_from_slice(piece);
            }
        })
        .await?;
    if status != 200 || length == 0 {
        return Err(io::Error::other(format!("status {status}")));
    }
    let after = memchr::memmem::find(&body, b"\"id\":\"").map(|at| at + 6);
    Ok(after.and_then(|at| {
        let id = body.get(at..)?.split(|byte| *byte == b'"').next()?;
        String::from_utf8(id.to_vec()).ok()
    }))
}

fn whole(head: &str, body: &Value) -> Bytes {
    let body = body.to_string();
    format!("{head}{}\r\n\r\n{body}", body.len()).into()
}

fn nanos(time: Duration) -> u64 {
    time.as_nanos().try_into().unwrap_or(u64::MAX)
}
