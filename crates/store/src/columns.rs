//! A row of either database, column after column.

use std::borrow::Cow;
use std::sync::Arc;

use slarouter_core::{Decision, DecisionId, Reason, Timestamp};

use crate::packed::{unpack_decision, unpack_features, whole};
use crate::{Payer, StoreError, TraceId};

/// A value as a database has it: the five kinds that SQLite knows, of which those of others are made.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Null,
    /// Whole numbers, and truth as 0 and 1.
    Integer(i64),
    Real(f64),
    /// Bytes that are UTF-8, unless the row is damaged.
    Text(Cow<'a, [u8]>),
    Blob(&'a [u8]),
}

/// A row of a query.
pub(crate) trait Cells {
    /// The value in this place.
    ///
    /// # Errors
    /// [`StoreError`] if the database gives what nobody asked it for.
    fn value(&self, place: usize) -> Result<Value<'_>, StoreError>;

    /// The name of the column in this place.
    fn name(&self, place: usize) -> Option<&str>;
}

/// The models of decisions, which their rows name by a number.
pub(crate) trait Zoos {
    /// The names of a zoo's models, in its order; `None` if there is no such zoo that can be read.
    ///
    /// # Errors
    /// [`StoreError`] if the database cannot be read.
    fn models(&self, number: i64) -> Result<Option<Arc<[Arc<str>]>>, StoreError>;
}

/// The models of a zoo from what the column `models` holds; `None` if that cannot be read.
pub(crate) fn models(json: &[u8]) -> Option<Arc<[Arc<str>]>> {
    serde_json::from_slice::<Vec<Arc<str>>>(json).ok().map(Into::into)
}

/// Reads a row's columns in the order of the query, of which the first is the event's number: looking columns up by name
/// takes longer than reading them.
pub(crate) struct Columns<'a> {
    cells: &'a dyn Cells,
    zoos: &'a dyn Zoos,
    seq: u64,
    place: usize,
}

/// What a value may be read as.
pub(crate) trait Cell: Sized {
    /// # Errors
    /// What the value is no.
    fn of(value: Value<'_>) -> Result<Self, &'static str>;
}

impl<'a> Columns<'a> {
    pub(crate) fn of(cells: &'a dyn Cells, zoos: &'a dyn Zoos) -> Result<Self, StoreError> {
        let mut row = Self { cells, zoos, seq: 0, place: 0 };
        // A number by the table's own rule: it is the key.
        row.seq = row.next::<i64>()?.cast_unsigned();
        Ok(row)
    }

    pub(crate) fn seq(&self) -> u64 {
        self.seq
    }

    pub(crate) fn next<T: Cell>(&mut self) -> Result<T, StoreError> {
        let value = self.raw()?;
        T::of(value).map_err(|what| self.damaged(what))
    }

    fn raw(&mut self) -> Result<Value<'a>, StoreError> {
        self.place += 1;
        self.cells.value(self.place - 1)
    }

    pub(crate) fn time(&mut self) -> Result<Timestamp, StoreError> {
        Ok(Timestamp(self.next::<i64>()?.cast_unsigned()))
    }

    pub(crate) fn text(&mut self) -> Result<Arc<str>, StoreError> {
        self.next()
    }

    pub(crate) fn id(&mut self) -> Result<DecisionId, StoreError> {
        let value = self.raw()?;
        let bytes = if let Value::Blob(bytes) = value { bytes.try_into().ok() } else { None };
        let bytes = bytes.ok_or_else(|| self.damaged("an id that is not 16 bytes"))?;
        Ok(DecisionId(u128::from_be_bytes(bytes)))
    }

    pub(crate) fn reason(&mut self) -> Result<Reason, StoreError> {
        self.parsed(Reason::parse, "unknown reason")
    }

    /// A word that `parse` knows.
    pub(crate) fn parsed<T>(&mut self, parse: impl Fn(&str) -> Option<T>, what: &str) -> Result<T, StoreError> {
        let value = self.raw()?;
        let word = utf8(&value).map_err(|what| self.damaged(what))?;
        parse(word).ok_or_else(|| self.damaged(what))
    }

    /// The columns `key` and `tenant`: empty for the one that is not there, and NULL in rows of release 0.1.
    pub(crate) fn payer(&mut self) -> Result<Payer, StoreError> {
        let mut name = || Ok::<_, StoreError>(self.next::<Option<Arc<str>>>()?.filter(|name| !name.is_empty()));
        Ok(Payer { key: name()?, tenant: name()? })
    }

