//! Decisions by ids of the applications' own.

use rusqlite::{Connection, OptionalExtension, params};
use slarouter_core::DecisionId;

use crate::{StoreError, TraceQuery};

/// Whose decisions have an id: the first and the last of the tenants.
const TENANTS: &str = "SELECT (SELECT min(tenant) FROM traces WHERE trace_id = ?1), \
     (SELECT max(tenant) FROM traces WHERE trace_id = ?1)";

/// Only the newest of an id are looked at, so that one id for all answers costs no more than another. Among them answers that a route chose
/// come before pinned ones, and answers before failures, as in both cases nothing would be learnt.
const NEWEST: &str = "SELECT d.id FROM (SELECT seq FROM traces WHERE trace_id = ?1 AND tenant = ?2 ORDER BY seq DESC LIMIT 64) t \
     JOIN decisions d ON d.seq = t.seq ORDER BY \
     ?3 IS NOT NULL AND (SELECT f.rating FROM feedback f WHERE f.decision_id = d.id AND f.rater = ?3 AND f.source = ?4 \
     ORDER BY f.seq DESC LIMIT 1) IS NOT NULL DESC, \
     d.reason = 'pinned', \
     EXISTS (SELECT 1 FROM outcomes o WHERE o.decision_id = d.id AND NOT o.ok AND o.status <> 499), \
     d.seq DESC LIMIT 1";

/// Where none of them is whole any more, the last one: whoever rates it is told that it is too late.
const ARCHIVED: &str = "SELECT a.id FROM traces t JOIN archive a ON a.seq = t.seq WHERE t.trace_id = ?1 AND t.tenant = ?2 \
     ORDER BY t.seq DESC LIMIT 1";

/// The decision that feedback with an id of the application's own is about.
pub(super) fn find(connection: &Connection, query: &TraceQuery) -> Result<Option<DecisionId>, StoreError> {
    let trace = query.trace.as_str();
    let tenant = match query.tenant.as_deref() {
        Some(tenant) => Some(tenant.to_owned()),
        None => only_tenant(connection, trace)?,
    };
    let (source, rater) = query.rated_by.map(|(source, rater)| (source.as_str(), rater.0.cast_signed())).unzip();
    let mut statement = connection.prepare_cached(NEWEST)?;
    let mut found = statement.query_row(params![trace, tenant, rater, source], |row| row.get(0)).optional()?;
    if found.is_none() {
        found = connection.prepare_cached(ARCHIVED)?.query_row(params![trace, tenant], |row| row.get(0)).optional()?;
    }
    Ok(found.map(|id| DecisionId(u128::from_be_bytes(id))))
}

fn only_tenant(connection: &Connection, trace: &str) -> Result<Option<String>, StoreError> {
    let (first, last): (Option<String>, Option<String>) =
        connection.prepare_cached(TENANTS)?.query_row([trace], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if first == last { Ok(first) } else { Err(StoreError::Ambiguous) }
}

#[cfg(test)]
mod tests {
    use super::super::tables::migrate;
    use super::*;

    /// Somebody may give all answers one id.
    #[test]
    fn an_id_is_found_by_its_index_and_not_sorted() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        let plan = |query: &str| -> String {
            let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {query}")).unwrap();
            let steps = statement.query_map([], |row| row.get::<_, String>("detail")).unwrap();
            steps.map(|step| step.unwrap() + "\n").collect()
        };
        let newest = plan(&NEWEST.replace("?1", "'a'").replace("?2", "''").replace("?3", "NULL").replace("?4", "NULL"));
        assert!(newest.contains("INDEX traces_by_id (trace_id=? AND tenant=?)"), "{newest}");
        // The 64 that were found are sorted; the others are not read.
        assert_eq!(newest.matches("USE TEMP B-TREE").count(), 1, "{newest}");
        let tenants = plan(&TENANTS.replace("?1", "'a'"));
        assert_eq!(tenants.matches("INDEX traces_by_id (trace_id=?)").count(), 2, "{tenants}");
    }
}
