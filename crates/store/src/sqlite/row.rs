//! A row, column after column.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::types::{FromSql, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row};
use slarouter_core::{Decision, DecisionId, Reason, Timestamp};

use super::packed::{unpack_decision, unpack_features, whole};
use crate::{Payer, StoreError, TraceId};

/// The id as it is stored: 16 bytes, big end first, so that ids sort by time.
pub(super) fn blob(id: DecisionId) -> [u8; 16] {
    id.0.to_be_bytes()
}

/// The models of decisions, each zoo looked up once.
pub(super) struct Zoos<'a> {
    connection: &'a Connection,
    known: RefCell<HashMap<i64, Arc<[Arc<str>]>>>,
}

/// Reads a row's columns in the order of the query, of which the first is the event's number: looking columns up by name
/// takes longer than reading them.
pub(super) struct Columns<'a> {
    zoos: &'a Zoos<'a>,
    row: &'a Row<'a>,
    seq: u64,
    place: usize,
}

impl<'a> Zoos<'a> {
    pub(super) fn new(connection: &'a Connection) -> Self {
        Self { connection, known: RefCell::default() }
    }

    /// The names of a zoo's models, in its order; `None` if there is no such zoo that can be read.
    fn models(&self, number: i64) -> Result<Option<Arc<[Arc<str>]>>, StoreError> {
        if let Some(models) = self.known.borrow().get(&number) {
            return Ok(Some(models.clone()));
        }
        let mut found = self.connection.prepare_cached("SELECT models FROM zoos WHERE number = ?1")?;
        // Text that is none is a damaged row, as JSON that is none, and no trouble with the database.
        let text = |row: &Row<'_>| Ok(row.get_ref(0)?.as_str().ok().map(str::to_owned));
        let Some(json) = found.query_row([number], text).optional()?.flatten() else { return Ok(None) };
        let Ok(names) = serde_json::from_str::<Vec<Arc<str>>>(&json) else { return Ok(None) };
        let models: Arc<[Arc<str>]> = names.into();
        self.known.borrow_mut().insert(number, models.clone());
        Ok(Some(models))
    }
}

impl<'a> Columns<'a> {
    pub(super) fn of(row: &'a Row<'a>, zoos: &'a Zoos<'a>) -> Result<Self, StoreError> {
        // A number by the table's own rule: it is the key.
        let seq = row.get::<_, i64>(0)?;
        Ok(Self { zoos, row, seq: seq as u64, place: 1 })
    }

    pub(super) fn seq(&self) -> u64 {
        self.seq
    }

    pub(super) fn next<T: FromSql>(&mut self) -> Result<T, StoreError> {
        self.place += 1;
        self.row.get(self.place - 1).map_err(|error| self.damaged(&error.to_string()))
    }

    fn raw(&mut self) -> Result<ValueRef<'a>, StoreError> {
        self.place += 1;
        Ok(self.row.get_ref(self.place - 1)?)
    }

    fn str(&mut self) -> Result<&'a str, StoreError> {
        self.raw()?.as_str().map_err(|error| self.damaged(&error.to_string()))
    }

    pub(super) fn time(&mut self) -> Result<Timestamp, StoreError> {
        Ok(Timestamp(self.next::<i64>()? as u64))
    }

    pub(super) fn text(&mut self) -> Result<Arc<str>, StoreError> {
        self.str().map(Arc::from)
    }

    pub(super) fn id(&mut self) -> Result<DecisionId, StoreError> {
        let bytes = self.raw()?.as_blob().ok().and_then(|bytes| bytes.try_into().ok());
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

    /// The columns `key` and `tenant`: empty for the one that is not there, and NULL in rows of release 0.1.
    pub(super) fn payer(&mut self) -> Result<Payer, StoreError> {
        let mut name = || Ok::<_, StoreError>(self.next::<Option<Arc<str>>>()?.filter(|name| !name.is_empty()));
        Ok(Payer { key: name()?, tenant: name()? })
    }

    /// The column `fallback`: below 0 where there is none, and NULL in rows of release 0.1.
    pub(super) fn place(&mut self) -> Result<Option<usize>, StoreError> {
        Ok(self.next::<Option<i64>>()?.and_then(|place| place.try_into().ok()))
    }

    /// The column `trace_id`.
    pub(super) fn trace(&mut self) -> Result<Option<TraceId>, StoreError> {
        let Some(text) = self.next::<Option<String>>()? else { return Ok(None) };
        TraceId::new(&text).map(Some).ok_or_else(|| self.damaged("no id of an application"))
    }

    /// The columns `reason`, `zoo`, `candidates` and `decision`, of which a row has the last two in turn.
    pub(super) fn decision(&mut self) -> Result<Decision, StoreError> {
        let (reason, zoo) = (self.reason()?, self.next::<Option<i64>>()?);
        let Some(zoo) = zoo else {
            self.place += 1;
            return self.parsed_decision();
        };
        let models = self.zoos.models(zoo)?.ok_or_else(|| self.damaged("there is no such zoo"))?;
        let packed = self.raw()?.as_blob().map_err(|error| self.damaged(&error.to_string()))?;
        let decision = unpack_decision(packed, &models, reason).map_err(|_| self.damaged("no candidates in it"));
        self.place += 1;
        decision
    }

    /// As release 0.1 wrote it.
    fn parsed_decision(&mut self) -> Result<Decision, StoreError> {
        let decision: Decision = serde_json::from_str(self.str()?).map_err(|error| self.damaged(&error.to_string()))?;
        if decision.chosen < decision.candidates.len() {
            return Ok(decision);
        }
        Err(self.damaged("it chooses no candidate"))
    }

    /// The columns `zoo` and `features`.
    pub(super) fn features(&mut self) -> Result<Vec<f32>, StoreError> {
        let (is_packed, bytes) = (self.raw()? != ValueRef::Null, self.raw()?);
        let bytes = bytes.as_blob().map_err(|error| self.damaged(&error.to_string()))?;
        let features = if is_packed { unpack_features(bytes) } else { whole(bytes) };
        features.map_err(|_| self.damaged("features that cannot be read"))
    }

    /// The error for the column read last.
    pub(super) fn damaged(&self, what: &str) -> StoreError {
        let column = self.row.as_ref().column_name(self.place - 1).unwrap_or("?");
        StoreError::Row { seq: self.seq, what: format!("{column}: {what}") }
    }
}
