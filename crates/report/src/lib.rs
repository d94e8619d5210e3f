//! What the log says of a period: whether the promises were kept and how sure that is, what it cost and what was saved.
//!
//! A report is a pure function of the log up to one event, of the period and of the time zone, so that whoever has a copy of the log can make
//! it again. It says all three, and the hash of that log.

mod changes;
mod facts;
mod judge;
mod pages;
mod promise;
mod verify;

use std::ops::Range;

use slarouter_core::Timestamp;
use slarouter_learner::LearningError;
use slarouter_store::{Store, StoreError};

pub use changes::Incident;
pub use facts::{Bill, Day, Month, Report, Route};
pub use promise::{Promise, Verdict};
pub use verify::Terms;

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One file without scripts, for screen and paper.
    Html,
    /// CommonMark with tables.
    Markdown,
    /// All its facts.
    Json,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The log cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A configuration of the log cannot be read.
    #[error(transparent)]
    Learning(#[from] LearningError),
    /// The page cannot be written.
    #[error("the report cannot be written: {0}")]
    Page(#[from] askama::Error),
    /// Nor can the JSON.
    #[error("the report cannot be written: {0}")]
    Json(#[from] serde_json::Error),
}

/// The report of what was decided in this period, by the log up to the event `until`: ratings that came later are not in it.
///
/// Reads the log up to there twice; as long as `slarouter verify` takes.
///
/// # Errors
/// [`ReportError`]
pub async fn report(store: &dyn Store, period: Range<Timestamp>, until: u64) -> Result<Report, ReportError> {
    facts::gather(store, period, until).await
}
