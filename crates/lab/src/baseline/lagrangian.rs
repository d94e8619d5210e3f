//! The constraint of the bandits: a price of satisfaction, found by dual ascent.

/// λ of `argmin ĉ_m − λ·ŝ_m`, with ĉ scaled to \[0, 1\].
///
/// Projected dual ascent on the labels: λ ← max(0, λ + (α − s)/√n) after the n-th label, with the 1/√n step that gives online
/// gradient descent its regret bound whatever the length of the run. Source: Zinkevich, "Online convex programming and
/// generalized infinitesimal gradient ascent", 2003; for bandits with such constraints Agrawal and Devanur, "Bandits with
/// concave rewards and convex knapsacks", 2014.
#[derive(Clone, Debug)]
pub(crate) struct Lagrangian {
    alpha: f64,
    lambda: f64,
    labels: f64,
}

impl Lagrangian {
    pub(crate) fn new(alpha: f64) -> Self {
        Self { alpha, lambda: 0.0, labels: 0.0 }
    }

    pub(crate) fn observe(&mut self, score: f64) {
        self.labels += 1.0;
        self.lambda = (self.lambda + (self.alpha - score) / self.labels.sqrt()).max(0.0);
    }

    /// The model with the least `ĉ − λ·ŝ`; of equals the cheaper, which matters while λ is 0 or nothing is known.
    pub(crate) fn choose(&self, costs: &[f64], satisfaction: &[f64]) -> usize {
        let value = |model: usize| (costs[model] - self.lambda * satisfaction[model], costs[model]);
        let mut best = 0;
        for model in 1..costs.len() {
            if value(model) < value(best) {
                best = model;
            }
        }
        best
    }
}
