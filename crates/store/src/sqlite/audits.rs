//! The answers that wait for an auditor.

use slarouter_core::{DecisionId, Timestamp};
use sqlx::Row;
use sqlx::sqlite::{SqlitePool, SqliteRow};

use super::read::{blob, id, text, time};
use crate::{PendingAudit, StoreError};

/// Drawn decisions since `since` that are finished and have no audit in force, oldest first.
pub(super) async fn pending(
    pool: &SqlitePool,
    after: Option<DecisionId>,
    since: Timestamp,
    limit: usize,
) -> Result<Vec<PendingAudit>, StoreError> {
    let after: i64 = match after {
        Some(id) => sqlx::query_scalar("SELECT seq FROM decisions WHERE id = $1")
            .bind(blob(id))
            .fetch_optional(pool)
            .await?
            .ok_or(StoreError::UnknownDecision)?,
        None => 0,
    };
    let rows = sqlx::query(
        "SELECT d.seq, d.id, d.time, d.route, d.audit_rate, d.prompt, o.model, o.status, o.ok \
         FROM decisions d JOIN outcomes o ON o.decision_id = d.id \
         WHERE d.audit_drawn = 1 AND d.seq > $1 AND d.time >= $2 AND NOT EXISTS (\
         SELECT 1 FROM feedback f WHERE f.decision_id = d.id AND f.source = 'audit' AND f.rating IS NOT NULL \
         AND f.seq = (SELECT MAX(g.seq) FROM feedback g \
         WHERE g.decision_id = f.decision_id AND g.rater = f.rater AND g.source = 'audit')) \
         ORDER BY d.seq LIMIT $3",
    )
    .bind(after)
    .bind(since.0.min(i64::MAX as u64) as i64)
    .bind(limit.min(i64::MAX as usize) as i64)
    .fetch_all(pool)
    .await?;
    rows.iter().map(pending_audit).collect()
}

fn pending_audit(row: &SqliteRow) -> Result<PendingAudit, StoreError> {
    Ok(PendingAudit {
        decision: id(row, "id")?,
        time: time(row, "time")?,
        route: text(row, "route")?,
        rate: row.try_get("audit_rate")?,
        model: text(row, "model")?,
        status: row.try_get("status")?,
        ok: row.try_get("ok")?,
        prompt: row.try_get("prompt")?,
    })
}
