//! What is stored.

use std::sync::Arc;

use crate::keys::Spending;
use crate::replica::Term;
use crate::trace::TraceId;
use slarouter_core::{AuditDraw, Decision, DecisionId, Rater, Rating, Reason, Receipt, Source, Timestamp};

/// By whose key a request was made, and for which tenant: who is billed for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Payer {
    /// The key's name; `None` if it has none, or if no key was needed.
    pub key: Option<Arc<str>>,
    /// The tenant whose key it is, or whose route.
    pub tenant: Option<Arc<str>>,
}

/// A decision, with all that is needed to learn from its feedback later and to evaluate other policies on it.
#[derive(Clone, Debug, PartialEq)]
pub struct DecisionRecord {
    /// Its id.
    pub id: DecisionId,
    /// When it was made.
    pub time: Timestamp,
    /// The route it was made for.
    pub route: Arc<str>,
    /// The decision, with the whole probability vector.
    pub decision: Decision,
    /// The features it was made from.
    pub features: Vec<f32>,
    /// Their version.
    pub feature_version: u32,
    /// Estimated input tokens.
    pub input_tokens: f64,
    /// The last event that the state it was made from had seen.
    pub state_seq: u64,
    /// The messages, if the operator wants them kept.
    pub prompt: Option<String>,
    /// Whether it was drawn for audit.
    pub audit: AuditDraw,
    /// Who is billed.
    pub payer: Payer,
    /// Place among the candidates of the model that serves where nothing may be chosen, with which savings are compared; `None` where
    /// the client named the model, and in rows of before it was logged.
    pub fallback: Option<usize>,
    /// The id that the application has given the answer.
    pub trace: Option<TraceId>,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq)]
pub struct OutcomeRecord {
    /// Its decision.
    pub decision: DecisionId,
    /// When it ended.
    pub time: Timestamp,
    /// The model that answered, or the last one tried.
    pub model: Arc<str>,
    /// HTTP status that the client got; 499 if it went away.
    pub status: u16,
    /// Whether the answer was delivered whole.
    pub ok: bool,
    /// Whether it was a stream.
    pub streamed: bool,
    /// Calls to upstreams.
    pub attempts: u32,
    /// Input tokens billed, if reported.
    pub input_tokens: Option<f64>,
    /// Those of them that came from the provider's cache.
    pub cached_tokens: Option<f64>,
    /// Those of them that were written to it.
    pub cache_write_tokens: Option<f64>,
    /// Output tokens billed, if reported.
    pub output_tokens: Option<f64>,
    /// Those of them that were reasoning.
    pub reasoning_tokens: Option<f64>,
    /// USD.
    pub cost: f64,
    /// From arrival to the last byte.
    pub latency_ms: f64,
    /// From arrival to the first byte of the upstream.
    pub ttft_ms: Option<f64>,
    /// What went wrong.
    pub error: Option<String>,
}

/// A rating or an audit as it was given.
#[derive(Clone, Debug, PartialEq)]
pub struct FeedbackRecord {
    /// The rated decision.
    pub decision: DecisionId,
    /// When it was given.
    pub time: Timestamp,
    /// Whose word it is.
    pub source: Source,
    /// Who rates.
    pub rater: Rater,
    /// The rating; `None` withdraws.
    pub rating: Option<Rating>,
    /// In the rater's words.
    pub comment: Option<String>,
}

/// What [`crate::Store::log`] takes.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// A decision.
    Decision(DecisionRecord),
    /// Another model than the chosen one answers.
    Reroute {
        /// The decision.
        decision: DecisionId,
        /// The model that answers.
        model: Arc<str>,
    },
    /// The end of a request.
    Outcome(OutcomeRecord),
    /// Something is spent, reserved or given back. No event of the log: it has no number, and nothing is learnt from it.
    Spend(Spending),
}

/// An event of the log, as the learner reads it.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A route took a configuration into force.
    Configured {
        /// Its number.
        seq: u64,
        /// When.
        time: Timestamp,
        /// The route.
        route: Arc<str>,
        /// The configuration as JSON.
        spec: String,
    },
    /// A decision was made.
    Decided {
        /// Its number.
        seq: u64,
        /// When.
        time: Timestamp,
        /// Its id.
        id: DecisionId,
        /// The route.
        route: Arc<str>,
        /// The decision.
        decision: Decision,
    },
    /// A request ended.
    Finished {
        /// Its number.
        seq: u64,
        /// The route.
        route: Arc<str>,
        /// Why the model had been chosen.
        reason: Reason,
        /// How it ended.
        outcome: OutcomeRecord,
        /// If it got no whole answer, not by its client's doing, before anybody had rated it.
        failed: Option<Failed>,
    },
    /// Another model than the chosen one answers a decision that nobody had rated; the first time only.
    Rerouted {
        /// Its number.
        seq: u64,
        /// The decision.
        decision: DecisionId,
        /// The route.
        route: Arc<str>,
        /// Why the model had been chosen.
        reason: Reason,
        /// When the decision was made.
        decided_at: Timestamp,
        /// What was predicted of the model chosen.
        old: f64,
        /// What was predicted of the model that answers.
        new: f64,
    },
    /// An answer was rated.
    Rated {
        /// Its number.
        seq: u64,
        /// When.
        time: Timestamp,
        /// The route.
        route: Arc<str>,
        /// The rating, joined with its decision.
        rated: Rated,
    },
    /// What was learnt is put back to what it was at an earlier event.
    RolledBack {
        /// Its number.
        seq: u64,
        /// When.
        time: Timestamp,
        /// The last event that is known again.
        to: u64,
        /// All that was known then, as it is saved.
        states: Vec<(Arc<str>, Vec<u8>)>,
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

/// A request that failed, joined with its decision.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Failed {
    /// When the decision was made.
    pub decided_at: Timestamp,
    /// What was predicted of the model that was to answer.
    pub predicted: f64,
}

