//! What a request costs the gateway's process, by thread: for comparing two builds where other programs disturb all latencies.

use std::collections::BTreeMap;
use std::fs::read_to_string;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;

use crate::agent;
use crate::figures::median;
use crate::gateways::{Gateway, Places, mock};
use crate::load::{Target, Traffic, Until};

#[derive(clap::Args)]
pub(crate) struct CostArgs {
    /// The gateway's binary; several are asked by turns.
    #[arg(long, value_delimiter = ',', default_value = "target/release/slarouter")]
    slarouter: Vec<PathBuf>,
    /// Where configurations, logs and databases go.
    #[arg(long, default_value = "target/bench-gateway")]
    folder: PathBuf,
    /// Clients, each on one connection.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16])]
    clients: Vec<usize>,
    /// Requests of each build at each number of clients in a round.
    #[arg(long, default_value_t = 20_000)]
    requests: u64,
    /// Rounds; figures are medians over them.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

/// What the builds are asked.
#[derive(Clone, Copy)]
enum Load {
    Chat(usize),
    /// By the place of the prompt's size in [`agent::SIZES`].
    Agent(usize),
}

/// Clients of agents' streams.
const AGENTS: usize = 16;

impl Load {
    fn all(clients: &[usize]) -> Vec<Self> {
        clients.iter().map(|clients| Self::Chat(*clients)).chain((0..agent::SIZES.len()).map(Self::Agent)).collect()
    }

    fn name(self) -> String {
        match self {
            Self::Chat(clients) => format!("c={clients}"),
            Self::Agent(place) => format!("c={AGENTS}, agents of {} kB, streamed", agent::SIZES[place] / 1_000),
        }
    }

    /// Asks `requests` times, agents less often, as theirs are longer. How many answers there were, and in how many seconds.
    ///
    /// # Errors
    /// Also if any answer was one.
    async fn run(self, target: &Target, requests: u64) -> anyhow::Result<(f64, f64)> {
        let (answers, seconds, errors) = match self {
            Self::Chat(clients) => {
                let sample = target.closed(clients, Until::Requests(requests)).await?;
                (sample.latencies.len(), sample.seconds, sample.errors)
            }
            Self::Agent(place) => {
                let each = (requests as usize / (AGENTS * 10_usize.pow(place as u32 + 1))).max(1);
                let streams = target.streams(Traffic::Agent(place), AGENTS, each, WORDS).await?;
                (streams.first.len(), streams.seconds, streams.errors)
            }
        };
        anyhow::ensure!(errors == 0, "{errors} errors");
        Ok((answers as f64, seconds))
    }
}

/// Words of a streamed answer.
const WORDS: usize = 1;

/// Sums since a process began.
#[derive(Clone, Default)]
struct Sums {
    /// Nanoseconds on a core, by thread name.
    threads: BTreeMap<String, f64>,
    /// Context switches, of its own will and not.
    switches: f64,
    /// Bytes handed to the disk.
    written: f64,
}

impl Sums {
    fn now(pid: u32) -> Self {
        let mut sums = Self::default();
        for task in std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let read = |name: &str| read_to_string(task.path().join(name)).unwrap_or_default();
            let nanos = read("schedstat").split(' ').next().and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
            // Numbers tell threads of one kind apart.
            let name = read("comm").trim().trim_end_matches(|c: char| c.is_ascii_digit() || c == '-').to_owned();
            *sums.threads.entry(name).or_default() += nanos;
            sums.switches += fields(&read("status"), "ctxt_switches:");
        }
        sums.written = fields(&read_to_string(format!("/proc/{pid}/io")).unwrap_or_default(), "write_bytes:");
        sums
    }

    fn per_request(&self, before: &Self, requests: f64) -> Self {
        let nanos = |name: &String| before.threads.get(name).copied().unwrap_or(0.0);
        Self {
            threads: self.threads.iter().map(|(name, sum)| (name.clone(), (sum - nanos(name)) / requests)).collect(),
            switches: (self.switches - before.switches) / requests,
            written: (self.written - before.written) / requests,
        }
    }
}

/// The sum of all fields whose name ends so; `cancelled_write_bytes` is none of them.
fn fields(text: &str, name: &str) -> f64 {
    let of = |line: &str| {
        let (_, value) = line.split_once(name).filter(|(before, _)| !before.starts_with("cancelled"))?;
        value.trim().parse::<f64>().ok()
    };
    text.lines().filter_map(of).sum()
}

pub(crate) async fn run(args: CostArgs) -> anyhow::Result<()> {
    let (_mock, upstream) = mock(WORDS, Duration::ZERO).await?;
    let mut gateways = Vec::new();
    let mut folders = Vec::new();
    for (number, slarouter) in args.slarouter.iter().enumerate() {
        let work = args.folder.join(format!("cost-{number}"));
        drop(std::fs::remove_dir_all(&work));
        std::fs::create_dir_all(&work)?;
        let work = work.canonicalize()?;
        folders.push(work.clone());
        let places = Places { slarouter: slarouter.clone(), peers: work.clone(), work, upstream };
        gateways.push(Gateway::start("slarouter", &places).await?);
    }
    let loads = Load::all(&args.clients);
    let mut found = vec![vec![Vec::new(); loads.len()]; gateways.len()];
    for round in 0..=args.rounds {
        for turn in 0..gateways.len() {
            let place = (turn + round) % gateways.len();
            let pid = gateways[place].pid.context("the gateway has ended")?;
            for (load, rounds) in loads.iter().zip(&mut found[place]) {
                let before = Sums::now(pid);
                let (answers, seconds) = load.run(&gateways[place].target, args.requests).await?;
                let sums = Sums::now(pid).per_request(&before, answers);
                // The first round warms up.
                if round > 0 {
                    rounds.push((sums, answers / seconds));
                }
            }
        }
    }
    for (binary, found) in args.slarouter.iter().zip(&found) {
        for (load, rounds) in loads.iter().zip(found) {
            say(&format!("{} {}", binary.display(), load.name()), rounds)?;
        }
    }
    for gateway in gateways {
        gateway.stop().await?;
    }
    for folder in folders {
        std::fs::remove_dir_all(folder)?;
    }
    Ok(())
}

/// The medians of the rounds of one build under one load.
fn say(what: &str, rounds: &[(Sums, f64)]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let of = |value: &dyn Fn(&Sums) -> f64| median(rounds.iter().map(|(sums, _)| value(sums)));
    let cpu = of(&|sums| sums.threads.values().sum()) / 1e3;
    let (switches, written) = (of(&|sums| sums.switches), of(&|sums| sums.written));
    let rate = median(rounds.iter().map(|(_, rate)| *rate));
    writeln!(
        out,
        "{what}: {cpu:.1} µs of processor a request, {switches:.2} switches, {written:.0} bytes written, {rate:.0}/s"
    )?;
    for name in rounds.first().map(|(sums, _)| sums.threads.keys()).into_iter().flatten() {
        let micros = of(&|sums| sums.threads.get(name).copied().unwrap_or(0.0)) / 1e3;
        writeln!(out, "    {name}: {micros:.1} µs")?;
    }
    Ok(())
}
