//! The log table by table and row by row, for who takes all of it out.

use std::sync::Arc;

use slarouter_core::Timestamp;

use crate::{LoggedFeedback, OutcomeRecord, RouteCertificate, StoredDecision};

/// A table of the log. Reroutes have no rows of their own: they are told with their decisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogTable {
    /// Configurations of routes.
    Configurations,
    /// Decisions.
    Decisions,
    /// How requests ended.
    Outcomes,
    /// Ratings and audits.
    Feedback,
}

/// Which rows are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowQuery {
    /// Of this table.
    pub table: LogTable,
    /// With a greater number than this.
    pub after: u64,
    /// As the log was after this event, the last one that counts.
    pub until: u64,
    /// At most so many.
    pub limit: usize,
    /// With the messages, where they were kept.
    pub prompts: bool,
}

/// A row of the log.
#[derive(Clone, Debug, PartialEq)]
pub enum LogRow {
    /// A route took a configuration into force.
    Configuration {
        /// Its number.
        seq: u64,
        /// When.
        time: Timestamp,
        /// The route.
        route: Arc<str>,
        /// The configuration as JSON.
        spec: String,
    },
    /// A decision.
    Decision(Box<StoredDecision>),
    /// The end of a request.
    Outcome {
        /// Its number.
        seq: u64,
        /// Whose end it is.
        of: DecisionRef,
        /// Whether it is the first one of its decision, which alone is in sums and reports.
        counted: bool,
        /// How it ended.
        outcome: Box<OutcomeRecord>,
    },
    /// A rating or an audit.
    Feedback {
        /// What it is about.
        of: DecisionRef,
        /// Whether it is in force, and so in sums and reports: a rating that came in time, and the last word of its rater on its decision.
        counted: bool,
        /// As it was given.
        feedback: Box<LoggedFeedback>,
    },
    /// A row that does not hold what this release writes, or whose decision does not.
    Unreadable {
        /// Its number.
        seq: u64,
        /// Where it is.
        table: &'static str,
        /// Which column, and what is wrong with it.
        what: String,
    },
}

/// The decision that a row is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecisionRef {
    /// Its number.
    pub seq: u64,
    /// When it was made.
    pub time: Timestamp,
    /// The route; empty where a model outside of all routes was named.
    pub route: Arc<str>,
}

/// The last certificate of a route in a span of time, as it was published then.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanCertificate {
    /// How long the span is.
    pub span: CertificateSpan,
    /// The certificate; its time is when the span begins.
    pub certificate: RouteCertificate,
}

/// A length of time of which the last certificate is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateSpan {
    /// Kept for [`crate::MINUTES_KEPT_MS`].
    Minute,
    /// A quarter of an hour.
    Quarter,
    /// A day of `server.time_zone`.
    Day,
}

impl LogRow {
    /// Its number in the log.
    #[must_use]
    pub fn seq(&self) -> u64 {
        match self {
            Self::Configuration { seq, .. } | Self::Outcome { seq, .. } | Self::Unreadable { seq, .. } => *seq,
            Self::Decision(decision) => decision.seq,
            Self::Feedback { feedback, .. } => feedback.seq,
        }
    }
}

impl CertificateSpan {
    /// All of them, in the order of the column `span`.
    pub(crate) const ALL: [Self; 3] = [Self::Minute, Self::Quarter, Self::Day];

    /// In words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Quarter => "quarter",
            Self::Day => "day",
        }
    }
}
