//! One route.

use askama::Template;

use crate::{Badge, Frame, Gauge};

/// One route.
#[derive(Debug, Template)]
#[template(path = "route.html")]
pub struct RouteView<'a> {
    /// What surrounds it.
    pub frame: Frame<'a>,
    /// Its name.
    pub name: &'a str,
    /// How its SLA stands.
    pub badge: Badge,
    /// The same in words.
    pub sentence: String,
    /// What counts most.
    pub tiles: Vec<Tile>,
    /// What is certain of the satisfaction.
    pub gauge: Option<Gauge>,
    /// What it would have given, where it is or was only observed.
    pub observed: Option<ObservedCard>,
    /// The ranges to look at: their names, their addresses, and which one it is.
    pub ranges: Vec<(&'static str, String, bool)>,
    /// Where the charts take their points from.
    pub series_href: String,
    /// The charts.
    pub charts: Vec<Chart>,
    /// What changed within the range, oldest first.
    pub marks: Vec<MarkRow>,
    /// Predictions beside ratings, by tenths of what was predicted.
    pub calibration: Vec<TenthRow>,
    /// Its models, in the order of the configuration.
    pub models: Vec<ModelRow>,
    /// How their upstreams are doing.
    pub upstreams: Vec<UpstreamRow>,
    /// What is watched.
    pub signals: Vec<Signal>,
    /// Where its tables are as CSV: `models.csv`, `signals.csv`, `upstreams.csv`, `calibration.csv` and, with a range, `marks.csv`.
    pub tables_href: String,
    /// The range that is shown.
    pub range: &'a str,
    /// The list of its decisions.
    pub decisions_href: String,
}

/// What a route that is only observed would have given.
#[derive(Debug)]
pub struct ObservedCard {
    /// Whether it is so now.
    pub title: &'static str,
    /// All of it in words.
    pub sentence: String,
    /// What counts most.
    pub tiles: Vec<Tile>,
}

/// A chart, and the table that holds its figures.
#[derive(Debug)]
pub struct Chart {
    /// What it shows.
    pub name: &'static str,
    /// Which lines it has: `satisfaction`, `requests` or `cost`.
    pub kind: &'static str,
    /// What is to be seen.
    pub sentence: String,
    /// The columns of the table; the first one names its lines.
    pub head: &'static [&'static str],
    /// The lines of the table.
    pub rows: Vec<Vec<String>>,
}

/// Something that changed.
#[derive(Debug)]
pub struct MarkRow {
    /// When.
    pub time: String,
    /// `configuration`, `price` or `circuit`.
    pub kind: &'static str,
    /// In words.
    pub what: String,
}

/// Answers of which about the same satisfaction was predicted.
#[derive(Debug)]
pub struct TenthRow {
    /// Which tenth.
    pub tenth: String,
    /// How many ratings there are.
    pub ratings: String,
    /// Mean prediction.
    pub predicted: String,
    /// Mean rating, with its interval.
    pub rated: String,
    /// The mean rating as percent of the width of a bar.
    pub width: String,
    /// Where the mean prediction stands on it.
    pub mark: String,
}

/// One figure.
#[derive(Debug)]
pub struct Tile {
    /// What it is.
    pub name: &'static str,
    /// The figure.
    pub value: String,
    /// What it means, with its interval.
    pub note: String,
}

/// A model of a route.
#[derive(Debug)]
pub struct ModelRow {
    /// Its name.
    pub name: String,
    /// The decisions that it answered.
    pub href: String,
    /// Whether it serves while there is no evidence.
    pub is_fallback: bool,
    /// Its share of the requests.
    pub share: String,
    /// The same as percent of the width of a bar.
    pub width: String,
    /// Satisfied ones of its ratings.
    pub ratings: String,
    /// What it charged.
    pub cost: String,
    /// The same per request.
    pub cost_each: String,
}

/// How the upstream of a model is doing, for whichever route it is asked.
#[derive(Debug)]
pub struct UpstreamRow {
    /// The model's name.
    pub model: String,
    /// How long whole answers took.
    pub whole: String,
    /// How long streams took to begin.
    pub streamed: String,
    /// Calls of late that failed.
    pub failed: String,
    /// Whether it is asked.
    pub circuit: Badge,
    /// Why its last health check failed.
    pub trouble: Option<String>,
}

/// Something that is watched.
#[derive(Debug)]
pub struct Signal {
    /// What it is.
    pub name: &'static str,
    /// How it stands.
    pub now: String,
    /// Whether that is well.
    pub badge: Badge,
}
