//! One side of a move of a whole log: a database on a server.

use rusqlite::types::Value;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};

use super::params::{Param, one, text};
use super::server::Server;
use super::tables;
use crate::StoreError;
use crate::columns::{self, Cells};
use crate::layout::{Kind, Table};

/// The row is held until the end of the transaction, so no gateway takes the log meanwhile.
const HEAD: &str = "SELECT seq, holder IS NOT NULL AND expires > now() FROM head FOR UPDATE NOWAIT";

/// Whether anything is in a log, if only a key.
const EMPTY: &str = "SELECT (SELECT seq FROM head) = 0 AND NOT EXISTS (SELECT 1 FROM api_keys) AND NOT EXISTS (SELECT 1 FROM spending) \
     AND NOT EXISTS (SELECT 1 FROM certificates)";

/// A database in a transaction.
pub(crate) struct Transferring {
    runtime: Runtime,
    client: Client,
    seq: u64,
}

/// A column of many rows, as PostgreSQL takes it.
type Column = (Box<dyn ToSql + Sync>, Type);

impl Transferring {
    pub(crate) fn source(url: &str) -> Result<Self, StoreError> {
        Self::open(url, false)
    }

    pub(crate) fn target(url: &str) -> Result<Self, StoreError> {
        Self::open(url, true)
    }

    fn open(url: &str, is_target: bool) -> Result<Self, StoreError> {
        let server = Server::new(url)?;
        let runtime = Builder::new_current_thread().enable_all().build().map_err(StoreError::Thread)?;
        let (client, seq) = runtime.block_on(begin(&server, is_target))?;
        Ok(Self { runtime, client, seq })
    }

    pub(crate) fn last_seq(&mut self) -> Result<u64, StoreError> {
        Ok(self.seq)
    }

    pub(crate) fn page(&mut self, table: &Table, after: i64, most: usize) -> Result<Vec<Vec<Value>>, StoreError> {
        let columns: Vec<&str> = table.columns.iter().map(|(name, _)| *name).collect();
        let (name, order) = (table.name, table.order[1]);
        let select = format!("SELECT {} FROM {name}", columns.join(", "));
        let rows = if table.is_long {
            let query = format!("{select} WHERE {} > $1 ORDER BY {order} LIMIT $2", columns[0]);
            let most = i64::try_from(most).unwrap_or(i64::MAX);
            self.runtime.block_on(self.client.query_typed(&query, &[one(&after), one(&most)]))?
        } else {
            self.runtime.block_on(self.client.query_typed(&format!("{select} ORDER BY {order}"), &[]))?
        };
        rows.iter().map(|row| values(row, columns.len())).collect()
    }

    pub(crate) fn insert(&mut self, table: &Table, rows: &[Vec<Value>]) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = table.columns.iter().map(|(name, _)| *name).collect();
        let places: Vec<String> = (1..=names.len()).map(|place| format!("${place}")).collect();
        let insert =
            format!("INSERT INTO {} ({}) SELECT * FROM unnest({})", table.name, names.join(", "), places.join(", "));
        let columns = table.columns.iter().enumerate().map(|(place, (name, kind))| {
            column(rows, place, *kind).map_err(|()| StoreError::Row {
                seq: 0,
                what: format!("{}.{name}: a value that PostgreSQL cannot keep", table.name),
            })
        });
        let columns: Vec<Column> = columns.collect::<Result<_, _>>()?;
        let params: Vec<Param<'_>> = columns.iter().map(|(values, kind)| (&**values, kind.clone())).collect();
        self.runtime.block_on(self.client.execute_typed(&insert, &params))?;
        Ok(())
    }

    /// Commits.
    pub(crate) fn finish(self, last_seq: u64) -> Result<(), StoreError> {
        let seq = last_seq.cast_signed();
        self.runtime.block_on(async {
            self.client.execute_typed("UPDATE head SET seq = $1", &[one(&seq)]).await?;
            Ok(self.client.batch_execute("COMMIT").await?)
        })
    }
}

