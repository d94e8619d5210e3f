//! `decisions`: a row for each decision.

use std::borrow::Cow;
use std::sync::Arc;

use slarouter_core::{DecisionId, Reason, Timestamp};
use slarouter_store::{DecisionRecord, Payer, StoredDecision, TraceId};

use super::table::{Table, moment, name, number, text};
use crate::column::Column;
use crate::column::Read::{Bool, Int, Real, Reals, Text, Time};

/// A decision without its candidates.
pub(crate) struct DecisionRow {
    seq: u64,
    id: DecisionId,
    trace: Option<TraceId>,
    time: Timestamp,
    payer: Payer,
    reason: Reason,
    chosen: Arc<str>,
    model: Arc<str>,
    propensity: f64,
    satisfaction: f64,
    cost: f64,
    most_expensive: Option<f64>,
    fallback: Option<Arc<str>>,
    alpha: Option<f64>,
    input_tokens: f64,
    audit_rate: f64,
    audited: bool,
    state_seq: u64,
    feature_version: u32,
    features: Vec<f32>,
    prompt: Option<String>,
}

const COLUMNS: &[Column<DecisionRow>] = &[
    Column::new("seq", Int(|row| number(row.seq))),
    Column::new("id", Text(|row| Some(Cow::Owned(format!("{:032x}", row.id.0))))),
    Column::optional("trace_id", Text(|row| row.trace.as_ref().and_then(|trace| text(trace.as_str())))),
    Column::optional("time", Time(|row| moment(row.time))),
    Column::optional("key", Text(|row| name(&row.payer.key))),
    Column::optional("tenant", Text(|row| name(&row.payer.tenant))),
    Column::new("reason", Text(|row| text(row.reason.as_str()))),
    Column::new("chosen", Text(|row| text(&row.chosen))),
    Column::new("model", Text(|row| text(&row.model))),
    Column::new("propensity", Real(|row| Some(row.propensity))),
    Column::new("predicted_satisfaction", Real(|row| Some(row.satisfaction))),
    Column::new("predicted_cost_usd", Real(|row| Some(row.cost))),
    Column::optional("most_expensive_cost_usd", Real(|row| row.most_expensive)),
    Column::optional("fallback", Text(|row| name(&row.fallback))),
    Column::optional("alpha", Real(|row| row.alpha)),
    Column::new("estimated_input_tokens", Real(|row| Some(row.input_tokens))),
    Column::new("audit_rate", Real(|row| Some(row.audit_rate))),
    Column::new("audited", Bool(|row| Some(row.audited))),
    Column::new("state_seq", Int(|row| number(row.state_seq))),
    Column::new("feature_version", Int(|row| Some(row.feature_version.into()))),
    Column::new("features", Reals(|row| &row.features)),
];

static PROMPT: Column<DecisionRow> = Column::optional("prompt", Text(|row| row.prompt.as_deref().and_then(text)));

/// The table, with the messages if asked for.
pub(crate) fn decisions(prompts: bool) -> Table<DecisionRow> {
    let columns = COLUMNS.iter().chain(prompts.then_some(&PROMPT)).collect();
    Table { name: "decisions", columns, size: |row| row.size() }
}

impl DecisionRow {
    /// Of a decision under this α, which leaves its candidates.
    pub(crate) fn new(
        StoredDecision { seq, record, rerouted, archived: _ }: StoredDecision,
        alpha: Option<f64>,
    ) -> Self {
        let DecisionRecord { id, time, route: _, decision, features, feature_version, .. } = record;
        let choice = decision.choice();
        Self {
            seq,
            id,
            trace: record.trace,
            time,
            payer: record.payer,
            reason: decision.reason,
            chosen: choice.model.clone(),
            model: rerouted.unwrap_or_else(|| choice.model.clone()),
            propensity: choice.probability,
            satisfaction: choice.satisfaction,
            cost: choice.cost,
            most_expensive: decision.most_expensive_cost(),
            fallback: record.fallback.and_then(|place| Some(decision.candidates.get(place)?.model.clone())),
            alpha,
            input_tokens: record.input_tokens,
            audit_rate: record.audit.rate,
            audited: record.audit.drawn,
            state_seq: record.state_seq,
            feature_version,
            features,
            prompt: record.prompt,
        }
    }

    fn size(&self) -> usize {
        let text = self.prompt.as_ref().map_or(0, String::len);
        size_of::<Self>() + size_of::<f32>() * self.features.len() + text + 64
    }
}
