//! What the cells come to.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{CellReport, Comparison, Standing, ZooKind};
use crate::Order;

/// A contender keeps α in a cell if at least this share of its runs does.
pub const KEEPS: f64 = 0.95;

/// The paper's policy with one V for all cells.
const PAPER: &str = "slarouter";

/// The cells of one zoo in one order, starved ones apart.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Scope {
    /// Which models.
    pub zoo: ZooKind,
    /// In which order.
    pub order: Order,
    /// Whether these are the starved cells.
    pub starved: bool,
    /// Per contender.
    pub rows: Vec<Row>,
}

/// One contender over the cells of a scope.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// Cells.
    pub cells: usize,
    /// Cells in which it keeps α.
    pub keeps: usize,
    /// Mean share of runs that kept α.
    pub kept: f64,
    /// Mean shortfall.
    pub shortfall: f64,
    /// Mean share of runs whose running mean kept to α − 0.02.
    pub kept_always: f64,
    /// Geometric mean of cost over the mixture's, all cells.
    pub cost_mixture: Option<f64>,
    /// The same over the cells in which it keeps α; who breaks it is not cheap, but broken.
    pub cost_mixture_kept: Option<f64>,
    /// Geometric mean of cost over full information's, all cells that have one.
    pub cost_full_information: Option<f64>,
    /// The lowest certificate coverage of any cell.
    pub coverage: Option<f64>,
    /// Mean share of the cost spent on exploration.
    pub exploration_bill: f64,
}

/// One contender against the targets: each figure with what it is taken over.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// Its name.
    pub subject: String,
    /// Which models.
    pub zoo: ZooKind,
    /// In which order.
    pub order: Order,
    /// The lowest share of kept runs of any data set, cells not starved, f ≤ 0.8.
    pub kept: Option<(String, f64)>,
    /// Mean shortfall in starved cells and those with f > 0.8.
    pub shortfall: Option<f64>,
    /// The lowest certificate coverage of any cell.
    pub coverage: Option<f64>,
    /// Cost against the paper's policy with one V, cells where both keep α.
    pub paper: Ratio,
    /// The same against the cheapest V that keeps α in the cell.
    pub paper_hindsight: Ratio,
    /// The same against the cheapest other baseline that keeps α in the cell.
    pub best_baseline: Ratio,
    /// Cost against full information, φ = 0.2, f ≤ 0.8, cells not starved.
    pub full_information: Ratio,
    /// Per data set, the largest saving against always-most-expensive in a cell where it keeps α, as a share of that cost.
    pub savings: BTreeMap<String, f64>,
}

/// Costs against those of another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Ratio {
    /// Cells that are compared.
    pub cells: usize,
    /// Cells in which the subject is cheaper.
    pub ahead: usize,
    /// Geometric mean of the ratios; `None` without cells.
    pub mean: Option<f64>,
}

impl Standing {
    /// Whether it keeps α in its cell: see [`KEEPS`].
    #[must_use]
    pub fn keeps(&self) -> bool {
        self.figures.kept >= KEEPS
    }
}

impl CellReport {
    /// The standing of the contender called `name`.
    #[must_use]
    pub fn standing(&self, name: &str) -> Option<&Standing> {
        self.standings.iter().find(|standing| standing.name == name)
    }
}

impl Comparison {
    /// The kinds of runs that there are, in the order of the tables.
    #[must_use]
    pub fn kinds(&self) -> Vec<(ZooKind, Order)> {
        let mut kinds: Vec<_> = self.cells.iter().map(|cell| (cell.zoo, cell.order)).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }

    /// Summaries by contender, per zoo and order, starved cells apart.
    #[must_use]
    pub fn scopes(&self) -> Vec<Scope> {
        let mut scopes = Vec::new();
        for (zoo, order) in self.kinds() {
            for starved in [false, true] {
                let cells: Vec<_> = self.of(zoo, order).filter(|cell| cell.starved == starved).collect();
                let names = cells.first().map(|cell| cell.standings.iter().map(|s| s.name.clone()));
                let rows: Vec<Row> = names.into_iter().flatten().map(|name| Row::of(name, &cells)).collect();
                if !rows.is_empty() {
                    scopes.push(Scope { zoo, order, starved, rows });
                }
            }
        }
        scopes
    }

    /// `subject` against the targets, per zoo and order; nothing if it did not take part.
    #[must_use]
    pub fn verdicts(&self, subject: &str) -> Vec<Verdict> {
        let kinds = self.kinds().into_iter();
        kinds
            .filter_map(|(zoo, order)| Verdict::of(subject, zoo, order, &self.of(zoo, order).collect::<Vec<_>>()))
            .collect()
    }

    pub(super) fn of(&self, zoo: ZooKind, order: Order) -> impl Iterator<Item = &CellReport> {
        self.cells.iter().filter(move |cell| (cell.zoo, cell.order) == (zoo, order))
    }
}

