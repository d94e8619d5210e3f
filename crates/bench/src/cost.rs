//! What a request costs the gateway's process, by thread: for comparing two builds where other programs disturb all latencies.

use std::collections::BTreeMap;
use std::fs::read_to_string;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;

use crate::figures::median;
use crate::gateways::{Gateway, Places, mock};
use crate::load::Until;

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
    let (_mock, upstream) = mock(1, Duration::ZERO).await?;
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
    let mut found = vec![vec![Vec::new(); args.clients.len()]; gateways.len()];
    for round in 0..=args.rounds {
        for turn in 0..gateways.len() {
            let place = (turn + round) % gateways.len();
            let pid = gateways[place].pid.context("the gateway has ended")?;
            for (clients, rounds) in args.clients.iter().zip(&mut found[place]) {
                let before = Sums::now(pid);
                let sample = gateways[place].target.closed(*clients, Until::Requests(args.requests)).await?;
                anyhow::ensure!(sample.errors == 0, "{} errors", sample.errors);
                let sums = Sums::now(pid).per_request(&before, args.requests as f64);
                // The first round warms up.
                if round > 0 {
                    rounds.push((sums, args.requests as f64 / sample.seconds));
                }
            }
        }
    }
    let mut out = io::stdout().lock();
    for (binary, found) in args.slarouter.iter().zip(&found) {
        for (clients, rounds) in args.clients.iter().zip(found) {
            let of = |value: &dyn Fn(&Sums) -> f64| median(rounds.iter().map(|(sums, _)| value(sums)));
            let cpu = of(&|sums| sums.threads.values().sum()) / 1e3;
            let (switches, written) = (of(&|sums| sums.switches), of(&|sums| sums.written));
            let rate = median(rounds.iter().map(|(_, rate)| *rate));
            writeln!(
                out,
                "{} c={clients}: {cpu:.1} µs of processor a request, {switches:.2} switches, {written:.0} bytes written, {rate:.0}/s",
                binary.display()
            )?;
            for name in rounds.first().map(|(sums, _)| sums.threads.keys()).into_iter().flatten() {
                let micros = of(&|sums| sums.threads.get(name).copied().unwrap_or(0.0)) / 1e3;
                writeln!(out, "    {name}: {micros:.1} µs")?;
            }
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
