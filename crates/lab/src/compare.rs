//! The comparison of contenders on recorded outcomes, after a fixed protocol.

mod figures;
mod job;
mod pass;
mod protocol;

use std::path::PathBuf;

use slarouter_core::{Alpha, DecideError, ObserveError, SpecError};

use crate::parallel::parallel;
use crate::{DataError, Dataset, Frontier, References, Rival};

pub use figures::{CellReport, Comparison, Figures, Standing};
pub(crate) use pass::Course;
pub use pass::Pass;
pub use protocol::{FRACTIONS, MOST_ROWS, Order, RATES, SEEDS, STARVED, ZooKind};

/// What to compare.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The folder of the data sets, `<name>.csv` or `<name>.csv.gz`.
    pub folder: PathBuf,
    /// Names of the data sets; `None` = those of the protocol that are there, or all if none of them is.
    pub datasets: Option<Vec<String>>,
    /// The contenders.
    pub rivals: Vec<Rival>,
    /// Where α lies between the cheapest (0) and the best single model (1).
    pub fractions: Vec<f64>,
    /// The values of φ.
    pub rates: Vec<f64>,
    /// Runs per cell, with seeds 0, 1, …
    pub seeds: u64,
    /// The orders of the requests.
    pub orders: Vec<Order>,
    /// The zoos. The full zoo runs in source order only if no shuffled run is asked for, and not at all where it is the
    /// operator's.
    pub zoos: Vec<ZooKind>,
    /// Rows per data set at most.
    pub most_rows: usize,
    /// Threads; the results do not depend on it.
    pub threads: usize,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// What is being done.
    pub stage: &'static str,
    /// Work done, in units of its own.
    pub done: u64,
    /// All of it.
    pub total: u64,
}

