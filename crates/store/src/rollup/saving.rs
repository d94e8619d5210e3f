//! What was saved against the fallback, and how sure that is.

use super::Totals;

/// Stretches of time in which the fallback was drawn, below which nothing is said of how sure an estimate is.
const FEWEST_BLOCKS: usize = 8;
/// The standard normal law is within ± this with 95 %.
const NORMAL_95: f64 = 1.959_964;

/// What the requests of a range would have cost more if the fallback alone had served.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Saving {
    /// USD: estimated costs of the fallback less what was charged.
    pub usd: f64,
    /// About 95 % of such intervals hold the truth, where the blocks are alike and predictions right where the fallback could not be
    /// drawn; `None` where it was drawn in too few blocks to say.
    pub interval: Option<(f64, f64)>,
    /// The share of requests for which the fallback could have been drawn; for the others its cost is a prediction alone.
    pub supported: f64,
}

/// The saving over consecutive blocks of time, days for instance.
///
/// The charges are exact. Of the fallback's costs Σ(ĉ + 1{drawn}/p · (c − ĉ)) is doubly robust, and its error is that of the second sum. How
/// it differs from block to block says how large that is: with *n* blocks in which it could be drawn, it has the standard error
/// √(n/(n−1) · Σ(x − x̄)²), and Student's law with *n* − 1 degrees of freedom.
#[must_use]
pub fn saving(blocks: &[Totals]) -> Saving {
    let mut all = Totals::default();
    blocks.iter().for_each(|block| all += *block);
    let usd = all.baseline_usd() - all.cost_usd();
    let drawable = blocks.iter().filter(|block| block.supported > 0);
    let corrections: Vec<f64> = drawable.map(|block| block.correction_nano as f64 * 1e-9).collect();
    let checked = blocks.iter().filter(|block| block.checked > 0).count();
    let interval = half_width(&corrections, checked).map(|half| (usd - half, usd + half));
    let free = all.requests - all.pinned;
    Saving { usd, interval, supported: if free > 0 { all.supported as f64 / free as f64 } else { 0.0 } }
}

/// About 95 % of the sums of these numbers of one law are within so much of what is expected of them; `None` where too few of them,
/// `checked`, tell anything.
pub(super) fn half_width(values: &[f64], checked: usize) -> Option<f64> {
    (checked >= FEWEST_BLOCKS).then(|| student_95(values.len() - 1) * standard_error(values))
}

/// Of the sum of numbers of one law.
fn standard_error(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (n / (n - 1.0) * values.iter().map(|x| (x - mean).powi(2)).sum::<f64>()).sqrt()
}

/// Student's law with so many degrees of freedom is within ± this with 95 %: Abramowitz and Stegun, 26.7.5. Right to 0.001 from 7 on.
fn student_95(freedom: usize) -> f64 {
    let (z, n) = (NORMAL_95, freedom as f64);
    let square = z * z;
    let first = z * (square + 1.0) / 4.0;
    let second = z * ((5.0 * square + 16.0) * square + 3.0) / 96.0;
    let third = z * (((3.0 * square + 19.0) * square + 17.0) * square - 15.0) / 384.0;
    z + first / n + second / n.powi(2) + third / n.powi(3)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same numbers in every run, evenly from 0 to 1.
    struct Uniform(u64);

    impl Uniform {
        fn next(&mut self) -> f64 {
            // Knuth's MMIX generator; its upper bits are good enough here.
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 11) as f64 / (1_u64 << 53) as f64
        }
    }

    #[test]
    fn students_law_as_tables_have_it() {
        for (freedom, value) in [(7, 2.3646), (10, 2.2281), (20, 2.0860), (60, 2.0003)] {
            assert!((student_95(freedom) - value).abs() < 1e-3, "{freedom}: {}", student_95(freedom));
        }
    }

    /// One block in which the fallback costs 1 to 3 USD where 1 was predicted and is drawn with probability `p`; and what it would have cost.
    fn block(random: &mut Uniform, p: f64) -> (Totals, i64) {
        let (mut block, mut truth) = (Totals::default(), 0);
        for _ in 0..200 {
            let cost = 1_000_000_000 + (2e9 * random.next()) as i64;
            truth += cost;
            block.requests += 1;
            block.supported += 1;
            block.baseline_nano += 1_000_000_000;
            if random.next() < p {
                block.checked += 1;
                block.cost_nano += cost;
                block.correction_nano += ((cost - 1_000_000_000) as f64 / p) as i64;
            } else {
                block.cost_nano += 250_000_000;
            }
        }
        (block, truth)
    }

    #[test]
    fn the_interval_holds_the_truth_as_often_as_it_says_although_predictions_are_wrong() {
        let mut random = Uniform(7);
        for (blocks, p) in [(8, 0.1), (30, 0.1), (30, 0.02), (60, 0.5)] {
            let mut held = 0;
            for _ in 0..1_000 {
                let (totals, truths): (Vec<_>, Vec<_>) = (0..blocks).map(|_| block(&mut random, p)).unzip();
                let cost: i64 = totals.iter().map(|block| block.cost_nano).sum();
                let truth = (truths.iter().sum::<i64>() - cost) as f64 * 1e-9;
                let (lower, upper) = saving(&totals).interval.unwrap();
                held += u32::from(lower <= truth && truth <= upper);
            }
            // Of 1,000 with 95 %, fewer than 930 come once in 500 times.
            assert!(held >= 930, "{blocks} blocks, {p}: {held}");
        }
    }

    #[test]
    fn nothing_is_said_of_how_sure_it_is_where_the_fallback_was_hardly_drawn() {
        let unchecked = Totals { requests: 9, pinned: 1, baseline_nano: 5, cost_nano: 2, ..Totals::default() };
        let checked = Totals { requests: 1, supported: 1, checked: 1, ..Totals::default() };
        let mut blocks = vec![unchecked; 40];
        blocks.extend([checked; FEWEST_BLOCKS - 1]);
        let found = saving(&blocks);
        assert_eq!((found.interval, found.supported), (None, 7.0 / 327.0));
        assert!((found.usd - 120e-9).abs() < 1e-15);
        blocks.push(checked);
        assert!(saving(&blocks).interval.is_some());
        assert_eq!(saving(&[]), Saving { usd: 0.0, interval: None, supported: 0.0 });
    }
}
