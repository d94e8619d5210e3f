//! Whose costs are told apart: each key and tenant is a series of its own for as long as the process lives.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use slarouter_store::Payer;

use super::labels::PayerLabels;

/// Of so many.
const MOST: usize = 200;
/// What the others are called; no name of a key or tenant is so.
const OTHERS: &str = "(others)";

/// Those that have been met.
#[derive(Default)]
pub(super) struct Payers(Mutex<HashSet<PayerLabels>>);

impl Payers {
    /// The labels of this one: its own, or those of all that were met after the first two hundred.
    pub(super) fn labels(&self, payer: &Payer) -> PayerLabels {
        let name = |name: &Option<Arc<str>>| name.as_deref().unwrap_or_default().to_owned();
        let labels = PayerLabels { key: name(&payer.key), tenant: name(&payer.tenant) };
        let mut met = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if met.contains(&labels) {
            return labels;
        }
        if met.len() == MOST {
            return PayerLabels { key: OTHERS.to_owned(), tenant: OTHERS.to_owned() };
        }
        met.insert(labels.clone());
        labels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_come_last_are_one() {
        let payers = Payers::default();
        let labels = |n: usize| payers.labels(&Payer { key: Some(format!("k{n}").into()), tenant: None });
        let own = |n: usize| PayerLabels { key: format!("k{n}"), tenant: String::new() };
        (0..MOST).for_each(|n| assert_eq!(labels(n), own(n)));
        assert_eq!(labels(MOST), labels(MOST + 1));
        assert_eq!(labels(MOST).key, OTHERS);
        assert_eq!(labels(0), own(0), "those that were met before keep theirs");
    }
}
