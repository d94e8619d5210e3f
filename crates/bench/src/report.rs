//! The report, for people and for programs.

use serde::Serialize;

use crate::agent;
use crate::figures::{Round, StreamRound, median};
use crate::gateways::NAMES;
use crate::load::CLIENTS;
use crate::machine::Machine;

/// Beyond this share of the machine's time that went to others, figures are not to be compared with other runs'.
const QUIET: f64 = 0.02;

/// All that was measured.
#[derive(Serialize)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) rounds: usize,
    pub(crate) seconds: f64,
    pub(crate) rate: f64,
    pub(crate) stream_clients: usize,
    pub(crate) words: usize,
    pub(crate) gap_ms: f64,
    pub(crate) foreign_share: f64,
    pub(crate) skipped: Vec<String>,
    pub(crate) rows: Vec<Row>,
    pub(crate) soak: Option<Soak>,
}

/// One gateway.
#[derive(Serialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) version: String,
    /// Closed loops of [`CLIENTS`].
    pub(crate) closed: [Vec<Round>; CLIENTS.len()],
    /// The constant rate.
    pub(crate) open: Vec<Round>,
    pub(crate) streams: Vec<StreamRound>,
    /// Streams of agents, by the place of the prompt's size in [`agent::SIZES`].
    pub(crate) agents: [Vec<StreamRound>; agent::SIZES.len()],
    /// After its rounds; `None` for the mock.
    pub(crate) memory_mib: Option<f64>,
}

/// A long run of one gateway, in parts.
#[derive(Default, Serialize)]
pub(crate) struct Soak {
    pub(crate) rounds: Vec<Round>,
    pub(crate) memory_mib: Vec<f64>,
}

// === impl Row ===

impl Row {
    pub(crate) fn new(name: &str, version: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            closed: Default::default(),
            open: Vec::new(),
            streams: Vec::new(),
            agents: Default::default(),
            memory_mib: None,
        }
    }

    /// The last round in one line.
    pub(crate) fn last(&self) -> String {
        let mut text = self.name.clone();
        for (clients, rounds) in CLIENTS.iter().zip(&self.closed) {
            if let Some(round) = rounds.last() {
                let Round { p50, p99, per_second, errors, .. } = round;
                text += &format!("; {clients}: {p50:.3} / {p99:.3} ms, {per_second:.0}/s, {errors} errors");
            }
        }
        text
    }

    fn requests(&self) -> usize {
        self.closed.iter().flatten().chain(&self.open).map(|round| round.requests).sum()
    }

    fn errors(&self) -> u64 {
        let rounds = self.closed.iter().flatten().chain(&self.open).map(|round| round.errors);
        let streams = self.streams.iter().chain(self.agents.iter().flatten());
        rounds.chain(streams.map(|round| round.errors)).sum()
    }

    fn label(&self) -> String {
        if self.version.is_empty() { self.name.clone() } else { format!("{} {}", self.name, self.version) }
    }

    fn closed(&self, place: usize, of: fn(&Round) -> f64) -> f64 {
        median(self.closed[place].iter().map(of))
    }
}

fn p50(round: &Round) -> f64 {
    round.p50
}

fn p99(round: &Round) -> f64 {
    round.p99
}

fn per_second(round: &Round) -> f64 {
    round.per_second
}

// === impl Report ===

impl Report {
    /// Tables of medians over the rounds.
    pub(crate) fn markdown(&self) -> String {
        let Machine { cpu, cores, memory_gib, kernel, system } = &self.machine;
        let mut text = format!("{cpu}, {cores} cores, {memory_gib:.0} GiB; {system}, Linux {kernel}. ");
        let (share, rounds, seconds) = (self.foreign_share * 100.0, self.rounds, self.seconds);
        text += &format!("Medians of {rounds} rounds of {seconds} s for each load, all gateways by turns. ");
        text += &format!("Other programs took {share:.1} % of the machine's time");
        text += if self.foreign_share > QUIET { ": **measured under load**.\n\n" } else { ".\n\n" };
        text += &self.closed_table();
        text += &self.other_table();
        text += &self.agents_table();
        text += &self.soak_text();
        text += &self.targets();
        for skipped in &self.skipped {
            text += &format!("Skipped: {skipped}\n\n");
        }
        text
    }

    /// Closed loops: latency with one client, then what goes through.
    fn closed_table(&self) -> String {
        let mut text = "| closed loop | p50, 1 client | added | p99, 1 client |".to_owned();
        for clients in &CLIENTS[1..] {
            text += &format!(" requests/s, {clients} clients | p50 | p99 |");
        }
        text += &format!("\n{}\n", "| --- ".repeat(4 + 3 * (CLIENTS.len() - 1)) + "|");
        for row in &self.rows {
            let added = self.added(row, |row, round| row.closed[0].get(round).map(p50));
            text += &format!("| {} | {} | {added} | {} |", row.label(), ms(row.closed(0, p50)), ms(row.closed(0, p99)));
            for place in 1..CLIENTS.len() {
                let (rate, half, most) =
                    (row.closed(place, per_second), row.closed(place, p50), row.closed(place, p99));
                text += &format!(" {rate:.0} | {} | {} |", ms(half), ms(most));
            }
            text += "\n";
        }
        text + "\n"
    }

