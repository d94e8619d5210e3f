//! The plots, as SVG.

mod axis;
mod panel;

use super::{CellReport, Comparison, Standing, ZooKind};
use crate::Order;
use panel::{Figure, Mark, Panel, Series};

/// A finished plot.
pub(super) struct Plot {
    /// File name without its ending.
    pub(super) name: String,
    pub(super) svg: String,
}

/// Lines that a plot over time or labels can hold before nobody can tell them apart.
const LINES: [&str; 5] = ["slarouter", "slarouter:V=10", "messplus", "linucb", "thompson"];

/// φ of the plots that show one φ only, if it was run.
const USUAL_RATE: f64 = 0.2;

pub(super) fn all(comparison: &Comparison, subject: &str) -> Vec<Plot> {
    let mut plots = Vec::new();
    for (zoo, order) in comparison.kinds() {
        let cells: Vec<&CellReport> = comparison.of(zoo, order).collect();
        let suffix = suffix(zoo, order);
        let mut add = |name: String, figure: Figure| {
            if let Some(svg) = figure.svg() {
                plots.push(Plot { name: format!("{name}-{suffix}"), svg });
            }
        };
        add("exploration-bill".to_owned(), exploration(&cells, zoo, order));
        let mut names: Vec<&str> = cells.iter().map(|cell| cell.data.as_str()).collect();
        names.dedup();
        for name in names {
            let cells: Vec<&CellReport> = cells.iter().filter(|cell| cell.data == name).copied().collect();
            let about = format!("{name}, {zoo}, {order}");
            add(format!("cost-kept-{name}"), cost_kept(&cells, &about));
            add(format!("satisfaction-{name}"), satisfaction(&cells, &about, subject));
            add(format!("learning-{name}"), learning(&cells, &about, subject));
        }
    }
    plots
}

/// The end of a file name.
fn suffix(zoo: ZooKind, order: Order) -> String {
    let order = match order {
        Order::Stream { window, windows } => format!("stream-{windows}x{window}"),
        pass => format!("{pass:?}"),
    };
    format!("{zoo:?}-{order}").to_lowercase()
}

fn title(cell: &CellReport) -> String {
    format!("f = {}, φ = {}{}", cell.fraction, cell.rate, if cell.starved { " (starved)" } else { "" })
}

/// Numbers of panels per row: one per φ.
fn columns(cells: &[&CellReport]) -> usize {
    let mut rates: Vec<f64> = cells.iter().map(|cell| cell.rate).collect();
    rates.sort_by(f64::total_cmp);
    rates.dedup();
    rates.len()
}

/// Cost against kept: the lower right corner is best.
fn cost_kept(cells: &[&CellReport], about: &str) -> Figure {
    let panel = |cell: &&CellReport| {
        let point = |standing: &Standing| Series {
            name: standing.name.clone(),
            points: vec![(standing.figures.kept, standing.figures.cost_mixture)],
            mark: Mark::Dot,
        };
        let mut panel = Panel::new(title(cell), "share of runs that kept α", "cost × mixture");
        panel.series = cell.standings.iter().map(point).collect();
        panel.x_range = Some((-0.05, 1.05));
        panel.log_y = true;
        panel
    };
    Figure::new(format!("Cost against kept: {about}"), columns(cells), cells.iter().map(panel).collect())
}

/// Running satisfaction over time, with its lowest run and the certificate of the subject.
fn satisfaction(cells: &[&CellReport], about: &str, subject: &str) -> Figure {
    let panel = |cell: &&CellReport| {
        let mut panel = Panel::new(title(cell), "requests", "satisfaction so far");
        for standing in shown(cell, subject) {
            let line = |value: &dyn Fn(&super::Point) -> Option<f32>| {
                let points = standing.points.iter().skip(1);
                points.filter_map(|p| Some((f64::from(p.requests), f64::from(value(p)?)))).collect::<Vec<_>>()
            };
            let add = |panel: &mut Panel, name: String, points, mark| panel.series.push(Series { name, points, mark });
            add(&mut panel, standing.name.clone(), line(&|p| Some(p.satisfaction)), Mark::Line);
            if standing.name == subject {
                add(&mut panel, format!("{subject}, lowest run"), line(&|p| Some(p.lowest)), Mark::Dashes);
                add(&mut panel, format!("{subject}, certificate"), line(&|p| p.lower), Mark::Dots);
            }
        }
        panel.rule = Some(("α", cell.alpha));
        panel
    };
    Figure::new(format!("Satisfaction over time: {about}"), columns(cells), cells.iter().map(panel).collect())
}

