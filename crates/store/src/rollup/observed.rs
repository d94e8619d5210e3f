//! What would have been on a route that is only observed, and how sure that is.

use serde::Serialize;
use slarouter_core::told_usd;

use super::Totals;
use super::saving::half_width;

/// Labels of other models than the fallback, below which nothing is said of how sure the plan's satisfaction is.
const FEWEST_TRIED: i64 = 50;

/// What the plan of an observed route would have given, had it served.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Observed {
    /// Requests that were observed.
    pub requests: i64,
    /// USD that the fallback alone would have cost for them, as it is estimated.
    pub baseline_usd: f64,
    /// USD that the plan would have saved of it.
    pub saved_usd: f64,
    /// About 95 % of such intervals hold the truth, where the blocks are alike and predictions right for the part of the plan that could not
    /// be drawn; `None` where other models than the fallback answered in too few blocks to say.
    pub saved_interval_usd: Option<(f64, f64)>,
    /// Mean satisfaction of the plan.
    pub satisfaction: f64,
    /// The same, where whether an answer is rated does not depend on how good it is beyond what was predicted; `None` also where there are
    /// too few labels of other models.
    pub satisfaction_interval: Option<(f64, f64)>,
    /// Labels that it rests on.
    pub labels: i64,
    /// Those of them of other models than the fallback.
    pub tried: i64,
    /// The share of the plan that could have been drawn; of the rest predictions alone speak.
    pub supported: f64,
}

