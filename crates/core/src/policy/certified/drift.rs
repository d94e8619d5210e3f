//! How much harder or easier the traffic gets for a while.

use serde::{Deserialize, Serialize};

/// Labels in the shortest stretch; each scale has stretches twice as long as the one before.
const SHORTEST: u32 = 8;
/// Stretches of a scale that must have been seen before it counts.
const ENOUGH: u32 = 4;
/// Standard errors that an excess must stand out by: what is less may be chance, and the traffic is taken for steady.
const SURE: f64 = 4.0;
/// A model's ratings before their mean is held against the next one.
const FIRST_RATINGS: u32 = 5;
/// What the mean begins with.
const PRIOR: f64 = 0.7;

/// Long-run variance of the ratings beyond that of independent ones, by batch means (Glynn and Whitt 1991) at lengths from eight
/// labels to a quarter of all.
///
/// If the difficulty of the requests comes and goes in stretches, ratings of a stretch lie on one side of their mean, and the
/// square of their sum exceeds the sum of their squares. Ratings are held against the running mean of the model that answered, so
/// that a change of models is not taken for one of the traffic. 56 bytes per scale; a label takes O(1) on average.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Drift {
    means: Vec<Mean>,
    /// The stretch that is being filled: labels so far.
    labels: u32,
    sums: Sums,
    scales: Vec<Scale>,
}

/// Running mean of a model's ratings; recent ones weigh more, as the requests that a model gets change while the policy learns.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Mean {
    ratings: u32,
    mean: f64,
}

/// Of the deviations in a stretch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Sums {
    sum: f64,
    squares: f64,
}

/// Stretches of one length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Scale {
    stretches: u32,
    /// Σ over stretches of (Σe)² − Σe²; mean 0 if the deviations e are independent.
    excess: f64,
    /// Its variance in that case.
    variance: f64,
    /// A stretch that waits for the next one, to make one of the next scale with it.
    half: Option<Sums>,
}

impl Default for Mean {
    fn default() -> Self {
        Self { ratings: 0, mean: PRIOR }
    }
}

impl Drift {
    /// Takes a rating of an answer by the model at `model`.
    pub(super) fn add(&mut self, model: usize, rating: f64) {
        if self.means.len() <= model {
            self.means.resize(model + 1, Mean::default());
        }
        let mean = &mut self.means[model];
        let (deviation, known) = (rating - mean.mean, mean.ratings >= FIRST_RATINGS);
        mean.mean += deviation * 2.0 / (f64::from(mean.ratings) + 3.0);
        mean.ratings = mean.ratings.saturating_add(1);
        if !known {
            return;
        }
        self.sums.sum += deviation;
        self.sums.squares += deviation * deviation;
        self.labels += 1;
        if self.labels == SHORTEST {
            self.labels = 0;
            let sums = std::mem::take(&mut self.sums);
            self.complete(sums);
        }
    }

    /// Excess long-run variance per label; 0 where nothing stands out. Of stretches of L labels that differ by τ, it is τ²L.
    pub(super) fn excess(&self) -> f64 {
        let mut length = f64::from(SHORTEST);
        let mut most = 0.0_f64;
        for scale in self.scales.iter().take_while(|scale| scale.stretches >= ENOUGH) {
            let sure = scale.excess - SURE * scale.variance.sqrt();
            most = most.max(sure / (f64::from(scale.stretches) * length));
            length *= 2.0;
        }
        most
    }

    /// The zoo has changed; `places` are the old places of the new models.
    pub(super) fn reconfigure(&mut self, places: &[Option<usize>]) {
        let old = |place: &Option<usize>| place.and_then(|place| self.means.get(place)).copied().unwrap_or_default();
        self.means = places.iter().map(old).collect();
    }

    /// Enters a stretch of the first scale, and those of longer ones that it completes.
    fn complete(&mut self, mut sums: Sums) {
        for place in 0.. {
            if place == self.scales.len() {
                self.scales.push(Scale::default());
            }
            let scale = &mut self.scales[place];
            scale.stretches = scale.stretches.saturating_add(1);
            scale.excess += sums.sum * sums.sum - sums.squares;
            scale.variance += 2.0 * sums.squares * sums.squares;
            let Some(half) = scale.half.take() else {
                scale.half = Some(sums);
                return;
            };
            sums = Sums { sum: sums.sum + half.sum, squares: sums.squares + half.squares };
        }
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    use super::*;
    use crate::uniform;

    /// Ratings of two models, good with a probability that `difficulty` takes from, by turns of chance.
    fn after(labels: usize, seed: u64, difficulty: impl Fn(usize) -> f64) -> Drift {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut drift = Drift::default();
        for n in 0..labels {
            let model = usize::from(uniform(&mut rng) < 0.3);
            let good = uniform(&mut rng) < [0.8, 0.6][model] - difficulty(n);
            drift.add(model, f64::from(u8::from(good)));
        }
        drift
    }

    /// Chebyshev would allow 1/16 of the scales to stand out by four standard errors; what is asked is that few do.
    #[test]
    fn steady_traffic_has_no_excess() {
        let alarms = (0..200).filter(|&seed| after(2_000, seed, |_| 0.0).excess() > 0.0).count();
        assert!(alarms <= 4, "{alarms} of 200");
    }

    /// Stretches of 200 labels, harder by ±τ: τ²L = 0.15² · 200 = 4.5, and as scales fit the stretches or do not, half of it.
    #[test]
    fn stretches_are_found_and_measured() {
        for seed in 0..50 {
            let excess = after(4_000, seed, |n| if n / 200 % 2 == 0 { 0.15 } else { -0.15 }).excess();
            assert!((0.5..=6.0).contains(&excess), "seed {seed}: {excess}");
        }
    }

    /// One change is a stretch as well, and long steady traffic after it makes it small again.
    #[test]
    fn a_change_long_ago_counts_less() {
        for seed in 0..20 {
            let fresh = after(1_000, seed, |n| if n < 500 { -0.15 } else { 0.15 }).excess();
            let old = after(32_000, seed, |n| if n < 500 { -0.15 } else { 0.15 }).excess();
            assert!(fresh > 0.3 && old < fresh / 2.0, "seed {seed}: {fresh}, {old}");
        }
    }

    #[test]
    fn a_change_of_models_is_none_of_the_traffic() {
        let mut alarms = 0;
        for seed in 0..100 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut drift = Drift::default();
            for n in 0..2_000 {
                let model = n / 250 % 2;
                drift.add(model, f64::from(u8::from(uniform(&mut rng) < [0.9, 0.5][model])));
            }
            alarms += u32::from(drift.excess() > 0.0);
        }
        assert!(alarms <= 2, "{alarms} of 100");
    }

    #[test]
    fn means_follow_their_models_to_new_places() {
        let mut drift = after(500, 1, |_| 0.0);
        let before = drift.means.clone();
        drift.reconfigure(&[Some(1), None, Some(0)]);
        assert_eq!(drift.means, [before[1], Mean::default(), before[0]]);
        drift.reconfigure(&[Some(9)]);
        assert_eq!(drift.means, [Mean::default()]);
    }
}
