//! `kill -9` of gateways and of their database, again and again at moments drawn from a seed, while clients ask and rate: what was acknowledged
//! is in the log once, and all gateways have learnt the same.
//!
//! 20 kills by default; `make chaos` makes 500. `CHAOS_KILLS`, `CHAOS_SEED` and `CHAOS_SECONDS`, after which no further harm is done, change that.
#![expect(clippy::print_stdout, reason = "it says what was done and found")]

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use slarouter_testkit::{Daemon, Database, Postgres, Upstream, until};
use tokio::task::block_in_place;
use tokio::time::Instant;

use crate::crowd::{Crowd, all_know_the_same, ask_and_rate, check, holder, on, send_away, signal};
use crate::rng::Rng;
use crate::{serving, write};

const GATEWAYS: usize = 3;
const CLIENTS: usize = 4;
/// How long a client waits for a gateway that stands still, and between two answers.
const PATIENCE: Duration = Duration::from_secs(2);
const PACE: Duration = Duration::from_millis(15);
/// Longer than a holder has the log after its last word.
const LONG: Duration = Duration::from_millis(10_500);
/// Between two looks at who holds the log.
const LOOK: Duration = Duration::from_millis(50);
/// How often a gateway is started again that does not start, as the database has just been killed.
const STARTS: usize = 20;

/// What is done next.
#[derive(Clone, Copy, Debug)]
enum Harm {
    Follower,
    Holder,
    Two,
    All,
    WhileStarting,
    /// The server stops at once (`pg_ctl stop -m immediate`).
    Server,
    /// Its first process is killed.
    Postmaster,
    /// The same, and a gateway while it is away.
    PostmasterAndGateway,
    /// One of its processes that serve connections; then the server ends all the others itself.
    Backend,
    Pause,
}

impl Harm {
    fn draw(rng: &mut Rng) -> Self {
        match rng.below(100) {
            0..32 => Self::Follower,
            32..54 => Self::Holder,
            54..62 => Self::Two,
            62..66 => Self::All,
            66..74 => Self::WhileStarting,
            74..81 => Self::Server,
            81..87 => Self::Postmaster,
            87..91 => Self::PostmasterAndGateway,
            91..96 => Self::Backend,
            _ => Self::Pause,
        }
    }
}

/// What was done.
#[derive(Debug, Default)]
struct Tally {
    holders: usize,
    followers: usize,
    /// Gateways that were killed while nobody held the log.
    between: usize,
    while_starting: usize,
    servers: usize,
    postmasters: usize,
    backends: usize,
    pauses: usize,
    /// Terms that were ended by the database's clock, as if it had jumped ahead.
    terms_cut: usize,
    starts_failed: usize,
}

impl Tally {
    fn kills(&self) -> usize {
        self.holders
            + self.followers
            + self.between
            + self.while_starting
            + self.servers
            + self.postmasters
            + self.backends
    }
}

struct Chaos {
    rng: Rng,
    server: &'static Postgres,
    database: Database,
    config: PathBuf,
    gateways: Vec<Daemon>,
    /// Which one stands still, and since when.
    paused: Option<(usize, Instant)>,
    crowd: Arc<Crowd>,
    tally: Tally,
}

fn number(name: &str, standard: u64) -> u64 {
    std::env::var(name)
        .map_or(standard, |value| value.parse().unwrap_or_else(|_| panic!("{name} is no number: {value}")))
}

fn tell(what: &str) {
    println!("{what}");
}

impl Chaos {
    /// The gateway that holds the log, while one does and does not stand still.
    fn holder(&self) -> Option<usize> {
        let id = block_in_place(|| holder(&self.database));
        let place = self.gateways.iter().position(|gateway| id.is_some() && gateway.id() == id);
        place.filter(|place| !self.stands_still(*place))
    }

    /// The gateway that holds the log as soon as one does: after a kill of the one before, once its term is over.
    async fn until_one_holds(&self) -> usize {
        let mut place = None;
        until("a gateway holds the log", async || {
            tokio::time::sleep(LOOK).await;
            place = self.holder();
            place.is_some()
        })
        .await;
        place.unwrap()
    }

