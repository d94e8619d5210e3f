//! Decisions by ids of the applications' own.

use slarouter_core::DecisionId;

use super::params::{one, text};
use super::readers::View;
use super::row::parsed;
use crate::{StoreError, TraceQuery};

/// Whose decisions have an id: the first and the last of the tenants.
const TENANTS: &str = "SELECT 0::bigint, (SELECT min(tenant) FROM traces WHERE trace_id = $1), (SELECT max(tenant) FROM traces WHERE trace_id = $1)";

/// Only the newest of an id are looked at, so that one id for all answers costs no more than another. Among them answers that a route chose
/// come before pinned ones, and answers before failures, as in both cases nothing would be learnt.
const NEWEST: &str = "SELECT d.seq, d.id FROM (SELECT seq FROM traces WHERE trace_id = $1 AND tenant = $2 ORDER BY seq DESC LIMIT 64) t \
     JOIN decisions d ON d.seq = t.seq ORDER BY \
     ($3 IS NOT NULL AND (SELECT f.rating FROM feedback f WHERE f.decision_id = d.id AND f.rater = $3 AND f.source = $4 \
     ORDER BY f.seq DESC LIMIT 1) IS NOT NULL) DESC, \
     d.reason = 'pinned', \
     EXISTS (SELECT 1 FROM outcomes o WHERE o.decision_id = d.id AND NOT o.ok AND o.status <> 499), \
     d.seq DESC LIMIT 1";

/// Where none of them is whole any more, the last one: whoever rates it is told that it is too late.
const ARCHIVED: &str = "SELECT a.seq, a.id FROM traces t JOIN archive a ON a.seq = t.seq WHERE t.trace_id = $1 AND t.tenant = $2 \
     ORDER BY t.seq DESC LIMIT 1";

/// The decision that feedback with an id of the application's own is about.
pub(super) async fn find(view: &View, query: &TraceQuery) -> Result<Option<DecisionId>, StoreError> {
    let trace = query.trace.as_str();
    let tenant = match query.tenant.as_deref() {
        Some(tenant) => Some(tenant.to_owned()),
        None => only_tenant(view, trace).await?,
    };
    let (source, rater) = query.rated_by.map(|(source, rater)| (source.as_str(), rater.0.cast_signed())).unzip();
    let tenant = tenant.as_deref().map(text);
    let mut rows = view.rows(NEWEST, &[one(&trace), one(&tenant), one(&rater), one(&source)]).await?;
    if rows.is_empty() {
        rows = view.rows(ARCHIVED, &[one(&trace), one(&tenant)]).await?;
    }
    rows.first().map(|row| parsed(row, view.zoos(), |row| row.id())).transpose()
}

async fn only_tenant(view: &View, trace: &str) -> Result<Option<String>, StoreError> {
    let row = view.row(TENANTS, &[one(&trace)]).await?;
    let (first, last): (Option<String>, Option<String>) =
        parsed(&row, view.zoos(), |row| Ok((row.next()?, row.next()?)))?;
    if first == last { Ok(first) } else { Err(StoreError::Ambiguous) }
}
