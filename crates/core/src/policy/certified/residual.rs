//! How far off the predictions have been of late.

use serde::{Deserialize, Serialize};

/// Over how many labels a mean residual forgets, and how many labels' worth of belief there is that the predictions are right.
#[derive(Clone, Copy)]
pub(super) struct Memory {
    pub(super) labels: f64,
    pub(super) trust: f64,
}

/// Standard errors by which residuals of two times may differ by chance.
const BY_CHANCE: f64 = 2.5;
/// The memories of a [`Correction`].
const RECENT: Memory = Memory { labels: 64.0, trust: 16.0 };
const LONG: Memory = Memory { labels: 2_000.0, trust: 16.0 };
/// Variance of a residual before the first label; it counts for one.
pub(super) const FIRST_VARIANCE: f64 = 0.2;

/// Exponentially weighted mean residual of recent labels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Residual {
    weight: f64,
    sum: f64,
}

impl Residual {
    pub(super) fn add(&mut self, memory: Memory, residual: f64) {
        self.fade(memory);
        self.note(residual);
    }

    pub(super) fn mean(self, memory: Memory) -> f64 {
        self.sum / (self.weight + memory.trust)
    }

    /// A value that counts for one label and lets none of the others fade.
    pub(super) fn note(&mut self, value: f64) {
        self.weight += 1.0;
        self.sum += value;
    }

    /// Forgets as much as a label does.
    pub(super) fn fade(&mut self, memory: Memory) {
        let keep = 1.0 - 1.0 / memory.labels;
        (self.weight, self.sum) = (self.weight * keep, self.sum * keep);
    }

    /// The mean without any belief in the predictions. NaN before the first label.
    pub(super) fn plain(self) -> f64 {
        self.sum / self.weight
    }

    /// Labels' worth that are remembered.
    pub(super) fn weight(self) -> f64 {
        self.weight
    }

    /// Whether there has been no label.
    pub(super) fn is_empty(self) -> bool {
        self.weight <= 0.0
    }
}

/// What corrects predictions: the mean residual of many labels, and that of recent ones as far as the two contradict each other.
///
/// In steady traffic many labels make the correction steady. When a model or the traffic changes, recent labels differ from the others by
/// more than chance, and the others count for the less the further they are apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Correction {
    recent: Residual,
    long: Residual,
    squares: Residual,
}

impl Correction {
    /// A label came, or changed, by this much above what is predicted now, or was said before.
    pub(super) fn add(&mut self, residual: f64) {
        self.recent.add(RECENT, residual);
        self.long.add(LONG, residual);
        self.squares.add(LONG, residual * residual);
    }

    /// What is to be added to a prediction.
    pub(super) fn mean(&self) -> f64 {
        if self.long.is_empty() {
            return 0.0;
        }
        let variance = (self.squares.sum + FIRST_VARIANCE) / (self.squares.weight + 1.0);
        let recent = self.recent.weight;
        let known = variance / self.long.weight;
        let between = change(self.recent.plain() - self.long.plain(), known + variance / recent);
        let long = variance / (known + between);
        (recent * self.recent.mean(RECENT) + long * self.long.mean(LONG)) / (recent + long)
    }
}

/// What recent labels were off by, before there was a longer memory.
impl From<Residual> for Correction {
    fn from(recent: Residual) -> Self {
        Self { recent, long: recent, squares: Residual::default() }
    }
}

/// Variance between two times whose mean residuals are this far `apart`: what exceeds chance, where `error` is the variance of their
/// difference if nothing has changed.
pub(super) fn change(apart: f64, error: f64) -> f64 {
    (apart * apart - BY_CHANCE * BY_CHANCE * error).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After so many labels off by ±0.4 around each mean.
    fn after(stretches: &[(u32, f64)]) -> f64 {
        let mut correction = Correction::default();
        for &(labels, mean) in stretches {
            (0..labels).for_each(|n| correction.add(if n % 2 == 0 { mean + 0.4 } else { mean - 0.4 }));
        }
        correction.mean()
    }

    #[test]
    fn a_correction_is_steady_while_nothing_changes() {
        assert_eq!(Correction::default().mean(), 0.0);
        let (before, after) = (after(&[(2_000, 0.0)]), after(&[(2_000, 0.0), (30, 0.15)]));
        // 30 of 64 labels differ by 0.15, which is 1.3 standard errors: 64 of some 1,300 labels weigh little.
        assert!(before.abs() < 5e-3 && after.abs() < 0.015, "{before}, {after}");
    }

    #[test]
    fn a_change_beyond_chance_is_followed_within_some_dozen_labels() {
        let after = after(&[(2_000, 0.0), (100, -0.3)]);
        // Recent labels are at −0.24, and with 16 labels' worth of belief in the predictions at −0.19.
        assert!((-0.2..-0.13).contains(&after), "{after}");
    }

    #[test]
    fn what_older_versions_saved_goes_on() {
        let mut fast = Residual::default();
        (0..50).for_each(|_| fast.add(RECENT, 0.1));
        let correction = Correction::from(fast);
        assert!((correction.mean() - fast.mean(RECENT)).abs() < 1e-12);
    }
}
