//! `candidates`: a row for each model that a decision could have chosen.

use slarouter_core::{Candidate, Decision};

use super::table::{Table, number, text};
use crate::column::Column;
use crate::column::Read::{Bool, Int, Real, Text};

/// A candidate of a decision.
pub(crate) struct CandidateRow {
    decision_seq: u64,
    place: usize,
    chosen: bool,
    observed: bool,
    candidate: Candidate,
}

const COLUMNS: &[Column<CandidateRow>] = &[
    Column::new("decision_seq", Int(|row| number(row.decision_seq))),
    Column::new("place", Int(|row| i64::try_from(row.place).ok())),
    Column::new("model", Text(|row| text(&row.candidate.model))),
    Column::new("chosen", Bool(|row| Some(row.chosen))),
    Column::new("probability", Real(|row| Some(row.candidate.probability))),
    Column::optional("planned", Real(|row| row.observed.then_some(row.candidate.planned))),
    Column::new("predicted_satisfaction", Real(|row| Some(row.candidate.satisfaction))),
    Column::new("predicted_cost_usd", Real(|row| Some(row.candidate.cost))),
    Column::new("score", Real(|row| Some(row.candidate.score))),
    Column::new("saving_usd", Real(|row| Some(row.candidate.saving))),
    Column::new("excluded", Bool(|row| Some(row.candidate.excluded))),
];

/// The table.
pub(crate) fn candidates() -> Table<CandidateRow> {
    Table { name: "candidates", columns: COLUMNS.iter().collect(), size: |_| size_of::<CandidateRow>() }
}

impl CandidateRow {
    /// All of a decision, in the order in which it has them.
    pub(crate) fn all(decision_seq: u64, decision: &Decision) -> impl Iterator<Item = Self> {
        let (chosen, observed) = (decision.chosen, decision.is_observed());
        decision.candidates.iter().enumerate().map(move |(place, candidate)| Self {
            decision_seq,
            place,
            chosen: place == chosen,
            observed,
            candidate: candidate.clone(),
        })
    }
}
