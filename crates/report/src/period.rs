//! The period that somebody names.

use std::ops::Range;

use slarouter_core::Timestamp;
use slarouter_store::Calendar;

/// Why it is none.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PeriodError {
    /// What is no date.
    #[error("{name} {date:?} must be a day from 1970 on, as in 2026-11-01, or a month, as in 2026-11")]
    Date {
        /// `from` or `to`.
        name: &'static str,
        /// What was written.
        date: String,
    },
    /// An end that is not after the start.
    #[error("to must be after from: it is the first day that is no longer in the period")]
    Order,
}

impl PeriodError {
    /// The date that is wrong: `from` or `to`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Date { name, .. } => name,
            Self::Order => "to",
        }
    }
}

/// From the first moment of the day or month `from` to that of `to`, or to the end of the month of `from`.
///
/// # Errors
/// [`PeriodError`]
pub fn period(calendar: &Calendar, from: &str, to: Option<&str>) -> Result<Range<Timestamp>, PeriodError> {
    let moment =
        |name, date: &str| calendar.parse(date).ok_or_else(|| PeriodError::Date { name, date: date.to_owned() });
    let from = moment("from", from)?;
    let to = to.map_or_else(|| Ok(calendar.month(from).end), |to| moment("to", to))?;
    if from < to { Ok(from..to) } else { Err(PeriodError::Order) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_named_by_days_and_months() {
        let calendar = Calendar::default();
        let named = |from: &str, to: Option<&str>| {
            period(&calendar, from, to).map(|period| [period.start, period.end].map(|at| calendar.date(at)))
        };
        let days = |from: &str, to: &str| Ok([from.to_owned(), to.to_owned()]);
        assert_eq!(named("2026-11", None), days("2026-11-01", "2026-12-01"));
        assert_eq!(named("2026-11-15", None), days("2026-11-15", "2026-12-01"));
        assert_eq!(named("2026-11-15", Some("2027-01")), days("2026-11-15", "2027-01-01"));
        assert_eq!(named("2026-11", Some("2026-11-01")), Err(PeriodError::Order));
        let error = named("2026-11", Some("soon")).unwrap_err();
        assert_eq!(error.name(), "to");
        assert!(error.to_string().starts_with("to \"soon\" must be a day from 1970 on"), "{error}");
    }
}