    fn stands_still(&self, place: usize) -> bool {
        self.paused.is_some_and(|(paused, _)| paused == place)
    }

    /// One that does not stand still, and is not `but`.
    fn any(&mut self, but: Option<usize>) -> usize {
        let places: Vec<_> = (0..GATEWAYS).filter(|place| !self.stands_still(*place) && Some(*place) != but).collect();
        places[self.rng.below(places.len())]
    }

    async fn some_calls(&mut self, most: usize) {
        let calls = self.rng.below(most);
        self.crowd.until_called(calls).await;
    }

    /// Kills a gateway, and says that it was the holder, or was not, or that there was none.
    async fn kill(&mut self, place: usize, holder: Option<usize>) {
        match holder {
            Some(holder) if holder == place => self.tally.holders += 1,
            Some(_) => self.tally.followers += 1,
            None => self.tally.between += 1,
        }
        let gateway = &mut self.gateways[place];
        gateway.kill().await.unwrap();
        assert!(!gateway.stderr().contains("panicked"), "{}", gateway.stderr());
    }

    async fn start(&mut self, place: usize) {
        for attempt in 1.. {
            match Daemon::spawn(&mut serving(&self.config, &["--log", "error"])).await {
                Ok(daemon) => {
                    self.gateways[place] = daemon;
                    break;
                }
                Err(error) => assert!(attempt < STARTS, "{error}"),
            }
            self.tally.starts_failed += 1;
        }
        self.crowd.are_at(&self.gateways);
    }

    async fn kill_and_start(&mut self, places: &[usize]) {
        let holder = self.holder();
        for place in places {
            self.kill(*place, holder).await;
        }
        if holder.is_some_and(|holder| places.contains(&holder)) && self.rng.below(2) == 0 {
            // Else the others wait until its term is over.
            self.tally.terms_cut += 1;
            block_in_place(|| self.database.try_run("UPDATE head SET expires = now() - interval '1 second'"));
        }
        for place in places {
            self.some_calls(12).await;
            self.start(*place).await;
        }
    }

