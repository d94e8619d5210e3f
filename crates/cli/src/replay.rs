//! `slarouter replay`.

use std::io::{self, Write};
use std::path::PathBuf;

use comfy_table::{CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use slarouter_core::{Alpha, PolicySpec};
use slarouter_lab::{Dataset, Fallback, Order, Replay, Report, Selection};

use crate::compare::fallback;
use crate::print::print;

#[derive(clap::Args)]
pub(crate) struct ReplayArgs {
    /// Recorded outcomes: CSV, gzipped or not, with prompt_id, prompt, score:<model>, cost:<model>.
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// The share of answers that must satisfy, from 0 to 1.
    #[arg(long, value_name = "A", value_parser = alpha)]
    alpha: Alpha,
    /// The probability that the score of an answer is seen, from 0 to 1.
    #[arg(long, value_name = "P", default_value_t = 0.05, value_parser = share)]
    feedback_rate: f64,
    /// certified, slarouter, random, cheapest, most-expensive or fixed:<model>.
    #[arg(long, value_name = "NAME", default_value = "certified", value_parser = PolicySpec::parse)]
    policy: PolicySpec,
    /// Runs, with seeds 0, 1, …
    #[arg(long, value_name = "N", default_value_t = 5)]
    seeds: u64,
    /// Count a score from here on as satisfied, below as not; without it scores stay graded.
    #[arg(long, value_name = "B", value_parser = share)]
    bar: Option<f64>,
    /// Use these models only, comma-separated.
    #[arg(long, value_name = "a,b,…", value_delimiter = ',')]
    models: Option<Vec<String>>,
    /// Requests per run, cut off after shuffling, so that each run sees rows from the whole file.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Keep the order of the file instead of shuffling.
    #[arg(long)]
    ordered: bool,
    /// The fallback of certified: best (the model with the highest mean satisfaction), most-expensive, or a model's name.
    #[arg(long, value_name = "NAME", default_value = "best", value_parser = fallback)]
    fallback: Fallback,
    /// The assurance of certified, between 0 and 1.
    #[arg(long, value_name = "A")]
    assurance: Option<f64>,
    /// A stream instead of a pass: requests in a window of the SLA, rows drawn with replacement.
    #[arg(long, value_name = "N", conflicts_with_all = ["ordered", "limit"])]
    window: Option<u32>,
    /// Windows of a stream.
    #[arg(long, value_name = "K", default_value_t = 10, requires = "window")]
    windows: u32,
    /// V of policy slarouter: the weight of cost.
    #[arg(long, value_name = "V")]
    v: Option<f64>,
    /// c of policy slarouter: exploration.
    #[arg(long, value_name = "C")]
    c: Option<f64>,
    /// Step size of policy slarouter's predictors.
    #[arg(long, value_name = "RATE")]
    learning_rate: Option<f64>,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

fn alpha(text: &str) -> Result<Alpha, String> {
    let value: f64 = text.parse().map_err(|_| format!("{text:?} is no number"))?;
    Alpha::new(value).map_err(|error| error.to_string())
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        _ => Err(format!("{text:?} is no number between 0 and 1")),
    }
}

pub(crate) fn run(mut args: ReplayArgs) -> anyhow::Result<()> {
    if let PolicySpec::SlaRouter(params) = &mut args.policy {
        params.v = args.v.unwrap_or(params.v);
        params.c = args.c.unwrap_or(params.c);
        params.learning_rate = args.learning_rate.unwrap_or(params.learning_rate);
    } else if args.v.or(args.c).or(args.learning_rate).is_some() {
        anyhow::bail!("--v, --c and --learning-rate are parameters of policy slarouter, not of {}", args.policy);
    }
    match (&mut args.policy, args.assurance) {
        (PolicySpec::Certified(params), assurance) => params.assurance = assurance.unwrap_or(params.assurance),
        (policy, Some(_)) => anyhow::bail!("--assurance is a parameter of policy certified, not of {policy}"),
        (_, None) => {}
    }
    let order = match (args.window, args.ordered) {
        (Some(window), _) => Order::Stream { window, windows: args.windows },
        (None, true) => Order::Source,
        (None, false) => Order::Shuffled,
    };
    let data = Dataset::load(&args.data, &Selection { bar: args.bar, models: args.models, ..Selection::default() })?;
    let replay = Replay {
        data: &data,
        alpha: args.alpha,
        feedback_rate: args.feedback_rate,
        policy: args.policy,
        seeds: args.seeds,
        fallback: args.fallback,
        order,
        limit: args.limit,
    };
    // Hides itself when standard error is no terminal.
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} runs, {eta} left")?;
    let bar = ProgressBar::new(args.seeds).with_style(style);
    let report = replay.run(|done| bar.set_position(done))?;
    bar.finish_and_clear();

    print(|out| {
        if args.json {
            return serde_json::to_writer(&mut *out, &report).map_err(io::Error::from).and_then(|()| writeln!(out));
        }
        table(out, &data, &report)
    })?;
    Ok(())
}

