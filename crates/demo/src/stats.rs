//! What the users know of the demo: the truth, as it is a simulated world.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;
use slarouter_core::{Account, Agreement, Certificate, told_usd};
use slarouter_gateway::RouteView;
use slarouter_lab::Mixture;

use crate::judge::Judged;

/// Requests that "now" means.
const WINDOW: usize = 500;
/// Requests per point of the curves.
const POINT: u64 = 50;

/// One answered request.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) model: String,
    pub(crate) explored: bool,
    pub(crate) satisfies: bool,
    pub(crate) cost: f64,
    /// What each model would have done, in the order of the world's models, the most expensive one last.
    pub(crate) each: Vec<Alternative>,
}

/// What a model would have made of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Alternative {
    pub(crate) satisfies: bool,
    /// USD.
    pub(crate) cost: f64,
}

pub(crate) struct Stats {
    pub(crate) models: Vec<String>,
    pub(crate) requests: u64,
    pub(crate) failures: u64,
    pub(crate) rated: u64,
    pub(crate) judged: Judged,
    /// Milliseconds of simulated time.
    lasted: u64,
    satisfied: u64,
    explored: u64,
    cost: f64,
    /// USD that the most expensive model would have cost.
    pub(crate) most_expensive_cost: f64,
    counts: BTreeMap<String, u64>,
    /// How many answers of each model would have satisfied, and what they would have cost in USD.
    each: Vec<(u64, f64)>,
    window: VecDeque<Seen>,
    /// Satisfaction and cost against always-most-expensive of the window, over time.
    pub(crate) curve: Vec<(f64, f64)>,
}

/// Figures over a number of requests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) satisfaction: f64,
    pub(crate) cost: f64,
    pub(crate) most_expensive_cost: f64,
    pub(crate) explored: f64,
    pub(crate) share: BTreeMap<String, f64>,
}

/// What came of a demo.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Requests answered.
    pub requests: u64,
    /// Requests that failed.
    pub failures: u64,
    /// Ratings that users sent.
    pub rated: u64,
    /// Labels that the gateway had learnt from at the end.
    pub labels: u64,
    /// Answers that the judge has read.
    pub verdicts: u64,
    /// USD that it cost, which is not in `cost`.
    pub judge_cost: f64,
    /// How often it and the users say the same of an answer, of all that the database knows.
    pub agreement: Agreement,
    /// True mean satisfaction, which only a simulated world knows.
    pub satisfaction: f64,
    /// The same over the last 500 requests.
    pub satisfaction_now: f64,
    /// Mean of the ratings, which is all that the gateway knows.
    pub rated_satisfaction: Option<f64>,
    /// What the gateway can promise of the satisfaction, of all that its database knows.
    pub certificate: Option<Certificate>,
    /// The target.
    pub alpha: f64,
    /// USD.
    pub cost: f64,
    /// USD that the most expensive model would have cost for the same requests.
    pub most_expensive_cost: f64,
    /// 1 − cost / most_expensive_cost.
    pub saving: f64,
    /// The same over the last 500 requests.
    pub saving_now: f64,
    /// Share of the requests that explored.
    pub explored: f64,
    /// Share of the requests per model.
    pub share: BTreeMap<String, f64>,
    /// Simulated time from the first request to the last rating.
    pub seconds: f64,
}

impl Stats {
    pub(crate) fn new(models: Vec<String>) -> Self {
        Self {
            requests: 0,
            failures: 0,
            rated: 0,
            judged: Judged::default(),
            lasted: 0,
            satisfied: 0,
            explored: 0,
            cost: 0.0,
            most_expensive_cost: 0.0,
            counts: BTreeMap::new(),
            each: vec![(0, 0.0); models.len()],
            window: VecDeque::new(),
            curve: Vec::new(),
            models,
        }
    }

    pub(crate) fn add(&mut self, seen: Seen) {
        self.requests += 1;
        self.satisfied += u64::from(seen.satisfies);
        self.explored += u64::from(seen.explored);
        self.cost += seen.cost;
        self.most_expensive_cost += seen.most_expensive_cost();
        for ((satisfied, cost), other) in self.each.iter_mut().zip(&seen.each) {
            *satisfied += u64::from(other.satisfies);
            *cost += other.cost;
        }
        *self.counts.entry(seen.model.clone()).or_default() += 1;
        self.window.push_back(seen);
        if self.window.len() > WINDOW {
            self.window.pop_front();
        }
        if self.requests.is_multiple_of(POINT) {
            let now = self.now();
            self.curve.push((now.satisfaction, now.cost / now.most_expensive_cost));
        }
    }

