//! The report as Markdown.

use std::fmt::{self, Display, Write};

use super::summary::{KEEPS, Ratio, Row, Verdict};
use super::{CellReport, Comparison, Harm, STEADY, Stream, WindowFigures};

/// The tables of a comparison; `subject` is held against the targets.
pub(super) fn report(comparison: &Comparison, subject: &str) -> Result<String, fmt::Error> {
    let mut out = String::new();
    let seeds = comparison.cells.iter().flat_map(|cell| &cell.standings).map(|s| s.passes.len()).max().unwrap_or(0);
    writeln!(out, "# Comparison\n")?;
    writeln!(
        out,
        "{} cells, {seeds} runs per contender and cell. What the figures mean: `docs/compare.md`. A contender *keeps α* in a cell if \
         at least {:.0} % of its runs do. Costs are ratios to the cheapest fixed mixture that reaches α (× mixture) and to the \
         full-information reference (× full).",
        comparison.cells.len(),
        KEEPS * 100.0
    )?;
    for verdict in comparison.verdicts(subject) {
        write_verdict(&mut out, &verdict)?;
    }
    write_harm(&mut out, &comparison.harm())?;
    comparison.streams().iter().try_for_each(|stream| write_stream(&mut out, stream))?;
    for scope in comparison.scopes() {
        let starved = if scope.starved { ", starved cells" } else { "" };
        writeln!(out, "\n## Summary: {}, {}{starved}\n", scope.zoo, scope.order)?;
        writeln!(
            out,
            "| contender | keeps α in | kept | shortfall | kept-always | × mixture | × mixture where it keeps α | × full | lowest \
             coverage | exploration bill |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
        )?;
        scope.rows.iter().try_for_each(|row| write_row(&mut out, row))?;
    }
    for (zoo, order) in comparison.kinds() {
        for starved in [false, true] {
            let cells: Vec<_> = comparison.of(zoo, order).filter(|cell| cell.starved == starved).collect();
            if !cells.is_empty() {
                let apart = if starved { ", starved" } else { "" };
                writeln!(out, "\n## Cells: {zoo}, {order}{apart}")?;
                cells.iter().try_for_each(|cell| write_cell(&mut out, cell))?;
            }
        }
    }
    Ok(out)
}

fn write_harm(out: &mut String, rows: &[Harm]) -> fmt::Result {
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n## Do no harm: cells in which the fallback alone keeps α, starved ones included\n")?;
    writeln!(
        out,
        "| runs | the fallback's margin | contender | keeps α in | kept | worst cell | shortfall |\n|---|---|---|---:|---:|---:|---:|"
    )?;
    rows.iter().try_for_each(|row| {
        writeln!(
            out,
            "| {}, {} | {} | {} | {} of {} | {:.3} | {:.2} | {:.4} |",
            row.zoo, row.order, row.margin, row.name, row.keeps, row.cells, row.kept, row.worst, row.shortfall
        )
    })
}

fn write_stream(out: &mut String, stream: &Stream) -> fmt::Result {
    let room = if stream.tight { "f > 0.8" } else { "f ≤ 0.8" };
    writeln!(
        out,
        "\n## Windows of `{}`: {}, {}, φ = {}, {room}\n",
        stream.name, stream.zoo, stream.order, stream.rate
    )?;
    writeln!(out, "| window | kept | worst cell | shortfall | surplus | × mixture |\n|---|---:|---:|---:|---:|---:|")?;
    let mut row = |name: String, figures: &WindowFigures| {
        writeln!(
            out,
            "| {name} | {:.3} | {:.2} | {:.4} | {:+.4} | {:.3} |",
            figures.kept, figures.worst, figures.shortfall, figures.surplus, figures.cost_mixture
        )
    };
    stream.windows.iter().enumerate().try_for_each(|(place, figures)| row((place + 1).to_string(), figures))?;
    stream.steady.iter().try_for_each(|figures| row(format!("{STEADY} on"), figures))?;
    stream.lowest_stretch.iter().try_for_each(|lowest| {
        writeln!(out, "\nThe lowest mean of 3,000 consecutive requests after the first window is {lowest:+.4} from α.")
    })
}

