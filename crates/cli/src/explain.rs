//! `slarouter explain`: why a model was chosen, from the log alone.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use serde_json::json;
use slarouter_config::Config;
use slarouter_core::{Timestamp, told_money, told_percent};
use slarouter_gateway::{parse_id, public_id};
use slarouter_learner::{Explanation, Replay, explain};
use slarouter_store::Calendar;

use crate::print::print;

#[derive(clap::Args)]
pub(crate) struct ExplainArgs {
    /// The id of an answer, or of its decision.
    id: String,
    /// The configuration file.
    #[arg(long, short, value_name = "FILE", default_value = "slarouter.toml")]
    config: PathBuf,
    /// Print JSON, as `GET /admin/decisions/{id}` does.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: ExplainArgs) -> anyhow::Result<ExitCode> {
    let config = match Config::load(&args.config) {
        Ok(config) => config,
        Err(errors) => return crate::check::refuse(&errors),
    };
    let id = parse_id(&args.id).with_context(|| {
        format!("{:?} is no id of a decision: take the `id` or `x-request-id` of an answer", args.id)
    })?;
    let store = slarouter_store::open_to_read(&config.store.url).await?;
    let explained = explain(store.as_ref(), id, config.server.seed, u64::MAX).await;
    store.close().await;
    let Some(explanation) = explained? else {
        bail!(
            "no decision {} is in the log: it was made by another gateway, or is some milliseconds old",
            public_id(id)
        );
    };
    print(|out| {
        if args.json {
            let mut value = json!(explanation);
            value["id"] = public_id(id).into();
            return writeln!(out, "{value:#}");
        }
        tell(out, &explanation, &Calendar::new(config.server.time_zone))
    })?;
    Ok(ExitCode::SUCCESS)
}

fn tell(out: &mut impl Write, explained: &Explanation, calendar: &Calendar) -> io::Result<()> {
    let route = if explained.route.is_empty() { "no route" } else { &*explained.route };
    let trace = explained.trace_id.as_ref().map(|trace| format!("  trace_id {trace}")).unwrap_or_default();
    let time = calendar.moment(Timestamp(explained.time_ms));
    writeln!(out, "{}  {time}  {route}{trace}", public_id(explained.id))?;
    writeln!(out, "{}\n\n{}\n", explained.sentence, candidates(explained).trim_fmt())?;
    if let Some(then) = &explained.then {
        writeln!(
            out,
            "then: a satisfied answer was worth {}; {} asked of the next answers; a reserve of {:+.1} answers, {:+.1} wanted",
            told_money(then.satisfaction_price_usd),
            told_percent(then.demand),
            then.reserve,
            then.wanted_reserve
        )?;
        if let Some(held) = &then.certificate {
            let (lower, upper) = (told_percent(held.lower), told_percent(held.upper));
            writeln!(out, "certified then: from {lower} to {upper}, by {} labels", held.labels)?;
        }
    }
    for word in &explained.feedback {
        let rating = word.rating.map_or("withdrawn".to_owned(), |rating| rating.to_string());
        let comment = word.comment.as_deref().map(|comment| format!(": {comment:?}")).unwrap_or_default();
        writeln!(
            out,
            "{}  {} {rating}, {}{comment}",
            calendar.moment(Timestamp(word.time_ms)),
            word.source,
            word.receipt
        )?;
    }
    match &explained.replay {
        Replay::Same => writeln!(out, "replay: made again from the log, it is the same to the last bit"),
        Replay::Differs { what } => writeln!(out, "replay: made again from the log it is another one: {what}"),
        Replay::Unreachable { why } => writeln!(out, "replay: not made again: {why}"),
    }
}

fn candidates(explained: &Explanation) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(["", "probability", "satisfaction", "cost", "would have been best"]);
    for candidate in &explained.candidates {
        let mark = if candidate.model == explained.chosen { "→" } else { " " };
        let error = candidate.satisfaction_error.map(|error| format!(" ± {:.1}", error * 100.0)).unwrap_or_default();
        table.add_row([
            format!("{mark} {}", candidate.model),
            candidate.told_probability(),
            format!("{:.1}{error} %", candidate.satisfaction * 100.0),
            told_money(candidate.cost_usd),
            candidate.would_have_been_best(),
        ]);
    }
    for column in table.column_iter_mut().skip(1).take(3) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

#[cfg(test)]
mod tests {
    use slarouter_core::{DecisionId, Reason};
    use slarouter_learner::{ExplainedCandidate, ExplainedOutcome, Then, Word, WouldWin};

    use super::*;

    fn candidate(model: &str, probability: f64, satisfaction: f64, cost: f64) -> ExplainedCandidate {
        ExplainedCandidate {
            model: model.into(),
            probability,
            planned: None,
            satisfaction,
            satisfaction_error: Some(0.042),
            cost_usd: cost,
            saving_usd: 0.0,
            score: 0.0,
            excluded: false,
            would_win: None,
        }
    }

    #[test]
    fn an_explanation_reads_so() {
        let unlucky = WouldWin { satisfaction: Some(0.981), cost_usd: Some(0.0021) };
        let far = WouldWin { satisfaction: None, cost_usd: None };
        let explained = Explanation {
            sentence: "small had the best balance.".to_owned(),
            id: DecisionId(0x0198_5a5d_ac96_774b_bcce_b302_099a_8057),
            seq: 17,
            time_ms: 1_767_225_600_000,
            route: "default".into(),
            alpha: Some(0.9),
            trace_id: Some("run-7".to_owned()),
            reason: Reason::Exploit,
            chosen: "small".into(),
            answered: "small".into(),
            propensity: 0.95,
            input_tokens: 12.0,
            state_seq: 16,
            satisfaction_price_usd: Some(0.01),
            candidates: vec![
                candidate("small", 0.95, 0.913, 0.0004),
                ExplainedCandidate { would_win: Some(unlucky), ..candidate("large", 0.05, 0.942, 0.0031) },
                ExplainedCandidate { would_win: Some(far), excluded: true, ..candidate("huge", 0.0, 0.97, 0.4) },
            ],
            then: Some(Then {
                satisfaction_price_usd: 0.01,
                demand: 0.91,
                reserve: -2.5,
                wanted_reserve: 8.0,
                safeguarded: 0.0,
                certificate: None,
            }),
            replay: Replay::Same,
            outcome: None::<ExplainedOutcome>,
            audit: slarouter_core::AuditDraw::default(),
            feedback: vec![Word {
                time_ms: 1_767_225_660_000,
                source: "user",
                rating: Some(0.0),
                receipt: "recorded",
                comment: Some("no\u{1b}[31m".to_owned()),
            }],
        };
        let mut text = Vec::new();
        tell(&mut text, &explained, &Calendar::default()).unwrap();
        let expected = "\
chatcmpl-01985a5d-ac96-774b-bcce-b302099a8057  2026-01-01T00:00:00Z  default  trace_id run-7
small had the best balance.

          probability  satisfaction      cost  would have been best
 → small       95.0 %  91.3 ± 4.2 %  $0.00040
   large        5.0 %  94.2 ± 4.2 %   $0.0031  at 98.1 % or $0.0021
   huge         0.0 %  97.0 ± 4.2 %     $0.40  neither satisfaction nor price alone would do

then: a satisfied answer was worth $0.010; 91.0 % asked of the next answers; a reserve of -2.5 answers, +8.0 wanted
2026-01-01T00:01:00Z  user 0, recorded: \"no\\u{1b}[31m\"
replay: made again from the log, it is the same to the last bit
";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }
}
