//! Whose tables a database has, and of which version.

use tokio_postgres::{Client, Transaction};

use crate::StoreError;
use crate::error::told;

/// Changes of the tables in the order of their versions, from 1 on. What was released is never edited.
const STEPS: &[&str] = &[include_str!("../../migrations/postgres/0001_log.sql")];

/// Whoever changes the tables of a database has this lock until his transaction ends: "SLAR".
const LOCK: &str = "SELECT pg_advisory_xact_lock(1397506386)";

/// Whether there is a schema, whether it has our tables, and whether it has any other than those of extensions.
const FOUND: &str = "SELECT current_schema() IS NULL AS nowhere, to_regclass('slarouter') IS NOT NULL AS ours, EXISTS (\
     SELECT 1 FROM pg_class c WHERE c.relnamespace = to_regnamespace(quote_ident(current_schema())) AND c.relkind IN ('r', 'p', 'v', 'm', 'f') \
     AND NOT EXISTS (SELECT 1 FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e')) AS taken";

/// The newest version of the tables.
pub(crate) fn newest() -> i64 {
    STEPS.len() as i64
}

/// The version of the tables, 0 where there are none yet.
///
/// # Errors
/// [`StoreError::Foreign`] if the schema is another program's, [`StoreError::Tables`] if there is none.
pub(super) async fn version(client: &Client, shown: &str) -> Result<i64, StoreError> {
    let found = client.query_typed_one(FOUND, &[]).await?;
    if found.try_get("nowhere")? {
        return Err(StoreError::Tables(
            "the user has no schema: CREATE SCHEMA slarouter AUTHORIZATION the_user, and ALTER ROLE the_user SET search_path = slarouter".to_owned(),
        ));
    }
    if found.try_get("ours")? {
        return Ok(client.query_typed_one("SELECT version FROM slarouter", &[]).await?.try_get(0)?);
    }
    if found.try_get("taken")? { Err(StoreError::Foreign(shown.to_owned())) } else { Ok(0) }
}

/// Brings the tables to the newest version, in one transaction. Of several that do so at once one does it, and the others wait.
pub(super) async fn migrate(client: &mut Client, shown: &str) -> Result<(), StoreError> {
    let newest = newest();
    let found = version(client, shown).await?;
    if found == newest {
        return Ok(());
    }
    let told = |error: tokio_postgres::Error| StoreError::Tables(told(&error));
    let transaction = client.transaction().await.map_err(told)?;
    transaction.batch_execute(LOCK).await.map_err(told)?;
    // Another may have been faster.
    let found = version(transaction.client(), shown).await?;
    if found > newest {
        return Err(StoreError::Newer { found, newest });
    }
    take(&transaction, found).await.map_err(told)?;
    transaction.commit().await.map_err(told)
}

async fn take(transaction: &Transaction<'_>, found: i64) -> Result<(), tokio_postgres::Error> {
    if found == 0 {
        transaction
            .batch_execute("CREATE TABLE slarouter (version bigint NOT NULL); INSERT INTO slarouter VALUES (0)")
            .await?;
    }
    for step in &STEPS[found as usize..] {
        transaction.batch_execute(step).await?;
    }
    transaction.batch_execute(&format!("UPDATE slarouter SET version = {}", newest())).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_migration_is_listed_in_order() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/postgres");
        let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        let found: Vec<_> = files.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
        assert_eq!(STEPS, found.iter().map(String::as_str).collect::<Vec<_>>());
    }
}
