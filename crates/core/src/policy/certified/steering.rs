//! The price of satisfaction: from what is needed to what to choose.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Recent requests that stand for the next ones.
const WINDOW: usize = 200;
/// Fewest of them to solve for a price from.
const ENOUGH: usize = 5;
/// Requests between two solutions, if no label comes.
const PACE: u32 = 8;
/// Requests over which the mean cost of a model, and of the policy, forgets.
const COST_MEMORY: f64 = 500.0;
/// Requests over which the loss by exploration forgets. What the start gave away is in the account and says nothing of what comes,
/// so it is to be short; at 120 it swings where decisions are made from snapshots that are 500 requests old, and the SLA breaks.
const LOSS_MEMORY: f64 = 300.0;
/// Highest price to begin with, in answers of a typical model (the geometric mean of the costs).
const FIRST_CEILING: f64 = 20.0;
/// Growth per request of the highest price that may be paid, where it is asked for: e-fold in 333 requests.
const CEILING_GROWTH: f64 = 0.003;
/// Share of the margin U that is given up per decade of the ratio r of the bills.
const FADING: f64 = 0.7;
/// Highest price that is looked at, in answers of the most expensive model.
const HIGHEST: f64 = 100.0;
/// Bisection stops at prices that differ by less than this factor.
const PRECISION: f64 = 1.0005;
/// Prices are looked for from this share of the highest one up.
const LOWEST: f64 = 1e-6;

/// What the account asks for, as a function of what it would cost.
///
/// The higher the bill is compared with that for the level alone (`r` times), the less certainty is bought and the longer
/// a deficit may take to be made good. It keeps one unlucky label from moving the traffic to a model that costs fifty times as much.
#[derive(Clone, Copy, Debug)]
pub(super) struct Demand {
    /// α − r̄ + ε: mean satisfaction that would do if there were neither surplus nor deficit nor doubt.
    pub(super) level: f64,
    /// The least to ask for, however large the surplus is.
    pub(super) least: f64,
    /// G: estimated surplus so far, in satisfied answers.
    pub(super) surplus: f64,
    /// U: surplus that makes sure of the SLA, in satisfied answers.
    pub(super) margin: f64,
    /// H: requests in which to reach it.
    pub(super) horizon: f64,
    /// H + T/2: the most requests in which to reach it, where it costs most.
    pub(super) longest: f64,
    /// By how much predictions may be too low: the bill to compare with is that for the level less this.
    pub(super) slack: f64,
}

/// Finds the price and holds it between two solutions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Steering {
    window: VecDeque<Row>,
    /// Running mean cost of each model, and of the policy.
    costs: Vec<f64>,
    spend: f64,
    /// Running mean of the satisfaction that exploration gives away per request.
    loss: f64,
    requests: u64,
    since_solution: u32,
    /// Prices, in USD per satisfied answer, on both sides of the demand, and the probability of the higher one.
    low: f64,
    high: f64,
    share: f64,
    /// The highest price that may be paid now, as of this request.
    ceiling: f64,
    ceiling_at: u64,
    /// Whether the zoo can meet the demand, by what is known.
    feasible: bool,
    /// By how much each model is taken for better than predicted, or for worse if it is negative.
    trust: Vec<f64>,
}

/// One recent request: per model, predicted satisfaction and cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Row {
    satisfaction: Vec<f64>,
    cost: Vec<f64>,
}

/// The window as one solution reads it, over and over: predicted satisfaction with and without trust, and cost, request after request.
struct Rows {
    options: Vec<ModelOption>,
    /// Where the options of each request end. One that was decided just before a model came or went has as many as there were.
    ends: Vec<usize>,
}

/// One model for one request.
#[derive(Clone, Copy)]
struct ModelOption {
    cost: f64,
    predicted: f64,
    /// With trust: what the choice is made by.
    trusted: f64,
    /// What it is held to be.
    satisfaction: f64,
}

/// What the best choices of the window give at some price: means per request.
#[derive(Clone, Copy)]
struct Supply {
    price: f64,
    /// Predicted, with trust.
    satisfaction: f64,
    spend: f64,
}

/// The two prices next to a solution, the weight of the higher one, and whether the demand is met.
#[derive(Clone, Copy)]
struct Solution {
    low: f64,
    high: f64,
    share: f64,
    met: bool,
}

impl Demand {
    /// Mean satisfaction asked for if it costs `spend` per request, C(λ), where the level costs `usual`, C(λ_α).
    pub(super) fn at(&self, spend: f64, usual: f64) -> f64 {
        let ratio = (spend / usual).max(1.0);
        let bought = (1.0 - FADING * libm::log10(ratio)).max(0.0);
        let horizon = (self.horizon * ratio).min(self.longest);
        (self.level + (bought * self.margin - self.surplus) / horizon).max(self.least)
    }
}

