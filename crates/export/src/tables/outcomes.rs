//! `outcomes`: a row for each end of a request.

use slarouter_store::OutcomeRecord;

use super::table::{Table, moment, number, text};
use crate::column::Column;
use crate::column::Read::{Bool, Int, Real, Text, Time};

/// How a request ended.
pub(crate) struct OutcomeRow {
    pub(crate) seq: u64,
    pub(crate) decision_seq: u64,
    pub(crate) counted: bool,
    pub(crate) outcome: Box<OutcomeRecord>,
}

const COLUMNS: &[Column<OutcomeRow>] = &[
    Column::new("seq", Int(|row| number(row.seq))),
    Column::new("decision_seq", Int(|row| number(row.decision_seq))),
    Column::optional("time", Time(|row| moment(row.outcome.time))),
    Column::new("model", Text(|row| text(&row.outcome.model))),
    Column::new("status", Int(|row| Some(row.outcome.status.into()))),
    Column::new("ok", Bool(|row| Some(row.outcome.ok))),
    Column::new("streamed", Bool(|row| Some(row.outcome.streamed))),
    Column::new("attempts", Int(|row| Some(row.outcome.attempts.into()))),
    Column::optional("input_tokens", Real(|row| row.outcome.input_tokens)),
    Column::optional("cached_tokens", Real(|row| row.outcome.cached_tokens)),
    Column::optional("cache_write_tokens", Real(|row| row.outcome.cache_write_tokens)),
    Column::optional("output_tokens", Real(|row| row.outcome.output_tokens)),
    Column::optional("reasoning_tokens", Real(|row| row.outcome.reasoning_tokens)),
    Column::new("cost_usd", Real(|row| Some(row.outcome.cost))),
    Column::new("latency_ms", Real(|row| Some(row.outcome.latency_ms))),
    Column::optional("ttft_ms", Real(|row| row.outcome.ttft_ms)),
    Column::optional("error", Text(|row| row.outcome.error.as_deref().and_then(text))),
    Column::new("counted", Bool(|row| Some(row.counted))),
];

/// The table.
pub(crate) fn outcomes() -> Table<OutcomeRow> {
    Table { name: "outcomes", columns: COLUMNS.iter().collect(), size: |row| row.size() }
}

impl OutcomeRow {
    fn size(&self) -> usize {
        size_of::<Self>() + size_of::<OutcomeRecord>() + self.outcome.error.as_ref().map_or(0, String::len)
    }
}
