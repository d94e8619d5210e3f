//! What the contenders run on: data sets with their zoos, and the cells made of them.

use slarouter_core::Alpha;

use super::digest::fingerprint;
use super::{Plan, Progress, ZooKind, protocol};
use crate::parallel::parallel;
use crate::{CompareError, Dataset, Fallback, Order};

/// One data set with one zoo.
pub(super) struct Bench {
    pub(super) data: Dataset,
    pub(super) zoo: ZooKind,
    /// Satisfaction of the cheapest and of the best single model.
    pub(super) ends: (f64, f64),
    pub(super) best_single: usize,
    /// The model that the operator trusts.
    pub(super) fallback: usize,
    /// Of the data, zoo and features.
    pub(super) fingerprint: String,
}

/// A data set × zoo × order × α × φ.
#[derive(Clone, Copy)]
pub(super) struct Cell {
    pub(super) bench: usize,
    pub(super) order: Order,
    pub(super) fraction: f64,
    pub(super) alpha: Alpha,
    pub(super) rate: f64,
}

impl Plan {
    pub(super) fn load(&self, progress: &mut impl FnMut(Progress)) -> Result<Vec<Bench>, CompareError> {
        let folder = &self.folder;
        let present =
            protocol::present(folder).map_err(|reason| CompareError::Folder { folder: folder.clone(), reason })?;
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
        let load = |i: usize| protocol::load(folder, wanted[i].0, wanted[i].1, self.most_rows, &self.encoder);
        let loaded = parallel(self.threads, wanted.len(), load, |_, result| {
            done += 1;
            progress(Progress { stage: "reading", done, total });
            result.is_ok()
        });
        let mut benches = Vec::new();
        for (data, (_, zoo)) in loaded.into_iter().zip(wanted) {
            let Some(data) = data else { continue };
            benches.push(Bench::new(data?, zoo, &self.fallback)?);
        }
        Ok(benches)
    }

    pub(super) fn cells(&self, benches: &[Bench]) -> Result<Vec<Cell>, CompareError> {
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
    fn new(data: Dataset, zoo: ZooKind, fallback: &Fallback) -> Result<Self, CompareError> {
        let best_single = data.best_single();
        let ends = (data.means(data.zoo.by_price(false)).0, data.means(best_single).0);
        let (fallback, fingerprint) = (fallback.place(&data)?, fingerprint(&data));
        Ok(Self { data, zoo, ends, best_single, fallback, fingerprint })
    }

    /// Name of the model that the operator trusts.
    pub(super) fn fallback(&self) -> &str {
        &self.data.zoo.models()[self.fallback].name
    }
}
