//! The durable log: decisions, outcomes, feedback, and snapshots of what was learnt from them.
//!
//! Everything in the log has one number, `seq`, given by one writer; reading the events in that order and applying them gives
//! the learner's state. Ids and times are made by the caller and stored as they are given.

mod check;
mod columns;
mod command;
mod decisions;
mod error;
mod fingerprint;
mod health;
mod inbox;
mod inspect;
mod inspection;
mod keys;
mod layout;
mod log;
mod open;
mod packed;
mod parse;
mod postgres;
mod records;
mod replica;
mod retention;
mod rollup;
mod rows;
mod spool;
mod sqlite;
mod trace;
mod transfer;
mod views;

// The tests outside and inside share helpers, which name the crate as the outside does.
#[cfg(test)]
extern crate self as slarouter_store;

pub use decisions::{DecisionHistory, DecisionLine, DecisionPage, DecisionQuery, LoggedFeedback};
pub use error::StoreError;
pub use health::Kept;
pub use inspect::inspect;
pub use inspection::{Content, GatewaySeen, Inspection, ServerFacts};
pub use keys::{KeyChange, KeyRecord, LimitUsage, Spending, Together};
pub use log::Store;
pub use open::{backup, beside, compact, join, open, open_to_read, open_with_queue, restore, shown};
pub use records::{
    Backup, Counts, DecisionRecord, Entry, Event, Failed, FeedbackRecord, Following, OutcomeRecord, Payer,
    PendingAudit, PendingAudits, Rated, Snapshot, StoredDecision,
};
pub use replica::{Role, Term, is_lost};
pub use retention::{Compacted, Forgotten, Held, Retention, Shortened, rater};
pub use rollup::{
    Added, By, Calendar, MINUTES_KEPT_MS, MOST_POINTS, Minute, Observed, Point, RouteCertificate, Row, Saving,
    Selection, Step, Totals, observed, saving,
};
pub use rows::{CertificateSpan, DecisionRef, LogRow, LogTable, RowQuery, SpanCertificate};
pub use trace::{TraceId, TraceQuery};
pub use transfer::{Moved, Moving, migrate};
pub use views::{Configured, TENTHS, Tenth};
