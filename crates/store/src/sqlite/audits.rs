//! The answers that wait for an auditor.

use rusqlite::{Connection, params};
use slarouter_core::{DecisionId, Timestamp};

use super::read::seq_of;
use super::row::Zoos;
use crate::columns::Columns;
use crate::parse::pending_audit;
use crate::{PendingAudits, StoreError};

/// Of so many unreadable rows it is told which they are.
const NAMED: usize = 100;

/// Drawn decisions since `since` that are finished and have no audit in force, oldest first; if `suffix` is given, of the routes that end so.
/// A row that cannot be read is passed over, and named.
pub(super) fn pending(
    connection: &Connection,
    after: Option<DecisionId>,
    since: Timestamp,
    suffix: Option<&str>,
    limit: usize,
) -> Result<PendingAudits, StoreError> {
    let after = match after {
        Some(id) => seq_of(connection, id, suffix)?.ok_or(StoreError::UnknownDecision)?,
        None => 0,
    };
    let mut statement = connection.prepare_cached(
        "SELECT d.seq, d.id, d.time, d.route, d.audit_rate, o.model, o.status, o.ok, d.prompt \
         FROM decisions d JOIN outcomes o ON o.decision_id = d.id \
         WHERE d.audit_drawn = 1 AND d.seq > ?1 AND d.time >= ?2 \
         AND (?3 IS NULL OR substr(d.route, -length(?3)) = ?3) AND NOT EXISTS (\
         SELECT 1 FROM feedback f WHERE f.decision_id = d.id AND f.source = 'audit' AND f.rating IS NOT NULL \
         AND f.seq = (SELECT MAX(g.seq) FROM feedback g \
         WHERE g.decision_id = f.decision_id AND g.rater = f.rater AND g.source = 'audit')) \
         ORDER BY d.seq",
    )?;
    let since = since.0.min(i64::MAX as u64) as i64;
    let (mut rows, zoos) = (statement.query(params![after, since, suffix])?, Zoos::new(connection));
    let mut pending = PendingAudits::default();
    while pending.found.len() < limit
        && let Some(row) = rows.next()?
    {
        match pending_audit(&mut Columns::of(row, &zoos)?) {
            Err(StoreError::Row { seq, .. }) if pending.unreadable.len() < NAMED => pending.unreadable.push(seq),
            Err(StoreError::Row { .. }) => {}
            audit => pending.found.push(audit?),
        }
    }
    Ok(pending)
}