    async fn kill_while_starting(&mut self) {
        let (place, holder) = (self.any(None), self.holder());
        self.kill(place, holder).await;
        let mut command = serving(&self.config, &["--log", "error"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let mut starting = command.spawn().unwrap();
        self.some_calls(120).await;
        starting.kill().await.unwrap();
        self.tally.while_starting += 1;
        self.start(place).await;
    }

    async fn kill_server(&mut self, at_once: bool, with_gateway: bool) {
        let holder = self.holder();
        if at_once {
            self.tally.servers += 1;
            block_in_place(|| self.server.stop());
        } else {
            self.tally.postmasters += 1;
            signal("-KILL", self.server.id()).await;
        }
        self.some_calls(80).await;
        let gateway = self.any(None);
        if with_gateway {
            self.kill(gateway, holder).await;
        }
        block_in_place(|| self.server.restart());
        if with_gateway {
            self.start(gateway).await;
        }
    }

    async fn kill_backend(&mut self) {
        let ids = block_in_place(|| {
            self.database.try_run("SELECT pid FROM pg_stat_activity WHERE application_name = 'slarouter' ORDER BY pid")
        });
        let ids: Vec<u32> = ids.unwrap_or_default().lines().filter_map(|id| id.parse().ok()).collect();
        if !ids.is_empty() {
            self.tally.backends += 1;
            // It may have gone by itself.
            let id = ids[self.rng.below(ids.len())].to_string();
            drop(tokio::process::Command::new("kill").args(["-KILL", &id]).status().await);
        }
        until("the database is there again", async || block_in_place(|| self.database.try_run("SELECT 1")).is_some())
            .await;
    }

    async fn pause(&mut self) {
        if self.paused.is_none() {
            let holder = self.holder();
            let place = if self.rng.below(2) == 0 { holder.unwrap_or(0) } else { self.any(None) };
            signal("-STOP", self.gateways[place].id().unwrap()).await;
            self.paused = Some((place, Instant::now()));
        }
    }

    async fn resume(&mut self, now: bool) {
        if let Some((place, since)) = self.paused
            && (now || since.elapsed() > LONG)
        {
            tokio::time::sleep_until(since + LONG).await;
            signal("-CONT", self.gateways[place].id().unwrap()).await;
            self.tally.pauses += 1;
            self.paused = None;
        }
    }

    async fn harm(&mut self) {
        self.resume(false).await;
        match Harm::draw(&mut self.rng) {
            Harm::Follower => {
                let holder = self.holder();
                let place = self.any(holder);
                self.kill_and_start(&[place]).await;
            }
            Harm::Holder => {
                let place = self.until_one_holds().await;
                self.kill_and_start(&[place]).await;
            }
            Harm::Two => {
                let first = self.any(None);
                let second = self.any(Some(first));
                self.kill_and_start(&[first, second]).await;
            }
            Harm::All => {
                let all: Vec<_> = (0..GATEWAYS).filter(|place| !self.stands_still(*place)).collect();
                self.kill_and_start(&all).await;
            }
            Harm::WhileStarting => self.kill_while_starting().await,
            Harm::Server => self.kill_server(true, false).await,
            Harm::Postmaster => self.kill_server(false, false).await,
            Harm::PostmasterAndGateway => self.kill_server(false, true).await,
            Harm::Backend => self.kill_backend().await,
            Harm::Pause => self.pause().await,
        }
        if self.rng.below(8) == 0 {
            self.crowd.until_rated(1).await;
        }
        self.some_calls(40).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn no_kill_of_any_part_loses_or_doubles_what_was_acknowledged() {
    let (kills, seed) = (number("CHAOS_KILLS", 20) as usize, number("CHAOS_SEED", 1));
    let limit = Duration::from_secs(number("CHAOS_SECONDS", 600));
    let (folder, upstream) = (tempfile::tempdir().unwrap(), Upstream::start().await);
    // Its own: it is killed. It ends with this process.
    let server: &'static Postgres = Box::leak(Box::new(Postgres::start()));
    let database = server.database();
    let snapshot_every = if kills > 100 { 2_000 } else { 100 };
    let config = write(folder.path(), &on(&database.url(), folder.path(), &upstream.base_url(), snapshot_every));
    let mut gateways = Vec::new();
    for _ in 0..GATEWAYS {
        gateways.push(crate::serve(&config, &["--log", "error"]).await);
    }
    let crowd = Crowd::new(PATIENCE, PACE);
    crowd.are_at(&gateways);
    let clients: Vec<_> = (0..CLIENTS).map(|n| tokio::spawn(ask_and_rate(crowd.clone(), n * 1_000_000))).collect();
    crowd.until_rated(20).await;
    let (rng, began) = (Rng(seed), Instant::now());
    let mut chaos = Chaos { rng, server, database, config, gateways, paused: None, crowd, tally: Tally::default() };
    while chaos.tally.kills() < kills && began.elapsed() < limit {
        let before = chaos.tally.kills() / 100;
        chaos.harm().await;
        if chaos.tally.kills() / 100 > before {
            tell(&format!("after {} s: {:?}", began.elapsed().as_secs(), chaos.tally));
        }
    }
    chaos.resume(true).await;
    chaos.crowd.until_rated(20).await;
    let Chaos { database, config, gateways, crowd, tally, .. } = chaos;
    crowd.stop();
    for client in clients {
        client.await.unwrap();
    }
    until("a gateway holds the log", async || block_in_place(|| holder(&database)).is_some()).await;
    all_know_the_same(&gateways, &database).await;
    send_away(gateways, &database).await;
    let found = check(&database, &config, &crowd).await;
    tell(&format!("{} kills in {} s, seed {seed}: {tally:?}", tally.kills(), began.elapsed().as_secs()));
    let counts = *crowd.counts.borrow();
    tell(&format!("{counts:?}; in the log: {found:?}"));
    assert!(found.decisions >= found.labels && found.outcomes > 0, "the clients did too little to prove anything");
    assert!(tally.kills() >= kills.min(1), "no harm was done");
}
