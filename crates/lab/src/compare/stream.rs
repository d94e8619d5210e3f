//! Streams: what a contender does in its first window, and what once it knows the models.

use serde::Serialize;

use super::summary::{geometric, mean};
use super::{CellReport, Comparison, ZooKind};
use crate::{Order, WindowRun};

/// From this window on, a contender is held to know what it can: its steady state.
pub const STEADY: usize = 6;

/// Up to this f, α leaves room below the best single model.
const ROOMY: f64 = 0.8;

/// One contender in the streams of one kind: over data sets, f and runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stream {
    /// Which models.
    pub zoo: ZooKind,
    /// The windows.
    pub order: Order,
    /// φ
    pub rate: f64,
    /// Whether these are the cells with f > 0.8.
    pub tight: bool,
    /// Its name.
    pub name: String,
    /// One after another.
    pub windows: Vec<WindowFigures>,
    /// Of the windows from the sixth on together; `None` if there are fewer.
    pub steady: Option<WindowFigures>,
    /// The least that any 3,000 consecutive requests after the first window were above α, in any run.
    pub lowest_stretch: Option<f64>,
}

/// Means over the windows at one place, or at several.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct WindowFigures {
    /// Share that kept α.
    pub kept: f64,
    /// The lowest such share of any cell.
    pub worst: f64,
    /// Mean of max(0, α − satisfaction).
    pub shortfall: f64,
    /// Mean of satisfaction − α.
    pub surplus: f64,
    /// Geometric mean over the cells of cost over the mixture's.
    pub cost_mixture: f64,
}

impl Comparison {
    /// The streams, if there are any: per zoo, windows, φ, f up to 0.8 or above, and contender.
    #[must_use]
    pub fn streams(&self) -> Vec<Stream> {
        let mut streams = Vec::new();
        let kinds = self.kinds().into_iter().filter(|(_, order)| order.window().is_some());
        for (zoo, order) in kinds {
            let mut rates: Vec<f64> = self.of(zoo, order).map(|cell| cell.rate).collect();
            rates.sort_by(|a, b| b.total_cmp(a));
            rates.dedup();
            for (rate, tight) in rates.into_iter().flat_map(|rate| [(rate, false), (rate, true)]) {
                let is_asked = |cell: &&CellReport| cell.rate == rate && (cell.fraction > ROOMY) == tight;
                let cells: Vec<_> = self.of(zoo, order).filter(is_asked).collect();
                let names = cells.first().into_iter().flat_map(|cell| &cell.standings).map(|standing| &standing.name);
                streams.extend(names.map(|name| Stream::of(zoo, order, name, &cells)));
            }
        }
        streams
    }
}

impl Stream {
    /// In `cells`, which are at least one and share zoo, order and φ.
    fn of(zoo: ZooKind, order: Order, name: &str, cells: &[&CellReport]) -> Self {
        let standings = || cells.iter().filter_map(|cell| cell.standing(name));
        let count = standings().flat_map(|standing| &standing.passes).map(|pass| pass.windows.len()).min().unwrap_or(0);
        let lowest = |cell: &&CellReport| Some(cell.standing(name)?.figures.lowest_stretch? - cell.alpha);
        let figures = |from: usize, to: usize| WindowFigures::of(name, cells, from, to);
        Self {
            zoo,
            order,
            rate: cells[0].rate,
            tight: cells[0].fraction > ROOMY,
            name: name.to_owned(),
            windows: (0..count).filter_map(|place| figures(place, place + 1)).collect(),
            steady: if count >= STEADY { figures(STEADY - 1, count) } else { None },
            lowest_stretch: cells.iter().filter_map(lowest).reduce(f64::min),
        }
    }
}

impl WindowFigures {
    /// Over the windows from place `from` on and before `to`.
    fn of(name: &str, cells: &[&CellReport], from: usize, to: usize) -> Option<Self> {
        let of_cell = |cell: &&CellReport| {
            let standing = cell.standing(name)?;
            let windows: Vec<WindowRun> =
                standing.passes.iter().flat_map(|pass| &pass.windows[from..to]).copied().collect();
            let over = |value: &dyn Fn(f64) -> f64| mean(windows.iter().map(|w| value(w.satisfaction - cell.alpha)));
            let cost = mean(windows.iter().map(|window| window.cost))? / cell.mixture_cost;
            let kept = over(&|above| f64::from(u8::from(above >= 0.0)))?;
            Some([kept, over(&|above| (-above).max(0.0))?, over(&|above| above)?, cost])
        };
        let found: Vec<[f64; 4]> = cells.iter().filter_map(of_cell).collect();
        let column = |place: usize| found.iter().map(move |figures| figures[place]);
        Some(Self {
            kept: mean(column(0))?,
            worst: column(0).reduce(f64::min)?,
            shortfall: mean(column(1))?,
            surplus: mean(column(2))?,
            cost_mixture: geometric(column(3))?,
        })
    }
}
