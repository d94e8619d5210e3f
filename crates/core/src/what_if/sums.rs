//! What the log says of one target.

use super::estimate::{Estimate, Evaluated};
use super::evidence::{Action, Claim, Grounds, Seen};

/// All that is summed up for one target.
#[derive(Clone, Debug, Default)]
pub(super) struct Sums {
    satisfaction: Claim,
    satisfaction_difference: Claim,
    cost: Claim,
    cost_difference: Claim,
    /// Labels whose rate is estimated.
    seen: Vec<Seen>,
    /// Labels whose rate is known.
    known: Points,
    /// Σ Σ_a π r̂, and what ran likewise.
    direct: [f64; 2],
    /// The same of the costs, in units, with what was seen put in the place of predictions.
    spent: [f64; 2],
    /// Mass of the target on candidates that could not be drawn, and what it may cost at most.
    unsupported: f64,
    unsupported_cost: f64,
}

/// One row as the sums read it: everything that was fixed before anything was drawn.
pub(super) struct Row<'a> {
    /// p: with which each candidate could be drawn.
    pub(super) drawn: &'a [f64],
    /// π of the target.
    pub(super) target: &'a [f64],
    /// Predicted, in \[0, 1\].
    pub(super) predicted: &'a [f64],
    /// What one of them counts for at most.
    pub(super) scale: &'a [f64],
    /// The one that was drawn.
    pub(super) chosen: usize,
}

/// Weighted sums over labels.
#[derive(Clone, Copy, Debug, Default)]
struct Points {
    labels: u64,
    rows: f64,
    weights: f64,
    squares: f64,
    largest: f64,
    rewards: f64,
    /// Σ w (s − r̂)/φ, and without w.
    corrections: [f64; 2],
}

/// What the bounds of satisfaction, and of cost, are made from.
pub(super) struct Terms<'a> {
    pub(super) satisfaction: Grounds<'a>,
    pub(super) cost: Grounds<'a>,
    pub(super) requests: f64,
    /// See [`Evaluated::unanswered`].
    pub(super) unanswered: f64,
    pub(super) priced: f64,
    /// USD.
    pub(super) unit: f64,
}

impl Row<'_> {
    fn weight(&self) -> f64 {
        self.target[self.chosen] / self.drawn[self.chosen]
    }

    /// The candidates that could be drawn, for the claim whose weights are those of the target less `shift`.
    fn actions(&self, shift: f64) -> Vec<Action> {
        let places = (0..self.drawn.len()).filter(|&place| self.drawn[place] > 0.0);
        places.map(|place| self.action(place, shift)).collect()
    }

    fn action(&self, place: usize, shift: f64) -> Action {
        let (drawn, scale) = (self.drawn[place], self.scale[place]);
        Action {
            weight: (self.target[place] / drawn - shift) * scale,
            mass: (self.target[place] - shift * drawn) * scale,
            predicted: self.predicted[place],
        }
    }

    /// Mass on what could not be drawn, each times this of it.
    fn unsupported(&self, of: impl Fn(usize) -> f64) -> f64 {
        let places = (0..self.drawn.len()).filter(|&place| self.drawn[place] <= 0.0);
        places.map(|place| self.target[place] * of(place)).sum()
    }

    /// Σ_a of these probabilities times predictions.
    fn direct(&self, probabilities: &[f64]) -> f64 {
        (0..self.drawn.len()).map(|place| probabilities[place] * self.predicted[place] * self.scale[place]).sum()
    }
}

impl Points {
    /// A label that comes with probability 1/`inverse`.
    fn add(&mut self, inverse: f64, weight: f64, label: f64, predicted: f64) {
        let weighted = inverse * weight;
        self.labels += 1;
        self.rows += inverse;
        self.weights += weighted;
        self.squares += weighted * weighted;
        self.largest = self.largest.max(weight);
        self.rewards += weighted * label;
        self.corrections[0] += weighted * (label - predicted);
        self.corrections[1] += inverse * (label - predicted);
    }
}

