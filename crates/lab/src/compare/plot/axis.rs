//! Axes with round numbers.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

/// A linear axis; a logarithmic one takes logarithms and shows what they are the logarithms of.
#[derive(Clone)]
pub(super) struct Axis {
    range: Range<f64>,
    logarithmic: bool,
}

impl Axis {
    /// `low` must be below `high`.
    pub(super) fn new(low: f64, high: f64, logarithmic: bool) -> Self {
        Self { range: low..high, logarithmic }
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let share = (value - self.range.start) / (self.range.end - self.range.start);
        limit.0 + (share * f64::from(limit.1 - limit.0)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        // Asked for the light lines between the bold ones, of which there are none.
        if hint.bold_points() == 0 {
            return Vec::new();
        }
        let (low, high) = (self.range.start, self.range.end);
        if self.logarithmic { log_ticks(low, high) } else { ticks(low, high) }
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        number(if self.logarithmic { libm::exp10(*value) } else { *value })
    }
}

/// Four to eight round numbers in a range.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    let rough = (high - low) / 6.0;
    let power = libm::exp10(libm::log10(rough).floor());
    let step = [1.0, 2.0, 5.0].into_iter().map(|factor| factor * power).find(|&step| step >= rough * 0.9);
    let step = step.unwrap_or(10.0 * power);
    ((low / step).ceil() as i64..=(high / step).floor() as i64).map(|i| i as f64 * step).collect()
}

/// Logarithms of 1, 2 and 5 times the powers of ten in a range of logarithms; fewer where the range is wide.
fn log_ticks(low: f64, high: f64) -> Vec<f64> {
    let factors: &[f64] = match high - low {
        width if width > 3.0 => &[1.0],
        width if width > 1.6 => &[1.0, 3.0],
        width if width < 0.8 => &[1.0, 1.5, 2.0, 3.0, 5.0, 7.0],
        _ => &[1.0, 2.0, 5.0],
    };
    let powers = low.floor() as i32..=high.ceil() as i32;
    let all = powers.flat_map(|power| factors.iter().map(move |factor| f64::from(power) + libm::log10(*factor)));
    all.filter(|tick| (low..=high).contains(tick)).collect()
}

/// Short and without a tail of zeros.
fn number(value: f64) -> String {
    let digits = match value.abs() {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        for (low, high) in [(0.0, 1.0), (-0.31, 0.12), (150.0, 20_000.0), (0.5791, 0.5803)] {
            let ticks = ticks(low, high);
            assert!((3..=9).contains(&ticks.len()), "{low} to {high}: {ticks:?}");
            assert!(ticks.iter().all(|tick| (low..=high).contains(tick)));
        }
        let powers: Vec<_> = log_ticks(-0.1, 1.1).iter().map(|&tick| number(libm::exp10(tick))).collect();
        assert_eq!(powers, ["1", "2", "5", "10"]);
        assert_eq!([number(2500.0), number(0.25), number(-0.0001), number(12.5)], ["2500", "0.25", "0", "12.5"]);
    }
}
