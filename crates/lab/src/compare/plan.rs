//! What to compare.

use std::path::PathBuf;
use std::sync::Arc;

use slarouter_core::PolicySpec;
use slarouter_core::policy::CertifiedParams;
use slarouter_text::{Encoder, HashedNgrams};

use super::protocol::{FRACTIONS, MOST_ROWS, RATES, SEEDS, ZooKind};
use crate::{CompareError, Fallback, Order, Rival};

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
    /// The fallback of policy `certified`.
    pub fallback: Fallback,
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
            fallback: Fallback::default(),
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

    /// Has policy `certified` run once with each of these assurances, in its place among the contenders; with none, as it is.
    ///
    /// # Errors
    /// [`CompareError::Number`] for one that is not strictly between 0 and 1.
    pub fn sweep(&mut self, assurances: &[f64]) -> Result<(), CompareError> {
        if let Some(&value) = assurances.iter().find(|value| !(**value > 0.0 && **value < 1.0)) {
            return Err(CompareError::Number { name: "an assurance", range: "strictly between 0 and 1", value });
        }
        let usual = Rival::Core(PolicySpec::Certified(CertifiedParams::default()));
        if let (Some(place), false) = (self.rivals.iter().position(|rival| *rival == usual), assurances.is_empty()) {
            self.rivals.splice(place..=place, assurances.iter().map(|&assurance| Rival::certified(assurance)));
        }
        Ok(())
    }

    /// Refuses what makes no sense.
    pub(super) fn check(&self) -> Result<(), CompareError> {
        let lists = [
            ("contender", self.rivals.is_empty()),
            ("fraction", self.fractions.is_empty()),
            ("rate", self.rates.is_empty()),
            ("seed", self.seeds == 0),
            ("order", self.orders.is_empty()),
            ("zoo", self.zoos.is_empty()),
            ("row", self.most_rows == 0),
            ("request in a window", self.orders.iter().any(|order| order.is_empty())),
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