impl Sums {
    /// Enters a row; the rate of labelling is at least `low`.
    pub(super) fn add(&mut self, row: &Row<'_>, low: f64) {
        self.satisfaction.add(&row.actions(0.0), low);
        self.satisfaction_difference.add(&row.actions(1.0), low);
        self.direct[0] += row.direct(row.target);
        self.direct[1] += row.direct(row.drawn);
        self.unsupported += row.unsupported(|_| 1.0);
    }

    /// Enters the label of the same row, which comes with this probability.
    pub(super) fn label(&mut self, row: &Row<'_>, label: f64, low: f64, rate: f64) {
        self.satisfaction.saw(&row.action(row.chosen, 0.0), label, low, rate);
        self.satisfaction_difference.saw(&row.action(row.chosen, 1.0), label, low, rate);
        self.known.add(1.0 / rate, row.weight(), label, row.predicted[row.chosen]);
    }

    /// Enters the label of the same row, whose probability is that of its stretch.
    pub(super) fn label_of(&mut self, row: &Row<'_>, label: f64, low: f64, stretch: usize) {
        let predicted = row.predicted[row.chosen];
        self.seen.push(Seen { stretch, low, weight: row.weight(), predicted, label });
    }

    /// Enters a row with what it cost, as a share of the most that counts.
    pub(super) fn spend(&mut self, row: &Row<'_>, cost: f64) {
        for (claim, shift) in [(&mut self.cost, 0.0), (&mut self.cost_difference, 1.0)] {
            claim.add(&row.actions(shift), 1.0);
            claim.saw(&row.action(row.chosen, shift), cost, 1.0, 1.0);
        }
        let residual = row.scale[row.chosen] * (cost - row.predicted[row.chosen]);
        self.spent[0] += row.direct(row.target) + row.weight() * residual;
        self.spent[1] += row.direct(row.drawn) + residual;
        self.unsupported_cost += row.unsupported(|place| row.scale[place]);
    }

    pub(super) fn result(&self, terms: &Terms<'_>) -> Evaluated {
        let grounds = Grounds { seen: &self.seen, ..terms.satisfaction };
        let mut points = self.known;
        for seen in &self.seen {
            points.add(grounds.rates.inverse(seen.stretch), seen.weight, seen.label, seen.predicted);
        }
        let requests = terms.requests;
        let per = |sum: f64, count: f64| if count > 0.0 { sum / count } else { 0.0 };
        let value = per(self.direct[0], requests) + per(points.corrections[0], points.rows);
        let ran = per(self.direct[1], requests) + per(points.corrections[1], points.rows);
        let told = |claim: &Claim, shift: f64, estimate: f64, least: f64| {
            let [lower, upper] = claim.bounds(&grounds, shift);
            Estimate::within(estimate, (lower / requests).max(least), ((upper + self.unsupported) / requests).min(1.0))
        };
        let spent = |claim: &Claim, shift: f64, estimate: f64, least: f64| {
            let ([lower, upper], unit) = (claim.bounds(&terms.cost, shift), terms.unit / terms.priced);
            let upper = (upper + self.unsupported_cost) * unit;
            (terms.priced > 0.0).then(|| Estimate::within(estimate * unit, (lower * unit).max(least), upper))
        };
        Evaluated {
            labels: points.labels,
            effective_labels: per(points.weights * points.weights, points.squares),
            largest_weight: points.largest,
            unsupported: per(self.unsupported, requests),
            unanswered: terms.unanswered,
            satisfaction: told(&self.satisfaction, 0.0, value, 0.0),
            satisfaction_difference: told(&self.satisfaction_difference, 1.0, value - ran, -1.0),
            cost: spent(&self.cost, 0.0, self.spent[0], 0.0),
            cost_difference: spent(&self.cost_difference, 1.0, self.spent[0] - self.spent[1], f64::NEG_INFINITY),
            ips: (points.rows > 0.0).then(|| points.rewards / points.rows),
            snips: (points.weights > 0.0).then(|| points.rewards / points.weights),
        }
    }
}