    /// The constant rate, streams and memory.
    fn other_table(&self) -> String {
        let Self { rate, stream_clients, words, gap_ms, .. } = self;
        let mut text = format!(
            "| {rate}/s, open loop; {stream_clients} streams of {words} words, one in {gap_ms} ms | p50, open | p99, open | \
             first word, p50 | added | p99 | gap, p99 | memory | requests | errors |\n{}|\n",
            "| --- ".repeat(10)
        );
        for row in &self.rows {
            let open = |of: fn(&Round) -> f64| ms(median(row.open.iter().map(of)));
            let stream = |of: fn(&StreamRound) -> f64| ms(median(row.streams.iter().map(of)));
            let added = self.added(row, |row, round| row.streams.get(round).map(|round| round.first_p50));
            let memory = row.memory_mib.map_or_else(|| "–".to_owned(), |mib| format!("{mib:.0} MiB"));
            text += &format!(
                "| {} | {} | {} | {} | {added} | {} | {} | {memory} | {} | {} |\n",
                row.label(),
                open(p50),
                open(p99),
                stream(|round| round.first_p50),
                stream(|round| round.first_p99),
                stream(|round| round.gap_p99),
                row.requests(),
                row.errors(),
            );
        }
        text + "\n"
    }

    /// Time to the first word where prompts are long.
    fn agents_table(&self) -> String {
        let mut text = format!("| {} streams of agents with tools |", self.stream_clients);
        for bytes in agent::SIZES {
            text += &format!(" {} kB: first word, p50 | added | p99 |", bytes / 1_000);
        }
        text += &format!("\n{}|\n", "| --- ".repeat(1 + 3 * agent::SIZES.len()));
        for row in &self.rows {
            text += &format!("| {} |", row.label());
            for (place, rounds) in row.agents.iter().enumerate() {
                let stream = |of: fn(&StreamRound) -> f64| ms(median(rounds.iter().map(of)));
                let added = self.added(row, |row, round| row.agents[place].get(round).map(|round| round.first_p50));
                text +=
                    &format!(" {} | {added} | {} |", stream(|round| round.first_p50), stream(|round| round.first_p99));
            }
            text += "\n";
        }
        text + "\n"
    }

    fn soak_text(&self) -> String {
        let Some(soak) = &self.soak else { return String::new() };
        let requests: usize = soak.rounds.iter().map(|round| round.requests).sum();
        let memory: Vec<String> = soak.memory_mib.iter().map(|mib| format!("{mib:.0}")).collect();
        let (errors, rate) =
            (soak.rounds.iter().map(|round| round.errors).sum::<u64>(), median(soak.rounds.iter().map(per_second)));
        format!(
            "slarouter after {requests} more requests, {errors} errors, {rate:.0}/s: {} MiB on the way.\n\n",
            memory.join(", ")
        )
    }

    /// What was aimed at, and what came out.
    fn targets(&self) -> String {
        let row = |name: &str| self.rows.iter().find(|row| row.name == name);
        let Some(ours) = row(NAMES[0]) else { return String::new() };
        let mut text = "| target | measured | met |\n| --- | --- | --- |\n".to_owned();
        let mut line = |what: &str, measured: String, met: bool| {
            text += &format!("| {what} | {measured} | {} |\n", if met { "yes" } else { "**no**" });
        };
        let added = self.added_ms(ours, |row, round| row.closed[0].get(round).map(p50));
        line("p50 added with 1 client at most 0.10 ms", format!("{added:.3} ms"), added <= 0.1);
        let rate = ours.closed(1, per_second);
        line("at least 10,000 requests/s with 16 clients", format!("{rate:.0}/s"), rate >= 10_000.0);
        let (most, peers) = (ours.closed(1, p99), ["switchyard", "tensorzero", "litellm"]);
        let best = peers.iter().filter_map(|name| row(name)).map(|row| row.closed(1, p99)).fold(f64::NAN, f64::min);
        if best.is_finite() {
            line("p99 with 16 clients below every peer's", format!("{} to {}", ms(most), ms(best)), most < best);
        }
        if let Some(nginx) = row("nginx") {
            let share = rate / nginx.closed(1, per_second);
            line("at least half of nginx's requests/s with 16 clients", format!("{share:.2}"), share >= 0.5);
        }
        let soak = self.soak.iter().flat_map(|soak| &soak.memory_mib).chain(&ours.memory_mib);
        let memory = soak.copied().fold(0.0, f64::max);
        line("at most 60 MiB of memory", format!("{memory:.0} MiB"), memory <= 60.0);
        text + "\n"
    }

    /// What a gateway adds to the mock asked directly, each round compared within itself.
    fn added_ms(&self, row: &Row, of: impl Fn(&Row, usize) -> Option<f64>) -> f64 {
        let direct = &self.rows[0];
        median((0..self.rounds).filter_map(|round| Some(of(row, round)? - of(direct, round)?)))
    }

    fn added(&self, row: &Row, of: impl Fn(&Row, usize) -> Option<f64>) -> String {
        if row.name == self.rows[0].name { "–".to_owned() } else { ms(self.added_ms(row, of)) }
    }
}

/// Milliseconds in three figures; a dash for none.
fn ms(value: f64) -> String {
    if value.is_nan() {
        "–".to_owned()
    } else if value.abs() < 10.0 {
        format!("{value:.3} ms")
    } else {
        format!("{value:.1} ms")
    }
}
