//! Decisions in one short row each: what analysts need, once nothing is learnt from them any more.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params_from_iter};
use slarouter_core::DecisionId;

use super::row::{Zoos, blob};
use crate::columns::Columns;
use crate::{OutcomeRecord, StoreError, StoredDecision, parse};

/// The view has all that stays, for rows of every release.
const FOUND: &str = "SELECT d.id, d.time, d.route, d.reason, d.zoo, w.chosen, w.model, d.audit_rate, d.audit_drawn, \
     d.propensity, w.predicted_satisfaction, w.predicted_cost_usd, w.most_expensive_cost_usd, d.input_tokens, \
     w.status, w.ok, w.streamed, w.attempts, w.input_tokens, w.cached_tokens, w.output_tokens, w.cost_usd, round(w.latency_ms), \
     round(w.ttft_ms), w.error, w.rating, w.models FROM decisions d JOIN decisions_whole w ON w.seq = d.seq WHERE d.seq = ?1";

const KIND: &str = "INSERT INTO archive_kinds (route, reason, zoo, chosen, model, audit_rate, audited) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

const FIND_KIND: &str = "SELECT number FROM archive_kinds WHERE route = ?1 AND reason = ?2 AND zoo = ?3 AND chosen = ?4 AND model = ?5 \
     AND audit_rate = ?6 AND audited = ?7";

/// Rows of release 0.1 have the names of their models in themselves.
const ZOO: &str = "INSERT INTO zoos (models, fallback, key, tenant) VALUES (?1, -1, '', '')";

const FIND_ZOO: &str = "SELECT number FROM zoos WHERE models = ?1 AND fallback = -1 AND key = '' AND tenant = ''";

const ENDING: &str = "INSERT INTO archive_endings (status, ok, streamed, attempts) VALUES (?1, ?2, ?3, ?4)";

const FIND_ENDING: &str =
    "SELECT number FROM archive_endings WHERE status = ?1 AND ok = ?2 AND streamed = ?3 AND attempts = ?4";

const ARCHIVE: &str = "INSERT INTO archive (seq, id, time, kind, propensity, satisfaction, cost, most_expensive, estimated_tokens, \
     ending, input_tokens, cached_tokens, output_tokens, cost_usd, latency_ms, ttft_ms, error, rating) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)";

/// Moves the decision of this number to the archive, with its outcome and the mean of its ratings. Its words stay, as long as
/// [`crate::Retention::feedback_ms`] says.
pub(super) fn archive(connection: &Connection, seq: i64) -> Result<(), rusqlite::Error> {
    let mut found = connection.prepare_cached(FOUND)?;
    let row: Vec<Value> = found.query_row([seq], |row| (0..27).map(|place| row.get(place)).collect())?;
    let zoo = match &row[4] {
        Value::Null => number(connection, ZOO, FIND_ZOO, &row[26..])?,
        known => known.clone(),
    };
    let kind = [&row[2..4], &[zoo][..], &row[5..9]].concat();
    let kind = number(connection, KIND, FIND_KIND, &kind)?;
    let ending = match &row[14] {
        Value::Null => Value::Null,
        _ => number(connection, ENDING, FIND_ENDING, &row[14..18])?,
    };
    let kept = [&[Value::Integer(seq)][..], &row[..2], &[kind][..], &row[9..14], &[ending][..], &row[18..26]].concat();
    connection.prepare_cached(ARCHIVE)?.execute(params_from_iter(kept))?;
    for statement in ["DELETE FROM outcomes WHERE decision_id = ?1", "DELETE FROM reroutes WHERE decision_id = ?1"] {
        connection.prepare_cached(statement)?.execute([&row[0]])?;
    }
    connection.prepare_cached("DELETE FROM decisions WHERE seq = ?1")?.execute([seq])?;
    Ok(())
}

/// The number of what many rows have in common; a new one if none of them had it yet.
fn number(connection: &Connection, insert: &str, find: &str, values: &[Value]) -> Result<Value, rusqlite::Error> {
    let mut find = connection.prepare_cached(find)?;
    if let Some(number) = find.query_row(params_from_iter(values), |row| row.get(0)).optional()? {
        return Ok(number);
    }
    connection.prepare_cached(insert)?.execute(params_from_iter(values))?;
    find.query_row(params_from_iter(values), |row| row.get(0))
}

const DECISION: &str = "SELECT a.seq, a.time, k.route, k.reason, k.chosen, a.propensity, a.satisfaction, a.cost, a.estimated_tokens, \
     k.audit_rate, k.audited, z.key, z.tenant, (SELECT t.trace_id FROM traces t WHERE t.seq = a.seq), \
     nullif(k.model, k.chosen) FROM archive a JOIN archive_kinds k ON k.number = a.kind LEFT JOIN zoos z ON z.number = k.zoo \
     WHERE a.id = ?1";

/// A decision of the archive, as far as it is kept.
pub(super) fn decision(connection: &Connection, id: DecisionId) -> Result<Option<StoredDecision>, StoreError> {
    let mut statement = connection.prepare_cached(DECISION)?;
    let (mut rows, zoos) = (statement.query([blob(id)])?, Zoos::new(connection));
    rows.next()?.map(|row| parse::archived_decision(&mut Columns::of(row, &zoos)?, id)).transpose()
}

const OUTCOME: &str = "SELECT a.seq, a.time, k.model, e.status, e.ok, e.streamed, e.attempts, a.input_tokens, a.cached_tokens, \
     a.output_tokens, a.cost_usd, a.latency_ms, a.ttft_ms, a.error FROM archive a JOIN archive_kinds k ON k.number = a.kind \
     JOIN archive_endings e ON e.number = a.ending WHERE a.id = ?1";

/// How the request of a decision of the archive ended, as far as that is kept.
pub(super) fn outcome(connection: &Connection, id: DecisionId) -> Result<Option<OutcomeRecord>, StoreError> {
    let mut statement = connection.prepare_cached(OUTCOME)?;
    let (mut rows, zoos) = (statement.query([blob(id)])?, Zoos::new(connection));
    rows.next()?.map(|row| parse::archived_outcome(&mut Columns::of(row, &zoos)?, id)).transpose()
}

/// What has to be known of a decision of the archive to answer those who speak of it.
pub(super) struct Known {
    /// When it was made.
    pub(super) time: i64,
    /// Whether it was drawn for audit.
    pub(super) drawn: bool,
}

/// A decision of the archive; `None` if it is not there.
pub(super) fn known(connection: &Connection, id: DecisionId) -> Result<Option<Known>, rusqlite::Error> {
    let mut statement = connection.prepare_cached(
        "SELECT a.time, k.audited FROM archive a JOIN archive_kinds k ON k.number = a.kind WHERE a.id = ?1",
    )?;
    statement.query_row([blob(id)], |row| Ok(Known { time: row.get(0)?, drawn: row.get(1)? })).optional()
}
