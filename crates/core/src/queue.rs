//! The virtual queue of drift-plus-penalty control.

use serde::{Deserialize, Serialize};

use crate::ledger::Change;

/// How far labelled satisfaction has fallen behind α so far: `Q ← max(0, Q + α − s)` per label (arXiv 2606.19376; Neely 2010).
///
/// Never negative. A changed rating enters as its difference and a withdrawn one is taken out; because of the floor at 0 the
/// queue, unlike the account, may still remember that it once touched the floor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct VirtualQueue(f64);

impl VirtualQueue {
    /// A queue that starts at `initial` (0 in the paper); more makes the policy satisfy first and save later.
    #[must_use]
    pub fn new(initial: f64) -> Self {
        Self(initial.max(0.0))
    }

    /// Its length, ≥ 0.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }

    /// Enters a label.
    pub fn update(&mut self, alpha: f64, change: Change) {
        let deficit = |label: Option<f64>| label.map_or(0.0, |s| alpha - s);
        self.0 = (self.0 + deficit(change.new) - deficit(change.old)).max(0.0);
    }
}
