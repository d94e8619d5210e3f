//! What the page of a route needs beside sums.

use slarouter_core::Timestamp;

/// Parts into which predictions are put for comparison.
pub const TENTHS: usize = 10;

/// A configuration of a route, and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configured {
    /// When it was put in force.
    pub time: Timestamp,
    /// As JSON.
    pub spec: String,
}

/// Ratings of answers of which about the same satisfaction had been predicted: from this tenth of the range on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tenth {
    /// How many.
    pub ratings: u64,
    /// The sum of the predictions.
    pub predicted: f64,
    /// The sum of the ratings.
    pub rated: f64,
}