/// A rating, joined with its decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Rated {
    /// The rated decision.
    pub decision: DecisionId,
    /// When it was made.
    pub decided_at: Timestamp,
    /// The model that answered.
    pub model: Arc<str>,
    /// Why the model had been chosen.
    pub reason: Reason,
    /// The features the decision was made from.
    pub features: Vec<f32>,
    /// Their version.
    pub feature_version: u32,
    /// What was predicted of the model then chosen, or of the one that took its place ([`Event::Rerouted`]).
    pub predicted: f64,
    /// Whether the decision had [`Failed`]: it is no answer to be rated.
    pub failed: bool,
    /// Whose word it is.
    pub source: Source,
    /// Who rated.
    pub rater: Rater,
    /// The rating; `None` withdraws.
    pub rating: Option<Rating>,
    /// What the caller was told.
    pub receipt: Receipt,
}

/// A decision as found in the log.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredDecision {
    /// Its number.
    pub seq: u64,
    /// The decision.
    pub record: DecisionRecord,
    /// The model that answered in place of the chosen one, if any.
    pub rerouted: Option<Arc<str>>,
    /// It is in the archive: nothing is known of its features, of the candidates that were not chosen, and of the state that it was made from.
    pub archived: bool,
}

/// Answers that wait for an auditor.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PendingAudits {
    /// Oldest first.
    pub found: Vec<PendingAudit>,
    /// Numbers of decisions among them that cannot be read; of very many the first.
    pub unreadable: Vec<u64>,
}

/// An answer that waits for an auditor.
#[derive(Clone, Debug, PartialEq)]
pub struct PendingAudit {
    /// Its decision.
    pub decision: DecisionId,
    /// When that was made.
    pub time: Timestamp,
    /// The route.
    pub route: Arc<str>,
    /// The probability with which it was drawn.
    pub rate: f64,
    /// The model that answered, or the last one tried.
    pub model: Arc<str>,
    /// HTTP status that the client got.
    pub status: u16,
    /// Whether the answer was delivered whole.
    pub ok: bool,
    /// The messages, if they were kept.
    pub prompt: Option<String>,
}

/// A saved state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The route.
    pub route: Arc<str>,
    /// The last event that has gone in.
    pub seq: u64,
    /// When it was saved.
    pub time: Timestamp,
    /// The state.
    pub state: Vec<u8>,
    /// Under whom that event was appended, where processes share the log.
    pub by: Option<Term>,
}

/// What comes next in a log that may turn out to be another one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Following {
    /// As [`crate::Store::events_after`] tells them.
    pub events: Vec<Event>,
    /// Who held the log that these are of, each from after which event; none where no process shares it.
    pub terms: Vec<(u64, Term)>,
    /// The log does not hold what was learnt, as its database has lost commits: nothing of this is what comes next.
    pub is_another: bool,
}

impl Following {
    /// Under whom this event was appended.
    #[must_use]
    pub fn by(&self, seq: u64) -> Option<Term> {
        self.terms.iter().rev().find(|(after, _)| *after < seq).map(|(_, term)| *term)
    }
}

/// How much there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Decisions.
    pub decisions: u64,
    /// Outcomes.
    pub outcomes: u64,
    /// Ratings, changes and withdrawals.
    pub feedback: u64,
}

impl Event {
    /// Its number in the log.
    #[must_use]
    pub fn seq(&self) -> u64 {
        match self {
            Self::Configured { seq, .. }
            | Self::Decided { seq, .. }
            | Self::Finished { seq, .. }
            | Self::Rerouted { seq, .. }
            | Self::Rated { seq, .. }
            | Self::RolledBack { seq, .. }
            | Self::Unreadable { seq, .. } => *seq,
        }
    }
}

/// A copy of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backup {
    /// Size of its file.
    pub bytes: u64,
    /// The last event that is in it.
    pub log_seq: u64,
}
