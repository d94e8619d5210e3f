//! The comparison of contenders on recorded outcomes, after a fixed protocol.

mod bench;
mod figures;
mod job;
mod markdown;
mod output;
mod pass;
mod plot;
mod protocol;
mod store;
mod summary;
mod trace;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use slarouter_core::{DecideError, ObserveError, SpecError};
use slarouter_text::{Encoder, HashedNgrams, VERSION};

use bench::{Bench, Cell};
use store::{Outcome, Store};

use crate::parallel::parallel;
use crate::{DataError, Frontier, References, Rival};

pub use figures::{CellReport, Comparison, Figures, Standing};
pub(crate) use pass::Course;
pub use pass::Pass;
pub use protocol::{FRACTIONS, MOST_ROWS, Order, RATES, SEEDS, STARVED, ZooKind};
pub use summary::{KEEPS, Ratio, Row, Scope, Verdict};
pub use trace::Point;

/// Runs per cell and rows per data set of a quick look.
const QUICK_SEEDS: u64 = 3;
const QUICK_ROWS: usize = 5_000;

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
    /// What makes the features of the prompts. Results of different encoders are kept apart.
    pub encoder: Arc<dyn Encoder>,
    /// Threads; the results do not depend on it.
    pub threads: usize,
    /// Folder where finished results are kept and taken over from; `None` keeps nothing.
    pub keep: Option<PathBuf>,
    /// Contenders whose kept results are not taken over.
    pub fresh: Fresh,
}

