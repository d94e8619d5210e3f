//! `slarouter compare`.

use std::io::{self, Write};
use std::path::PathBuf;

use comfy_table::{CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use slarouter_lab::{CellReport, Comparison, Order, Plan, Rival, ZooKind};

#[derive(clap::Args)]
pub(crate) struct CompareArgs {
    /// Folder of the data sets, <name>.csv or <name>.csv.gz.
    #[arg(long, value_name = "DIR", default_value = "../shared/data")]
    data: PathBuf,
    /// Compare on these data sets only, comma-separated.
    #[arg(long, value_name = "a,b,…", value_delimiter = ',')]
    datasets: Option<Vec<String>>,
    /// Compare these only: names of policies (slarouter, fixed:<model>, …) and of baselines (slarouter:V=10, best-single, …).
    #[arg(long, value_name = "a,b,…", value_delimiter = ',', value_parser = Rival::parse)]
    policies: Option<Vec<Rival>>,
    /// Where α lies between the cheapest (0) and the best single model (1).
    #[arg(long, value_name = "f,…", value_delimiter = ',')]
    fractions: Option<Vec<f64>>,
    /// Probabilities that the score of an answer is seen.
    #[arg(long, value_name = "P,…", value_delimiter = ',')]
    rates: Option<Vec<f64>>,
    /// Runs per cell, with seeds 0, 1, …
    #[arg(long, value_name = "N")]
    seeds: Option<u64>,
    /// Requests shuffled, in the order of the file (a drift test), or both.
    #[arg(long, value_enum, default_value = "both")]
    order: Orders,
    /// A handful of models as an operator would have them, all of the file, or both.
    #[arg(long, value_enum, default_value = "both")]
    zoo: Zoos,
    /// Rows per data set at most.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Threads; the results do not depend on it.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Print JSON instead of tables.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Orders {
    Shuffled,
    Source,
    Both,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Zoos {
    Operator,
    Full,
    Both,
}

impl CompareArgs {
    fn plan(&self) -> Plan {
        let mut plan = Plan::full(self.data.clone());
        plan.datasets.clone_from(&self.datasets);
        if let Some(rivals) = &self.policies {
            plan.rivals.clone_from(rivals);
        }
        if let Some(fractions) = &self.fractions {
            plan.fractions.clone_from(fractions);
        }
        if let Some(rates) = &self.rates {
            plan.rates.clone_from(rates);
        }
        plan.seeds = self.seeds.unwrap_or(plan.seeds);
        plan.most_rows = self.limit.unwrap_or(plan.most_rows);
        plan.threads = self.threads.unwrap_or(plan.threads);
        plan.orders = match self.order {
            Orders::Shuffled => vec![Order::Shuffled],
            Orders::Source => vec![Order::Source],
            Orders::Both => plan.orders,
        };
        plan.zoos = match self.zoo {
            Zoos::Operator => vec![ZooKind::Operator],
            Zoos::Full => vec![ZooKind::Full],
            Zoos::Both => plan.zoos,
        };
        plan
    }
}

pub(crate) fn run(args: CompareArgs) -> anyhow::Result<()> {
    // Hides itself when standard error is no terminal.
    let style = ProgressStyle::with_template("{msg:10} {bar:40} {pos}/{len}, {eta} left")?;
    let bar = ProgressBar::new(1).with_style(style);
    let comparison = args.plan().run(|progress| {
        if bar.message() != progress.stage {
            bar.set_message(progress.stage);
            bar.set_length(progress.total);
            bar.reset();
        }
        bar.set_position(progress.done);
    })?;
    bar.finish_and_clear();

    let mut out = io::stdout().lock();
    let written = if args.json {
        serde_json::to_writer(&mut out, &comparison).map_err(io::Error::from).and_then(|()| writeln!(out))
    } else {
        print(&mut out, &comparison)
    };
    match written {
        // A reader that has seen enough, such as `head`, is no failure.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

fn print(out: &mut impl Write, comparison: &Comparison) -> io::Result<()> {
    for cell in &comparison.cells {
        print_cell(out, cell)?;
    }
    Ok(())
}

fn print_cell(out: &mut impl Write, cell: &CellReport) -> io::Result<()> {
    let zoo = if cell.zoo == ZooKind::Full { "full zoo" } else { "operator's zoo" };
    let order = if cell.order == Order::Source { "source order" } else { "shuffled" };
    let starved = if cell.starved { ", starved" } else { "" };
    writeln!(
        out,
        "\n{}, {zoo} of {}, {order}, {} requests, f = {}, φ = {}{starved}: α = {:.4}, mixture {:.4} USD / 1,000",
        cell.data,
        cell.models,
        cell.rows,
        cell.fraction,
        cell.rate,
        cell.alpha,
        cell.mixture_cost * 1e3
    )?;
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_header([
        "",
        "kept",
        "shortfall",
        "kept-always",
        "satisfaction",
        "× mixture",
        "× full info",
        "coverage",
        "explored bill",
        "labels",
    ]);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for standing in &cell.standings {
        let figures = &standing.figures;
        let optional = |value: Option<f64>, digits: usize| value.map_or("–".to_owned(), |v| format!("{v:.digits$}"));
        table.add_row([
            standing.name.clone(),
            format!("{:.2}", figures.kept),
            format!("{:.4}", figures.shortfall),
            format!("{:.2}", figures.kept_always),
            format!("{:.4}", figures.satisfaction),
            format!("{:.3}", figures.cost_mixture),
            optional(figures.cost_full_information, 3),
            optional(figures.coverage, 3),
            format!("{:.3}", figures.exploration_bill),
            format!("{:.0}", figures.labels),
        ]);
    }
    writeln!(out, "{table}")
}
