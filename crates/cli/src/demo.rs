//! `slarouter demo`.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use slarouter_core::Alpha;
use slarouter_demo::{DemoOptions, Summary};

use crate::print::print;

#[derive(clap::Args)]
pub(crate) struct DemoArgs {
    /// Stop after so many requests. Without it a terminal shows the demo until q is pressed; otherwise 3,000 are sent.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    requests: Option<u64>,
    /// Decides everything that is random: the same seed gives the same result again.
    #[arg(long, value_name = "S", default_value_t = DemoOptions::default().seed)]
    seed: u64,
    /// Requests per second of simulated time. The live view keeps to it; without the view time passes as fast as it can.
    #[arg(long, value_name = "R", default_value_t = DemoOptions::default().rate, value_parser = rate)]
    rate: f64,
    /// Share of the answers that users rate, from 0 to 1.
    #[arg(long, value_name = "P", default_value_t = DemoOptions::default().feedback_rate, value_parser = share)]
    feedback_rate: f64,
    /// The share of answers that must satisfy, from 0 to 1.
    #[arg(long, value_name = "A", default_value_t = DemoOptions::default().alpha, value_parser = share)]
    alpha: f64,
    /// Keep the database in this folder.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Run without the live view and print one JSON object at the end.
    #[arg(long)]
    json: bool,
}

fn share(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| format!("{text:?} is no number"))?;
    Alpha::new(value).map(Alpha::get).map_err(|_| format!("must lie between 0 and 1, not {value}"))
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value <= 2_000.0 => Ok(value),
        _ => Err("must be above 0 and at most 2000".to_owned()),
    }
}

pub(crate) async fn run(args: DemoArgs) -> anyhow::Result<()> {
    let live = !args.json && std::io::stdout().is_terminal();
    let options = DemoOptions {
        requests: args.requests.or((!live).then_some(slarouter_demo::REQUESTS)),
        seed: args.seed,
        rate: args.rate,
        feedback_rate: args.feedback_rate,
        alpha: args.alpha,
        data: args.data,
    };
    let summary = slarouter_demo::run(options, live).await?;
    if args.json {
        let json = serde_json::to_string(&summary)?;
        print(|out| writeln!(out, "{json}"))?;
    } else {
        print(|out| show(out, &summary))?;
    }
    Ok(())
}

fn show(out: &mut impl Write, summary: &Summary) -> io::Result<()> {
    writeln!(
        out,
        "{} requests in {:.0} s of simulated time: satisfaction {:.1} % (α = {:.0} %), cost {:.4} USD, {:.1} % below \
         always-most-expensive; {} labels, {:.1} % explored",
        summary.requests,
        summary.seconds,
        summary.satisfaction * 100.0,
        summary.alpha * 100.0,
        summary.cost,
        summary.saving * 100.0,
        summary.labels,
        summary.explored * 100.0
    )?;
    if let Some(certificate) = summary.certificate {
        let (lower, upper) = (certificate.lower * 100.0, certificate.upper * 100.0);
        writeln!(out, "certificate: satisfaction from {lower:.1} % to {upper:.1} %")?;
    }
    let judge = format!("judge: {} verdicts for {:.4} USD on top", summary.verdicts, summary.judge_cost);
    match summary.agreement.share() {
        Some(share) => writeln!(
            out,
            "{judge}; of {} rated answers it agrees on {:.1} %",
            summary.agreement.compared,
            share * 100.0
        )?,
        None => writeln!(out, "{judge}")?,
    }
    for (model, share) in &summary.share {
        writeln!(out, "  {model}: {:.1} %", share * 100.0)?;
    }
    Ok(())
}
