//! A promise of a month, and what became of it.

use serde::Serialize;

/// What became of a promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Proven with the assurance.
    Kept,
    /// The contrary is.
    Broken,
    /// The evidence decides neither.
    NotDecided,
    /// There was none.
    NoPromise,
}

/// What was promised of the answers of a month, and what is proven of them.
#[derive(Clone, Debug, Serialize)]
pub struct Promise {
    /// The share of answers that must satisfy, at the end of the month.
    pub alpha: f64,
    /// With which probability the bounds hold.
    pub assurance: f64,
    /// At least this share did.
    pub lower: f64,
    /// About this share did.
    pub estimate: f64,
    /// At most this share did.
    pub upper: f64,
    /// Answers that the bounds speak of.
    pub answers: u64,
    /// Labels that they rest on.
    pub labels: u64,
    /// Ratings that were set aside, beyond the limit or the share of their rater.
    pub set_aside: u64,
}

impl Promise {
    pub(crate) fn verdict(&self) -> Verdict {
        match (self.lower >= self.alpha, self.upper < self.alpha) {
            (true, _) => Verdict::Kept,
            (_, true) => Verdict::Broken,
            _ => Verdict::NotDecided,
        }
    }
}
