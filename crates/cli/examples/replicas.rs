//! How late a gateway learns what was rated at another one, and for how long nothing is learnt while the log changes hands: the
//! delays of several gateways in docs/benchmarks.md, "The log in two databases".
//!
//!     cargo run --release -p slarouter-cli --example replicas -- target/release/slarouter postgres://me@localhost/empty 200 60
//!
//! The arguments are the binary, an empty database (`psql` has to reach it too), requests per second and seconds. Three gateways share the database; of
//! five requests one is rated, at one that follows. Then the holder is killed, and sent away, five times each.
//!
//!     … postgres://me@localhost/empty 200 60 /var/run/postgresql/.s.PGSQL.5432 25
//!
//! has the third gateway far away from the database whose socket that is: what passes between them comes so many milliseconds later, each way.

use std::error::Error;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;
use slarouter_testkit::{Daemon, Link, Upstream, Way};
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval, sleep};

type Failure = Box<dyn Error + Send + Sync>;

/// How often a gateway is asked what it has learnt.
const LOOK: Duration = Duration::from_millis(5);
/// Of so many requests one is rated.
const RATED: u64 = 5;
/// How often the log changes hands in either way.
const TAKEOVERS: usize = 5;
/// Longer than a takeover takes.
const LONG: Duration = Duration::from_secs(13);

/// What a gateway said of itself: when, ratings that it has learnt from, and the last event.
type Seen = Arc<Mutex<Vec<(Instant, u64, u64)>>>;

/// How long the answers of each gateway took.
type Taken = Arc<Mutex<Vec<Vec<Duration>>>>;

/// A gateway, and what it is seen to have learnt.
struct Gateway {
    daemon: Daemon,
    config: PathBuf,
    seen: Seen,
    watching: JoinHandle<()>,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let ([binary, url, rate, seconds], far) = (match &arguments[..] {
        [near @ .., socket, late] if near.len() == 4 => (near, Some((socket, Duration::from_millis(late.parse()?)))),
        near => (near, None),
    }) else {
        return Err("usage: replicas BINARY postgres://… REQUESTS_PER_SECOND SECONDS [SOCKET MILLISECONDS]".into());
    };
    let (rate, seconds): (u64, u64) = (rate.parse()?, seconds.parse()?);
    let (folder, upstream) = (tempfile::tempdir()?, Upstream::start().await);
    let mut urls = vec![url.clone(); 3];
    let mut link = None;
    if let Some((socket, late)) = far {
        let far = link.insert(Link::before(Path::new(socket)).await);
        far.set(Way::Late(late), Way::Late(late));
        urls[2] = through(url, far)?;
    }
    let mut gateways = Vec::new();
    for (place, url) in urls.iter().enumerate() {
        let folder = folder.path().join(place.to_string());
        std::fs::create_dir(&folder)?;
        gateways.push(start(binary, &configure(&folder, url, &upstream.base_url())?).await?);
    }
    let bases: Arc<Mutex<Vec<String>>> = Arc::new(Mutex::new(bases(&gateways)));
    let (answers, answered) = mpsc::unbounded_channel();
    let taken: Taken = Arc::new(Mutex::new(vec![Vec::new(); 3]));
    let load = tokio::spawn(ask(bases.clone(), rate, answers, taken.clone()));
    let rater = bases.lock().unwrap_or_else(PoisonError::into_inner)[1].clone();
    let acknowledged: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let rating = tokio::spawn(rate_all(rater, answered, acknowledged.clone()));
    sleep(Duration::from_secs(seconds)).await;
    rating.abort();
    sleep(Duration::from_secs(2)).await;
    let acknowledged = acknowledged.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut told = format!("requests a second | {rate}\nratings acknowledged | {}\n", acknowledged.len());
    for (name, place) in [("the holder", 0), ("the same gateway", 1), ("another that follows", 2)] {
        let late = lateness(&acknowledged, &gateways[place].seen);
        writeln!(told, "learnt by {name} after, p50 / p99 / longest | {}", shares(late))?;
        let answers = std::mem::take(&mut taken.lock().unwrap_or_else(PoisonError::into_inner)[place]);
        writeln!(told, "its answers, p50 / p99 / longest | {}", shares(answers))?;
    }
    for (name, kill) in [("killed", true), ("sent away", false)] {
        let mut gaps = Vec::new();
        for _ in 0..TAKEOVERS {
            gaps.push(change_hands(&mut gateways, kill, binary, url, &bases).await?);
        }
        writeln!(told, "nothing learnt while the holder was {name}, p50 / p99 / longest | {}", shares(gaps))?;
    }
    load.abort();
    std::io::stdout().write_all(told.as_bytes())?;
    Ok(())
}

