//! Queries.

use slarouter_core::DecisionId;

use super::archive;
use super::params::{one, uuid};
use super::readers::View;
use super::row::{cells, parsed};
use super::terms;
use crate::{Counts, Snapshot, StoreError, StoredDecision, parse};

/// Decisions as the log was after the event $2, with the messages if $3: the columns of [`parse::stored_decision`].
const DECISIONS: &str = "SELECT d.seq, d.id, d.time, d.route, d.reason, d.zoo, d.candidates, d.decision, d.zoo, d.features, d.feature_version, \
     d.input_tokens, d.state_seq, CASE WHEN $3 THEN d.prompt END AS prompt, d.audit_rate, d.audit_drawn, z.key, z.tenant, z.fallback, \
     (SELECT t.trace_id FROM traces t WHERE t.seq = d.seq) AS trace_id, \
     (SELECT r.model FROM reroutes r WHERE r.decision_id = d.id AND r.seq <= $2 ORDER BY r.seq DESC LIMIT 1) AS model \
     FROM decisions d LEFT JOIN zoos z ON z.number = d.zoo";

/// The query for the decisions of which this is so.
pub(super) fn decisions(condition: &str) -> String {
    format!("{DECISIONS} WHERE {condition}")
}

const SNAPSHOTS: &str = "SELECT seq, route, time, state FROM snapshots \
     WHERE seq = (SELECT max(seq) FROM snapshots WHERE seq <= $1) ORDER BY place";

const COUNTS: &str = "SELECT (SELECT count(*) FROM decisions) + (SELECT count(*) FROM archive), \
     (SELECT count(*) FROM outcomes) + (SELECT count(ending) FROM archive), (SELECT count(*) FROM feedback)";

/// The last event in the log.
pub(super) async fn last_seq(view: &View) -> Result<u64, StoreError> {
    let row = view.row("SELECT seq FROM head", &[]).await?;
    Ok(cells(&row).next::<i64>()?.cast_unsigned())
}

/// The newest as of `until` or before it, in the order in which they were saved.
pub(super) async fn snapshots(view: &View, until: u64) -> Result<Vec<Snapshot>, StoreError> {
    let until = i64::try_from(until).unwrap_or(i64::MAX);
    let rows = view.rows(SNAPSHOTS, &[one(&until)]).await?;
    let mut saved: Vec<Snapshot> =
        rows.iter().map(|row| parsed(row, view.zoos(), parse::snapshot)).collect::<Result<_, _>>()?;
    if let Some(seq) = saved.first().map(|saved| saved.seq) {
        let by = terms::of(view, seq).await?;
        saved.iter_mut().for_each(|saved| saved.by = by);
    }
    Ok(saved)
}

pub(super) async fn decision(view: &View, id: DecisionId) -> Result<Option<StoredDecision>, StoreError> {
    let rows = view.rows(&decisions("d.id = $1"), &[one(&uuid(id)), one(&i64::MAX), one(&true)]).await?;
    match rows.first() {
        Some(row) => parsed(row, view.zoos(), parse::stored_decision).map(Some),
        None => archive::decision(view, id).await,
    }
}

/// The number of a decision; if `suffix` is given, of one whose route ends so.
pub(super) async fn seq_of(view: &View, id: DecisionId, suffix: Option<&str>) -> Result<Option<i64>, StoreError> {
    let query = "SELECT seq FROM decisions WHERE id = $1 AND ($2 IS NULL OR right(route, length($2)) = $2) UNION ALL \
         SELECT a.seq FROM archive a JOIN archive_kinds k ON k.number = a.kind \
         WHERE a.id = $1 AND ($2 IS NULL OR right(k.route, length($2)) = $2)";
    let rows = view.rows(query, &[one(&uuid(id)), one(&suffix.map(super::params::text))]).await?;
    rows.first().map(|row| cells(row).next()).transpose()
}

pub(super) async fn counts(view: &View) -> Result<Counts, StoreError> {
    let row = view.row(COUNTS, &[]).await?;
    let mut row = cells(&row);
    let mut count = || row.next::<i64>().map(i64::cast_unsigned);
    Ok(Counts { decisions: count()?, outcomes: count()?, feedback: count()? })
}
