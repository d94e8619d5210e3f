//! Keys and spending.

use std::collections::BTreeMap;
use std::sync::Arc;

use slarouter_core::Timestamp;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};

use crate::{KeyChange, KeyRecord, Spending, StoreError};

pub(super) async fn list(pool: &SqlitePool) -> Result<Vec<KeyRecord>, StoreError> {
    let rows = sqlx::query("SELECT * FROM api_keys ORDER BY created, id").fetch_all(pool).await?;
    rows.iter().map(record).collect()
}

fn record(row: &SqliteRow) -> Result<KeyRecord, StoreError> {
    let time = |name: &str| Ok::<_, sqlx::Error>(row.try_get::<Option<i64>, _>(name)?.map(|ms| Timestamp(ms as u64)));
    let id: String = row.try_get("id")?;
    let digest: Vec<u8> = row.try_get("digest")?;
    let digest = digest
        .try_into()
        .map_err(|_| StoreError::Row { seq: 0, what: format!("the digest of key {id} has not 32 bytes") })?;
    Ok(KeyRecord {
        id,
        name: row.try_get("name")?,
        digest,
        hint: row.try_get("hint")?,
        grants: row.try_get("grants")?,
        created: time("created")?.unwrap_or_default(),
        expires: time("expires")?,
        revoked: time("revoked")?,
    })
}

pub(super) async fn change(connection: &mut SqliteConnection, changes: &[KeyChange]) -> Result<(), sqlx::Error> {
    for change in changes {
        match change {
            KeyChange::Add(key) => {
                sqlx::query(
                    "INSERT INTO api_keys (id, name, digest, hint, grants, created, expires, revoked) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
                )
                .bind(&key.id)
                .bind(&key.name)
                .bind(&key.digest[..])
                .bind(&key.hint)
                .bind(&key.grants)
                .bind(stored(key.created))
                .bind(key.expires.map(stored))
                .bind(key.revoked.map(stored))
                .execute(&mut *connection)
                .await?;
            }
            KeyChange::Expire(id, time) => {
                end(connection, "UPDATE api_keys SET expires = $1 WHERE id = $2", id, *time).await?
            }
            KeyChange::Revoke(id, time) => {
                end(connection, "UPDATE api_keys SET revoked = $1 WHERE id = $2", id, *time).await?
            }
        }
    }
    Ok(())
}

async fn end(
    connection: &mut SqliteConnection,
    query: &'static str,
    id: &str,
    time: Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query(query).bind(stored(time)).bind(id).execute(connection).await?;
    Ok(())
}

fn stored(time: Timestamp) -> i64 {
    time.0.min(i64::MAX as u64) as i64
}

/// Adds to what has been spent; one statement per account and day.
pub(super) async fn spend<'a>(
    connection: &mut SqliteConnection,
    entries: impl Iterator<Item = &'a Spending>,
) -> Result<(), sqlx::Error> {
    let mut sums: BTreeMap<(&str, u64), i64> = BTreeMap::new();
    for Spending { account, day, nano_usd } in entries {
        let sum = sums.entry((account, *day)).or_default();
        *sum = sum.saturating_add(*nano_usd);
    }
    for ((account, day), nano_usd) in sums.into_iter().filter(|(_, sum)| *sum != 0) {
        sqlx::query(
            "INSERT INTO spending (account, day, nano_usd) VALUES ($1, $2, $3) \
             ON CONFLICT (account, day) DO UPDATE SET nano_usd = nano_usd + excluded.nano_usd",
        )
        .bind(account)
        .bind(day as i64)
        .bind(nano_usd)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

pub(super) async fn spending(pool: &SqlitePool, since: u64) -> Result<Vec<Spending>, StoreError> {
    let rows: Vec<(String, i64, i64)> =
        sqlx::query_as("SELECT account, day, nano_usd FROM spending WHERE day >= $1 ORDER BY account, day")
            .bind(since.min(i64::MAX as u64) as i64)
            .fetch_all(pool)
            .await?;
    let spending = |(account, day, nano_usd): (String, i64, i64)| Spending {
        account: Arc::from(account),
        day: day as u64,
        nano_usd,
    };
    Ok(rows.into_iter().map(spending).collect())
}