/// The same database, by the way that the link is.
fn through(url: &str, link: &Link) -> Result<String, Failure> {
    let user = url.split_once("://").and_then(|(_, rest)| Some(rest.rsplit_once('@')?.0));
    let (Some(user), Some((_, database))) = (user, url.rsplit_once('/')) else {
        return Err(format!("{url} has to name a user and a database").into());
    };
    Ok(format!("postgres://{user}@{}/{database}", link.addr()))
}

fn configure(folder: &Path, url: &str, upstream: &str) -> Result<PathBuf, Failure> {
    let model = |name: &str, price: f64| {
        format!(
            "[[models]]\nname = \"{name}\"\nbase_url = \"{upstream}\"\nupstream_model = \"ok\"\nprice = {{ input = {price}, output = {price} }}\n"
        )
    };
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[store]\nurl = '{url}'\n{}{}[routes.default]\nmodels = [\"small\", \"large\"]\n\
         fallback = \"large\"\nsla = {{ satisfaction = 0.8 }}\n",
        model("small", 0.1),
        model("large", 5.0)
    );
    let path = folder.join("slarouter.toml");
    std::fs::write(&path, text)?;
    Ok(path)
}

async fn start(binary: &str, config: &Path) -> Result<Gateway, Failure> {
    let mut command = Command::new(binary);
    command.args(["serve", "--log", "error", "--config"]).arg(config).env("STATE_DIRECTORY", folder_of(config));
    let daemon = Daemon::spawn(&mut command).await?;
    let seen = Seen::default();
    let watching = tokio::spawn(watch(format!("http://{}/metrics", daemon.addr()), seen.clone()));
    Ok(Gateway { daemon, config: config.to_owned(), seen, watching })
}

fn folder_of(config: &Path) -> &Path {
    config.parent().unwrap_or(config)
}

fn bases(gateways: &[Gateway]) -> Vec<String> {
    gateways.iter().map(|gateway| format!("http://{}", gateway.daemon.addr())).collect()
}

fn http() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap_or_default()
}

/// Writes down each change of what a gateway has learnt.
async fn watch(url: String, seen: Seen) {
    let http = http();
    let mut last = (0, 0);
    loop {
        let Ok(reply) = http.get(&url).send().await else { break };
        let Ok(text) = reply.text().await else { break };
        let now = Instant::now();
        let value = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).map_or(0, |value| value as u64)
        };
        let known = (value("slarouter_labelled_decisions{"), value("slarouter_learner_seq "));
        if known != last {
            seen.lock().unwrap_or_else(PoisonError::into_inner).push((now, known.0, known.1));
            last = known;
        }
        sleep(LOOK).await;
    }
}