/// What has been learnt after how many labels: cost and satisfaction of the last stretch.
fn learning(cells: &[&CellReport], about: &str, subject: &str) -> Figure {
    let rate = cells.iter().map(|cell| cell.rate).find(|&rate| rate == USUAL_RATE);
    let rate = rate.or_else(|| cells.first().map(|cell| cell.rate)).unwrap_or(USUAL_RATE);
    let cells: Vec<_> = cells.iter().filter(|cell| cell.rate == rate).collect();
    let mut panels = Vec::new();
    for cell in &cells {
        let mut panel = Panel::new(title(cell), "labels", "recent cost × mixture");
        for standing in shown(cell, subject) {
            let points = stretches(standing, |p| f64::from(p.recent_cost) / cell.mixture_cost);
            panel.series.push(Series { name: standing.name.clone(), points, mark: Mark::Line });
        }
        panel.log_y = true;
        panels.push(panel);
    }
    for cell in &cells {
        let mut panel = Panel::new(title(cell), "labels", "recent satisfaction − α");
        for standing in shown(cell, subject) {
            let points = stretches(standing, |p| f64::from(p.recent_satisfaction) - cell.alpha);
            panel.series.push(Series { name: standing.name.clone(), points, mark: Mark::Line });
        }
        panel.rule = Some(("α", 0.0));
        panels.push(panel);
    }
    Figure::new(format!("Learning by labels: {about}"), cells.len(), panels)
}

/// Tenths of a run: the labels seen by their end, and the mean of a recent figure in them. The points themselves jump too much.
fn stretches(standing: &Standing, value: impl Fn(&super::Point) -> f64) -> Vec<(f64, f64)> {
    let size = standing.points.len().div_ceil(10).max(1);
    let mean = |points: &[super::Point]| points.iter().map(&value).sum::<f64>() / points.len() as f64;
    let labels = |points: &[super::Point]| points.last().map_or(0.0, |point| f64::from(point.labels));
    standing.points.chunks(size).map(|points| (labels(points), mean(points))).collect()
}

/// The subject and the rivals worth a line.
fn shown<'a>(cell: &'a CellReport, subject: &str) -> impl Iterator<Item = &'a Standing> {
    let names: Vec<&str> = std::iter::once(subject).chain(LINES.into_iter().filter(|name| *name != subject)).collect();
    names.into_iter().filter_map(|name| cell.standing(name)).collect::<Vec<_>>().into_iter()
}

/// The exploration bill of every contender: one panel per data set, cells side by side in the order of the tables.
fn exploration(cells: &[&CellReport], zoo: ZooKind, order: Order) -> Figure {
    let mut panels: Vec<Panel> = Vec::new();
    for cell in cells {
        if panels.last().is_none_or(|panel| panel.title != cell.data) {
            panels.push(Panel::new(cell.data.clone(), "cell, in the order of the tables", "exploration bill"));
        }
        let Some(panel) = panels.last_mut() else { continue };
        for standing in cell.standings.iter().filter(|standing| standing.figures.exploration_bill > 0.0) {
            let bill = standing.figures.exploration_bill;
            let place =
                cells.iter().filter(|other| other.data == cell.data).position(|other| std::ptr::eq(*other, *cell));
            let point = (place.unwrap_or(0) as f64 + 1.0, bill);
            match panel.series.iter_mut().find(|series| series.name == standing.name) {
                Some(series) => series.points.push(point),
                None => panel.series.push(Series {
                    name: standing.name.clone(),
                    points: vec![point],
                    mark: Mark::LineAndDots,
                }),
            }
        }
    }
    panels.iter_mut().for_each(|panel| panel.y_range = Some((0.0, 1.0)));
    let columns = panels.len().min(3);
    Figure::new(format!("Share of the cost spent on exploration: {zoo}, {order}"), columns, panels)
}
