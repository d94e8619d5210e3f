//! Which models are taken for better or worse than predicted.

use super::Certified;
use super::predictor::variance_at;
use super::steering::Demand;
use crate::numeric::normal_quantile;

/// Standard deviations by which the fallback is believed better than predicted, while nothing known meets the demand: the
/// largest of several noisy predictions is mostly noise, and the operator knows which model to trust.
const TRUST: f64 = 2.0;
/// What the fallback is believed better in any case: where nothing tells the models apart, as with thumbs down only, the fallback serves.
const PREFERENCE: f64 = 0.03;
/// By how many of its standard deviations, times z, each model but the fallback is taken for worse than predicted, where nothing is there
/// yet to make good what it may lose: the cheapest of several noisy predictions is mostly luck.
const WARINESS: f64 = 0.6;

impl Certified {
    /// d_m, how far off the mean satisfaction of each model may be: one standard deviation. Never less than what its own labels leave.
    ///
    /// The predictor learns of all models from the labels of each, and of the average prompt from all prompts; as far as that is right it is
    /// surer of a mean than the labels of the model alone can make it, by a factor of three. A promise does not rest on it.
    pub(super) fn doubts(&self) -> Vec<f64> {
        let own = self.levels.iter().zip(self.predictor.label_doubt());
        let floors = own.map(|(&level, doubt)| variance_at(level) * doubt);
        self.predictor.doubt().iter().zip(floors).map(|(doubt, floor)| doubt.max(floor)).collect()
    }

    /// By how much each model is taken for worse than predicted. The fallback is not, and no model is where the margin is there already, or
    /// where the fallback's known lead over α can make it good in what is left of the window.
    pub(super) fn wariness(&self, demand: &Demand) -> Vec<f64> {
        let (doubt, z) = (self.doubts(), normal_quantile(self.params.assurance).max(0.0));
        let level = self.safeguard.level(self.fallback).unwrap_or(self.levels[self.fallback]);
        let lead = (level - self.alpha - z * doubt[self.fallback]).max(0.0);
        let repair = self.pace.rest(self.params.window, self.standing.requests as f64) * lead;
        let covered = ((demand.surplus + repair) / demand.margin.max(f64::MIN_POSITIVE)).clamp(0.0, 1.0);
        let mut wariness: Vec<f64> = doubt.iter().map(|doubt| WARINESS * z * (1.0 - covered) * doubt).collect();
        wariness[self.fallback] = 0.0;
        wariness
    }

    /// By how much each model is believed better than predicted while nothing known meets the demand: the fallback alone is.
    pub(super) fn trust(&self) -> Vec<f64> {
        let mut trust = vec![0.0; self.predictor.doubt().len()];
        trust[self.fallback] = PREFERENCE + TRUST * self.predictor.doubt()[self.fallback];
        trust
    }
}