impl Steering {
    pub(super) fn new(models: usize) -> Self {
        Self {
            window: VecDeque::new(),
            costs: vec![0.0; models],
            spend: 0.0,
            loss: 0.0,
            requests: 0,
            since_solution: 0,
            low: 0.0,
            high: 0.0,
            share: 0.0,
            ceiling: 0.0,
            ceiling_at: 0,
            feasible: true,
            trust: vec![0.0; models],
        }
    }

    /// Whether there is a window to solve on.
    pub(super) fn is_ready(&self) -> bool {
        self.window.len() >= ENOUGH
    }

    /// The two prices to choose by, and the probability of the second.
    pub(super) fn prices(&self) -> (f64, f64, f64) {
        (self.low, self.high, self.share)
    }

    /// Mean cost of recent requests, in USD.
    pub(super) fn spend(&self) -> f64 {
        self.spend
    }

    /// Mean predicted satisfaction that recent requests fell short of their plan, by exploration.
    pub(super) fn loss(&self) -> f64 {
        self.loss
    }

    /// See [`Steering::trust`]'s field.
    pub(super) fn trust(&self) -> &[f64] {
        &self.trust
    }

    /// Whether what is known says that the demand can be met.
    pub(super) fn is_feasible(&self) -> bool {
        self.feasible
    }

    /// Takes note of a request: per model predicted satisfaction and cost, and the cost and satisfaction expected of the draw.
    /// Returns whether it is time to solve again. O(models).
    pub(super) fn decided(&mut self, satisfaction: Vec<f64>, cost: Vec<f64>, expected: (f64, f64)) -> bool {
        self.requests += 1;
        let rate = (1.0 / self.requests as f64).max(1.0 / COST_MEMORY);
        self.spend += rate * (expected.0 - self.spend);
        for (mean, cost) in self.costs.iter_mut().zip(&cost) {
            *mean += rate * (cost - *mean);
        }
        if self.window.len() == WINDOW {
            self.window.pop_front();
        }
        let row = Row { satisfaction, cost };
        if self.high > 0.0 {
            let options: Vec<_> = row.options(&self.trust).collect();
            let at = |price| choice(&options, price).predicted;
            let planned = (1.0 - self.share) * at(self.low) + self.share * at(self.high);
            let rate = (1.0 / self.requests as f64).max(1.0 / LOSS_MEMORY);
            self.loss += rate * (planned - expected.1 - self.loss);
        }
        self.window.push_back(row);
        self.since_solution += 1;
        // A route that knows the models from others leaves the safe start now: not a request may be decided by no price at all.
        let first = self.window.len() == ENOUGH && self.high <= 0.0;
        first || self.since_solution >= PACE
    }

    /// The zoo or a price has changed: old rows say nothing of it. `places` are the old places of the new models.
    pub(super) fn reconfigure(&mut self, places: &[Option<usize>]) {
        self.window.clear();
        self.costs = places.iter().map(|place| place.map_or(0.0, |place| self.costs[place])).collect();
        self.trust = vec![0.0; places.len()];
    }

    /// Finds the cheapest mix that meets `demand`, with each model taken for worse than predicted by its `wariness`, and for better by its
    /// `trust` if nothing known meets the demand. O(window · models · 40).
    pub(super) fn solve(&mut self, demand: &Demand, wariness: &[f64], trust: &[f64]) {
        self.since_solution = 0;
        let most_expensive = self.costs.iter().copied().fold(0.0, f64::max);
        if !self.is_ready() {
            return;
        }
        if most_expensive <= 0.0 {
            // Everything is free: the most satisfying model serves.
            (self.low, self.high, self.share, self.feasible) = (1.0, 1.0, 1.0, true);
            return;
        }
        let highest = HIGHEST * most_expensive;
        self.trust.fill(0.0);
        let mut rows = self.rows();
        self.feasible = [0.0, highest].into_iter().any(|price| rows.supply(price).satisfaction >= demand.level);
        let earned = if self.feasible { 0.0 } else { 1.0 };
        for (to, (wary, trust)) in self.trust.iter_mut().zip(wariness.iter().zip(trust)) {
            *to = earned * trust - wary;
        }
        if self.trust.iter().any(|trust| *trust != 0.0) {
            rows = self.rows();
        }
        let usual = rows.usual(highest, demand);
        let found = rows.meet(highest, &|spend| demand.at(spend, usual));
        self.settle(found);
    }

