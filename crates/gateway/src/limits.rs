//! How much a key or tenant may ask and spend.
//!
//! What a request may cost at most is reserved before it goes out, and settled with what it did cost: requests at the same time
//! cannot all pass a check that only one of them should.

mod bucket;
mod budget;
mod hold;
mod meter;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub(crate) use hold::{Estimate, Hold, Spent, admit, describe};
pub(crate) use meter::{Meter, Meters};

/// Limits of a key or a tenant; none where left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Requests per minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u64>,
    /// Tokens per minute, of questions and answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<u64>,
    /// USD per day (UTC).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd_per_day: Option<f64>,
    /// USD per calendar month (UTC).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd_per_month: Option<f64>,
}

/// Beyond it a limit is none, and sums would overflow.
const MOST: u64 = 1_000_000_000_000;
const MOST_USD: f64 = 1e9;

impl Limits {
    pub(crate) fn are_none(&self) -> bool {
        *self == Self::default()
    }

    /// # Errors
    /// What is wrong with them.
    pub(crate) fn check(&self) -> Result<(), String> {
        for (name, value) in
            [("requests_per_minute", self.requests_per_minute), ("tokens_per_minute", self.tokens_per_minute)]
        {
            if value.is_some_and(|value| !(1..=MOST).contains(&value)) {
                return Err(format!("{name} must be from 1 to {MOST}; leave it out for no limit"));
            }
        }
        for (name, value) in [("usd_per_day", self.usd_per_day), ("usd_per_month", self.usd_per_month)] {
            if value.is_some_and(|value| !(0.0..=MOST_USD).contains(&value)) {
                return Err(format!("{name} must be from 0 to {MOST_USD} USD; leave it out for no budget"));
            }
        }
        Ok(())
    }

    /// Whether spending has to be remembered.
    fn has_budget(&self) -> bool {
        self.usd_per_day.is_some() || self.usd_per_month.is_some()
    }
}
