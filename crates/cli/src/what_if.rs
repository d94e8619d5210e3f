//! `slarouter what-if`.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use slarouter_config::{KeyPlace, utc};
use slarouter_core::what_if::{Estimate, Refusal};
use slarouter_core::{Price, Timestamp, told_count, told_money, told_percent};
use slarouter_report::{NewPrice, Point, Question, WhatIf, plot, what_if};

use crate::price::priced;
use crate::print::print;

#[derive(Args)]
pub(crate) struct WhatIfArgs {
    /// The configuration file, which names the database.
    #[arg(long, short, value_name = "FILE", default_value = "slarouter.toml")]
    config: PathBuf,
    /// The route.
    #[arg(long, value_name = "NAME", default_value = "default")]
    route: Arc<str>,
    /// The first day, as 2026-11-01, or a month, as 2026-11; all since the start if left out.
    #[arg(long, value_name = "DATE")]
    from: Option<String>,
    /// The first day that is no longer in it, or a month likewise; all until now if left out.
    #[arg(long, value_name = "DATE")]
    to: Option<String>,
    #[command(flatten)]
    change: ChangeArgs,
    /// Print JSON, as `POST /admin/what-if` does.
    #[arg(long)]
    json: bool,
    /// Write the frontier, cost against satisfaction, to this file as SVG.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

/// One of these, or none: then all prices of satisfaction are looked at.
#[derive(Args)]
#[group(multiple = false)]
struct ChangeArgs {
    /// Another target.
    #[arg(long, value_name = "SHARE")]
    alpha: Option<f64>,
    /// Without this model.
    #[arg(long, value_name = "MODEL")]
    without: Option<Arc<str>>,
    /// With another price of a model, in USD per million input and output tokens.
    #[arg(long, value_name = "MODEL=IN,OUT", value_parser = price)]
    price: Option<NewPrice>,
    /// With another policy: random, cheapest, most-expensive or fixed:MODEL.
    #[arg(long, value_name = "POLICY")]
    policy: Option<String>,
}

fn price(text: &str) -> Result<NewPrice, String> {
    let (model, Price { input, output }) = priced(text)?;
    Ok(NewPrice { model: model.into(), input, output })
}

pub(crate) async fn run(args: WhatIfArgs) -> anyhow::Result<ExitCode> {
    let ChangeArgs { alpha, without, price, policy } = args.change;
    let question = Question { route: Some(args.route), from: args.from, to: args.to, alpha, without, price, policy };
    let store = slarouter_store::open_to_read(&KeyPlace::load(&args.config)?.url).await?;
    let until = *store.committed().borrow();
    let answer = what_if(store.as_ref(), &question, until).await;
    store.close().await;
    let answer = answer?;
    if let Some(file) = &args.plot {
        std::fs::write(file, plot(&answer)).with_context(|| file.display().to_string())?;
    }
    print(|out| {
        if args.json {
            return writeln!(out, "{}", serde_json::to_string_pretty(&answer)?);
        }
        tell(out, &question, &answer)
    })?;
    Ok(ExitCode::SUCCESS)
}

fn tell(out: &mut impl Write, question: &Question, answer: &WhatIf) -> io::Result<()> {
    let day = |ms: u64| utc(Timestamp(ms));
    writeln!(out, "{}, {} to {}: {}", answer.route, day(answer.from_ms), day(answer.to_ms), counted(answer))?;
    let together = if answer.frontier.is_empty() { "each" } else { "all of one column together" };
    writeln!(
        out,
        "intervals hold at {}, {together}, however often they are looked at\n",
        told_percent(answer.assurance)
    )?;
    let named = std::iter::once(&answer.ran).chain(&answer.asked);
    let points: Vec<_> = named.chain(&answer.models).chain(&answer.frontier).collect();
    writeln!(out, "{}\n", table(&points).trim_fmt())?;
    match (&answer.asked, question.alpha) {
        (Some(asked), _) => sentence(out, asked)?,
        (None, Some(alpha)) => {
            writeln!(out, "no price of satisfaction is estimated to reach {alpha} with these models")?
        }
        (None, None) => {}
    }
    if answer.cut_off > 0.0005 {
        let cut = told_percent(answer.cut_off);
        writeln!(out, "{cut} of what was charged was beyond eight times its prediction, and is in no cost above")?;
    }
    Ok(())
}

/// How many decisions it rests on, and which ones do not count.
fn counted(answer: &WhatIf) -> String {
    let mut counted = format!(
        "{} decisions, {} {}",
        told_count(answer.requests),
        told_count(answer.ran.evaluated.labels),
        answer.labels_by
    );
    for (count, what) in [
        (answer.stayed, "stayed with their conversation's model"),
        (answer.pinned, "named their model"),
        (answer.unanswered, "got no answer"),
        (answer.unreadable, "cannot be read"),
    ] {
        if count > 0 {
            counted += &format!("; {} {what}", told_count(count));
        }
    }
    counted
}

fn table(points: &[&Point]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header([
        "",
        "satisfied",
        "to what ran",
        "USD a request",
        "to what ran",
        "effective labels",
        "",
    ]);
    for point in points {
        let name = match point.price_usd {
            Some(price) => format!("{}, {} a satisfied answer", point.name, told_money(price)),
            None => point.name.clone(),
        };
        let evaluated = &point.evaluated;
        let shown = |told: String| if point.refusals.is_empty() { told } else { "cannot tell".to_owned() };
        let cost = |cost: Option<Estimate>| cost.map(|cost| interval(&cost, told_money)).unwrap_or_default();
        table.add_row([
            name,
            shown(interval(&evaluated.satisfaction, told_percent)),
            interval(&evaluated.satisfaction_difference, points_of),
            cost(evaluated.cost),
            cost(evaluated.cost_difference),
            format!("{:.0}", evaluated.effective_labels),
            point.verdict.as_str().to_owned(),
        ]);
    }
    for column in table.column_iter_mut().skip(1).take(5) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn interval(told: &Estimate, word: impl Fn(f64) -> String) -> String {
    format!("{} [{}, {}]", word(told.estimate), word(told.lower), word(told.upper))
}

/// A difference of shares, in points.
fn points_of(difference: f64) -> String {
    format!("{:+.1}", 100.0 * difference)
}

/// The verdict on what was asked for, and what it would take to say more.
fn sentence(out: &mut impl Write, asked: &Point) -> io::Result<()> {
    writeln!(out, "{}: {}.", asked.name, asked.verdict.as_str())?;
    for refusal in &asked.refusals {
        match refusal {
            Refusal::Unsupported { share } => writeln!(
                out,
                "{} of its choices could not have been drawn, so nothing is known of them: `exploration_floor` makes them possible",
                told_percent(*share)
            )?,
            Refusal::Unanswered { share } => writeln!(
                out,
                "{} of the requests got no answer and count nowhere, so the others are no sample of all: with `feedback.failures_count` they count",
                told_percent(*share)
            )?,
            Refusal::Wide { half_width, labels } => writeln!(
                out,
                "its satisfaction is known to ±{} alone: about {} labels would make that ±10.0 %, and fewer with an `exploration_floor`",
                told_percent(*half_width),
                told_count(*labels)
            )?,
        }
    }
    if let Some(labels) = asked.labels_to_tell {
        writeln!(out, "about {} labels like these would tell it from what ran", told_count(labels))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use slarouter_core::what_if::{Evaluated, Verdict};

    use super::*;

    fn point(name: &str, price_usd: Option<f64>, verdict: Verdict, refusals: Vec<Refusal>) -> Point {
        let around = |estimate: f64| Estimate { estimate, lower: estimate - 0.05, upper: estimate + 0.05 };
        let evaluated = Evaluated {
            labels: 412,
            effective_labels: 130.4,
            largest_weight: 40.0,
            unsupported: 0.0,
            unanswered: 0.0,
            satisfaction: around(0.9),
            satisfaction_difference: around(0.01),
            cost: Some(around(0.25)),
            cost_difference: Some(around(-0.5)),
            ips: None,
            snips: None,
        };
        Point { name: name.to_owned(), price_usd, evaluated, verdict, refusals, labels_to_tell: Some(10_300) }
    }

    #[test]
    fn an_answer_reads_so() {
        let wide = Refusal::Wide { half_width: 0.2, labels: 1_648 };
        let answer = WhatIf {
            route: "default".into(),
            from_ms: 1_767_225_600_000,
            to_ms: 1_767_225_660_000,
            log_seq: 9,
            alpha: 0.9,
            assurance: 0.95,
            labels_by: "ratings",
            requests: 8_240,
            unanswered: 0,
            stayed: 17,
            pinned: 0,
            unreadable: 0,
            cut_off: 0.003,
            ran: point("what ran", None, Verdict::Same, vec![]),
            asked: Some(point("α = 0.85", Some(0.5), Verdict::CannotTell, vec![])),
            frontier: vec![point("at a price", Some(0.0), Verdict::Worse, vec![])],
            models: vec![point("large", None, Verdict::Better, vec![wide])],
        };
        let mut text = Vec::new();
        tell(&mut text, &Question { alpha: Some(0.85), ..Question::default() }, &answer).unwrap();
        let text = String::from_utf8(text).unwrap();
        for line in [
            "default, 2026-01-01T00:00:00Z to 2026-01-01T00:01:00Z: 8,240 decisions, 412 ratings; 17 stayed with their conversation's model",
            "intervals hold at 95.0 %, all of one column together, however often they are looked at",
            "90.0 % [85.0 %, 95.0 %]",
            "+1.0 [-4.0, +6.0]",
            "$0.25 [$0.20, $0.30]",
            "−$0.50 [−$0.55, −$0.45]",
            "α = 0.85, $0.50 a satisfied answer",
            "α = 0.85: cannot tell.",
            "about 10,300 labels like these would tell it from what ran",
            "0.3 % of what was charged was beyond eight times its prediction, and is in no cost above",
        ] {
            assert!(text.contains(line), "{line:?} is not in\n{text}");
        }
        let large = text.lines().find(|line| line.contains("large")).unwrap();
        assert!(large.contains("cannot tell") && large.ends_with("better"), "{large}");
        let mut told = Vec::new();
        sentence(&mut told, &answer.models[0]).unwrap();
        let told = String::from_utf8(told).unwrap();
        assert!(told.contains("±20.0 % alone: about 1,648 labels would make that ±10.0 %"), "{told}");
    }
}
