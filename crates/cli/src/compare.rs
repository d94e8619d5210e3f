//! `slarouter compare`.

use std::convert::Infallible;
use std::io::{self, Write};
use std::path::PathBuf;

use comfy_table::{CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use slarouter_lab::{
    CellReport, Comparison, Fallback, Fresh, Harm, LocalEncoder, Order, Plan, Ratio, Rival, STEADY, Scope, Stream,
    Verdict, WindowFigures, ZooKind,
};

use crate::print::print;

#[derive(clap::Args)]
pub(crate) struct CompareArgs {
    /// Folder of the data sets, <name>.csv or <name>.csv.gz.
    #[arg(long, value_name = "DIR", default_value = "../shared/data")]
    data: PathBuf,
    /// Folder for the report, the plots and the finished results, which a second run takes over. Without it the tables are
    /// printed and nothing is kept.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Minutes instead of half an hour: three runs per cell, 5,000 rows, the operator's zoo, shuffled. Options below override it.
    #[arg(long)]
    quick: bool,
    /// Print every cell too, after the summary.
    #[arg(long)]
    cells: bool,
    /// Make kept results again: all, or those of the policies named. Needed for a policy whose code has changed.
    #[arg(long, value_name = "a,b,…", value_delimiter = ',', num_args = 0.., require_equals = true, requires = "out",
        value_parser = Rival::parse)]
    fresh: Option<Vec<Rival>>,
    /// The policy that is held against the targets.
    #[arg(long, value_name = "NAME", default_value = "certified")]
    subject: String,
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
    #[arg(long, value_enum)]
    order: Option<Orders>,
    /// A handful of models as an operator would have them, all of the file, or both.
    #[arg(long, value_enum)]
    zoo: Option<Zoos>,
    /// The fallback of certified: best (the model with the highest mean satisfaction), most-expensive, or a model's name.
    #[arg(long, value_name = "NAME", default_value = "best", value_parser = fallback)]
    fallback: Fallback,
    /// Run certified once with each of these assurances instead of 0.95.
    #[arg(long, value_name = "A,…", value_delimiter = ',')]
    assurance: Vec<f64>,
    /// Streams instead of passes: requests in a window of the SLA, rows drawn with replacement.
    #[arg(long, value_name = "N", conflicts_with = "order")]
    window: Option<u32>,
    /// Windows of a stream.
    #[arg(long, value_name = "K", default_value_t = 10, requires = "window")]
    windows: u32,
    /// What makes features of the prompts: hashed, static, blend, or (if built with it) bert:<folder>.
    #[arg(long, value_name = "NAME", default_value = "hashed", value_parser = LocalEncoder::parse)]
    encoder: LocalEncoder,
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

/// Every text names a fallback; whether there is such a model shows when the data are read.
pub(crate) fn fallback(text: &str) -> Result<Fallback, Infallible> {
    Ok(Fallback::parse(text))
}

impl CompareArgs {
    fn plan(&self) -> anyhow::Result<Plan> {
        let folder = self.data.clone();
        let mut plan = if self.quick { Plan::quick(folder) } else { Plan::full(folder) };
        plan.keep.clone_from(&self.out);
        plan.fresh = match &self.fresh {
            None => Fresh::Nothing,
            Some(rivals) if rivals.is_empty() => Fresh::Everything,
            Some(rivals) => Fresh::Of(rivals.clone()),
        };
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
            Some(Orders::Shuffled) => vec![Order::Shuffled],
            Some(Orders::Source) => vec![Order::Source],
            Some(Orders::Both) => vec![Order::Shuffled, Order::Source],
            None => plan.orders,
        };
        if let Some(window) = self.window {
            plan.orders = vec![Order::Stream { window, windows: self.windows }];
        }
        plan.fallback = self.fallback.clone();
        plan.sweep(&self.assurance)?;
        plan.zoos = match self.zoo {
            Some(Zoos::Operator) => vec![ZooKind::Operator],
            Some(Zoos::Full) => vec![ZooKind::Full],
            Some(Zoos::Both) => vec![ZooKind::Operator, ZooKind::Full],
            None => plan.zoos,
        };
        plan.encoder = self.encoder.load()?;
        Ok(plan)
    }
}

pub(crate) fn run(args: CompareArgs) -> anyhow::Result<()> {
    let style = ProgressStyle::with_template("{msg:10} {bar:40} {pos}/{len}, {eta} left")?;
    let bar = ProgressBar::new(1).with_style(style);
    // The bar hides itself when standard error is no terminal; a file gets a line for each tenth.
    let mut told = None;
    let comparison = args.plan()?.run(|progress| {
        if bar.message() != progress.stage {
            bar.set_message(progress.stage);
            bar.set_length(progress.total);
            bar.reset();
        }
        bar.set_position(progress.done);
        let tenth = Some((progress.stage, progress.done * 10 / progress.total.max(1)));
        if bar.is_hidden() && told != tenth {
            told = tenth;
            // Nobody has to read it.
            let _ = writeln!(io::stderr(), "{}: {} of {}", progress.stage, progress.done, progress.total);
        }
    })?;
    bar.finish_and_clear();
    if let Some(folder) = &args.out {
        comparison.write(folder, &args.subject)?;
    }

    if args.json {
        let json = comparison.json(&args.subject)?;
        print(|out| writeln!(out, "{json}"))?;
    } else {
        print(|out| print_all(out, &comparison, &args))?;
    }
    Ok(())
}

