//! What is summed, by what it is told apart, and what comes of it.

use std::sync::Arc;

use slarouter_core::{Certificate, Timestamp};

use super::{DAY_MS, MINUTE_MS, Totals};

/// Most points of a series.
pub const MOST_POINTS: usize = 2_000;
/// For how long sums by the minute are kept; those of quarters of an hour and of days stay.
pub const MINUTES_KEPT_MS: u64 = 32 * DAY_MS;

/// Which requests are summed: those that were decided from `from` on and before `to`, of all routes, models and payers, or of these.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Rounded down to the minute, or to the quarter of an hour once its minutes are no longer kept.
    pub from: Timestamp,
    /// Rounded up likewise.
    pub to: Timestamp,
    /// This route's alone; a tenant's own route is one (`route/tenant`).
    pub route: Option<Arc<str>>,
    /// What this model answered.
    pub model: Option<Arc<str>>,
    /// What was asked with the key of this name; empty for those without a name.
    pub key: Option<Arc<str>>,
    /// What is this tenant's; empty for what is no tenant's.
    pub tenant: Option<Arc<str>>,
}

/// By what sums are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The route that decided; empty where a model in no route was named.
    Route,
    /// The model that answered, or the last one tried.
    Model,
    /// The name of the key; empty without one.
    Key,
    /// The tenant; empty without one.
    Tenant,
    /// The calendar day, as `2026-11-29`.
    Day,
    /// The calendar month, as `2026-11`.
    Month,
}

/// Sums, with the names of what they are of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// One for each [`By`] that was asked for, in that order.
    pub names: Vec<Arc<str>>,
    /// The sums.
    pub totals: Totals,
}

/// What [`crate::Store::roll_up`] has added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Added {
    /// By the minute, of all payers.
    pub minutes: Vec<Minute>,
    /// There is more to count.
    pub more: bool,
}

/// Sums of a minute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Minute {
    /// Where it begins.
    pub start: Timestamp,
    /// The route that decided; empty where a model in no route was named.
    pub route: Arc<str>,
    /// The model that answered, or the last one tried.
    pub model: Arc<str>,
    /// The sums.
    pub totals: Totals,
}

/// How far apart the points of a series are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// So many minutes, above 0, counted from 1970 in UTC.
    Minutes(u64),
    /// So many calendar days, above 0, counted from the day of `from`.
    Days(u64),
}

/// A point of a series.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Where its step begins.
    pub start: Timestamp,
    /// What was decided within it.
    pub totals: Totals,
    /// What could be promised at its end, if the series is of one route and the learner ran.
    pub certificate: Option<RouteCertificate>,
}

/// What could be promised of a route at a time.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteCertificate {
    /// The route.
    pub route: Arc<str>,
    /// When.
    pub time: Timestamp,
    /// Its target then.
    pub alpha: f64,
    /// The bounds.
    pub certificate: Certificate,
}

impl Step {
    /// The shortest of the usual steps with which this range has no more than `most` points, which minutes are kept for if it is of minutes.
    #[must_use]
    pub fn at_most(most: usize, from: Timestamp, to: Timestamp) -> Self {
        const USUAL: [u64; 9] = [1, 2, 5, 15, 30, 60, 120, 240, 720];
        let (length, most) = (to.0.saturating_sub(from.0), most.max(1) as u64);
        let fits = |step: &u64| length / (step * MINUTE_MS) < most;
        let minutes = USUAL.into_iter().filter(|step| step % 15 == 0 || length <= MINUTES_KEPT_MS).find(fits);
        minutes.map_or_else(|| Self::Days((length / DAY_MS + 2).div_ceil(most)), Self::Minutes)
    }
}
