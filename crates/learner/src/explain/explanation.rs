//! An explained decision.

use std::sync::Arc;

use serde::Serialize;
use slarouter_core::{AuditDraw, DecisionId, Reason, told_money, told_percent};

use super::replay::{Replay, Then};

/// A decision, explained.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// What happened, in one sentence or a few.
    pub sentence: String,
    /// Its id.
    #[serde(skip)]
    pub id: DecisionId,
    /// Its number in the log.
    pub seq: u64,
    /// When it was made, in milliseconds since 1970.
    pub time_ms: u64,
    /// The route; empty where a model outside of all routes was named.
    pub route: Arc<str>,
    /// The satisfaction target then; `None` for a decision of no route.
    pub alpha: Option<f64>,
    /// The id that the application has given the answer.
    pub trace_id: Option<String>,
    /// Why the model was chosen.
    pub reason: Reason,
    /// The model chosen.
    pub chosen: Arc<str>,
    /// The model that answered, or was to.
    pub answered: Arc<str>,
    /// Probability with which the chosen model was drawn.
    pub propensity: f64,
    /// Estimated input tokens.
    pub input_tokens: f64,
    /// The last event that the state it was made from had seen.
    pub state_seq: u64,
    /// USD that a satisfied answer was worth in the ranking of the candidates; `None` where they were not ranked by such a price.
    pub satisfaction_price_usd: Option<f64>,
    /// Each model of the route.
    pub candidates: Vec<ExplainedCandidate>,
    /// What else the state of that moment knew; `None` where it cannot be reached.
    pub then: Option<Then>,
    /// Whether it is made again exactly from the log.
    pub replay: Replay,
    /// How the request ended; `None` while it is under way.
    pub outcome: Option<ExplainedOutcome>,
    /// Whether it was drawn for audit, and with which probability.
    pub audit: AuditDraw,
    /// All words on it, oldest first.
    pub feedback: Vec<Word>,
}

/// A model as the decision saw it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExplainedCandidate {
    /// Its name.
    pub model: Arc<str>,
    /// With which it was to be chosen.
    pub probability: f64,
    /// With which the policy would have drawn it; `None` on a route that is not only observed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub planned: Option<f64>,
    /// Predicted satisfaction.
    pub satisfaction: f64,
    /// By how much that may be off: one standard deviation; `None` where the state of that moment cannot be reached or knows none.
    pub satisfaction_error: Option<f64>,
    /// Predicted cost, with what it saves taken off.
    pub cost_usd: f64,
    /// What a prompt cache saves of it; below 0 where a long question costs more.
    pub saving_usd: f64,
    /// What it was ranked by: less is better.
    pub score: f64,
    /// Whether it was not to be chosen for this request: it could not take it, or its circuit was open.
    pub excluded: bool,
    /// What would have made it the best of the ranking; `None` for the best one, and where there was no ranking.
    pub would_win: Option<WouldWin>,
}

/// What would have made a candidate the best one, all else being as it was.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct WouldWin {
    /// Predicted satisfaction from which on it is the best; `None` if not even certainty would do.
    pub satisfaction: Option<f64>,
    /// Predicted cost up to which it is the best; `None` if it would have to be less than nothing.
    pub cost_usd: Option<f64>,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExplainedOutcome {
    /// HTTP status that the client got; 499 if it went away.
    pub status: u16,
    /// Whether the answer was delivered whole.
    pub ok: bool,
    /// Calls to upstreams.
    pub attempts: u32,
    /// USD charged.
    pub cost_usd: f64,
    /// Input tokens billed, if reported.
    pub input_tokens: Option<f64>,
    /// Output tokens billed, if reported.
    pub output_tokens: Option<f64>,
    /// From arrival to the last byte.
    pub latency_ms: f64,
    /// From arrival to the upstream's first byte.
    pub ttft_ms: Option<f64>,
    /// What went wrong.
    pub error: Option<String>,
}

/// A rating or an audit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Word {
    /// When it was given, in milliseconds since 1970.
    pub time_ms: u64,
    /// `user` or `audit`.
    pub source: &'static str,
    /// From 0 to 1; `None` withdraws.
    pub rating: Option<f64>,
    /// What became of it.
    pub receipt: &'static str,
    /// In the rater's words.
    pub comment: Option<String>,
}

impl ExplainedCandidate {
    /// With which probability it was to be chosen, and what was planned where that is another thing.
    #[must_use]
    pub fn told_probability(&self) -> String {
        let planned = self.planned.map(|planned| format!(" ({} planned)", told_percent(planned))).unwrap_or_default();
        format!("{}{planned}", told_percent(self.probability))
    }

    /// What would have made it the best one, in words; empty where there is nothing to say.
    #[must_use]
    pub fn would_have_been_best(&self) -> String {
        let excluded = if self.excluded { "not excluded, and " } else { "" };
        let Some(WouldWin { satisfaction, cost_usd }) = self.would_win else {
            return if self.excluded { "not excluded".to_owned() } else { String::new() };
        };
        match (satisfaction.map(told_percent), cost_usd.map(told_money)) {
            (Some(satisfaction), Some(cost)) => format!("{excluded}at {satisfaction} or {cost}"),
            (Some(only), None) | (None, Some(only)) => format!("{excluded}at {only}"),
            (None, None) => "neither satisfaction nor price alone would do".to_owned(),
        }
    }
}
