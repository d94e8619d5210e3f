//! All routes, worst state first.

use askama::Template;

use crate::{Badge, Frame, Gauge};

/// All routes.
#[derive(Debug, Template)]
#[template(path = "overview.html")]
pub struct Overview<'a> {
    /// What surrounds it.
    pub frame: Frame<'a>,
    /// What is wrong with the gateway itself.
    pub problems: Vec<String>,
    /// All routes in a sentence.
    pub summary: String,
    /// Worst state first.
    pub routes: Vec<RouteCard>,
    /// The report of this month.
    pub report_href: String,
}

/// A route among the others.
#[derive(Debug)]
pub struct RouteCard {
    /// Its name.
    pub name: String,
    /// Its own page.
    pub href: String,
    /// How its SLA stands.
    pub badge: Badge,
    /// The same in words.
    pub sentence: String,
    /// What is certain.
    pub gauge: Option<Gauge>,
    /// Figures by name.
    pub facts: Vec<(&'static str, String)>,
}