async fn begin(server: &Server, is_target: bool) -> Result<(Client, u64), StoreError> {
    let (mut client, shown) = (server.connect().await?, server.shown());
    if is_target {
        tables::migrate(&mut client, &shown).await?;
    }
    let (found, newest) = (tables::version(&client, &shown).await?, tables::newest());
    match found {
        0 => return Err(StoreError::Missing(shown)),
        found if found < newest => return Err(StoreError::Older { found, newest }),
        found if found > newest => return Err(StoreError::Newer { found, newest }),
        _ => {}
    }
    client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SET LOCAL statement_timeout = 0").await?;
    let head = client.query_typed_one(HEAD, &[]).await;
    let head = head.map_err(|error| {
        let is_held = error.code() == Some(&tokio_postgres::error::SqlState::LOCK_NOT_AVAILABLE);
        if is_held { StoreError::InUse(shown.clone()) } else { error.into() }
    })?;
    if head.try_get(1)? {
        return Err(StoreError::InUse(shown));
    }
    if !is_target && client.query_typed_one("SELECT EXISTS (SELECT 1 FROM inbox)", &[]).await?.try_get(0)? {
        let what = "what gateways have sent is not in the log yet: start one on it, and stop it again".to_owned();
        return Err(StoreError::Tables(what));
    }
    if is_target {
        if !client.query_typed_one(EMPTY, &[]).await?.try_get::<_, bool>(0)? {
            return Err(StoreError::Exists(format!("a log in {shown}")));
        }
        client.batch_execute("DELETE FROM rolled; DELETE FROM shortened").await?;
    }
    Ok((client, head.try_get::<_, i64>(0)?.cast_unsigned()))
}

fn values(row: &Row, columns: usize) -> Result<Vec<Value>, StoreError> {
    let value = |place| {
        Ok(match row.value(place)? {
            columns::Value::Null => Value::Null,
            columns::Value::Integer(number) => Value::Integer(number),
            columns::Value::Real(number) => Value::Real(number),
            columns::Value::Text(text) => Value::Text(String::from_utf8_lossy(&text).into_owned()),
            columns::Value::Blob(bytes) => Value::Blob(bytes.to_vec()),
        })
    };
    (0..columns).map(value).collect()
}

/// The values in one place of the rows.
fn column(rows: &[Vec<Value>], place: usize, kind: Kind) -> Result<Column, ()> {
    fn of<T>(rows: &[Vec<Value>], place: usize, one: impl Fn(&Value) -> Option<T>) -> Result<Vec<Option<T>>, ()> {
        let value = |row: &Vec<Value>| match &row[place] {
            Value::Null => Ok(None),
            value => one(value).map(Some).ok_or(()),
        };
        rows.iter().map(value).collect()
    }
    fn boxed<T: ToSql + Sync + 'static>(values: Vec<Option<T>>, kind: Type) -> Column {
        (Box::new(values), kind)
    }
    let whole = |value: &Value| if let Value::Integer(number) = value { Some(*number) } else { None };
    let bytes = |value: &Value| if let Value::Blob(bytes) = value { Some(bytes.clone()) } else { None };
    Ok(match kind {
        Kind::Whole => boxed(of(rows, place, whole)?, Type::INT8_ARRAY),
        Kind::Short => boxed(of(rows, place, |value| i32::try_from(whole(value)?).ok())?, Type::INT4_ARRAY),
        Kind::Truth => boxed(of(rows, place, |value| Some(whole(value)? != 0))?, Type::BOOL_ARRAY),
        Kind::Real => {
            let real = |value: &Value| match value {
                Value::Real(number) => Some(*number),
                Value::Integer(number) => Some(*number as f64),
                _ => None,
            };
            boxed(of(rows, place, real)?, Type::FLOAT8_ARRAY)
        }
        Kind::Text => {
            let letters =
                |value: &Value| if let Value::Text(given) = value { Some(text(given).into_owned()) } else { None };
            boxed(of(rows, place, letters)?, Type::TEXT_ARRAY)
        }
        Kind::Bytes => boxed(of(rows, place, bytes)?, Type::BYTEA_ARRAY),
        Kind::Id => boxed(of(rows, place, |value| uuid::Uuid::from_slice(&bytes(value)?).ok())?, Type::UUID_ARRAY),
    })
}