    /// So many milliseconds of simulated time have passed.
    pub(crate) fn lasted(&mut self, ms: u64) {
        self.lasted = self.lasted.max(ms);
    }

    /// Seconds of simulated time.
    pub(crate) fn seconds(&self) -> f64 {
        self.lasted as f64 / 1e3
    }

    /// The cheapest fixed mixture of the models that would have kept α on the requests so far: what only a simulated world knows, and
    /// only afterwards. `None` before the first request.
    pub(crate) fn mixture(&self, alpha: f64) -> Option<Mixture> {
        let n = self.requests as f64;
        let means: Vec<_> = self.each.iter().map(|(satisfied, cost)| (*satisfied as f64 / n, cost / n)).collect();
        (self.requests > 0).then(|| Mixture::cheapest(&means, alpha))
    }

    /// The share of the answers so far that the fallback, the most expensive model, would have satisfied with by itself. `None` before the
    /// first request.
    pub(crate) fn fallback(&self) -> Option<f64> {
        let (satisfied, _) = self.each.last()?;
        (self.requests > 0).then(|| *satisfied as f64 / self.requests as f64)
    }

    /// USD.
    pub(crate) fn saved(&self) -> f64 {
        self.most_expensive_cost - self.cost
    }

    /// Over the last 500 requests.
    pub(crate) fn now(&self) -> Figures {
        let n = self.window.len().max(1) as f64;
        let mean = |value: &dyn Fn(&Seen) -> f64| self.window.iter().map(value).sum::<f64>() / n;
        let flag = |yes: bool| f64::from(u8::from(yes));
        let share = |name: &String| (name.clone(), mean(&|seen| flag(seen.model == *name)));
        Figures {
            satisfaction: mean(&|seen| flag(seen.satisfies)),
            cost: mean(&|seen| seen.cost),
            most_expensive_cost: mean(&Seen::most_expensive_cost),
            explored: mean(&|seen| flag(seen.explored)),
            share: self.models.iter().map(share).collect(),
        }
    }

    /// Over all requests.
    pub(crate) fn total(&self) -> Figures {
        let n = self.requests.max(1) as f64;
        let count = |name: &String| self.counts.get(name).copied().unwrap_or_default() as f64 / n;
        Figures {
            satisfaction: self.satisfied as f64 / n,
            cost: self.cost / n,
            most_expensive_cost: self.most_expensive_cost / n,
            explored: self.explored as f64 / n,
            share: self.models.iter().map(|name| (name.clone(), count(name))).collect(),
        }
    }

    pub(crate) fn summary(&self, alpha: f64, route: Option<&RouteView>) -> Summary {
        let account = route.map(|route| &route.account);
        let (total, now) = (self.total(), self.now());
        Summary {
            requests: self.requests,
            failures: self.failures,
            rated: self.rated,
            labels: account.map_or(0, |account| account.labels),
            verdicts: self.judged.verdicts,
            judge_cost: told_usd(self.judged.cost),
            agreement: route.map(|route| route.agreement).unwrap_or_default(),
            satisfaction: total.satisfaction,
            satisfaction_now: now.satisfaction,
            rated_satisfaction: account.and_then(Account::satisfaction),
            certificate: route.and_then(|route| route.certificate),
            alpha,
            cost: told_usd(self.cost),
            most_expensive_cost: told_usd(self.most_expensive_cost),
            saving: total.saving(),
            saving_now: now.saving(),
            explored: total.explored,
            share: total.share,
            seconds: self.seconds(),
        }
    }
}

impl Seen {
    /// USD that the most expensive model would have cost.
    fn most_expensive_cost(&self) -> f64 {
        self.each.last().map_or(0.0, |other| other.cost)
    }
}

impl Figures {
    pub(crate) fn saving(&self) -> f64 {
        if self.most_expensive_cost > 0.0 { 1.0 - self.cost / self.most_expensive_cost } else { 0.0 }
    }
}
