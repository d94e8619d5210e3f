//! Decisions as people look at them.

use rusqlite::{Connection, params};
use slarouter_core::DecisionId;

use super::archive;
use super::events;
use super::read;
use super::row::{Zoos, blob};
use crate::columns::Columns;
use crate::{DecisionHistory, DecisionPage, DecisionQuery, LoggedFeedback, OutcomeRecord, StoreError, parse};

/// Events of the log that one page is looked for among: half a second of a core where a filter fits none of them, which no index that each
/// decision would have to write is worth.
const LOOKED_THROUGH: i64 = 2_000_000;

/// What analysts see of a decision is what people see. Few decisions are rerouted, so which ones are is found once, before any is looked at.
pub(super) const PAGE: &str = "SELECT d.seq, d.id, d.time, d.route, d.reason, r.chosen, r.model, r.predicted_satisfaction, \
     r.predicted_cost_usd, r.status, r.cost_usd, r.latency_ms, r.rating, r.trace_id \
     FROM decisions d JOIN decisions_whole r ON r.seq = d.seq \
     WHERE d.seq < ?1 AND d.seq >= ?2 AND (?3 IS NULL OR d.route = ?3) AND (?4 IS NULL OR d.reason = ?4) \
     AND (?5 IS NULL OR ((d.model = ?5 OR d.id IN (SELECT decision_id FROM reroutes WHERE model = ?5 AND seq >= ?2)) \
     AND r.model = ?5)) ORDER BY d.seq DESC LIMIT ?6";

/// The same of the archive, whose columns say it all.
pub(super) const ARCHIVED: &str = "SELECT a.seq, a.id, a.time, k.route, k.reason, k.chosen, k.model, coalesce(a.satisfaction, 0.0), \
     coalesce(a.cost, 0.0), e.status, a.cost_usd, a.latency_ms, a.rating, (SELECT t.trace_id FROM traces t WHERE t.seq = a.seq) \
     FROM archive a JOIN archive_kinds k ON k.number = a.kind LEFT JOIN archive_endings e ON e.number = a.ending \
     WHERE a.seq < ?1 AND a.seq >= ?2 AND (?3 IS NULL OR k.route = ?3) AND (?4 IS NULL OR k.reason = ?4) \
     AND (?5 IS NULL OR k.model = ?5) ORDER BY a.seq DESC LIMIT ?6";

/// One page of the list. A row that cannot be read is left out.
pub(super) fn page(connection: &Connection, query: &DecisionQuery) -> Result<DecisionPage, StoreError> {
    let before = query.before.map_or(i64::MAX, |before| i64::try_from(before).unwrap_or(i64::MAX));
    let end = before.min(read::last_seq(connection)?.cast_signed() + 1);
    let floor = (end - LOOKED_THROUGH).max(1);
    let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
    let (route, model) = (query.route.as_deref(), query.model.as_deref());
    let reason = query.reason.map(|reason| reason.as_str());
    // Each with its number, `None` where the row cannot be read.
    let mut found = Vec::new();
    for statement in [PAGE, ARCHIVED] {
        let mut statement = connection.prepare_cached(statement)?;
        let rows = statement.query(params![end, floor, route, reason, model, limit])?;
        let (mut rows, zoos) = (rows, Zoos::new(connection));
        while let Some(row) = rows.next()? {
            let mut row = Columns::of(row, &zoos)?;
            let seq = row.seq();
            match parse::line(&mut row) {
                Err(StoreError::Row { .. }) => found.push((seq, None)),
                line => found.push((seq, Some(line?))),
            }
        }
    }
    found.sort_by_key(|(seq, _)| std::cmp::Reverse(*seq));
    found.truncate(query.limit);
    let last = found.last().filter(|_| found.len() == query.limit).map(|(seq, _)| *seq);
    let next = last.or(Some(floor.cast_unsigned()).filter(|&floor| floor > 1));
    Ok(DecisionPage { lines: found.into_iter().filter_map(|(_, line)| line).collect(), next })
}

/// A decision, its configuration, its end and all words on it, as of one commit.
pub(super) fn history(connection: &mut Connection, id: DecisionId) -> Result<Option<DecisionHistory>, StoreError> {
    let view = connection.transaction()?;
    let Some(decision) = read::decision(&view, id)? else { return Ok(None) };
    let configuration = configuration(&view, &decision.record.route, decision.record.state_seq)?;
    let (outcome, feedback) = (outcome(&view, id)?, feedback(&view, id)?);
    Ok(Some(DecisionHistory { decision, configuration, outcome, feedback }))
}

/// What was in force of a route once the event `seq` had gone in.
fn configuration(connection: &Connection, route: &str, seq: u64) -> Result<Option<String>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT seq, spec FROM route_configs WHERE route = ?1 AND seq <= ?2 ORDER BY seq DESC LIMIT 1",
    )?;
    let (mut rows, zoos) = (statement.query(params![route, seq.cast_signed()])?, Zoos::new(connection));
    rows.next()?.map(|row| Columns::of(row, &zoos)?.next()).transpose()
}

fn outcome(connection: &Connection, id: DecisionId) -> Result<Option<OutcomeRecord>, StoreError> {
    let mut statement = connection.prepare_cached(events::OUTCOME)?;
    let (mut rows, zoos) = (statement.query([blob(id)])?, Zoos::new(connection));
    match rows.next()? {
        Some(row) => parse::outcome(&mut Columns::of(row, &zoos)?).map(Some),
        None => archive::outcome(connection, id),
    }
}

fn feedback(connection: &Connection, id: DecisionId) -> Result<Vec<LoggedFeedback>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT seq, time, source, rater, rating, receipt, comment FROM feedback WHERE decision_id = ?1 ORDER BY seq",
    )?;
    let (mut found, zoos) = (statement.query([blob(id)])?, Zoos::new(connection));
    let mut words = Vec::new();
    while let Some(row) = found.next()? {
        words.push(parse::word(&mut Columns::of(row, &zoos)?)?);
    }
    Ok(words)
}