/// Which kept results to make again.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Fresh {
    /// None.
    #[default]
    Nothing,
    /// All.
    Everything,
    /// Those of these contenders.
    Of(Vec<Rival>),
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
    #[error("the data folder {folder} cannot be read: {reason}; name one with --data")]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        reason: std::io::Error,
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
    /// An output file cannot be written, or kept results not read.
    #[error("{path}: {reason}; name another folder with --out")]
    Output {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: std::io::Error,
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
            encoder: Arc::new(HashedNgrams),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            keep: None,
            fresh: Fresh::Nothing,
        }
    }

    /// A look at everything in under two minutes: fewer runs, fewer rows, the operator's zoo, shuffled.
    #[must_use]
    pub fn quick(folder: PathBuf) -> Self {
        Self {
            seeds: QUICK_SEEDS,
            most_rows: QUICK_ROWS,
            orders: vec![Order::Shuffled],
            zoos: vec![ZooKind::Operator],
            ..Self::full(folder)
        }
    }

    /// Makes the comparison.
    ///
    /// # Errors
    /// [`CompareError`]
    pub fn run(&self, mut progress: impl FnMut(Progress)) -> Result<Comparison, CompareError> {
        self.check()?;
        let mut store = self.keep.as_deref().map(Store::open).transpose()?;
        let benches = self.load(&mut progress)?;
        let frontiers = self.frontiers(&benches, &mut store, &mut progress)?;
        let cells = self.cells(&benches)?;
        let mut outcomes = self.outcomes(&benches, &cells, &mut store, &mut progress)?;
        if let Some(store) = &mut store {
            store.tidy()?;
        }
        let mut reports = Vec::new();
        for (place, cell) in cells.iter().enumerate() {
            let bench = &benches[cell.bench];
            let references = References::of(&bench.data, cell.alpha.get());
            let mut report = CellReport::new(cell, bench, &references, frontiers[cell.bench].cost(cell.alpha.get()));
            for (number, rival) in self.rivals.iter().enumerate() {
                if let Some(outcome) = outcomes.remove(&(place, number)) {
                    report.add(rival.to_string(), outcome);
                }
            }
            reports.push(report);
        }
        Ok(Comparison { cells: reports })
    }

    /// The full-information references, made or taken over.
    fn frontiers(
        &self,
        benches: &[Bench],
        store: &mut Option<Store>,
        progress: &mut impl FnMut(Progress),
    ) -> Result<Vec<Frontier>, CompareError> {
        let take = |bench: &Bench| {
            let store = store.as_ref().filter(|_| self.fresh != Fresh::Everything)?;
            store.frontier(&store::frontier_key(bench))
        };
        let mut frontiers: Vec<Option<Frontier>> = benches.iter().map(take).collect();
        let missing: Vec<usize> = (0..benches.len()).filter(|&i| frontiers[i].is_none()).collect();
        let (mut done, total) = (0, missing.len() as u64);
        let mut failure = None;
        let made = parallel(
            self.threads,
            missing.len(),
            |i| Frontier::of(&benches[missing[i]].data),
            |i, frontier| {
                done += 1;
                progress(Progress { stage: "references", done, total });
                let bench = &benches[missing[i]];
                let kept = store.as_mut().map(|store| {
                    let about = format!("{} {:?}{}: full information", bench.data.name, bench.zoo, self.features());
                    store.keep_frontier(&store::frontier_key(bench), about, frontier)
                });
                failure = kept.and_then(Result::err);
                failure.is_none()
            },
        );
        if let Some(error) = failure {
            return Err(error);
        }
        for (i, frontier) in missing.into_iter().zip(made) {
            frontiers[i] = frontier;
        }
        Ok(frontiers.into_iter().flatten().collect())
    }

    /// What came of every contender in every cell, made or taken over, by places of cell and contender.
    fn outcomes(
        &self,
        benches: &[Bench],
        cells: &[Cell],
        store: &mut Option<Store>,
        progress: &mut impl FnMut(Progress),
    ) -> Result<BTreeMap<(usize, usize), Outcome>, CompareError> {
        let mut outcomes = BTreeMap::new();
        let key = |cell: &Cell, rival| store::outcome_key(&benches[cell.bench], cell, self.seeds, rival);
        for (number, rival) in self.rivals.iter().enumerate() {
            let fresh = match &self.fresh {
                Fresh::Nothing => false,
                Fresh::Everything => true,
                Fresh::Of(rivals) => rivals.contains(rival),
            };
            for (place, cell) in cells.iter().enumerate().filter(|_| !fresh) {
                if let Some(outcome) = store.as_ref().and_then(|store| store.outcome(&key(cell, rival))) {
                    outcomes.insert((place, number), outcome);
                }
            }
        }
        let jobs = job::jobs(&self.rivals, cells, benches, |rival, cell| outcomes.contains_key(&(cell, rival)));
        let (mut done, total) = (0, jobs.iter().map(|job| job.weight).sum());
        let mut failure = None;
        let work = |job: usize| jobs[job].run(benches, cells, self.seeds);
        let results = parallel(self.threads, jobs.len(), work, |place, result| {
            let job = &jobs[place];
            done += job.weight;
            progress(Progress { stage: "runs", done, total });
            let (Ok(made), Some(store)) = (result, store.as_mut()) else { return result.is_ok() };
            for (&cell, outcome) in job.cells.iter().zip(made) {
                let cell = &cells[cell];
                let (name, order) = (&benches[cell.bench].data.name, cell.order);
                let (zoo, fraction, rate) = (benches[cell.bench].zoo, cell.fraction, cell.rate);
                let about = format!("{name} {zoo:?} {order:?} f={fraction} φ={rate}{}: {}", self.features(), job.rival);
                if let Err(error) = store.keep_outcome(&key(cell, job.rival), about, outcome) {
                    failure = Some(error);
                }
            }
            failure.is_none()
        });
        if let Some(error) = failure {
            return Err(error);
        }
        for (job, result) in jobs.iter().zip(results) {
            let Some(result) = result else { continue };
            for (&cell, outcome) in job.cells.iter().zip(result?) {
                outcomes.insert((cell, job.place), outcome);
            }
        }
        Ok(outcomes)
    }

    /// The encoder for readers of the kept results, unless it is the default.
    fn features(&self) -> String {
        match self.encoder.version() {
            VERSION => String::new(),
            _ => format!(" {}", self.encoder.name()),
        }
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
}
