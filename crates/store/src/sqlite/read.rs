//! Queries.

use rusqlite::{Connection, OptionalExtension, params};
use slarouter_core::{AuditDraw, DecisionId};

use super::row::{Columns, Zoos};
use crate::{Counts, DecisionRecord, Snapshot, StoreError, StoredDecision};

/// The id as it is stored: 16 bytes, big end first, so that ids sort by time.
pub(super) fn blob(id: DecisionId) -> [u8; 16] {
    id.0.to_be_bytes()
}

pub(super) fn last_seq(connection: &Connection) -> Result<u64, rusqlite::Error> {
    let last: i64 = connection.query_row(
        "SELECT MAX(coalesce((SELECT MAX(seq) FROM route_configs), 0), coalesce((SELECT MAX(seq) FROM decisions), 0), \
         coalesce((SELECT MAX(seq) FROM reroutes), 0), coalesce((SELECT MAX(seq) FROM outcomes), 0), \
         coalesce((SELECT MAX(seq) FROM feedback), 0))",
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
        found.push(Snapshot { seq: row.seq(), route: row.text()?, time: row.time()?, state: row.next()? });
    }
    Ok(found)
}

pub(super) fn decision(connection: &Connection, id: DecisionId) -> Result<Option<StoredDecision>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT seq, time, route, reason, zoo, candidates, decision, zoo, features, feature_version, input_tokens, state_seq, prompt, audit_rate, audit_drawn, z.key, z.tenant, z.fallback, \
         (SELECT t.trace_id FROM traces t WHERE t.seq = d.seq), \
         (SELECT r.model FROM reroutes r WHERE r.decision_id = d.id ORDER BY r.seq DESC LIMIT 1) \
         FROM decisions d LEFT JOIN zoos z ON z.number = d.zoo WHERE d.id = ?1",
    )?;
    let mut rows = statement.query([blob(id)])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let zoos = Zoos::new(connection);
    let mut row = Columns::of(row, &zoos)?;
    let record = DecisionRecord {
        id,
        time: row.time()?,
        route: row.text()?,
        decision: row.decision()?,
        features: row.features()?,
        feature_version: row.next()?,
        input_tokens: row.next()?,
        state_seq: row.next::<i64>()? as u64,
        prompt: row.next()?,
        audit: AuditDraw { rate: row.next()?, drawn: row.next()? },
        payer: row.payer()?,
        fallback: row.place()?,
        trace: row.trace()?,
    };
    let rerouted: Option<String> = row.next()?;
    Ok(Some(StoredDecision { seq: row.seq(), record, rerouted: rerouted.map(Into::into) }))
}

/// The number of a decision; if `suffix` is given, of one whose route ends so.
pub(super) fn seq_of(
    connection: &Connection,
    id: DecisionId,
    suffix: Option<&str>,
) -> Result<Option<i64>, rusqlite::Error> {
    let query = "SELECT seq FROM decisions WHERE id = ?1 AND (?2 IS NULL OR substr(route, -length(?2)) = ?2)";
    connection.query_row(query, params![blob(id), suffix], |row| row.get(0)).optional()
}

pub(super) fn counts(connection: &Connection) -> Result<Counts, StoreError> {
    let counts = connection.query_row(
        "SELECT (SELECT COUNT(*) FROM decisions), (SELECT COUNT(*) FROM outcomes), (SELECT COUNT(*) FROM feedback)",
        [],
        |row| {
            let count = |place| row.get::<_, i64>(place).map(|count| count as u64);
            Ok(Counts { decisions: count(0)?, outcomes: count(1)?, feedback: count(2)? })
        },
    )?;
    Ok(counts)
}