/// What would have been over consecutive blocks of time; `None` where nothing was observed.
///
/// Costs are Σ(Σ π ĉ + π/p · (c − ĉ)) over the requests, where π is the plan and p what was drawn from: doubly robust, as
/// [`saving`](super::saving()), and its error is found in the same way. Satisfaction is the mean of Σ π ŝ and of
/// π/p · (s − ŝ) over the labelled answers, which stand for the others.
#[must_use]
pub fn observed(blocks: &[Totals]) -> Option<Observed> {
    let mut all = Totals::default();
    blocks.iter().for_each(|block| all += *block);
    if all.observed <= 0 {
        return None;
    }
    let requests = all.observed as f64;
    let corrections = |of: fn(&Totals) -> i64| -> Vec<f64> {
        blocks.iter().filter(|block| block.observed > 0).map(|block| of(block) as f64).collect()
    };
    let blocks_with =
        |of: fn(&Totals) -> i64| blocks.iter().filter(|block| block.observed > 0 && of(block) > 0).count();
    let saved = all.plan_saving_nano.saturating_add(all.plan_correction_nano) as f64;
    let saved_half = half_width(&corrections(|block| block.plan_correction_nano), blocks_with(|block| block.explored));
    let labels = all.plan_labels.max(1) as f64;
    let satisfaction = all.plan_predicted_micro as f64 / requests + all.plan_label_micro as f64 / labels;
    let half = half_width(&corrections(|block| block.plan_label_micro), blocks_with(|block| block.plan_tried));
    let (usd, share) = (|nano: f64| told_usd(nano * 1e-9), |micro: f64| (micro * 1e-6).clamp(0.0, 1.0));
    Some(Observed {
        requests: all.observed,
        baseline_usd: usd(all.observed_baseline_nano as f64),
        saved_usd: usd(saved),
        saved_interval_usd: saved_half.map(|half| (usd(saved - half), usd(saved + half))),
        satisfaction: share(satisfaction),
        satisfaction_interval: half
            .filter(|_| all.plan_tried >= FEWEST_TRIED)
            .map(|half| (share(satisfaction - half / labels), share(satisfaction + half / labels))),
        labels: all.plan_labels,
        tried: all.plan_tried,
        supported: all.plan_supported_micro as f64 * 1e-6 / requests,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollup::{micro, nano};

    /// The same numbers in every run, evenly from 0 to 1: Knuth's MMIX generator.
    fn uniform(state: &mut u64) -> f64 {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*state >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A block in which a cheap model is planned for nine requests of ten, drawn for one of twenty, and costs and satisfies otherwise than was
    /// predicted of it: 0.4 to 0.6 USD instead of 0.3, 8 of 10 answers instead of 9. The fallback costs 1 and is right in its predictions.
    /// Every second answer is rated. What the plan saves in truth, in 10⁻⁹ USD.
    fn block(random: &mut u64, requests: usize) -> (Totals, i64) {
        const PLANNED: f64 = 0.9;
        const DRAWN: f64 = 0.05;
        let (mut block, mut truth) = (Totals::default(), 0);
        for _ in 0..requests {
            let (cost, is_drawn) = (0.4 + 0.2 * uniform(random), uniform(random) < DRAWN);
            let weight = if is_drawn { PLANNED / DRAWN } else { (1.0 - PLANNED) / (1.0 - DRAWN) };
            truth += nano(PLANNED * (1.0 - cost));
            block.observed += 1;
            block.explored += i64::from(is_drawn);
            block.observed_baseline_nano += nano(1.0);
            block.plan_saving_nano += nano(PLANNED * 0.7);
            block.plan_correction_nano -= if is_drawn { nano(weight * (cost - 0.3)) } else { 0 };
            block.plan_supported_micro += micro(1.0);
            block.plan_predicted_micro += micro(0.9);
            if uniform(random) < 0.5 {
                let satisfied = uniform(random) < if is_drawn { 0.8 } else { 0.9 };
                block.plan_labels += 1;
                block.plan_tried += i64::from(is_drawn);
                block.plan_label_micro += micro(weight * (f64::from(u8::from(satisfied)) - 0.9));
            }
        }
        (block, truth)
    }

    #[test]
    fn the_intervals_hold_the_truth_as_often_as_they_say_although_predictions_are_wrong() {
        let mut random = 11;
        for (blocks, requests) in [(8, 600), (24, 200), (96, 50)] {
            let (mut saving, mut satisfaction) = (0, 0);
            for _ in 0..600 {
                let (totals, truths): (Vec<_>, Vec<_>) = (0..blocks).map(|_| block(&mut random, requests)).unzip();
                let found = observed(&totals).unwrap();
                let truth = truths.iter().sum::<i64>() as f64 * 1e-9;
                let holds = |(lower, upper): (f64, f64), truth: f64| u32::from(lower <= truth && truth <= upper);
                saving += holds(found.saved_interval_usd.unwrap(), truth);
                satisfaction += holds(found.satisfaction_interval.unwrap(), 0.9 * 0.8 + 0.1 * 0.9);
            }
            // Of 600 with 95 %, fewer than 552 come once in 500 times.
            assert!(saving >= 552 && satisfaction >= 552, "{blocks} blocks: {saving}, {satisfaction}");
        }
    }

    #[test]
    fn nothing_is_said_of_how_sure_it_is_where_hardly_anything_was_tried() {
        assert_eq!(observed(&[Totals { requests: 7, ..Totals::default() }]), None, "nothing was observed");
        let alone = Totals {
            observed: 10,
            observed_baseline_nano: nano(8.0),
            plan_saving_nano: nano(2.0),
            plan_predicted_micro: 9_000_000,
            plan_supported_micro: 1_000_000,
            ..Totals::default()
        };
        let found = observed(&[alone; 30]).unwrap();
        assert_eq!((found.saved_interval_usd, found.satisfaction_interval), (None, None));
        assert_eq!((found.requests, found.labels, found.tried), (300, 0, 0));
        assert!((found.saved_usd - 60.0).abs() < 1e-9 && (found.baseline_usd - 240.0).abs() < 1e-9);
        assert!((found.satisfaction - 0.9).abs() < 1e-9 && (found.supported - 0.1).abs() < 1e-9);
        let tried = Totals { explored: 1, plan_labels: 6, plan_tried: 6, ..alone };
        let found = observed(&[tried; 8]).unwrap();
        assert!(found.saved_interval_usd.is_some() && found.satisfaction_interval.is_none(), "48 labels of others");
        assert!(observed(&[tried; 9]).unwrap().satisfaction_interval.is_some());
        assert!(observed(&[tried; 7]).unwrap().saved_interval_usd.is_none());
    }
}
