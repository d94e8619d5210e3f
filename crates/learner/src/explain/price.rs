//! The ranking of a decision's candidates, read back from its row.

use std::sync::Arc;

use slarouter_core::{Candidate, Decision, Reason, told_usd};

use super::explanation::WouldWin;

/// Prices that differ by less than this share are one.
const EQUAL: f64 = 1e-9;

/// Candidates ranked by `cost − λ (satisfaction + trust)`.
pub(super) struct Ranking {
    /// λ, USD that a satisfied answer is worth: the higher of the two prices that the policy draws between.
    pub(super) price: f64,
    /// The candidate with the least score of those that could be chosen.
    pub(super) best: Arc<str>,
    least: f64,
    best_cost: f64,
}

impl Ranking {
    /// By the price that the state of the moment had, if it is known, else by the one that the row tells: it is too low where models
    /// other than the fallback were taken for worse than predicted. `None` where the candidates were not ranked by such a price: the
    /// client named the model, or there was too little evidence.
    pub(super) fn of(decision: &Decision, known: Option<f64>) -> Option<Self> {
        if matches!(decision.reason, Reason::Pinned | Reason::Fallback) || decision.candidates.len() < 2 {
            return None;
        }
        // The fallback alone may have been trusted beyond its prediction, which makes its own figure the larger one.
        let prices = decision.candidates.iter().map(|c| (c.cost - c.score) / c.satisfaction);
        let price = known.unwrap_or_else(|| prices.fold(f64::INFINITY, f64::min));
        let most_expensive = decision.candidates.iter().map(|c| c.cost).fold(0.0, f64::max);
        // Before there is evidence the scores are at the highest cost, and nothing is chosen by them.
        if !price.is_finite() || price <= 0.0 || (price - most_expensive).abs() <= EQUAL * price {
            return None;
        }
        let all_excluded = decision.candidates.iter().all(|c| c.excluded);
        let open = decision.candidates.iter().filter(|c| all_excluded || !c.excluded);
        let best =
            open.min_by(|a, b| (a.score, a.cost).partial_cmp(&(b.score, b.cost)).unwrap_or(std::cmp::Ordering::Equal))?;
        Some(Self { price, best: best.model.clone(), least: best.score, best_cost: best.cost })
    }

    /// Predicted cost of the best one. At the lower of the two prices no dearer one is the best.
    pub(super) fn best_cost(&self) -> f64 {
        self.best_cost
    }

    /// What would have put this candidate first; `None` if it is first.
    pub(super) fn would_win(&self, candidate: &Candidate) -> Option<WouldWin> {
        if candidate.model == self.best {
            return None;
        }
        let lead = candidate.score - self.least;
        let satisfaction = candidate.satisfaction + lead / self.price;
        let cost = candidate.cost - lead;
        Some(WouldWin {
            satisfaction: Some(satisfaction).filter(|needed| *needed <= 1.0),
            cost_usd: Some(told_usd(cost)).filter(|needed| *needed >= 0.0),
        })
    }
}