/// Why a comparison cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompareError {
    /// A data set is wrong.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The folder cannot be read.
    #[error("the data folder {folder} cannot be read: {source}; name one with --data")]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A data set that is not there.
    #[error("there is no data set {name:?} in {folder}: it has {present}")]
    NoSuchData {
        /// The name asked for.
        name: String,
        /// The folder.
        folder: PathBuf,
        /// What is there.
        present: String,
    },
    /// A number that makes no sense.
    #[error("{name} must be {range}, not {value}")]
    Number {
        /// What it is.
        name: &'static str,
        /// What is allowed.
        range: &'static str,
        /// What was given.
        value: f64,
    },
    /// An empty list.
    #[error("there is nothing to compare: name at least one {0}")]
    Nothing(&'static str),
    /// A contender does not fit the data.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// A policy refuses a request; a fault of ours.
    #[error(transparent)]
    Decide(#[from] DecideError),
    /// A learner refuses an outcome; a fault of ours.
    #[error(transparent)]
    Observe(#[from] ObserveError),
}

/// One data set with one zoo.
struct Bench {
    data: Dataset,
    zoo: ZooKind,
    /// Satisfaction of the cheapest and of the best single model.
    ends: (f64, f64),
    best_single: usize,
}

/// A data set × zoo × order × α × φ.
#[derive(Clone, Copy)]
struct Cell {
    bench: usize,
    order: Order,
    fraction: f64,
    alpha: Alpha,
    rate: f64,
}

impl Plan {
    /// The whole protocol.
    #[must_use]
    pub fn full(folder: PathBuf) -> Self {
        Self {
            folder,
            datasets: None,
            rivals: Rival::standard(),
            fractions: FRACTIONS.to_vec(),
            rates: RATES.to_vec(),
            seeds: SEEDS,
            orders: vec![Order::Shuffled, Order::Source],
            zoos: vec![ZooKind::Operator, ZooKind::Full],
            most_rows: MOST_ROWS,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }

    /// Makes the comparison.
    ///
    /// # Errors
    /// [`CompareError`]
    pub fn run(&self, mut progress: impl FnMut(Progress)) -> Result<Comparison, CompareError> {
        self.check()?;
        let benches = self.load(&mut progress)?;
        let mut done = 0;
        let mut tick = |stage, total: usize| {
            done += 1;
            progress(Progress { stage, done, total: total as u64 });
            true
        };
        let total = benches.len();
        let frontiers: Vec<Frontier> =
            parallel(self.threads, total, |i| Frontier::of(&benches[i].data), |_, _| tick("references", total))
                .into_iter()
                .flatten()
                .collect();

        let cells = self.cells(&benches)?;
        let jobs = job::jobs(&self.rivals, &cells, &benches);
        done = 0;
        let mut tick = |total: usize| {
            done += 1;
            progress(Progress { stage: "runs", done, total: total as u64 });
            true
        };
        let work = |job: usize| jobs[job].run(&benches, &cells, self.seeds);
        let results = parallel(self.threads, jobs.len(), work, |_, result| result.is_ok() && tick(jobs.len()));

        let mut reports: Vec<CellReport> = cells
            .iter()
            .map(|cell| {
                let bench = &benches[cell.bench];
                let references = References::of(&bench.data, cell.alpha.get());
                CellReport::new(cell, bench, &references, frontiers[cell.bench].cost(cell.alpha.get()))
            })
            .collect();
        for (job, result) in jobs.iter().zip(results) {
            let Some(result) = result else { continue };
            for (&cell, passes) in job.cells.iter().zip(result?) {
                reports[cell].add(job.place, job.rival.to_string(), passes);
            }
        }
        for report in &mut reports {
            report.standings.sort_by_key(|standing| standing.place);
        }
        Ok(Comparison { cells: reports })
    }

    fn check(&self) -> Result<(), CompareError> {
        let lists = [
            ("contender", self.rivals.is_empty()),
            ("fraction", self.fractions.is_empty()),
            ("rate", self.rates.is_empty()),
            ("seed", self.seeds == 0),
            ("order", self.orders.is_empty()),
            ("zoo", self.zoos.is_empty()),
            ("row", self.most_rows == 0),
            ("data set", self.datasets.as_ref().is_some_and(Vec::is_empty)),
        ];
        if let Some((name, _)) = lists.into_iter().find(|(_, empty)| *empty) {
            return Err(CompareError::Nothing(name));
        }
        for (name, values) in [("a fraction", &self.fractions), ("a feedback rate", &self.rates)] {
            if let Some(&value) = values.iter().find(|value| !(0.0..=1.0).contains(*value)) {
                return Err(CompareError::Number { name, range: "between 0 and 1", value });
            }
        }
        Ok(())
    }

    fn load(&self, progress: &mut impl FnMut(Progress)) -> Result<Vec<Bench>, CompareError> {
        let folder = &self.folder;
        let present =
            protocol::present(folder).map_err(|source| CompareError::Folder { folder: folder.clone(), source })?;
        let names = match &self.datasets {
            Some(names) => names.clone(),
            None => {
                let known: Vec<_> =
                    present.iter().filter(|name| protocol::Entry::of(name).is_some()).cloned().collect();
                if known.is_empty() { present.clone() } else { known }
            }
        };
        if names.is_empty() {
            return Err(CompareError::Nothing("data set: the folder has no *.csv or *.csv.gz"));
        }
        if let Some(name) = names.iter().find(|name| !present.contains(name)) {
            let present = present.join(", ");
            return Err(CompareError::NoSuchData { name: name.clone(), folder: folder.clone(), present });
        }
        let both = self.zoos.contains(&ZooKind::Operator);
        let wanted: Vec<(&String, ZooKind)> = names
            .iter()
            .flat_map(|name| self.zoos.iter().map(move |&zoo| (name, zoo)))
            .filter(|(name, zoo)| *zoo == ZooKind::Operator || !both || protocol::has_own_zoo(name))
            .collect();
        let total = wanted.len() as u64;
        let mut done = 0;
        let load = |i: usize| protocol::load(folder, wanted[i].0, wanted[i].1, self.most_rows);
        let loaded = parallel(self.threads, wanted.len(), load, |_, result| {
            done += 1;
            progress(Progress { stage: "reading", done, total });
            result.is_ok()
        });
        let mut benches = Vec::new();
        for (data, (_, zoo)) in loaded.into_iter().zip(wanted) {
            let Some(data) = data else { continue };
            benches.push(Bench::new(data?, zoo));
        }
        Ok(benches)
    }

    fn cells(&self, benches: &[Bench]) -> Result<Vec<Cell>, CompareError> {
        let mut cells = Vec::new();
        for (place, bench) in benches.iter().enumerate() {
            for &order in &self.orders {
                if bench.zoo == ZooKind::Full && order == Order::Source && self.orders.contains(&Order::Shuffled) {
                    continue;
                }
                for &fraction in &self.fractions {
                    let alpha = Alpha::new(bench.ends.0 + fraction * (bench.ends.1 - bench.ends.0))?;
                    cells.extend(self.rates.iter().map(|&rate| Cell { bench: place, order, fraction, alpha, rate }));
                }
            }
        }
        Ok(cells)
    }
}

impl Bench {
    fn new(data: Dataset, zoo: ZooKind) -> Self {
        let satisfaction: Vec<f64> = (0..data.models()).map(|model| data.means(model).0).collect();
        let best_single = (0..data.models()).rev().max_by(|&a, &b| satisfaction[a].total_cmp(&satisfaction[b]));
        let best_single = best_single.unwrap_or(0);
        let ends = (satisfaction[data.zoo.by_price(false)], satisfaction[best_single]);
        Self { data, zoo, ends, best_single }
    }
}
