//! How much of what a conversation sent before its provider reads from the cache, as usage reports have it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Duration;

/// Turns of a model that its share is the mean of: older ones count for little.
const MEMORY: f64 = 64.0;
/// Providers keep a prompt for five minutes at least, if they keep it: later turns are another matter.
const SOON: Duration = Duration::from_secs(300);

/// By model, for turns that come soon and for later ones. A model of which nothing has been reported reads nothing from a cache:
/// a saving is never assumed. Bounded by the number of models; all operations are O(1).
#[derive(Default)]
pub(crate) struct CachedShares {
    held: Mutex<HashMap<Arc<str>, [Share; 2]>>,
}

/// Mean of recent turns, with one turn's worth of belief that nothing is read.
#[derive(Clone, Copy, Default)]
struct Share {
    weight: f64,
    sum: f64,
}

impl CachedShares {
    /// Share of what was sent before that `model` is expected to read from its cache, `pause` after its last answer; in \[0, 1\].
    pub(crate) fn expected(&self, model: &str, pause: Duration) -> f64 {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.get(model).map_or(0.0, |shares| {
            let share = shares[place(pause)];
            share.sum / (share.weight + 1.0)
        })
    }

    /// Takes note of a turn: `read` tokens came from the cache, of `before` that had been sent. Nothing is learnt where
    /// nothing had been.
    pub(crate) fn observe(&self, model: &Arc<str>, pause: Duration, read: f64, before: f64) {
        if before < 1.0 {
            return;
        }
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let share = &mut held.entry(model.clone()).or_default()[place(pause)];
        let keep = 1.0 - 1.0 / MEMORY;
        share.weight = share.weight * keep + 1.0;
        share.sum = share.sum * keep + (read / before).clamp(0.0, 1.0);
    }
}

fn place(pause: Duration) -> usize {
    usize::from(pause > SOON)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_learnt_per_model_and_pause_and_never_assumed() {
        let (shares, model) = (CachedShares::default(), Arc::from("m"));
        let later = SOON + Duration::from_millis(1);
        assert_eq!(shares.expected("m", Duration::ZERO), 0.0);
        shares.observe(&model, SOON, 80.0, 100.0);
        assert_eq!(shares.expected("m", Duration::ZERO), 0.4, "one report is half believed");
        assert_eq!((shares.expected("m", later), shares.expected("other", SOON)), (0.0, 0.0));
        for _ in 0..1_000 {
            shares.observe(&model, SOON, 80.0, 100.0);
            shares.observe(&model, later, 0.0, 100.0);
        }
        assert!((shares.expected("m", SOON) - 0.8).abs() < 0.02);
        assert_eq!(shares.expected("m", later), 0.0);
        // The provider has changed its mind.
        for _ in 0..1_000 {
            shares.observe(&model, SOON, 0.0, 100.0);
        }
        assert!(shares.expected("m", SOON) < 1e-3);
    }

    #[test]
    fn reports_that_cannot_be_true_do_no_harm() {
        let (shares, model) = (CachedShares::default(), Arc::from("m"));
        for (read, before) in [(1e9, 1.0), (5.0, 0.0), (f64::NAN, 0.0), (0.0, 1e9)] {
            shares.observe(&model, SOON, read, before);
            assert!((0.0..=1.0).contains(&shares.expected("m", SOON)), "{read} of {before}");
        }
    }
}
