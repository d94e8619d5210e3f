//! Cost against satisfaction over all prices of satisfaction.

use serde::Serialize;
use slarouter_core::told_usd;
use slarouter_core::what_if::{Evaluated, Refusal, Verdict};

/// Prices that are looked at.
const PRICES: usize = 21;
/// The lowest one above 0 and the highest one, in answers of a typical model.
const LOWEST: f64 = 0.01;
const HIGHEST: f64 = 100.0;

/// What the log says of one way to choose.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Point {
    /// What it is.
    pub name: String,
    /// USD that a satisfied answer is worth, where that is what is chosen by.
    pub price_usd: Option<f64>,
    /// Means per request.
    #[serde(flatten)]
    pub evaluated: Evaluated,
    /// How its satisfaction compares with that of what ran.
    pub verdict: Verdict,
    /// Why too little is known of it; none if enough is.
    pub refusals: Vec<Refusal>,
    /// About how many labels would tell it from what ran, where that is not told.
    pub labels_to_tell: Option<u64>,
}

impl Point {
    pub(super) fn new(name: impl Into<String>, price: Option<f64>, evaluated: Evaluated) -> Self {
        Self {
            name: name.into(),
            price_usd: price.map(told_usd),
            verdict: evaluated.verdict(),
            refusals: evaluated.refusals(),
            labels_to_tell: evaluated.labels_to_tell(),
            evaluated,
        }
    }
}

/// The prices, from 0 up, where a typical answer costs `unit` USD. They are fixed before any label is seen.
pub(super) fn prices(unit: f64) -> Vec<f64> {
    let step = (HIGHEST / LOWEST).powf(1.0 / (PRICES - 2) as f64);
    let above = (0..PRICES - 1).map(|place| unit * LOWEST * step.powi(place as i32));
    std::iter::once(0.0).chain(above).collect()
}

/// The cheapest of these points, in the order of their prices, that is estimated to satisfy as `alpha` asks; between two of them where their
/// estimates lie on both sides of it. `None` where none does.
pub(super) fn reaching(points: &[Point], alpha: f64) -> Option<Point> {
    let estimate = |point: &Point| point.evaluated.satisfaction.estimate;
    let first = points.iter().position(|point| estimate(point) >= alpha)?;
    let name = format!("α = {alpha}");
    let above = &points[first];
    let Some(below) = first.checked_sub(1).map(|place| &points[place]) else {
        return Some(Point::new(name, above.price_usd, above.evaluated.clone()));
    };
    let share = (alpha - estimate(below)) / (estimate(above) - estimate(below));
    let price = below.price_usd.zip(above.price_usd).map(|(low, high)| low + share * (high - low));
    Some(Point::new(name, price, below.evaluated.between(&above.evaluated, share)))
}

#[cfg(test)]
mod tests {
    use slarouter_core::what_if::Estimate;

    use super::*;

    fn point(price: f64, satisfaction: f64, cost: f64) -> Point {
        let around = |value: f64| Estimate { estimate: value, lower: value - 0.125, upper: value + 0.125 };
        let evaluated = Evaluated {
            labels: 100,
            effective_labels: 50.0,
            largest_weight: 2.0,
            unsupported: 0.0,
            unanswered: 0.0,
            satisfaction: around(satisfaction),
            satisfaction_difference: around(satisfaction - 0.75),
            cost: Some(around(cost)),
            cost_difference: None,
            ips: Some(satisfaction),
            snips: None,
        };
        Point::new("", Some(price), evaluated)
    }

    #[test]
    fn prices_are_spread_over_all_that_may_matter() {
        let prices = prices(2.0);
        assert_eq!((prices.len(), prices[0], prices[1]), (21, 0.0, 0.02));
        assert!((prices[20] - 200.0).abs() < 1e-9 && prices.is_sorted(), "{prices:?}");
    }

    #[test]
    fn the_cheapest_mix_that_reaches_the_target_is_found() {
        let points = [point(0.0, 0.5, 1.0), point(2.0, 0.75, 2.0), point(4.0, 0.75, 5.0)];
        let found = reaching(&points, 0.625).unwrap();
        let (satisfaction, cost) = (found.evaluated.satisfaction, found.evaluated.cost.unwrap());
        assert_eq!((found.price_usd, satisfaction.estimate, cost.estimate), (Some(1.0), 0.625, 1.5));
        assert_eq!((satisfaction.lower, satisfaction.upper, found.evaluated.ips), (0.5, 0.75, None));
        assert_eq!(reaching(&points, 0.25).unwrap().price_usd, Some(0.0));
        assert_eq!(reaching(&points, 0.75).unwrap().evaluated.cost.unwrap().estimate, 2.0);
        assert_eq!(reaching(&points, 0.9), None);
    }
}
