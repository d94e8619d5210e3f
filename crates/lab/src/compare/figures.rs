//! The figures of the protocol.

use serde::{Deserialize, Serialize};

use super::bench::{Bench, Cell};
use super::store::Outcome;
use super::{Pass, Point, STARVED, ZooKind};
use crate::{Order, References, WindowRun};

/// Everything that was found, cell after cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Data set × zoo × order × α × φ.
    pub cells: Vec<CellReport>,
}

/// One cell with its references and everybody's standing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CellReport {
    /// Name of the data set.
    pub data: String,
    /// Which models.
    pub zoo: ZooKind,
    /// In which order.
    pub order: Order,
    /// Where α lies between the cheapest and the best single model.
    pub fraction: f64,
    /// The target.
    pub alpha: f64,
    /// φ
    pub rate: f64,
    /// Requests per run.
    pub rows: usize,
    /// The fallback of policy `certified`.
    pub fallback: String,
    /// Mean satisfaction with the fallback alone, over all rows.
    pub fallback_satisfaction: f64,
    /// Number of models.
    pub models: usize,
    /// Whether fewer labels are to be expected than anybody could learn from.
    pub starved: bool,
    /// USD per request of the cheapest fixed mixture at α.
    pub mixture_cost: f64,
    /// USD per request of the full-information reference at α; `None` where it cannot reach it.
    pub full_information_cost: Option<f64>,
    /// USD per request of the hindsight oracle.
    pub oracle_cost: f64,
    /// Its satisfaction.
    pub oracle_satisfaction: f64,
    /// USD per request of always choosing the most expensive model.
    pub most_expensive_cost: f64,
    /// In the order of the plan.
    pub standings: Vec<Standing>,
}

/// One contender in one cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// Its name.
    pub name: String,
    /// Means over the runs.
    pub figures: Figures,
    /// The runs; not in the JSON report, which would be ten times as long: `results.jsonl` has them.
    #[serde(skip)]
    pub passes: Vec<Pass>,
    /// How they went on; left out of the report likewise.
    #[serde(skip)]
    pub points: Vec<Point>,
}

/// The figures of one contender in one cell.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Share of the windows whose satisfaction reached α; of the runs, where there are no windows.
    pub kept: f64,
    /// Mean of max(0, α − satisfaction) over the same.
    pub shortfall: f64,
    /// Share of the runs whose running mean stayed at or above α − 0.02 from 20 % of a window on.
    pub kept_always: f64,
    /// Mean satisfaction.
    pub satisfaction: f64,
    /// Mean USD per request.
    pub cost: f64,
    /// Cost over that of the cheapest fixed mixture.
    pub cost_mixture: f64,
    /// Cost over that of the full-information reference.
    pub cost_full_information: Option<f64>,
    /// Share of (run, time) at which the certificate's lower bound was right; `None` without a certificate.
    pub coverage: Option<f64>,
    /// Share of the runs in which it was right at every look.
    pub coverage_always: Option<f64>,
    /// Share of the cost spent on explored requests.
    pub exploration_bill: f64,
    /// Mean number of labels.
    pub labels: f64,
    /// The lowest mean satisfaction of 3,000 consecutive requests in any run, after its first window.
    pub lowest_stretch: Option<f64>,
}

impl CellReport {
    pub(super) fn new(cell: &Cell, bench: &Bench, references: &References, full_information: Option<f64>) -> Self {
        let data = &bench.data;
        let rows = cell.order.requests(data.rows());
        Self {
            data: data.name.clone(),
            zoo: bench.zoo,
            order: cell.order,
            fraction: cell.fraction,
            alpha: cell.alpha.get(),
            rate: cell.rate,
            rows,
            fallback: bench.fallback().to_owned(),
            fallback_satisfaction: data.means(bench.fallback).0,
            models: data.models(),
            starved: cell.rate * (rows as f64) < STARVED,
            mixture_cost: references.mixture_cost,
            full_information_cost: full_information,
            oracle_cost: references.oracle_cost,
            oracle_satisfaction: references.oracle_satisfaction,
            most_expensive_cost: data.means(data.zoo.by_price(true)).1,
            standings: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, name: String, outcome: Outcome) {
        let figures = self.figures(&outcome.passes);
        let Outcome { passes, points } = outcome;
        self.standings.push(Standing { name, figures, passes, points });
    }

    fn figures(&self, passes: &[Pass]) -> Figures {
        let n = passes.len() as f64;
        let mean = |value: &dyn Fn(&Pass) -> f64| passes.iter().map(value).sum::<f64>() / n;
        let share = |is: &dyn Fn(&Pass) -> bool| mean(&|pass| f64::from(u8::from(is(pass))));
        let cost = mean(&|pass| pass.cost);
        let windows = || passes.iter().flat_map(|pass| &pass.windows);
        let count = windows().count() as f64;
        let short = |window: &WindowRun| (self.alpha - window.satisfaction).max(0.0);
        let looks: u64 = passes.iter().map(|pass| pass.looks).sum();
        let covered: u64 = passes.iter().map(|pass| pass.covered).sum();
        Figures {
            kept: windows().filter(|window| window.satisfaction >= self.alpha).count() as f64 / count,
            shortfall: windows().map(short).sum::<f64>() / count,
            kept_always: share(&|pass| pass.kept_always),
            satisfaction: mean(&|pass| pass.satisfaction),
            cost,
            cost_mixture: cost / self.mixture_cost,
            cost_full_information: self.full_information_cost.map(|reference| cost / reference),
            coverage: (looks > 0).then(|| covered as f64 / looks as f64),
            coverage_always: (looks > 0).then(|| share(&|pass| pass.covered == pass.looks)),
            exploration_bill: if cost > 0.0 { mean(&|pass| pass.explored_cost) / cost } else { 0.0 },
            labels: mean(&|pass| pass.labels as f64),
            lowest_stretch: passes.iter().filter_map(|pass| pass.lowest_stretch).reduce(f64::min),
        }
    }
}
