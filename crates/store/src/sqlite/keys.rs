//! Keys and spending.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::{Connection, Row, params};
use slarouter_core::Timestamp;

use crate::{KeyChange, KeyRecord, Spending, StoreError};

pub(super) fn list(connection: &Connection) -> Result<Vec<KeyRecord>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM api_keys ORDER BY created, rowid")?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(record(row)?);
    }
    Ok(found)
}

fn record(row: &Row<'_>) -> Result<KeyRecord, StoreError> {
    let time = |name: &str| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(name)?.map(|ms| Timestamp(ms as u64)));
    let id: String = row.get("id")?;
    let digest: Vec<u8> = row.get("digest")?;
    let digest = digest
        .try_into()
        .map_err(|_| StoreError::Row { seq: 0, what: format!("the digest of key {id} has not 32 bytes") })?;
    Ok(KeyRecord {
        id,
        name: row.get("name")?,
        digest,
        hint: row.get("hint")?,
        grants: row.get("grants")?,
        created: time("created")?.unwrap_or_default(),
        expires: time("expires")?,
        revoked: time("revoked")?,
    })
}

pub(super) fn change(connection: &Connection, changes: &[KeyChange]) -> Result<(), rusqlite::Error> {
    for change in changes {
        match change {
            KeyChange::Add(key) => connection.execute(
                "INSERT INTO api_keys (id, name, digest, hint, grants, created, expires, revoked) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                params![
                    key.id,
                    key.name,
                    key.digest,
                    key.hint,
                    key.grants,
                    stored(key.created),
                    key.expires.map(stored),
                    key.revoked.map(stored),
                ],
            )?,
            KeyChange::Expire(id, time) => {
                connection.execute("UPDATE api_keys SET expires = ?1 WHERE id = ?2", params![stored(*time), id])?
            }
            KeyChange::Revoke(id, time) => {
                connection.execute("UPDATE api_keys SET revoked = ?1 WHERE id = ?2", params![stored(*time), id])?
            }
        };
    }
    Ok(())
}

fn stored(time: Timestamp) -> i64 {
    time.0.min(i64::MAX as u64) as i64
}

/// Adds to what has been spent; one statement per account and day.
pub(super) fn spend<'a>(
    connection: &Connection,
    entries: impl Iterator<Item = &'a Spending>,
) -> Result<(), rusqlite::Error> {
    let mut sums: BTreeMap<(&str, u64), i64> = BTreeMap::new();
    for Spending { account, day, nano_usd } in entries {
        let sum = sums.entry((account, *day)).or_default();
        *sum = sum.saturating_add(*nano_usd);
    }
    for ((account, day), nano_usd) in sums.into_iter().filter(|(_, sum)| *sum != 0) {
        let mut statement = connection.prepare_cached(
            "INSERT INTO spending (account, day, nano_usd) VALUES (?1, ?2, ?3) \
             ON CONFLICT (account, day) DO UPDATE SET nano_usd = nano_usd + excluded.nano_usd",
        )?;
        statement.execute(params![account, day as i64, nano_usd])?;
    }
    Ok(())
}

pub(super) fn spending(connection: &Connection, since: u64) -> Result<Vec<Spending>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT account, day, nano_usd FROM spending WHERE day >= ?1 ORDER BY account, day")?;
    let spending = statement.query_map([since.min(i64::MAX as u64) as i64], |row| {
        Ok(Spending { account: row.get::<_, Arc<str>>(0)?, day: row.get::<_, i64>(1)? as u64, nano_usd: row.get(2)? })
    })?;
    Ok(spending.collect::<Result<_, _>>()?)
}