/// Asks so often in a second, at each gateway in turn, whether earlier requests are answered or not.
async fn ask(bases: Arc<Mutex<Vec<String>>>, rate: u64, answers: mpsc::UnboundedSender<String>, taken: Taken) {
    let http = http();
    let mut ticks = interval(Duration::from_secs(1) / rate.max(1) as u32);
    for turn in 0_u64.. {
        ticks.tick().await;
        let (place, base) = {
            let bases = bases.lock().unwrap_or_else(PoisonError::into_inner);
            let place = turn as usize % bases.len();
            (place, bases[place].clone())
        };
        let body = json!({ "model": "auto", "messages": [{ "role": "user", "content": format!("hello {turn}") }] });
        let (asked, answers) = (http.post(format!("{base}/v1/chat/completions")).json(&body).send(), answers.clone());
        let (began, taken) = (Instant::now(), taken.clone());
        tokio::spawn(async move {
            let Ok(answer) = asked.await else { return };
            taken.lock().unwrap_or_else(PoisonError::into_inner)[place].push(began.elapsed());
            let id = answer.headers().get("x-request-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
            if let (Some(id), true, Ok(_)) = (id, turn.is_multiple_of(RATED), answer.bytes().await) {
                // The end of the measurement may have closed it.
                drop(answers.send(id));
            }
        });
    }
}

/// Rates answers at one gateway, one after the other, and writes down when each rating was acknowledged: they are learnt in that order.
async fn rate_all(base: String, mut answered: mpsc::UnboundedReceiver<String>, acknowledged: Arc<Mutex<Vec<Instant>>>) {
    let http = http();
    while let Some(id) = answered.recv().await {
        let rating = json!({ "id": id, "rating": "up" });
        let rated = http.post(format!("{base}/v1/feedback")).json(&rating).send().await;
        if rated.is_ok_and(|reply| reply.status().as_u16() == 202) {
            acknowledged.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
        }
    }
}

/// From each acknowledgement until a gateway was seen to have learnt as many ratings.
fn lateness(acknowledged: &[Instant], seen: &Seen) -> Vec<Duration> {
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    let late = acknowledged.iter().enumerate().filter_map(|(place, at)| {
        let known = seen.iter().find(|(_, labels, _)| *labels > place as u64)?;
        Some(known.0.saturating_duration_since(*at))
    });
    late.collect()
}

fn shares(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let Some(last) = times.len().checked_sub(1) else { return "-".to_owned() };
    let at = |share: f64| times[(last as f64 * share).round() as usize].as_millis();
    format!("{} / {} / {} ms of {}", at(0.5), at(0.99), at(1.0), times.len())
}

/// Kills or stops the holder under load, and starts another in its place. The longest time within which a gateway that stayed learnt nothing.
async fn change_hands(
    gateways: &mut [Gateway],
    kill: bool,
    binary: &str,
    url: &str,
    bases: &Mutex<Vec<String>>,
) -> Result<Duration, Failure> {
    let said = Command::new("psql").args(["-XAt", "-c", "SELECT host FROM head", url]).output().await?;
    let host = String::from_utf8_lossy(&said.stdout).trim().to_owned();
    let id: Option<u32> = host.rsplit(' ').next().and_then(|id| id.parse().ok());
    let place = gateways.iter().position(|gateway| gateway.daemon.id() == id && id.is_some());
    let place = place.ok_or_else(|| format!("none of the gateways holds the log: {host}"))?;
    let at = Instant::now();
    if kill {
        gateways[place].daemon.kill().await?;
    } else {
        gateways[place].daemon.terminate().await?;
    }
    sleep(LONG).await;
    let stayed = &gateways[(place + 1) % gateways.len()];
    let moments: Vec<Instant> = {
        let seen = stayed.seen.lock().unwrap_or_else(PoisonError::into_inner);
        std::iter::once(at).chain(seen.iter().map(|(moment, ..)| *moment).filter(|moment| *moment > at)).collect()
    };
    let gap = moments.windows(2).map(|pair| pair[1] - pair[0]).max().ok_or("nothing was learnt any more")?;
    drop(gateways[place].daemon.wait().await);
    gateways[place].watching.abort();
    gateways[place] = start(binary, &gateways[place].config).await?;
    *bases.lock().unwrap_or_else(PoisonError::into_inner) = self::bases(gateways);
    sleep(Duration::from_secs(1)).await;
    Ok(gap)
}
