//! From what a report was made: so that it can be made again.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use slarouter_core::Timestamp;
use slarouter_store::Calendar;

/// What a report depends on beside the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// The release that made it.
    pub version: String,
    /// The first moment of the period, in milliseconds since 1970.
    pub from_ms: u64,
    /// The first moment after it.
    pub to_ms: u64,
    /// The days of that, as `2026-11-01`.
    pub from: String,
    /// The first day that is no longer in it.
    pub to: String,
    /// Whose days and months they are.
    pub time_zone: String,
    /// The last event of the log that is in it.
    pub log_seq: u64,
}

impl Terms {
    pub(crate) fn new(period: &Range<Timestamp>, until: u64, calendar: &Calendar) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            from_ms: period.start.0,
            to_ms: period.end.0,
            from: calendar.date(period.start),
            to: calendar.date(period.end),
            time_zone: calendar.name().to_owned(),
            log_seq: until,
        }
    }

    /// The period.
    #[must_use]
    pub fn period(&self) -> Range<Timestamp> {
        Timestamp(self.from_ms)..Timestamp(self.to_ms)
    }

    /// Those of a report in any of its formats; `None` if it is none.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        if let Ok(terms) = serde_json::from_str(text) {
            return Some(terms);
        }
        // Markdown and HTML have them in a comment of one line.
        let line =
            text.lines().find_map(|line| line.trim().strip_prefix("<!-- slarouter-report ")?.strip_suffix(" -->"))?;
        serde_json::from_str(line).ok()
    }

    /// That comment. No name of a zone or release can end it early.
    ///
    /// # Errors
    /// Never: words and numbers can always be written.
    pub(crate) fn comment(&self) -> Result<String, serde_json::Error> {
        Ok(format!("<!-- slarouter-report {} -->", serde_json::to_string(self)?))
    }
}