    /// The column `fallback`: below 0 where there is none, and NULL in rows of release 0.1.
    pub(crate) fn place(&mut self) -> Result<Option<usize>, StoreError> {
        Ok(self.next::<Option<i64>>()?.and_then(|place| place.try_into().ok()))
    }

    /// The column `trace_id`.
    pub(crate) fn trace(&mut self) -> Result<Option<TraceId>, StoreError> {
        let Some(text) = self.next::<Option<String>>()? else { return Ok(None) };
        TraceId::new(&text).map(Some).ok_or_else(|| self.damaged("no id of an application"))
    }

    /// The columns `reason`, `zoo`, `candidates` and `decision`, of which a row has the last two in turn.
    pub(crate) fn decision(&mut self) -> Result<Decision, StoreError> {
        let (reason, zoo) = (self.reason()?, self.next::<Option<i64>>()?);
        let Some(zoo) = zoo else {
            self.place += 1;
            return self.parsed_decision();
        };
        let models = self.zoos.models(zoo)?.ok_or_else(|| self.damaged("there is no such zoo"))?;
        let value = self.raw()?;
        let packed = blob(&value).map_err(|what| self.damaged(what))?;
        let decision = unpack_decision(packed, &models, reason).map_err(|_| self.damaged("no candidates in it"));
        self.place += 1;
        decision
    }

    /// As release 0.1 wrote it.
    fn parsed_decision(&mut self) -> Result<Decision, StoreError> {
        let value = self.raw()?;
        let json = utf8(&value).map_err(|what| self.damaged(what))?;
        let decision: Decision = serde_json::from_str(json).map_err(|error| self.damaged(&error.to_string()))?;
        if decision.chosen < decision.candidates.len() {
            return Ok(decision);
        }
        Err(self.damaged("it chooses no candidate"))
    }

    /// The columns `zoo` and `features`.
    pub(crate) fn features(&mut self) -> Result<Vec<f32>, StoreError> {
        let (is_packed, value) = (self.raw()? != Value::Null, self.raw()?);
        let bytes = blob(&value).map_err(|what| self.damaged(what))?;
        let features = if is_packed { unpack_features(bytes) } else { whole(bytes) };
        features.map_err(|_| self.damaged("features that cannot be read"))
    }

    /// The error for the column read last.
    pub(crate) fn damaged(&self, what: &str) -> StoreError {
        let column = self.cells.name(self.place - 1).unwrap_or("?");
        StoreError::Row { seq: self.seq, what: format!("{column}: {what}") }
    }
}

fn utf8<'a>(value: &'a Value<'_>) -> Result<&'a str, &'static str> {
    let Value::Text(bytes) = value else { return Err("it is no text") };
    std::str::from_utf8(bytes).map_err(|_| "it is no UTF-8")
}

fn blob<'a>(value: &Value<'a>) -> Result<&'a [u8], &'static str> {
    if let Value::Blob(bytes) = value { Ok(*bytes) } else { Err("it is not bytes") }
}

impl Cell for i64 {
    fn of(value: Value<'_>) -> Result<Self, &'static str> {
        if let Value::Integer(number) = value { Ok(number) } else { Err("it is no whole number") }
    }
}

impl Cell for u32 {
    fn of(value: Value<'_>) -> Result<Self, &'static str> {
        i64::of(value)?.try_into().map_err(|_| "it is out of range")
    }
}

impl Cell for u16 {
    fn of(value: Value<'_>) -> Result<Self, &'static str> {
        i64::of(value)?.try_into().map_err(|_| "it is out of range")
    }
}

impl Cell for bool {
    fn of(value: Value<'_>) -> Result<Self, &'static str> {
        Ok(i64::of(value)? != 0)
    }
}

impl Cell for f64 {
    fn of(value: Value<'_>) -> Result<Self, &'static str> {
        match value {
            Value::Real(number) => Ok(number),
            Value::Integer(number) => Ok(number as Self),
            _ => Err("it is no number"),
        }
    }
}

impl Cell for String {
    fn of(value: Value<'_>) -> Result<Self, &'static str> {
        utf8(&value).map(Self::from)
    }
}

impl Cell for Arc<str> {
    fn of(value: Value<'_>) -> Result<Self, &'static str> {
        utf8(&value).map(Self::from)
    }
}

impl Cell for Vec<u8> {
    fn of(value: Value<'_>) -> Result<Self, &'static str> {
        blob(&value).map(Self::from)
    }
}

impl<T: Cell> Cell for Option<T> {
    fn of(value: Value<'_>) -> Result<Self, &'static str> {
        if value == Value::Null { Ok(None) } else { T::of(value).map(Some) }
    }
}
