//! Pieces of work for the threads.

use slarouter_text::DIM;

use super::{Bench, Cell, Course, Order, Pass};
use crate::baseline::{
    BestSingle, Carrot, CorePolicy, EpsilonGreedy, Knn, LinUcb, MessPlus, Setting, Thompson, Threshold, Trained,
    Warmed, training_share,
};
use crate::{CompareError, Rival};

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

/// All work, the longest first, so that no thread is left with a long piece at the end.
pub(super) fn jobs<'a>(rivals: &'a [Rival], cells: &[Cell], benches: &[Bench]) -> Vec<Job<'a>> {
    let mut jobs = Vec::new();
    for (place, rival) in rivals.iter().enumerate() {
        let mut begun: Vec<Job<'_>> = Vec::new();
        for (number, cell) in cells.iter().enumerate() {
            let data = &benches[cell.bench].data;
            let same = |job: &&mut Job<'_>| {
                let first = &cells[job.cells[0]];
                rival.is_trained() && first.bench == cell.bench && first.order == cell.order
            };
            let weight = (data.rows() * data.models()) as u64 * cost_of(rival, data.rows(), cell);
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
        Rival::Knn if cell.order == Order::Shuffled => (rows / 200).max(1) as u64,
        Rival::Carrot if cell.order == Order::Shuffled => 100,
        Rival::Threshold if cell.order == Order::Shuffled => 30,
        Rival::Core(_) => 3,
        _ => 2,
    }
}

impl Job<'_> {
    /// The passes of each cell.
    pub(super) fn run(&self, benches: &[Bench], cells: &[Cell], seeds: u64) -> Result<Vec<Vec<Pass>>, CompareError> {
        let cells: Vec<&Cell> = self.cells.iter().map(|&cell| &cells[cell]).collect();
        let bench = &benches[cells[0].bench];
        match self.rival {
            Rival::Threshold => trained::<Threshold>(bench, &cells, seeds),
            Rival::Knn => trained::<Knn>(bench, &cells, seeds),
            Rival::Carrot => trained::<Carrot>(bench, &cells, seeds),
            rival => cells
                .iter()
                .map(|cell| (0..seeds).map(|seed| online(rival, bench, cell, seed)).collect::<Result<_, _>>())
                .collect(),
        }
    }
}

fn online(rival: &Rival, bench: &Bench, cell: &Cell, seed: u64) -> Result<Pass, CompareError> {
    let course = Course::new(&bench.data, cell.order, seed);
    let setting = Setting { alpha: cell.alpha, zoo: &bench.data.zoo, best_single: bench.best_single, dim: DIM, seed };
    let (alpha, rate) = (cell.alpha.get(), cell.rate);
    match rival {
        Rival::Core(spec) => course.run(CorePolicy::new(spec, &setting)?, alpha, rate),
        Rival::MessPlus => course.run(MessPlus::new(&setting), alpha, rate),
        Rival::EpsilonGreedy => course.run(EpsilonGreedy::new(&setting), alpha, rate),
        Rival::LinUcb => course.run(LinUcb::new(&setting), alpha, rate),
        Rival::Thompson => course.run(Thompson::new(&setting), alpha, rate),
        Rival::BestSingle | Rival::Threshold | Rival::Knn | Rival::Carrot => {
            course.run(BestSingle::new(&setting), alpha, rate)
        }
    }
}

/// Trains once per seed and runs each cell with what came of it; φ changes nothing, nor does the seed where the order is that of
/// the file.
fn trained<T: Trained>(bench: &Bench, cells: &[&Cell], seeds: u64) -> Result<Vec<Vec<Pass>>, CompareError> {
    let mut passes: Vec<Vec<Pass>> = vec![Vec::new(); cells.len()];
    let order = cells[0].order;
    for seed in 0..seeds {
        if seed > 0 && order == Order::Source {
            passes.iter_mut().for_each(|cell| cell.push(Pass { seed, ..cell[0].clone() }));
            continue;
        }
        let course = Course::new(&bench.data, order, seed);
        let train = training_share(course.rows.len());
        let router = T::train(&course, train);
        for (place, cell) in cells.iter().enumerate() {
            let alpha = cell.alpha.get();
            let same = cells[..place].iter().position(|other| other.alpha == cell.alpha);
            let pass = match same.and_then(|other| passes[other].last()) {
                Some(pass) => pass.clone(),
                None => {
                    let choices = router.choices(&course, train, alpha);
                    course.run(Warmed::new(&bench.data.zoo, train, &choices), alpha, 0.0)?
                }
            };
            passes[place].push(pass);
        }
    }
    Ok(passes)
}