impl Row {
    fn of(name: String, cells: &[&CellReport]) -> Self {
        let standings: Vec<_> = cells.iter().filter_map(|cell| cell.standing(&name)).collect();
        let n = standings.len() as f64;
        let mean = |value: &dyn Fn(&Standing) -> f64| standings.iter().map(|s| value(s)).sum::<f64>() / n;
        let keeping = || standings.iter().filter(|standing| standing.keeps());
        Self {
            cells: standings.len(),
            keeps: keeping().count(),
            kept: mean(&|s| s.figures.kept),
            shortfall: mean(&|s| s.figures.shortfall),
            kept_always: mean(&|s| s.figures.kept_always),
            cost_mixture: geometric(standings.iter().map(|s| s.figures.cost_mixture)),
            cost_mixture_kept: geometric(keeping().map(|s| s.figures.cost_mixture)),
            cost_full_information: geometric(standings.iter().filter_map(|s| s.figures.cost_full_information)),
            coverage: standings.iter().filter_map(|s| s.figures.coverage).reduce(f64::min),
            exploration_bill: mean(&|s| s.figures.exploration_bill),
            name,
        }
    }
}

impl Verdict {
    fn of(subject: &str, zoo: ZooKind, order: Order, cells: &[&CellReport]) -> Option<Self> {
        let own: Vec<(&CellReport, &Standing)> =
            cells.iter().filter_map(|cell| Some((*cell, cell.standing(subject)?))).collect();
        if own.is_empty() {
            return None;
        }
        let is_easy = |cell: &CellReport| !cell.starved && cell.fraction <= 0.8;
        let mut kept: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for (cell, standing) in own.iter().filter(|(cell, _)| is_easy(cell)) {
            kept.entry(&cell.data).or_default().push(standing.figures.kept);
        }
        let means = kept.into_iter().filter_map(|(data, kept)| Some((data.to_owned(), mean(kept.into_iter())?)));
        let kept = means.min_by(|a, b| a.1.total_cmp(&b.1));
        let against = |is_rival: &dyn Fn(&str) -> bool| {
            Ratio::of(own.iter().filter(|(_, standing)| standing.keeps()).filter_map(|(cell, standing)| {
                let rivals = cell.standings.iter().filter(|rival| is_rival(&rival.name) && rival.keeps());
                let cheapest = rivals.map(|rival| rival.figures.cost).reduce(f64::min)?;
                Some(standing.figures.cost / cheapest)
            }))
        };
        let is_paper = |name: &str| name == PAPER || name.starts_with("slarouter:");
        let mut savings: BTreeMap<String, f64> = BTreeMap::new();
        for (cell, standing) in own.iter().filter(|(_, standing)| standing.keeps()) {
            let saving = 1.0 - standing.figures.cost / cell.most_expensive_cost;
            savings.entry(cell.data.clone()).and_modify(|most| *most = most.max(saving)).or_insert(saving);
        }
        let hard = own.iter().filter(|(cell, _)| cell.starved || cell.fraction > 0.8);
        Some(Self {
            subject: subject.to_owned(),
            zoo,
            order,
            kept,
            shortfall: mean(hard.map(|(_, standing)| standing.figures.shortfall)),
            coverage: own.iter().filter_map(|(_, standing)| standing.figures.coverage).reduce(f64::min),
            paper: against(&|name| name == PAPER),
            paper_hindsight: against(&is_paper),
            best_baseline: against(&|name| name != subject && !is_paper(name)),
            full_information: Ratio::of(
                own.iter()
                    .filter(|(cell, _)| is_easy(cell) && cell.rate == 0.2)
                    .filter_map(|(_, standing)| standing.figures.cost_full_information),
            ),
            savings,
        })
    }
}

impl Ratio {
    fn of(ratios: impl Iterator<Item = f64>) -> Self {
        let ratios: Vec<f64> = ratios.collect();
        let ahead = ratios.iter().filter(|&&ratio| ratio < 1.0).count();
        Self { cells: ratios.len(), ahead, mean: geometric(ratios.into_iter()) }
    }
}

/// Nothing of nothing.
pub(super) fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let values: Vec<f64> = values.collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The geometric mean.
pub(super) fn geometric(values: impl Iterator<Item = f64>) -> Option<f64> {
    mean(values.map(libm::log)).map(libm::exp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_by_hand() {
        let ratio = Ratio::of([0.5, 2.0, 0.25].into_iter());
        assert_eq!((ratio.cells, ratio.ahead), (3, 2));
        assert!((ratio.mean.unwrap() - 0.25_f64.cbrt()).abs() < 1e-12);
        assert_eq!(Ratio::of(std::iter::empty()), Ratio::default());
    }
}
