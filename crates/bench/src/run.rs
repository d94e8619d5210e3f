//! The run: all gateways are up at once and are asked by turns, round after round.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use crate::figures::{Round, StreamRound};
use crate::gateways::{Gateway, NAMES, Places, mock};
use crate::load::{CLIENTS, Traffic, Until};
use crate::machine::{Machine, Ticks, memory};
use crate::report::{Report, Row, Soak};

const OPEN_CLIENTS: usize = 64;
const STREAM_CLIENTS: usize = 16;
const WORDS: usize = 32;
const GAP: Duration = Duration::from_millis(10);
const SOAK_PARTS: u64 = 10;

#[derive(clap::Args)]
pub(crate) struct RunArgs {
    /// The gateway's binary.
    #[arg(long, default_value = "target/release/slarouter")]
    slarouter: PathBuf,
    /// Where the peers' virtual environments are, and the report goes.
    #[arg(long, default_value = "target/bench-gateway")]
    folder: PathBuf,
    /// Which gateways, of slarouter, nginx, switchyard, tensorzero, litellm.
    #[arg(long, value_delimiter = ',', default_values_t = NAMES.map(str::to_owned))]
    gateways: Vec<String>,
    /// Rounds; figures are medians over them.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of each gateway at each number of clients in a round.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Requests per second of the constant rate.
    #[arg(long, default_value_t = 1000.0)]
    rate: f64,
    /// Requests after which the gateway's memory is read; 0: none.
    #[arg(long, default_value_t = 1_000_000)]
    soak: u64,
    /// Two rounds of one second, and 20,000 requests for the memory.
    #[arg(long, conflicts_with_all = ["rounds", "seconds", "soak"])]
    quick: bool,
}

pub(crate) async fn run(mut args: RunArgs) -> anyhow::Result<()> {
    if args.quick {
        (args.rounds, args.seconds, args.soak) = (2, 1.0, 20_000);
    }
    let work = args.folder.join("work");
    // What an earlier run left; its database would be learnt from.
    drop(std::fs::remove_dir_all(&work));
    std::fs::create_dir_all(&work)?;
    let (work, peers) = (work.canonicalize()?, args.folder.canonicalize()?);
    let (upstream_process, upstream) = mock(WORDS, GAP).await?;
    let places = Places { slarouter: args.slarouter.clone(), peers, work: work.clone(), upstream };

    let (gateways, skipped) = started(&args.gateways, upstream, &places).await?;
    let mut ours: Vec<u32> = gateways.iter().filter_map(|gateway| gateway.pid).collect();
    ours.extend([Some(std::process::id()), upstream_process.id()].into_iter().flatten());
    ours.sort_unstable();

    let mut rows: Vec<Row> = gateways.iter().map(|gateway| Row::new(gateway.name, &gateway.version)).collect();
    for gateway in &gateways {
        warm_up(gateway).await?;
    }
    let before = Ticks::now(&ours);
    for round in 0..args.rounds {
        for turn in 0..gateways.len() {
            // Nobody comes always first.
            let place = (turn + round) % gateways.len();
            measure(&args, &gateways[place], &mut rows[place]).await?;
            say(&format!("round {} of {}: {}", round + 1, args.rounds, rows[place].last()))?;
        }
    }
    for (gateway, row) in gateways.iter().zip(&mut rows) {
        row.memory_mib = gateway.pid.map(memory);
    }
    let mut soak = None;
    if let Some(gateway) = gateways.iter().find(|gateway| gateway.name == NAMES[0]).filter(|_| args.soak > 0) {
        soak = Some(soaked(gateway, args.soak).await?);
    }
    let foreign = Ticks::now(&ours).foreign_since(before);
    for gateway in gateways {
        gateway.stop().await?;
    }
    let report = Report {
        machine: Machine::read(),
        rounds: args.rounds,
        seconds: args.seconds,
        rate: args.rate,
        stream_clients: STREAM_CLIENTS,
        words: WORDS,
        gap_ms: GAP.as_secs_f64() * 1e3,
        foreign_share: foreign,
        skipped,
        rows,
        soak,
    };
    write(&report, &args.folder)?;
    clean(&work)
}