    fn rows(&self) -> Rows {
        let mut rows = Rows { options: Vec::new(), ends: Vec::with_capacity(self.window.len()) };
        for row in &self.window {
            rows.options.extend(row.options(&self.trust));
            rows.ends.push(rows.options.len());
        }
        rows
    }

    /// Puts a solution into force, unless its price is above the ceiling.
    fn settle(&mut self, found: Solution) {
        let lowest = FIRST_CEILING * geometric_mean(&self.costs);
        if self.ceiling <= 0.0 {
            (self.ceiling, self.ceiling_at) = (lowest, self.requests);
        }
        let passed = (self.requests - self.ceiling_at) as f64;
        let allowed = self.ceiling * libm::exp(CEILING_GROWTH * passed);
        self.ceiling_at = self.requests;
        if found.high > allowed {
            (self.low, self.high, self.share, self.ceiling) = (allowed, allowed, 1.0, allowed);
        } else {
            (self.low, self.high, self.share) = (found.low, found.high, found.share);
            self.ceiling = (self.ceiling * libm::exp(-CEILING_GROWTH)).max(found.high).max(lowest);
        }
    }
}

impl Row {
    fn options(&self, trust: &[f64]) -> impl Iterator<Item = ModelOption> {
        let models = self.cost.iter().zip(&self.satisfaction).zip(trust);
        models.map(|((&cost, &predicted), trust)| {
            let trusted = predicted + trust;
            ModelOption { cost, predicted, trusted, satisfaction: trusted.min(0.99) }
        })
    }
}

impl Rows {
    /// C(λ_α): the mean cost of meeting the level alone, less the doubt; without bound where it cannot be met.
    fn usual(&self, highest: f64, demand: &Demand) -> f64 {
        let basic = self.meet(highest, &|_| demand.level - demand.slack);
        if basic.met { self.supply(basic.high).spend } else { f64::INFINITY }
    }

    /// Bisects for the smallest price at which the mean predicted satisfaction of the best choices meets what is `wanted` for
    /// their mean cost.
    fn meet(&self, highest: f64, wanted: &dyn Fn(f64) -> f64) -> Solution {
        let met = |supply: &Supply| supply.satisfaction >= wanted(supply.spend);
        let mut low = self.supply(0.0);
        if met(&low) {
            return Solution { low: 0.0, high: 0.0, share: 0.0, met: true };
        }
        let mut high = self.supply(highest);
        if !met(&high) {
            return Solution { low: highest, high: highest, share: 1.0, met: false };
        }
        self.bisect(highest, &met, &mut low, &mut high);
        let gain = high.satisfaction - low.satisfaction;
        let share = if gain > 0.0 { ((wanted(high.spend) - low.satisfaction) / gain).clamp(0.0, 1.0) } else { 1.0 };
        Solution { low: low.price, high: high.price, share, met: true }
    }

    /// Brings the two prices together, `low` where the demand is not met and `high` where it is.
    fn bisect(&self, highest: f64, met: &dyn Fn(&Supply) -> bool, low: &mut Supply, high: &mut Supply) {
        let mut first = highest * LOWEST;
        while high.price > low.price * PRECISION {
            let price = if low.price > 0.0 { (low.price * high.price).sqrt() } else { first };
            first *= 10.0;
            if low.price == 0.0 && price >= high.price {
                break;
            }
            let supply = self.supply(price);
            *(if met(&supply) { &mut *high } else { &mut *low }) = supply;
            if high.price <= highest * LOWEST {
                break;
            }
        }
    }

    /// What the best choices of the window give at a price.
    fn supply(&self, price: f64) -> Supply {
        let (mut satisfaction, mut spend) = (0.0, 0.0);
        let mut from = 0;
        for &end in &self.ends {
            let best = choice(&self.options[from..end], price);
            from = end;
            satisfaction += best.satisfaction;
            spend += best.cost;
        }
        let count = self.ends.len() as f64;
        Supply { price, satisfaction: satisfaction / count, spend: spend / count }
    }
}

/// The best of the options for one request if satisfaction is worth `price`.
fn choice(options: &[ModelOption], price: f64) -> ModelOption {
    let (mut best, mut least) = (options[0], f64::INFINITY);
    for option in options {
        let score = option.cost - price * option.trusted;
        if score < least {
            (best, least) = (*option, score);
        }
    }
    best
}

/// Of those that are not free; 0 if all are.
fn geometric_mean(costs: &[f64]) -> f64 {
    let (sum, count) = costs
        .iter()
        .filter(|cost| **cost > 0.0)
        .fold((0.0, 0.0), |(sum, count), cost| (sum + libm::log(*cost), count + 1.0));
    if count > 0.0 { libm::exp(sum / count) } else { 0.0 }
}
