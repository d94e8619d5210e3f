//! First, do no harm: what becomes of an SLA that the fallback alone would have kept.

use std::fmt;

use serde::Serialize;

use super::summary::mean;
use super::{CellReport, Comparison, Standing, ZooKind};
use crate::Order;

/// A fallback that satisfies by less than this above α is close to it.
const CLOSE: f64 = 0.01;

/// By how much the fallback alone is above α.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Margin {
    /// By at least 0.01.
    Ample,
    /// By less.
    Close,
}

/// One contender over the cells in which the fallback alone keeps α, starved ones included.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Harm {
    /// Which models.
    pub zoo: ZooKind,
    /// In which order.
    pub order: Order,
    /// By how much the fallback is above α.
    pub margin: Margin,
    /// Its name.
    pub name: String,
    /// Cells.
    pub cells: usize,
    /// Cells in which it keeps α: see [`super::KEEPS`].
    pub keeps: usize,
    /// Mean share of windows, or runs, that kept α.
    pub kept: f64,
    /// The lowest of any cell.
    pub worst: f64,
    /// Mean shortfall.
    pub shortfall: f64,
}

impl Margin {
    /// That of a cell; `None` where the fallback does not keep α.
    fn of(cell: &CellReport) -> Option<Self> {
        let margin = cell.fallback_satisfaction - cell.alpha;
        let kept = if margin < CLOSE { Self::Close } else { Self::Ample };
        (margin >= 0.0).then_some(kept)
    }
}

impl fmt::Display for Margin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ample => write!(f, "≥ {CLOSE}"),
            Self::Close => write!(f, "< {CLOSE}"),
        }
    }
}

impl Comparison {
    /// Who does harm: per zoo, order, margin of the fallback, and contender. Without runs of which the fallback keeps α, nothing.
    #[must_use]
    pub fn harm(&self) -> Vec<Harm> {
        let mut rows = Vec::new();
        for (zoo, order) in self.kinds() {
            for margin in [Margin::Ample, Margin::Close] {
                let cells: Vec<_> = self.of(zoo, order).filter(|cell| Margin::of(cell) == Some(margin)).collect();
                let names = cells.first().into_iter().flat_map(|cell| &cell.standings).map(|standing| &standing.name);
                rows.extend(names.filter_map(|name| {
                    let standings: Vec<_> = cells.iter().filter_map(|cell| cell.standing(name)).collect();
                    Harm::of((zoo, order), margin, name, &standings)
                }));
            }
        }
        rows
    }
}

impl Harm {
    fn of((zoo, order): (ZooKind, Order), margin: Margin, name: &str, standings: &[&Standing]) -> Option<Self> {
        let kept = || standings.iter().map(|standing| standing.figures.kept);
        Some(Self {
            zoo,
            order,
            margin,
            name: name.to_owned(),
            cells: standings.len(),
            keeps: standings.iter().filter(|standing| standing.keeps()).count(),
            kept: mean(kept())?,
            worst: kept().reduce(f64::min)?,
            shortfall: mean(standings.iter().map(|standing| standing.figures.shortfall))?,
        })
    }
}
