//! The answers that wait for an auditor.

use slarouter_core::{DecisionId, Timestamp};

use super::params::{bound, one, text};
use super::read::seq_of;
use super::readers::View;
use super::row::parsed;
use crate::parse::pending_audit;
use crate::{PendingAudits, StoreError};

/// Of so many unreadable rows it is told which they are.
const NAMED: usize = 100;

const PENDING: &str = "SELECT d.seq, d.id, d.time, d.route, d.audit_rate, o.model, o.status, o.ok, d.prompt \
     FROM decisions d JOIN outcomes o ON o.decision_id = d.id \
     WHERE d.audit_drawn AND d.seq > $1 AND d.time >= $2 \
     AND ($3 IS NULL OR right(d.route, length($3)) = $3) AND NOT EXISTS (\
     SELECT 1 FROM feedback f WHERE f.decision_id = d.id AND f.source = 'audit' AND f.rating IS NOT NULL \
     AND f.seq = (SELECT max(g.seq) FROM feedback g \
     WHERE g.decision_id = f.decision_id AND g.rater = f.rater AND g.source = 'audit')) \
     ORDER BY d.seq LIMIT $4";

/// Drawn decisions since `since` that are finished and have no audit in force, oldest first; if `suffix` is given, of the routes that end so.
/// A row that cannot be read is passed over, and named.
pub(super) async fn pending(
    view: &View,
    after: Option<DecisionId>,
    since: Timestamp,
    suffix: Option<&str>,
    limit: usize,
) -> Result<PendingAudits, StoreError> {
    let mut after = match after {
        Some(id) => seq_of(view, id, suffix).await?.ok_or(StoreError::UnknownDecision)?,
        None => 0,
    };
    let (since, suffix) = (bound(since), suffix.map(text));
    let mut pending = PendingAudits::default();
    // Those that cannot be read leave room for more.
    while pending.found.len() < limit {
        let most = i64::try_from(limit - pending.found.len()).unwrap_or(i64::MAX);
        let rows = view.rows(PENDING, &[one(&after), one(&since), one(&suffix), one(&most)]).await?;
        for row in &rows {
            after = super::row::cells(row).next()?;
            match parsed(row, view.zoos(), pending_audit) {
                Err(StoreError::Row { seq, .. }) if pending.unreadable.len() < NAMED => pending.unreadable.push(seq),
                Err(StoreError::Row { .. }) => {}
                audit => pending.found.push(audit?),
            }
        }
        if rows.len() as i64 != most {
            break;
        }
    }
    Ok(pending)
}
