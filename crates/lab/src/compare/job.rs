//! Pieces of work for the threads.

use super::Pass;
use super::bench::{Bench, Cell};
use super::store::Outcome;
use super::trace::{Mark, points};
use crate::baseline::contender::{Contender, Setting};
use crate::baseline::trained::{Trained, Warmed, training_share};
use crate::baseline::{BestSingle, Carrot, CorePolicy, EpsilonGreedy, Knn, LinUcb, MessPlus, Thompson, Threshold};
use crate::course::Course;
use crate::{CompareError, Order, Rival};

/// One contender in one cell, or a router that is trained once in all cells that differ in α and φ only.
pub(super) struct Job<'a> {
    pub(super) rival: &'a Rival,
    /// Its place in the plan.
    pub(super) place: usize,
    /// Places of the cells, at least one, all with the same data and order.
    pub(super) cells: Vec<usize>,
    /// About how long it takes, in units of its own.
    pub(super) weight: u64,
}

/// All work that is not done, the longest first, so that no thread is left with a long piece at the end.
pub(super) fn jobs<'a>(
    rivals: &'a [Rival],
    cells: &[Cell],
    benches: &[Bench],
    is_done: impl Fn(usize, usize) -> bool,
) -> Vec<Job<'a>> {
    let mut jobs = Vec::new();
    for (place, rival) in rivals.iter().enumerate() {
        let mut begun: Vec<Job<'_>> = Vec::new();
        for (number, cell) in cells.iter().enumerate() {
            if is_done(place, number) {
                continue;
            }
            let data = &benches[cell.bench].data;
            let same = |job: &&mut Job<'_>| {
                let first = &cells[job.cells[0]];
                rival.is_trained() && first.bench == cell.bench && first.order == cell.order
            };
            let requests = cell.order.requests(data.rows());
            let weight = (requests * data.models()) as u64 * cost_of(rival, requests, cell);
            match begun.iter_mut().find(same) {
                Some(job) => job.cells.push(number),
                None => begun.push(Job { rival, place, cells: vec![number], weight }),
            }
        }
        jobs.append(&mut begun);
    }
    jobs.sort_by_key(|job| std::cmp::Reverse(job.weight));
    jobs
}

/// About how many times as long as a decision of a simple policy; for order and progress only.
fn cost_of(rival: &Rival, rows: usize, cell: &Cell) -> u64 {
    match rival {
        Rival::LinUcb => 10,
        Rival::Knn if cell.order != Order::Source => (rows / 200).max(1) as u64,
        Rival::Carrot if cell.order != Order::Source => 100,
        Rival::Threshold if cell.order != Order::Source => 30,
        Rival::Core(_) => 3,
        _ => 2,
    }
}

impl Job<'_> {
    /// What came of each cell.
    pub(super) fn run(&self, benches: &[Bench], cells: &[Cell], seeds: u64) -> Result<Vec<Outcome>, CompareError> {
        let cells: Vec<&Cell> = self.cells.iter().map(|&cell| &cells[cell]).collect();
        let bench = &benches[cells[0].bench];
        let online = |make: &Runner<'_>| {
            let runs = |cell: &&Cell| {
                let requests = cell.order.requests(bench.data.rows());
                Outcome::collect(requests, (0..seeds).map(|seed| make(cell, seed)))
            };
            cells.iter().map(runs).collect()
        };
        match self.rival {
            Rival::Core(spec) => online(&|cell, seed| run(bench, cell, seed, |with| CorePolicy::new(spec, with))),
            Rival::BestSingle => online(&|cell, seed| run(bench, cell, seed, |with| Ok(BestSingle::new(with)))),
            Rival::MessPlus => online(&|cell, seed| run(bench, cell, seed, |with| Ok(MessPlus::new(with)))),
            Rival::EpsilonGreedy => online(&|cell, seed| run(bench, cell, seed, |with| Ok(EpsilonGreedy::new(with)))),
            Rival::LinUcb => online(&|cell, seed| run(bench, cell, seed, |with| Ok(LinUcb::new(with)))),
            Rival::Thompson => online(&|cell, seed| run(bench, cell, seed, |with| Ok(Thompson::new(with)))),
            Rival::Threshold => trained::<Threshold>(bench, &cells, seeds),
            Rival::Knn => trained::<Knn>(bench, &cells, seeds),
            Rival::Carrot => trained::<Carrot>(bench, &cells, seeds),
        }
    }
}

/// One run in a cell with a seed.
type Runner<'a> = dyn Fn(&Cell, u64) -> Result<(Pass, Vec<Mark>), CompareError> + 'a;

impl Outcome {
    /// Of runs of so many requests.
    fn collect(
        requests: usize,
        runs: impl Iterator<Item = Result<(Pass, Vec<Mark>), CompareError>>,
    ) -> Result<Self, CompareError> {
        let runs: Vec<_> = runs.collect::<Result<_, _>>()?;
        let (passes, marks): (Vec<_>, Vec<_>) = runs.into_iter().unzip();
        Ok(Self { passes, points: points(requests, &marks) })
    }
}

fn run<C: Contender>(
    bench: &Bench,
    cell: &Cell,
    seed: u64,
    make: impl Fn(&Setting<'_>) -> Result<C, CompareError>,
) -> Result<(Pass, Vec<Mark>), CompareError> {
    let course = Course::new(&bench.data, cell.order, seed);
    let data = &bench.data;
    let with = Setting {
        alpha: cell.alpha,
        zoo: &data.zoo,
        best_single: bench.best_single,
        fallback: bench.fallback(),
        order: cell.order,
        dim: data.dim(),
        seed,
    };
    course.run(make(&with)?, cell.alpha.get(), cell.rate)
}

/// Trains once per seed and runs each cell with what came of it; φ changes nothing, nor does the seed where the order is that of
/// the file.
fn trained<T: Trained>(bench: &Bench, cells: &[&Cell], seeds: u64) -> Result<Vec<Outcome>, CompareError> {
    let mut runs: Vec<Vec<(Pass, Vec<Mark>)>> = vec![Vec::new(); cells.len()];
    let order = cells[0].order;
    for seed in 0..seeds {
        if seed > 0 && order == Order::Source {
            for cell in &mut runs {
                let (pass, marks) = cell[0].clone();
                cell.push((Pass { seed, ..pass }, marks));
            }
            continue;
        }
        let course = Course::new(&bench.data, order, seed);
        let train = training_share(course.rows.len());
        let router = T::train(&course, train);
        for (place, cell) in cells.iter().enumerate() {
            let same = cells[..place].iter().position(|other| other.alpha == cell.alpha);
            let run = match same.and_then(|other| runs[other].last()) {
                Some(run) => run.clone(),
                None => {
                    let choices = router.choices(&course, train, cell.alpha.get());
                    course.run(Warmed::new(&bench.data.zoo, train, &choices), cell.alpha.get(), 0.0)?
                }
            };
            runs[place].push(run);
        }
    }
    let requests = order.requests(bench.data.rows());
    runs.into_iter().map(|cell| Outcome::collect(requests, cell.into_iter().map(Ok))).collect()
}
