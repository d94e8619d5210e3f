//! Decisions as people look at them.

use slarouter_core::DecisionId;

use super::archive;
use super::events;
use super::params::{one, text, uuid};
use super::read;
use super::readers::View;
use super::row::{cells, parsed};
use crate::{DecisionHistory, DecisionPage, DecisionQuery, LoggedFeedback, OutcomeRecord, StoreError, parse};

/// Events of the log that one page is looked for among.
const LOOKED_THROUGH: i64 = 2_000_000;

/// What analysts see of a decision is what people see. Few decisions are rerouted, so which ones are is found once, before any is looked at.
pub(super) const PAGE: &str = "SELECT r.seq, r.decision_id, r.decided_ms, r.route, r.reason, r.chosen, r.model, r.predicted_satisfaction, \
     r.predicted_cost_usd, r.status, r.cost_usd, r.latency_ms, r.rating, r.trace_id \
     FROM decisions_whole r WHERE r.seq < $1 AND r.seq >= $2 AND ($3 IS NULL OR r.route = $3) AND ($4 IS NULL OR r.reason = $4) \
     AND ($5 IS NULL OR ((r.chosen = $5 OR r.decision_id IN (SELECT decision_id FROM reroutes WHERE model = $5 AND seq >= $2)) \
     AND r.model = $5)) ORDER BY r.seq DESC LIMIT $6";

/// The same of the archive, whose columns say it all.
pub(super) const ARCHIVED: &str = "SELECT a.seq, a.id, a.time, k.route, k.reason, k.chosen, k.model, coalesce(a.satisfaction, 0), \
     coalesce(a.cost, 0), e.status, a.cost_usd, a.latency_ms, a.rating, (SELECT t.trace_id FROM traces t WHERE t.seq = a.seq) AS trace_id \
     FROM archive a JOIN archive_kinds k ON k.number = a.kind LEFT JOIN archive_endings e ON e.number = a.ending \
     WHERE a.seq < $1 AND a.seq >= $2 AND ($3 IS NULL OR k.route = $3) AND ($4 IS NULL OR k.reason = $4) \
     AND ($5 IS NULL OR k.model = $5) ORDER BY a.seq DESC LIMIT $6";

/// One page of the list. A row that cannot be read is left out.
pub(super) async fn page(view: &View, query: &DecisionQuery) -> Result<DecisionPage, StoreError> {
    let before = query.before.map_or(i64::MAX, |before| i64::try_from(before).unwrap_or(i64::MAX));
    let end = before.min(read::last_seq(view).await?.cast_signed() + 1);
    let floor = (end - LOOKED_THROUGH).max(1);
    let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
    let (route, model) = (query.route.as_deref().map(text), query.model.as_deref().map(text));
    let reason = query.reason.map(|reason| reason.as_str());
    let params = [one(&end), one(&floor), one(&route), one(&reason), one(&model), one(&limit)];
    // Each with its number, `None` where the row cannot be read.
    let mut found = Vec::new();
    for statement in [PAGE, ARCHIVED] {
        for row in &view.rows(statement, &params).await? {
            let seq = cells(row).next::<i64>()?.cast_unsigned();
            match parsed(row, view.zoos(), parse::line) {
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
pub(super) async fn history(view: &View, id: DecisionId) -> Result<Option<DecisionHistory>, StoreError> {
    let Some(decision) = read::decision(view, id).await? else { return Ok(None) };
    let configuration = configuration(view, &decision.record.route, decision.record.state_seq).await?;
    let (outcome, feedback) = (outcome(view, id).await?, feedback(view, id).await?);
    Ok(Some(DecisionHistory { decision, configuration, outcome, feedback }))
}

/// What was in force of a route once the event `seq` had gone in.
async fn configuration(view: &View, route: &str, seq: u64) -> Result<Option<String>, StoreError> {
    let query = "SELECT seq, spec FROM route_configs WHERE route = $1 AND seq <= $2 ORDER BY seq DESC LIMIT 1";
    let rows = view.rows(query, &[one(&text(route)), one(&seq.cast_signed())]).await?;
    rows.first().map(|row| parsed(row, view.zoos(), |row| row.next())).transpose()
}

async fn outcome(view: &View, id: DecisionId) -> Result<Option<OutcomeRecord>, StoreError> {
    let rows = view.rows(events::OUTCOME, &[one(&uuid(id))]).await?;
    match rows.first() {
        Some(row) => parsed(row, view.zoos(), parse::outcome).map(Some),
        None => archive::outcome(view, id).await,
    }
}

async fn feedback(view: &View, id: DecisionId) -> Result<Vec<LoggedFeedback>, StoreError> {
    let query =
        "SELECT seq, time, source, rater, rating, receipt, comment FROM feedback WHERE decision_id = $1 ORDER BY seq";
    let rows = view.rows(query, &[one(&uuid(id))]).await?;
    rows.iter().map(|row| parsed(row, view.zoos(), parse::word)).collect()
}