fn write_verdict(out: &mut String, verdict: &Verdict) -> fmt::Result {
    writeln!(out, "\n## `{}` against the targets: {}, {}\n", verdict.subject, verdict.zoo, verdict.order)?;
    writeln!(out, "| figure | target | found |\n|---|---|---|")?;
    let share = |value: f64| format!("{:.1} %", value * 100.0);
    let kept = verdict.kept.as_ref().map(|(data, kept)| format!("{} ({data})", share(*kept)));
    let lines = [
        ("kept in the worst data set, cells not starved, f ≤ 0.8", "≥ 95 %", optional(kept)),
        (
            "mean shortfall, f > 0.8 and starved cells",
            "≤ 0.010",
            optional(verdict.shortfall.map(|s| format!("{s:.4}"))),
        ),
        ("certificate coverage in the worst cell", "≥ 95 %", optional(verdict.coverage.map(share))),
        ("cost / paper with V = 1, both keep α", "≤ 0.75", ratio(&verdict.paper)),
        ("cost / paper with V in hindsight, both keep α", "≤ 0.90", ratio(&verdict.paper_hindsight)),
        (
            "cost / best other baseline in hindsight, both keep α",
            "≤ 1.00, ahead in most",
            ratio(&verdict.best_baseline),
        ),
        ("cost / full information, φ = 0.2, f ≤ 0.8, not starved", "≤ 1.25", ratio(&verdict.full_information)),
    ];
    for (figure, target, found) in lines {
        writeln!(out, "| {figure} | {target} | {found} |")?;
    }
    let savings: Vec<_> = verdict.savings.iter().map(|(data, s)| format!("{data} {}", share(*s))).collect();
    writeln!(out, "| largest saving against always-most-expensive where α is kept | stated | {} |", savings.join(", "))
}

fn ratio(ratio: &Ratio) -> String {
    match ratio.mean {
        Some(mean) => format!("{mean:.3}; ahead in {} of {} cells", ratio.ahead, ratio.cells),
        None => "– (no such cell)".to_owned(),
    }
}

fn write_row(out: &mut String, row: &Row) -> fmt::Result {
    let digits = |value: Option<f64>| optional(value.map(|v| format!("{v:.3}")));
    writeln!(
        out,
        "| {} | {} of {} | {:.3} | {:.4} | {:.3} | {} | {} | {} | {} | {:.3} |",
        row.name,
        row.keeps,
        row.cells,
        row.kept,
        row.shortfall,
        row.kept_always,
        digits(row.cost_mixture),
        digits(row.cost_mixture_kept),
        digits(row.cost_full_information),
        digits(row.coverage),
        row.exploration_bill
    )
}

fn write_cell(out: &mut String, cell: &CellReport) -> fmt::Result {
    let full = cell.full_information_cost.map(|cost| format!("{:.4}", cost * 1e3));
    writeln!(
        out,
        "\n### {}, f = {}, φ = {}\n\n{} requests, {} models, α = {:.4}. USD per 1,000 requests: mixture {:.4}, full information {}, oracle \
         {:.4} (at {:.4}), always the most expensive {:.4}. The fallback is {}, at {:.4}.\n",
        cell.data,
        cell.fraction,
        cell.rate,
        cell.rows,
        cell.models,
        cell.alpha,
        cell.mixture_cost * 1e3,
        optional(full),
        cell.oracle_cost * 1e3,
        cell.oracle_satisfaction,
        cell.most_expensive_cost * 1e3,
        cell.fallback,
        cell.fallback_satisfaction
    )?;
    writeln!(
        out,
        "| contender | kept | shortfall | kept-always | satisfaction | × mixture | × full | coverage | exploration bill | labels \
         |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
    )?;
    for standing in &cell.standings {
        let f = &standing.figures;
        writeln!(
            out,
            "| {} | {:.2} | {:.4} | {:.2} | {:.4} | {:.3} | {} | {} | {:.3} | {:.0} |",
            standing.name,
            f.kept,
            f.shortfall,
            f.kept_always,
            f.satisfaction,
            f.cost_mixture,
            optional(f.cost_full_information.map(|v| format!("{v:.3}"))),
            optional(f.coverage.map(|v| format!("{v:.3}"))),
            f.exploration_bill,
            f.labels
        )?;
    }
    Ok(())
}

fn optional(value: Option<impl Display>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| value.to_string())
}
