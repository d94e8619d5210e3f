//! The charts of a route: what each says in a sentence, and the table that holds its figures.

use slarouter_core::{told_count, told_money, told_percent};
use slarouter_pages::Chart;
use slarouter_store::{Calendar, Point, Totals};

/// Lines of the tables.
const LINES: usize = 24;

/// The charts, and their tables from these points. `fallback` is what costs are compared with.
pub(super) fn charts(points: &[Point], fallback: &str, calendar: &Calendar) -> Vec<Chart> {
    let mut all = Totals::default();
    points.iter().for_each(|point| all += point.totals);
    let lines: Vec<_> = points.chunks(points.len().div_ceil(LINES).max(1)).filter_map(line).collect();
    vec![satisfaction(&lines, calendar), requests(&lines, &all, calendar), cost(&lines, &all, fallback, calendar)]
}

/// Points that follow each other as one.
fn line(points: &[Point]) -> Option<Point> {
    let mut line = points.first()?.clone();
    for point in &points[1..] {
        line.totals += point.totals;
        line.certificate = point.certificate.clone().or(line.certificate);
    }
    Some(line)
}

fn satisfaction(points: &[Point], calendar: &Calendar) -> Chart {
    let held = || points.iter().filter_map(|point| point.certificate.as_ref());
    let sentence = match held().next().zip(held().next_back()) {
        Some((first, last)) => format!(
            "What was certain, from the start of the route's window up to each moment: the width was {:.1} points and is {:.1}.",
            (first.certificate.upper - first.certificate.lower) * 100.0,
            (last.certificate.upper - last.certificate.lower) * 100.0
        ),
        None => "Nothing was certified within this range.".to_owned(),
    };
    let row = |point: &Point| {
        let held = point.certificate.as_ref();
        let share = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), told_percent);
        vec![
            calendar.told(point.start),
            share(held.map(|held| held.certificate.lower)),
            share(held.map(|held| held.certificate.estimate)),
            share(held.map(|held| held.certificate.upper)),
            share(held.map(|held| held.alpha)),
        ]
    };
    Chart {
        name: "Satisfaction",
        kind: "satisfaction",
        sentence,
        head: &["From", "At least", "Estimate", "At most", "Promised"],
        rows: points.iter().map(row).collect(),
    }
}

fn requests(points: &[Point], all: &Totals, calendar: &Calendar) -> Chart {
    let row = |point: &Point| {
        let Totals { requests, ratings, up, errors, .. } = point.totals;
        vec![calendar.told(point.start), counted(requests), counted(ratings), counted(up), counted(errors)]
    };
    Chart {
        name: "Requests and ratings",
        kind: "requests",
        sentence: format!(
            "{} requests, {} of them failed; {} ratings, {} of them thumbs up.",
            counted(all.requests),
            counted(all.errors),
            counted(all.ratings),
            counted(all.up)
        ),
        head: &["From", "Requests", "Ratings", "Up", "Failed"],
        rows: points.iter().map(row).collect(),
    }
}

fn cost(points: &[Point], all: &Totals, fallback: &str, calendar: &Calendar) -> Chart {
    let row = |point: &Point| {
        let (cost, baseline) = (point.totals.cost_usd(), point.totals.baseline_usd());
        vec![calendar.told(point.start), told_money(cost), told_money(baseline), told_money(baseline - cost)]
    };
    Chart {
        name: "Cost",
        kind: "cost",
        sentence: format!(
            "{} were charged; {fallback} alone, the fallback, would have cost about {}.",
            told_money(all.cost_usd()),
            told_money(all.baseline_usd())
        ),
        head: &["From", "Charged", "The fallback alone", "Saved"],
        rows: points.iter().map(row).collect(),
    }
}

fn counted(count: i64) -> String {
    told_count(count.max(0).cast_unsigned())
}
