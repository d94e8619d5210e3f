//! Queries.

use rusqlite::{Connection, OptionalExtension, params};
use slarouter_core::DecisionId;

use super::archive;
use super::row::{Zoos, blob};
use crate::columns::Columns;
use crate::{Counts, Snapshot, StoreError, StoredDecision, parse};

/// The last number that was given out; what is gone had one as well.
pub(super) fn last_seq(connection: &Connection) -> Result<u64, rusqlite::Error> {
    let last: i64 = connection.query_row(
        "SELECT MAX(coalesce((SELECT MAX(seq) FROM route_configs), 0), coalesce((SELECT MAX(seq) FROM decisions), 0), \
         coalesce((SELECT MAX(seq) FROM reroutes), 0), coalesce((SELECT MAX(seq) FROM outcomes), 0), \
         coalesce((SELECT MAX(seq) FROM feedback), 0), coalesce((SELECT MAX(seq) FROM rollbacks), 0), \
         (SELECT seq FROM shortened))",
        [],
        |row| row.get(0),
    )?;
    Ok(last as u64)
}

/// The newest as of `until` or before it, in the order in which they were saved.
pub(crate) fn snapshots(connection: &Connection, until: u64) -> Result<Vec<Snapshot>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT seq, route, time, state FROM snapshots \
         WHERE seq = (SELECT MAX(seq) FROM snapshots WHERE seq <= ?1) ORDER BY rowid",
    )?;
    let until = i64::try_from(until).unwrap_or(i64::MAX);
    let (mut rows, zoos) = (statement.query([until])?, Zoos::new(connection));
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let mut row = Columns::of(row, &zoos)?;
        found.push(parse::snapshot(&mut row)?);
    }
    Ok(found)
}

/// Decisions as the log was after the event ?2, with the messages if ?3: the columns of [`parse::stored_decision`].
const DECISIONS: &str = "SELECT d.seq, d.id, d.time, d.route, d.reason, d.zoo, d.candidates, d.decision, d.zoo, d.features, d.feature_version, \
     d.input_tokens, d.state_seq, CASE WHEN ?3 THEN d.prompt END AS prompt, d.audit_rate, d.audit_drawn, z.key, z.tenant, z.fallback, \
     (SELECT t.trace_id FROM traces t WHERE t.seq = d.seq) AS trace_id, \
     (SELECT r.model FROM reroutes r WHERE r.decision_id = d.id AND r.seq <= ?2 ORDER BY r.seq DESC LIMIT 1) AS model \
     FROM decisions d LEFT JOIN zoos z ON z.number = d.zoo";

/// The query for the decisions of which this is so.
pub(super) fn decisions(condition: &str) -> String {
    format!("{DECISIONS} WHERE {condition}")
}

pub(super) fn decision(connection: &Connection, id: DecisionId) -> Result<Option<StoredDecision>, StoreError> {
    let mut statement = connection.prepare_cached(&decisions("d.id = ?1"))?;
    let (mut rows, zoos) = (statement.query(params![blob(id), i64::MAX, true])?, Zoos::new(connection));
    match rows.next()? {
        Some(row) => parse::stored_decision(&mut Columns::of(row, &zoos)?).map(Some),
        None => archive::decision(connection, id),
    }
}

/// The number of a decision; if `suffix` is given, of one whose route ends so.
pub(super) fn seq_of(
    connection: &Connection,
    id: DecisionId,
    suffix: Option<&str>,
) -> Result<Option<i64>, rusqlite::Error> {
    let query = "SELECT seq FROM decisions WHERE id = ?1 AND (?2 IS NULL OR substr(route, -length(?2)) = ?2) UNION ALL \
         SELECT a.seq FROM archive a JOIN archive_kinds k ON k.number = a.kind \
         WHERE a.id = ?1 AND (?2 IS NULL OR substr(k.route, -length(?2)) = ?2)";
    connection.query_row(query, params![blob(id), suffix], |row| row.get(0)).optional()
}

pub(super) fn counts(connection: &Connection) -> Result<Counts, StoreError> {
    let counts = connection.query_row(
        "SELECT (SELECT COUNT(*) FROM decisions) + (SELECT COUNT(*) FROM archive), \
         (SELECT COUNT(*) FROM outcomes) + (SELECT COUNT(ending) FROM archive), (SELECT COUNT(*) FROM feedback)",
        [],
        |row| {
            let count = |place| row.get::<_, i64>(place).map(|count| count as u64);
            Ok(Counts { decisions: count(0)?, outcomes: count(1)?, feedback: count(2)? })
        },
    )?;
    Ok(counts)
}
