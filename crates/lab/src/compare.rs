//! The comparison of contenders on recorded outcomes, after a fixed protocol.

mod bench;
mod digest;
mod figures;
mod harm;
mod job;
mod markdown;
mod output;
mod pass;
mod plan;
mod plot;
mod protocol;
mod run;
mod store;
mod stream;
mod summary;
mod trace;

use std::collections::BTreeMap;

use slarouter_text::VERSION;

use bench::{Bench, Cell};
use store::{Outcome, Store};

use crate::parallel::parallel;
use crate::{CompareError, Frontier, References};

pub use figures::{CellReport, Comparison, Figures, Standing};
pub use harm::{Harm, Margin};
pub use pass::Pass;
pub use plan::{Fresh, Plan, Progress};
pub use protocol::{FRACTIONS, MOST_ROWS, RATES, SEEDS, STARVED, ZooKind};
pub use stream::{STEADY, Stream, WindowFigures};
pub use summary::{KEEPS, Ratio, Row, Scope, Verdict};
pub use trace::Point;

impl Plan {
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
                let about = format!("{name} {zoo:?}, {order}, f={fraction} φ={rate}{}: {}", self.features(), job.rival);
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
}
