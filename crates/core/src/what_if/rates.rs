//! How often answers are rated, where nobody knows it: an interval for each stretch of the log.

use crate::assurance::rate_interval;

/// Fewest labels of a stretch, as in an account's groups.
const LABELS: u64 = 512;
/// A stretch ends once it has this part of the labels before it as well: there are few of them, however long the log is.
const GROWTH: u64 = 3;
/// The lower end that predictions are cut by is the highest there was; what is worked with may be this share of it at least.
const HELD: f64 = 0.9;

/// The rates of labelling along a log. Where a stretch ends depends on how many labels there are, never on what they say.
#[derive(Clone, Debug)]
pub(super) struct Rates {
    error: f64,
    stretches: Vec<Stretch>,
    before: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Stretch {
    rows: u64,
    labels: u64,
    /// The highest lower end so far.
    low: f64,
}

impl Rates {
    /// All intervals hold at all times with probability 1 − `error`.
    pub(super) fn new(error: f64) -> Self {
        Self { error, stretches: vec![Stretch::default()], before: 0 }
    }

    /// The stretch of the next row.
    pub(super) fn stretch(&self) -> usize {
        self.stretches.len() - 1
    }

    /// What the rate of the next row is at least, by the rows before it.
    pub(super) fn low(&self) -> f64 {
        self.stretches[self.stretch()].low
    }

    /// Enters a row.
    pub(super) fn add(&mut self, labelled: bool) {
        let place = self.stretch();
        let error = self.share(place);
        let last = &mut self.stretches[place];
        last.rows += 1;
        last.labels += u64::from(labelled);
        last.low = last.low.max(rate_interval(last.labels, last.rows, error).0);
        if last.labels >= LABELS.max(self.before / GROWTH) {
            self.before += last.labels;
            self.stretches.push(Stretch::default());
        }
    }

    /// The interval of a stretch. A last one that is too short to stand alone has the rate of the one before it.
    pub(super) fn ends(&self, place: usize) -> [f64; 2] {
        let Stretch { mut rows, mut labels, low } = self.stretches[place];
        let mut error = self.share(place);
        if labels < LABELS && place > 0 {
            let before = self.stretches[place - 1];
            (rows, labels, error) = (rows + before.rows, labels + before.labels, self.share(place - 1));
        }
        let (least, most) = rate_interval(labels, rows, error);
        let least = least.max(HELD * low);
        [least, most.max(least)]
    }

    /// Rows for each label of a stretch.
    pub(super) fn inverse(&self, place: usize) -> f64 {
        let stretch = self.stretches[place];
        stretch.rows as f64 / stretch.labels.max(1) as f64
    }

    /// The shares of all stretches sum to the error.
    fn share(&self, place: usize) -> f64 {
        self.error / ((place + 1) * (place + 2)) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A label for every fifth row.
    fn rates(rows: u64) -> Rates {
        let mut rates = Rates::new(0.01);
        (0..rows).for_each(|row| rates.add(row % 5 == 0));
        rates
    }

    #[test]
    fn stretches_grow_with_the_log_and_know_their_rates() {
        assert_eq!((rates(2_555).stretch(), rates(2_556).stretch()), (0, 1), "the 512th label ends the first");
        let long = rates(500_000);
        assert!((10..20).contains(&long.stretch()), "{}", long.stretch());
        for place in 0..=long.stretch() {
            let [low, high] = long.ends(place);
            assert!(low < 0.2 && 0.2 < high && high - low < 0.12, "{place}: {low} to {high}");
            assert!((long.inverse(place) - 5.0).abs() < 0.1, "{place}: {}", long.inverse(place));
        }
        assert!((0..100).map(|place| long.share(place)).sum::<f64>() < 0.01);
    }

    #[test]
    fn a_short_last_stretch_has_the_rate_of_the_one_before() {
        let [low, high] = rates(2_560).ends(1);
        assert!(low > 0.15 && high < 0.25, "{low} to {high}");
        assert_eq!(rates(0).ends(0), [0.0, 1.0]);
        assert_eq!(rates(0).low(), 0.0);
    }

    #[test]
    fn a_rate_that_falls_keeps_predictions_within_reach() {
        let mut rates = Rates::new(0.01);
        (0..400).for_each(|_| rates.add(true));
        let held = rates.low();
        (0..4_000).for_each(|_| rates.add(false));
        assert!(held > 0.9 && rates.low() >= held && rates.ends(0)[0] >= HELD * held, "{:?}", rates.ends(0));
    }
}
