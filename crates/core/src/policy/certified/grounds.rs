//! What a decision rested on, for people.

use super::{Certified, Source};

/// What a decision by [`Certified`] rests on beside what its candidates say.
#[derive(Clone, Debug, PartialEq)]
pub struct Grounds {
    /// λ, USD that a satisfied answer is worth: the mean of the two prices chosen by.
    pub satisfaction_price: f64,
    /// The higher of these two prices, at which the candidates are ranked.
    pub ranking_price: f64,
    /// Mean satisfaction asked of the next answers, if it costs no more than usual; above 1 if it cannot be had.
    pub demand: f64,
    /// G, the estimated surplus of satisfied answers over what α asks for; negative for a deficit.
    pub reserve: f64,
    /// U, the surplus that would make sure of α.
    pub wanted_reserve: f64,
    /// Share of the draw that the safeguard leaves to the fallback alone, in \[0, 1\].
    pub safeguarded: f64,
    /// By how much what is predicted of each model on this prompt may be off: one standard deviation, in zoo order.
    pub errors: Vec<f64>,
}

impl Certified {
    /// What a decision on a prompt with these features rests on. O(models · features).
    #[must_use]
    pub fn grounds(&self, features: &[f32]) -> Grounds {
        let (demand, (_, ranking_price, _)) = (self.demand(), self.steering.prices());
        Grounds {
            satisfaction_price: self.satisfaction_price(),
            ranking_price,
            demand: demand.at(1.0, 1.0),
            reserve: demand.surplus,
            wanted_reserve: demand.margin,
            safeguarded: 1.0 - self.safeguard.share(),
            errors: self.predictor.errors(&self.predictor.prepare(features, Source::Audit)),
        }
    }
}
