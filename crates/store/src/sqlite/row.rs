//! Rows as both stores read them.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row};
use slarouter_core::DecisionId;

use crate::StoreError;
use crate::columns::{self, Cells, Value, models};

/// The id as it is stored: 16 bytes, big end first, so that ids sort by time.
pub(super) fn blob(id: DecisionId) -> [u8; 16] {
    id.0.to_be_bytes()
}

/// The models of decisions, each zoo looked up once.
pub(super) struct Zoos<'a> {
    connection: &'a Connection,
    known: RefCell<HashMap<i64, Arc<[Arc<str>]>>>,
}

impl<'a> Zoos<'a> {
    pub(super) fn new(connection: &'a Connection) -> Self {
        Self { connection, known: RefCell::default() }
    }
}

impl columns::Zoos for Zoos<'_> {
    fn models(&self, number: i64) -> Result<Option<Arc<[Arc<str>]>>, StoreError> {
        if let Some(models) = self.known.borrow().get(&number) {
            return Ok(Some(models.clone()));
        }
        let mut found = self.connection.prepare_cached("SELECT models FROM zoos WHERE number = ?1")?;
        // Text that is none is a damaged row, as JSON that is none, and no trouble with the database.
        let parsed = |row: &Row<'_>| Ok(row.get_ref(0)?.as_bytes().ok().and_then(models));
        let Some(models) = found.query_row([number], parsed).optional()?.flatten() else { return Ok(None) };
        self.known.borrow_mut().insert(number, models.clone());
        Ok(Some(models))
    }
}

impl Cells for Row<'_> {
    fn value(&self, place: usize) -> Result<Value<'_>, StoreError> {
        Ok(match self.get_ref(place)? {
            ValueRef::Null => Value::Null,
            ValueRef::Integer(number) => Value::Integer(number),
            ValueRef::Real(number) => Value::Real(number),
            ValueRef::Text(text) => Value::Text(Cow::Borrowed(text)),
            ValueRef::Blob(bytes) => Value::Blob(bytes),
        })
    }

    fn name(&self, place: usize) -> Option<&str> {
        self.as_ref().column_name(place).ok()
    }
}
