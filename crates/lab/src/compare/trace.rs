//! How runs go on over time, for the plots.

use serde::{Deserialize, Serialize};

/// Points of a trace.
const POINTS: usize = 40;

/// Where a run stands after some requests; all but the request count are sums.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mark {
    pub(crate) labels: u64,
    pub(crate) satisfaction: f64,
    pub(crate) cost: f64,
    pub(crate) explored_cost: f64,
    /// Lower bound of the certificate.
    pub(crate) lower: Option<f64>,
}

/// The runs of one contender in one cell, after the same number of requests. Single precision is enough for a plot.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Requests so far.
    pub requests: u32,
    /// Mean labels so far.
    pub labels: f32,
    /// Mean over the runs of the running mean of satisfaction.
    pub satisfaction: f32,
    /// Its lowest value in any run.
    pub lowest: f32,
    /// Mean lower bound of the certificate; `None` without one.
    pub lower: Option<f32>,
    /// Mean satisfaction since the point before.
    pub recent_satisfaction: f32,
    /// Mean USD per request since the point before.
    pub recent_cost: f32,
    /// Share of the cost so far that was spent on explored requests.
    pub exploration_bill: f32,
}

/// After how many of `requests` the marks are made.
pub(crate) fn mark_after(requests: usize) -> impl Iterator<Item = usize> {
    let points = POINTS.min(requests);
    (1..=points).map(move |point| (point * requests).div_ceil(points))
}

/// The means over runs whose marks were made after the same requests.
pub(crate) fn points(requests: usize, runs: &[Vec<Mark>]) -> Vec<Point> {
    let n = runs.len() as f64;
    let mut before = 0;
    let mut points = Vec::new();
    for (place, after) in mark_after(requests).enumerate() {
        let at = |run: &Vec<Mark>| run[place];
        let last = |run: &Vec<Mark>| if place > 0 { run[place - 1] } else { Mark::default() };
        let mean = |value: &dyn Fn(&Vec<Mark>) -> f64| runs.iter().map(value).sum::<f64>() / n;
        let span = (after - before).max(1) as f64;
        let lowers: Option<Vec<f64>> = runs.iter().map(|run| at(run).lower).collect();
        let cost = mean(&|run| at(run).cost);
        points.push(Point {
            requests: after as u32,
            labels: mean(&|run| at(run).labels as f64) as f32,
            satisfaction: (mean(&|run| at(run).satisfaction) / after as f64) as f32,
            lowest: (runs.iter().map(|run| at(run).satisfaction).fold(f64::INFINITY, f64::min) / after as f64) as f32,
            lower: lowers.map(|lowers| (lowers.iter().sum::<f64>() / n) as f32),
            recent_satisfaction: (mean(&|run| at(run).satisfaction - last(run).satisfaction) / span) as f32,
            recent_cost: (mean(&|run| at(run).cost - last(run).cost) / span) as f32,
            exploration_bill: if cost > 0.0 { (mean(&|run| at(run).explored_cost) / cost) as f32 } else { 0.0 },
        });
        before = after;
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_spread_and_end_at_the_end() {
        for requests in [1, 7, 40, 41, 1_431, 20_000] {
            let marks: Vec<_> = mark_after(requests).collect();
            assert_eq!((marks.len(), marks.last()), (requests.min(POINTS), Some(&requests)));
            assert!(marks.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }

    #[test]
    fn means_by_hand() {
        let mark = |satisfaction, cost| Mark { satisfaction, cost, explored_cost: 1.0, ..Mark::default() };
        let runs = [vec![mark(1.0, 2.0), mark(1.0, 4.0)], vec![mark(0.0, 2.0), mark(1.0, 6.0)]];
        let points = points(2, &runs);
        assert_eq!((points[1].satisfaction, points[1].lowest, points[1].recent_satisfaction), (0.5, 0.5, 0.5));
        assert_eq!((points[0].lowest, points[1].recent_cost, points[1].exploration_bill), (0.0, 3.0, 0.2));
        assert_eq!(points[0].lower, None);
    }
}
