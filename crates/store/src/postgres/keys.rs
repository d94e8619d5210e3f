//! Keys and spending.

use std::sync::Arc;

use slarouter_core::Timestamp;
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use super::params::{bound, one, text};
use super::readers::View;
use super::row::{Plain, cells};
use crate::{KeyChange, KeyRecord, Spending, StoreError};

const ADD: &str = "INSERT INTO api_keys (id, name, digest, hint, grants, created, expires, revoked) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";

/// By the clock, so that a database that has lost changes of keys does not come to the number of one of them again.
const CHANGED: &str = "UPDATE key_changes SET version = \
     greatest(version + 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) WHERE $1 IS NULL OR version = $1";

pub(super) async fn list(view: &View) -> Result<Vec<KeyRecord>, StoreError> {
    let query =
        "SELECT id, name, digest, hint, grants, created, expires, revoked FROM api_keys ORDER BY created, place";
    view.rows(query, &[]).await?.iter().map(|row| record(&mut cells(row))).collect()
}

fn record(row: &mut Plain<'_>) -> Result<KeyRecord, StoreError> {
    let (id, name): (String, String) = (row.next()?, row.next()?);
    let digest: Vec<u8> = row.next()?;
    let digest = digest
        .try_into()
        .map_err(|_| StoreError::Row { seq: 0, what: format!("the digest of key {id} has not 32 bytes") })?;
    let (hint, grants) = (row.next()?, row.next()?);
    let mut time = || Ok::<_, StoreError>(row.next::<Option<i64>>()?.map(|ms| Timestamp(ms.cast_unsigned())));
    Ok(KeyRecord {
        id,
        name,
        digest,
        hint,
        grants,
        created: time()?.unwrap_or_default(),
        expires: time()?,
        revoked: time()?,
    })
}

/// Makes these changes, unless the keys are no longer as of that version. Whether it did.
pub(super) async fn change(client: &Client, changes: &[KeyChange], as_of: Option<u64>) -> Result<bool, StoreError> {
    // First: whoever else changes keys waits for the end of this transaction, and then sees another version.
    if client.execute_typed(CHANGED, &[one(&as_of.map(u64::cast_signed))]).await? == 0 {
        return Ok(false);
    }
    for change in changes {
        match change {
            KeyChange::Add(key) => {
                let (id, name, hint, grants) = (text(&key.id), text(&key.name), text(&key.hint), text(&key.grants));
                let (created, digest) = (bound(key.created), key.digest.as_slice());
                let (expires, revoked) = (key.expires.map(bound), key.revoked.map(bound));
                let params = [
                    one(&id),
                    one(&name),
                    one(&digest),
                    one(&hint),
                    one(&grants),
                    one(&created),
                    one(&expires),
                    one(&revoked),
                ];
                client.execute_typed(ADD, &params).await?
            }
            KeyChange::Expire(id, time) => {
                let update = "UPDATE api_keys SET expires = $1 WHERE id = $2";
                client.execute_typed(update, &[one(&bound(*time)), one(&text(id))]).await?
            }
            KeyChange::Revoke(id, time) => {
                let update = "UPDATE api_keys SET revoked = $1 WHERE id = $2";
                client.execute_typed(update, &[one(&bound(*time)), one(&text(id))]).await?
            }
        };
    }
    Ok(true)
}

/// Grows with each change.
pub(super) async fn version(view: &View) -> Result<u64, StoreError> {
    let row = view.row("SELECT version FROM key_changes", &[]).await?;
    Ok(cells(&row).next::<i64>()?.cast_unsigned())
}

pub(super) async fn spending(view: &View, since: u64) -> Result<Vec<Spending>, StoreError> {
    let query = "SELECT account, day, nano_usd FROM spending WHERE day >= $1 ORDER BY account, day";
    read(&view.rows(query, &[one(&bound(Timestamp(since)))]).await?)
}

/// What all but this process have spent since it began, and what was spent before.
pub(super) async fn spent_elsewhere(view: &View, boot: Uuid, since: u64) -> Result<Vec<Spending>, StoreError> {
    let query = "SELECT s.account, s.day, (s.nano_usd - coalesce(b.nano_usd, 0))::bigint FROM spending s \
         LEFT JOIN spent_by b ON b.account = s.account AND b.day = s.day AND b.stream = (SELECT p.stream FROM streams p WHERE p.boot = $2) \
         WHERE s.day >= $1 ORDER BY s.account, s.day";
    read(&view.rows(query, &[one(&bound(Timestamp(since))), one(&boot)]).await?)
}

fn read(rows: &[Row]) -> Result<Vec<Spending>, StoreError> {
    let spent = rows.iter().map(|row| {
        let mut row = cells(row);
        Ok(Spending {
            account: row.next::<Arc<str>>()?,
            day: row.next::<i64>()?.cast_unsigned(),
            nano_usd: row.next()?,
        })
    });
    spent.collect()
}
