//! Rows as both stores read them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Type};

use super::params::untext;
use crate::StoreError;
use crate::columns::{self, Cells, Columns, Value};

/// Of a column whatever type it has.
struct Any<'a>(Value<'a>);

impl<'a> FromSql<'a> for Any<'a> {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        let value = match *kind {
            Type::BOOL => Value::Integer(bool::from_sql(kind, raw)?.into()),
            Type::INT4 => Value::Integer(i32::from_sql(kind, raw)?.into()),
            Type::INT8 => Value::Integer(i64::from_sql(kind, raw)?),
            Type::FLOAT8 => Value::Real(f64::from_sql(kind, raw)?),
            Type::BYTEA | Type::UUID => Value::Blob(raw),
            _ => Value::Text(match untext(<&str>::from_sql(kind, raw)?) {
                Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
                Cow::Owned(text) => Cow::Owned(text.into_bytes()),
            }),
        };
        Ok(Self(value))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(Value::Null))
    }

    fn accepts(kind: &Type) -> bool {
        const KNOWN: [Type; 6] = [Type::BOOL, Type::INT4, Type::INT8, Type::FLOAT8, Type::BYTEA, Type::UUID];
        KNOWN.contains(kind) || <&str as FromSql<'_>>::accepts(kind)
    }
}

impl Cells for Row {
    fn value(&self, place: usize) -> Result<Value<'_>, StoreError> {
        self.try_get::<_, Any<'_>>(place).map(|any| any.0).map_err(StoreError::from)
    }

    fn name(&self, place: usize) -> Option<&str> {
        self.columns().get(place).map(tokio_postgres::Column::name)
    }
}

/// The models of decisions, each zoo looked up once: a number never means another zoo.
#[derive(Default)]
pub(super) struct Zoos(Mutex<HashMap<i64, Arc<[Arc<str>]>>>);

impl Zoos {
    /// The numbers that these rows name in a column `zoo` and that are not known yet.
    pub(super) fn unknown(&self, rows: &[Row]) -> Result<Vec<i64>, StoreError> {
        let Some(columns) = rows.first().map(Row::columns) else { return Ok(Vec::new()) };
        let Some(place) = columns.iter().position(|column| column.name() == "zoo") else { return Ok(Vec::new()) };
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut unknown = Vec::new();
        for row in rows {
            if let Some(number) = row.try_get::<_, Option<i64>>(place)?
                && !known.contains_key(&number)
                && !unknown.contains(&number)
            {
                unknown.push(number);
            }
        }
        Ok(unknown)
    }

    /// Learns them from rows of number and models.
    pub(super) fn learn(&self, rows: &[Row]) -> Result<(), StoreError> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for row in rows {
            let text = row.value(1)?;
            if let Value::Text(json) = text
                && let Some(models) = columns::models(&json)
            {
                known.insert(row.try_get(0)?, models);
            }
        }
        Ok(())
    }
}

impl columns::Zoos for Zoos {
    fn models(&self, number: i64) -> Result<Option<Arc<[Arc<str>]>>, StoreError> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&number).cloned())
    }
}

/// The columns of a row that has no number in front.
pub(super) fn cells(row: &Row) -> Plain<'_> {
    Plain { row, place: 0 }
}

/// Reads columns in the order of the query.
pub(super) struct Plain<'a> {
    row: &'a Row,
    place: usize,
}

impl Plain<'_> {
    pub(super) fn next<T: columns::Cell>(&mut self) -> Result<T, StoreError> {
        self.place += 1;
        let place = self.place - 1;
        T::of(self.row.value(place)?).map_err(|what| {
            let column = self.row.name(place).unwrap_or("?");
            StoreError::Row { seq: 0, what: format!("{column}: {what}") }
        })
    }
}

/// What `parse` makes of a row that begins with an event's number.
pub(super) fn parsed<T>(
    row: &Row,
    zoos: &Zoos,
    parse: impl FnOnce(&mut Columns<'_>) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    parse(&mut Columns::of(row, zoos)?)
}
