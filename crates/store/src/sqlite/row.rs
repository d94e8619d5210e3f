//! A row, column after column.

use std::sync::Arc;

use rusqlite::Row;
use rusqlite::types::FromSql;
use slarouter_core::{Decision, DecisionId, Reason, Timestamp};

use crate::StoreError;

/// Reads a row's columns in the order of the query, of which the first is the event's number: looking columns up by name
/// takes longer than reading them.
pub(super) struct Columns<'a> {
    row: &'a Row<'a>,
    seq: u64,
    place: usize,
}

impl<'a> Columns<'a> {
    pub(super) fn of(row: &'a Row<'a>) -> Result<Self, StoreError> {
        // A number by the table's own rule: it is the key.
        let seq = row.get::<_, i64>(0)?;
        Ok(Self { row, seq: seq as u64, place: 1 })
    }

    pub(super) fn seq(&self) -> u64 {
        self.seq
    }

    pub(super) fn next<T: FromSql>(&mut self) -> Result<T, StoreError> {
        self.place += 1;
        self.row.get(self.place - 1).map_err(|error| self.damaged(&error.to_string()))
    }

    fn str(&mut self) -> Result<&'a str, StoreError> {
        self.place += 1;
        let value = self.row.get_ref(self.place - 1)?;
        value.as_str().map_err(|error| self.damaged(&error.to_string()))
    }

    pub(super) fn time(&mut self) -> Result<Timestamp, StoreError> {
        Ok(Timestamp(self.next::<i64>()? as u64))
    }

    pub(super) fn text(&mut self) -> Result<Arc<str>, StoreError> {
        self.str().map(Arc::from)
    }

    pub(super) fn id(&mut self) -> Result<DecisionId, StoreError> {
        self.place += 1;
        let value = self.row.get_ref(self.place - 1)?;
        let bytes = value.as_blob().ok().and_then(|bytes| bytes.try_into().ok());
        let bytes = bytes.ok_or_else(|| self.damaged("an id that is not 16 bytes"))?;
        Ok(DecisionId(u128::from_be_bytes(bytes)))
    }

    pub(super) fn reason(&mut self) -> Result<Reason, StoreError> {
        self.parsed(Reason::parse, "unknown reason")
    }

    /// A word that `parse` knows.
    pub(super) fn parsed<T>(&mut self, parse: impl Fn(&str) -> Option<T>, what: &str) -> Result<T, StoreError> {
        parse(self.str()?).ok_or_else(|| self.damaged(what))
    }

    pub(super) fn decision(&mut self) -> Result<Decision, StoreError> {
        let json = self.str()?;
        self.parsed_decision(json)
    }

    pub(super) fn decision_if_any(&mut self) -> Result<Option<Decision>, StoreError> {
        let json: Option<String> = self.next()?;
        json.map(|json| self.parsed_decision(&json)).transpose()
    }

    fn parsed_decision(&self, json: &str) -> Result<Decision, StoreError> {
        let decision: Decision = serde_json::from_str(json).map_err(|error| self.damaged(&error.to_string()))?;
        if decision.chosen < decision.candidates.len() {
            return Ok(decision);
        }
        Err(self.damaged("it chooses no candidate"))
    }

    pub(super) fn features(&mut self) -> Result<Vec<f32>, StoreError> {
        let bytes: Vec<u8> = self.next()?;
        let (values, rest) = bytes.as_chunks::<4>();
        if !rest.is_empty() {
            return Err(self.damaged("features that are not 4-byte numbers"));
        }
        Ok(values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    }

    /// The error for the column read last.
    pub(super) fn damaged(&self, what: &str) -> StoreError {
        let column = self.row.as_ref().column_name(self.place - 1).unwrap_or("?");
        StoreError::Row { seq: self.seq, what: format!("{column}: {what}") }
    }
}
