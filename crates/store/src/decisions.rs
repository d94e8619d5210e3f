//! Decisions as people look at them: page by page, and one with all that came of it.

use std::sync::Arc;

use slarouter_core::{DecisionId, Rater, Reason, Receipt, Source, Timestamp};

use crate::{OutcomeRecord, StoredDecision, TraceId};

/// Which decisions are listed, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DecisionQuery {
    /// Those with a smaller number in the log; the newest if left out.
    pub before: Option<u64>,
    /// Those of this route alone.
    pub route: Option<Arc<str>>,
    /// Those that this model answered, or was to.
    pub model: Option<Arc<str>>,
    /// Those made for this reason.
    pub reason: Option<Reason>,
    /// At most so many.
    pub limit: usize,
}

/// One page of the list.
#[derive(Clone, Debug, PartialEq)]
pub struct DecisionPage {
    /// Newest first.
    pub lines: Vec<DecisionLine>,
    /// `before` of the next page; `None` where the log begins. A page looks through a bounded piece of the log, so one with few or no
    /// lines may have a next one.
    pub next: Option<u64>,
}

/// A decision in the list.
#[derive(Clone, Debug, PartialEq)]
pub struct DecisionLine {
    /// Its number in the log.
    pub seq: u64,
    /// Its id.
    pub id: DecisionId,
    /// When it was made.
    pub time: Timestamp,
    /// The route; empty where a model outside of all routes was named.
    pub route: Arc<str>,
    /// Why the model was chosen.
    pub reason: Reason,
    /// The model chosen.
    pub chosen: Arc<str>,
    /// The model that answered, or was to.
    pub model: Arc<str>,
    /// Predicted satisfaction of the model chosen.
    pub satisfaction: f64,
    /// Its predicted cost in USD.
    pub predicted_cost: f64,
    /// HTTP status that the client got; `None` while the request is under way.
    pub status: Option<u16>,
    /// USD charged.
    pub cost: Option<f64>,
    /// From arrival to the last byte.
    pub latency_ms: Option<f64>,
    /// Mean of its users' ratings in force.
    pub rating: Option<f64>,
    /// The id that the application has given the answer.
    pub trace: Option<TraceId>,
}

/// A decision and what came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct DecisionHistory {
    /// As it was logged.
    pub decision: StoredDecision,
    /// The configuration of its route that the state was of, as JSON; `None` for a decision of no route.
    pub configuration: Option<String>,
    /// How its request ended, once it has.
    pub outcome: Option<OutcomeRecord>,
    /// All words on it, in the order in which they came.
    pub feedback: Vec<LoggedFeedback>,
}

/// A rating or an audit as the log has it.
#[derive(Clone, Debug, PartialEq)]
pub struct LoggedFeedback {
    /// Its number in the log.
    pub seq: u64,
    /// When it was given.
    pub time: Timestamp,
    /// Whose word it is.
    pub source: Source,
    /// Who rated.
    pub rater: Rater,
    /// The rating; `None` withdraws.
    pub rating: Option<f64>,
    /// What became of it.
    pub receipt: Receipt,
    /// In the rater's words.
    pub comment: Option<String>,
}