/// The gateways that run, the upstream alone before them, and why others do not.
async fn started(
    names: &[String],
    upstream: SocketAddr,
    places: &Places,
) -> anyhow::Result<(Vec<Gateway>, Vec<String>)> {
    let mut gateways = vec![Gateway::direct(upstream)];
    let mut skipped = Vec::new();
    for name in names {
        match Gateway::start(name, places).await {
            Ok(gateway) => gateways.push(gateway),
            Err(error) => {
                say(&format!("skipped: {name}: {error:#}"))?;
                skipped.push(format!("{name}: {error:#}"));
            }
        }
    }
    Ok((gateways, skipped))
}

async fn warm_up(gateway: &Gateway) -> anyhow::Result<()> {
    let warm = gateway.target.closed(4, Until::Requests(400)).await;
    let warm = warm.with_context(|| format!("{} does not answer", gateway.name))?;
    anyhow::ensure!(warm.errors == 0, "{} answered {} of 400 requests with errors", gateway.name, warm.errors);
    Ok(())
}

/// Writes the report, and says it.
fn write(report: &Report, folder: &Path) -> anyhow::Result<()> {
    let text = report.markdown();
    std::fs::write(folder.join("report.md"), &text)?;
    std::fs::write(folder.join("report.json"), serde_json::to_string_pretty(report)?)?;
    say(&format!("\n{text}\nwritten: {0}/report.md, {0}/report.json", folder.display()))
}

/// Removes the databases: a million requests make one of a gigabyte. Logs stay.
fn clean(work: &Path) -> anyhow::Result<()> {
    for file in std::fs::read_dir(work)?.flatten() {
        if file.file_name().to_string_lossy().contains(".db") {
            std::fs::remove_file(file.path())?;
        }
    }
    Ok(())
}

async fn measure(args: &RunArgs, gateway: &Gateway, row: &mut Row) -> anyhow::Result<()> {
    let time = Duration::from_secs_f64(args.seconds);
    let target = &gateway.target;
    for (clients, rounds) in CLIENTS.into_iter().zip(&mut row.closed) {
        rounds.push(Round::from(target.closed(clients, Until::Time(time)).await?));
    }
    // One that cannot keep up at all says nothing at a constant rate.
    if row.closed[1].last().is_some_and(|round| round.per_second > 1.2 * args.rate) {
        row.open.push(Round::from(target.open(args.rate, OPEN_CLIENTS, time).await?));
    }
    let each = (args.seconds / (GAP.as_secs_f64() * WORDS as f64)).ceil() as usize;
    row.streams.push(StreamRound::from(target.streams(Traffic::Chat, STREAM_CLIENTS, each, WORDS).await?));
    for (place, rounds) in row.agents.iter_mut().enumerate() {
        rounds.push(StreamRound::from(target.streams(Traffic::Agent(place), STREAM_CLIENTS, each, WORDS).await?));
    }
    Ok(())
}

/// So many requests, with the memory on the way.
async fn soaked(gateway: &Gateway, requests: u64) -> anyhow::Result<Soak> {
    let mut soak = Soak::default();
    for part in 1..=SOAK_PARTS {
        let round = Round::from(gateway.target.closed(CLIENTS[1], Until::Requests(requests / SOAK_PARTS)).await?);
        let memory_mib = gateway.pid.map_or(f64::NAN, memory);
        say(&format!("{} requests: {memory_mib:.1} MiB", part * (requests / SOAK_PARTS)))?;
        soak.memory_mib.push(memory_mib);
        soak.rounds.push(round);
    }
    Ok(soak)
}

fn say(text: &str) -> anyhow::Result<()> {
    writeln!(io::stdout(), "{text}")?;
    Ok(())
}
