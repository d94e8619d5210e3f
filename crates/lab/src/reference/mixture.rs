//! Fixed mixtures of models.

/// The cheapest fixed random mixture of models whose mean satisfaction reaches α: knows all means, no context.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mixture {
    /// Its mean satisfaction.
    pub satisfaction: f64,
    /// Its mean cost in USD per request.
    pub cost: f64,
    /// Whether α can be reached at all; if not, this is the most satisfying model.
    pub feasible: bool,
}

impl Mixture {
    /// The cheapest mixture of `models`, given as (satisfaction, cost). Two models are enough: the optimum of a linear programme
    /// with two constraints. O(models²). `models` must not be empty.
    #[must_use]
    pub fn cheapest(models: &[(f64, f64)], alpha: f64) -> Self {
        let best = models.iter().copied().max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.total_cmp(&a.1)));
        let (satisfaction, cost) = best.unwrap_or((0.0, 0.0));
        let mut found = Self { satisfaction, cost, feasible: satisfaction >= alpha };
        if !found.feasible {
            return found;
        }
        let mut offer = |satisfaction: f64, cost: f64| {
            if cost < found.cost {
                found = Self { satisfaction, cost, feasible: true };
            }
        };
        for &(s, c) in models.iter().filter(|(s, _)| *s >= alpha) {
            offer(s, c);
            for &(low_s, low_c) in models.iter().filter(|(low, _)| *low < alpha) {
                let share = (alpha - low_s) / (s - low_s);
                offer(alpha, share * c + (1.0 - share) * low_c);
            }
        }
        found
    }
}