fn table(out: &mut impl Write, data: &Dataset, report: &Report) -> io::Result<()> {
    let mean = &report.mean;
    writeln!(
        out,
        "{}: {} requests, {}, {} models, α = {}, feedback on {} of the answers, policy {}, {} runs",
        report.data,
        report.rows,
        report.order,
        report.models.len(),
        report.alpha,
        report.feedback_rate,
        report.policy,
        report.seeds
    )?;
    let mut rows = new_table(&["", "satisfaction", "USD / 1,000", "share"]);
    for (place, model) in report.models.iter().enumerate() {
        let (satisfaction, cost) = data.means(place);
        let share = mean.share.get(model).copied().unwrap_or_default();
        let always = format!("always {model}");
        rows.add_row([always, figure(satisfaction), usd(cost), format!("{:.1} %", share * 100.0)]);
    }
    let references = &report.references;
    let mixture = if references.feasible { "cheapest mixture at α" } else { "best model (α is out of reach)" };
    rows.add_row([mixture.to_owned(), figure(report.alpha), usd(references.mixture_cost), String::new()]);
    let oracle = "hindsight oracle".to_owned();
    rows.add_row([oracle, figure(references.oracle_satisfaction), usd(references.oracle_cost), String::new()]);
    rows.add_row([report.policy.clone(), figure(mean.satisfaction), usd(mean.cost), "100.0 %".to_owned()]);
    writeln!(out, "{rows}")?;
    writeln!(
        out,
        "SLA kept in {:.0} % of the {}; lowest running mean {}; {:.0} labels and {:.0} explored requests per run; \
         cost {:.2} × the mixture",
        mean.kept * 100.0,
        if report.windows.is_empty() { "runs" } else { "windows" },
        figure(mean.running_min),
        mean.labels,
        mean.explored,
        mean.cost / references.mixture_cost
    )?;
    fallback_misses(out, data, report)?;
    windows(out, report)?;
    if let Some((lower, upper)) = certificate(report) {
        writeln!(
            out,
            "certificate at the end, mean of the runs: satisfaction from {} to {}",
            figure(lower),
            figure(upper)
        )?;
    }
    Ok(())
}

/// Says so where the fallback of `certified`, which is trusted to keep α, does not.
fn fallback_misses(out: &mut impl Write, data: &Dataset, report: &Report) -> io::Result<()> {
    let place =
        report.models.iter().position(|model| *model == report.fallback).filter(|_| report.policy == "certified");
    let satisfaction = place.map(|place| data.means(place).0).filter(|satisfaction| *satisfaction < report.alpha);
    let Some(satisfaction) = satisfaction else { return Ok(()) };
    writeln!(
        out,
        "the fallback {} satisfies {} only, which is below α: no promise can rest on it; name another one with --fallback, or \
         lower α",
        report.fallback,
        figure(satisfaction)
    )
}

/// One row per window, if there are several.
fn windows(out: &mut impl Write, report: &Report) -> io::Result<()> {
    if report.windows.is_empty() {
        return Ok(());
    }
    let mut table = new_table(&["window", "kept", "satisfaction", "USD / 1,000", "× mixture"]);
    for window in &report.windows {
        let kept = format!("{:.0} %", window.kept * 100.0);
        let mixture = format!("{:.2}", window.cost / report.references.mixture_cost);
        table.add_row([window.number.to_string(), kept, figure(window.satisfaction), usd(window.cost), mixture]);
    }
    writeln!(out, "{table}")
}

/// Means of the bounds, if the policy gives any.
fn certificate(report: &Report) -> Option<(f64, f64)> {
    let held: Option<Vec<_>> = report.runs.iter().map(|run| run.certificate).collect();
    let held = held.filter(|held| !held.is_empty())?;
    let n = held.len() as f64;
    Some((held.iter().map(|c| c.lower).sum::<f64>() / n, held.iter().map(|c| c.upper).sum::<f64>() / n))
}

fn new_table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_header(header.iter().copied());
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn figure(value: f64) -> String {
    format!("{value:.4}")
}

fn usd(value: f64) -> String {
    format!("{:.4}", value * 1e3)
}