/// What it comes to stands first.
fn print_all(out: &mut impl Write, comparison: &Comparison, args: &CompareArgs) -> io::Result<()> {
    for verdict in comparison.verdicts(&args.subject) {
        print_verdict(out, &verdict)?;
    }
    print_harm(out, &comparison.harm())?;
    print_streams(out, &comparison.streams())?;
    for scope in comparison.scopes() {
        print_scope(out, &scope)?;
    }
    if args.cells {
        comparison.cells.iter().try_for_each(|cell| print_cell(out, cell))?;
    }
    match &args.out {
        Some(folder) => writeln!(out, "\nReport and plots: {}", folder.join("report.md").display()),
        None if args.cells => Ok(()),
        None => writeln!(out, "\n--cells prints the {} cells one by one", comparison.cells.len()),
    }
}

fn print_harm(out: &mut impl Write, rows: &[Harm]) -> io::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nDo no harm: cells in which the fallback alone keeps α, by how far it is above")?;
    let mut table = new_table(&["", "runs", "margin", "keeps α in", "kept", "worst cell", "shortfall"]);
    for row in rows {
        table.add_row([
            row.name.clone(),
            format!("{}, {}", row.zoo, row.order),
            row.margin.to_string(),
            format!("{} of {}", row.keeps, row.cells),
            format!("{:.3}", row.kept),
            format!("{:.2}", row.worst),
            format!("{:.4}", row.shortfall),
        ]);
    }
    writeln!(out, "{table}")
}

fn print_streams(out: &mut impl Write, streams: &[Stream]) -> io::Result<()> {
    if streams.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nFirst window, and windows {STEADY} on")?;
    let mut table = new_table(&["", "φ", "f", "windows", "kept", "worst cell", "shortfall", "surplus", "× mixture"]);
    for stream in streams {
        let mut add = |windows: String, figures: &WindowFigures| {
            table.add_row([
                stream.name.clone(),
                stream.rate.to_string(),
                if stream.tight { "> 0.8" } else { "≤ 0.8" }.to_owned(),
                windows,
                format!("{:.3}", figures.kept),
                format!("{:.2}", figures.worst),
                format!("{:.4}", figures.shortfall),
                format!("{:+.4}", figures.surplus),
                format!("{:.3}", figures.cost_mixture),
            ]);
        };
        stream.windows.first().into_iter().for_each(|figures| add("1".to_owned(), figures));
        stream.steady.iter().for_each(|figures| add(format!("{STEADY} on"), figures));
    }
    writeln!(out, "{table}")
}

fn print_scope(out: &mut impl Write, scope: &Scope) -> io::Result<()> {
    let starved = if scope.starved { ", starved cells" } else { "" };
    writeln!(out, "\nAll data sets, {}, {}{starved}", scope.zoo, scope.order)?;
    let mut table = new_table(&[
        "",
        "keeps α in",
        "kept",
        "shortfall",
        "× mixture",
        "where it keeps α",
        "× full info",
        "worst coverage",
        "explored bill",
    ]);
    for row in &scope.rows {
        table.add_row([
            row.name.clone(),
            format!("{} of {}", row.keeps, row.cells),
            format!("{:.3}", row.kept),
            format!("{:.4}", row.shortfall),
            optional(row.cost_mixture),
            optional(row.cost_mixture_kept),
            optional(row.cost_full_information),
            optional(row.coverage),
            format!("{:.3}", row.exploration_bill),
        ]);
    }
    writeln!(out, "{table}")
}

fn print_verdict(out: &mut impl Write, verdict: &Verdict) -> io::Result<()> {
    writeln!(out, "\n{} against the targets, {}, {}", verdict.subject, verdict.zoo, verdict.order)?;
    let ratio = |ratio: &Ratio| format!("{} in {} cells, ahead in {}", optional(ratio.mean), ratio.cells, ratio.ahead);
    let kept = verdict.kept.as_ref().map_or("–".to_owned(), |(data, kept)| format!("{kept:.3} ({data})"));
    writeln!(out, "  kept, worst data set, f ≤ 0.8 and not starved: {kept}; target 0.95")?;
    writeln!(out, "  shortfall, f > 0.8 or starved: {}; target 0.010", optional(verdict.shortfall))?;
    writeln!(out, "  coverage, worst cell: {}; target 0.95", optional(verdict.coverage))?;
    writeln!(out, "  cost / paper with V = 1: {}; target 0.75", ratio(&verdict.paper))?;
    writeln!(out, "  cost / paper with V in hindsight: {}; target 0.90", ratio(&verdict.paper_hindsight))?;
    writeln!(out, "  cost / best other baseline: {}; target 1.00", ratio(&verdict.best_baseline))?;
    writeln!(out, "  cost / full information: {}; target 1.25", ratio(&verdict.full_information))
}

fn print_cell(out: &mut impl Write, cell: &CellReport) -> io::Result<()> {
    let starved = if cell.starved { ", starved" } else { "" };
    writeln!(
        out,
        "\n{}, {}, {}, {} models, {} requests, f = {}, φ = {}{starved}: α = {:.4}, mixture {:.4} USD / 1,000",
        cell.data,
        cell.zoo,
        cell.order,
        cell.models,
        cell.rows,
        cell.fraction,
        cell.rate,
        cell.alpha,
        cell.mixture_cost * 1e3
    )?;
    let mut table = new_table(&[
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
    for standing in &cell.standings {
        let figures = &standing.figures;
        table.add_row([
            standing.name.clone(),
            format!("{:.2}", figures.kept),
            format!("{:.4}", figures.shortfall),
            format!("{:.2}", figures.kept_always),
            format!("{:.4}", figures.satisfaction),
            format!("{:.3}", figures.cost_mixture),
            optional(figures.cost_full_information),
            optional(figures.coverage),
            format!("{:.3}", figures.exploration_bill),
            format!("{:.0}", figures.labels),
        ]);
    }
    writeln!(out, "{table}")
}

fn new_table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY).set_header(header.iter().copied());
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn optional(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.3}"))
}
