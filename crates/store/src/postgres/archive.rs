//! Decisions in one short row each: what analysts need, once nothing is learnt from them any more.

use serde::Deserialize;
use slarouter_core::DecisionId;
use tokio_postgres::Client;

use super::insert::ZooNumbers;
use super::params::{many, one, uuid};
use super::readers::View;
use super::row::parsed;
use crate::{OutcomeRecord, StoreError, StoredDecision, parse};

/// What release 0.1 wrote of a decision, as far as the archive keeps it.
#[derive(Deserialize)]
struct Old {
    candidates: Vec<OldCandidate>,
    chosen: usize,
}

#[derive(Deserialize)]
struct OldCandidate {
    model: String,
    satisfaction: f64,
    cost: f64,
}

/// A row of release 0.1 with all candidates in one text.
pub(super) struct OldRow {
    pub(super) seq: i64,
    pub(super) is_pinned: bool,
    pub(super) decision: String,
}

/// Gives the rows of release 0.1 the columns that those of later ones have, of which the archive is made.
const SPLIT: &str = "UPDATE decisions d SET zoo = q.zoo, satisfaction = coalesce(d.satisfaction, q.satisfaction), \
     cost = coalesce(d.cost, q.cost), most_expensive = coalesce(d.most_expensive, q.most_expensive) \
     FROM unnest($1, $2, $3, $4, $5) AS q (seq, zoo, satisfaction, cost, most_expensive) WHERE d.seq = q.seq";

const KINDS: &str = "INSERT INTO archive_kinds (number, route, reason, zoo, chosen, model, audit_rate, audited) \
     SELECT (SELECT coalesce(max(k.number), 0) FROM archive_kinds k) + row_number() OVER (), n.* FROM (\
     SELECT DISTINCT d.route, d.reason, d.zoo, w.chosen, w.model, d.audit_rate, d.audit_drawn \
     FROM decisions d JOIN decisions_whole w ON w.seq = d.seq WHERE d.seq = ANY ($1) AND w.seq = ANY ($1)) n \
     WHERE NOT EXISTS (SELECT 1 FROM archive_kinds k WHERE k.route = n.route AND k.reason = n.reason AND k.zoo = n.zoo \
     AND k.chosen = n.chosen AND k.model = n.model AND k.audit_rate = n.audit_rate AND k.audited = n.audit_drawn)";

const ENDINGS: &str = "INSERT INTO archive_endings (number, status, ok, streamed, attempts) \
     SELECT (SELECT coalesce(max(e.number), 0) FROM archive_endings e) + row_number() OVER (), n.* FROM (\
     SELECT DISTINCT w.status, w.ok, w.streamed, w.attempts FROM decisions_whole w WHERE w.seq = ANY ($1) AND w.status IS NOT NULL) n \
     WHERE NOT EXISTS (SELECT 1 FROM archive_endings e WHERE e.status = n.status AND e.ok = n.ok AND e.streamed = n.streamed \
     AND e.attempts = n.attempts)";

/// The view has all that stays.
const ARCHIVE: &str = "INSERT INTO archive (seq, id, time, kind, propensity, satisfaction, cost, most_expensive, estimated_tokens, ending, \
     input_tokens, cached_tokens, output_tokens, cost_usd, latency_ms, ttft_ms, error, rating) \
     SELECT d.seq, d.id, d.time, k.number, d.propensity, w.predicted_satisfaction, w.predicted_cost_usd, w.most_expensive_cost_usd, \
     d.input_tokens, e.number, w.input_tokens, w.cached_tokens, w.output_tokens, w.cost_usd, round(w.latency_ms), round(w.ttft_ms), \
     w.error, w.rating FROM decisions d JOIN decisions_whole w ON w.seq = d.seq \
     JOIN archive_kinds k ON k.route = d.route AND k.reason = d.reason AND k.zoo = d.zoo AND k.chosen = w.chosen AND k.model = w.model \
     AND k.audit_rate = d.audit_rate AND k.audited = d.audit_drawn \
     LEFT JOIN archive_endings e ON e.status = w.status AND e.ok = w.ok AND e.streamed = w.streamed AND e.attempts = w.attempts \
     WHERE d.seq = ANY ($1) AND w.seq = ANY ($1)";

const GONE: [&str; 3] = [
    "DELETE FROM outcomes WHERE decision_id IN (SELECT id FROM decisions WHERE seq = ANY ($1))",
    "DELETE FROM reroutes WHERE decision_id IN (SELECT id FROM decisions WHERE seq = ANY ($1))",
    "DELETE FROM decisions WHERE seq = ANY ($1)",
];

/// Moves the decisions of these numbers to the archive, with their outcomes and the means of their ratings. Their words stay, as long as
/// [`crate::Retention::feedback_ms`] says.
pub(super) async fn archive(client: &Client, seqs: &Vec<i64>) -> Result<(), StoreError> {
    for statement in [KINDS, ENDINGS, ARCHIVE].into_iter().chain(GONE) {
        client.execute_typed(statement, &[many(seqs)]).await?;
    }
    Ok(())
}

/// Splits rows of release 0.1 into columns. Those that do not hold what they should are left out; the numbers of the others.
pub(super) async fn split(client: &Client, rows: &[OldRow], zoos: &mut ZooNumbers) -> Result<Vec<i64>, StoreError> {
    let mut split = Vec::new();
    let mut new = Vec::new();
    for OldRow { seq, is_pinned, decision } in rows {
        let Ok(old) = serde_json::from_str::<Old>(decision) else { continue };
        let Some(chosen) = old.candidates.get(old.chosen) else { continue };
        let names: Vec<&str> = old.candidates.iter().map(|candidate| candidate.model.as_str()).collect();
        let Ok(models) = serde_json::to_string(&names) else { continue };
        let zoo = zoos.number_of((models, -1, "".into(), "".into()), &mut new);
        let most_expensive = old.candidates.iter().map(|candidate| candidate.cost).max_by(f64::total_cmp);
        split.push((*seq, zoo, chosen.satisfaction, chosen.cost, most_expensive.filter(|_| !is_pinned)));
    }
    if split.is_empty() {
        return Ok(Vec::new());
    }
    super::insert::insert_zoos(client, &new).await?;
    let seqs: Vec<i64> = split.iter().map(|row| row.0).collect();
    let zoos: Vec<i64> = split.iter().map(|row| row.1).collect();
    let satisfactions: Vec<f64> = split.iter().map(|row| row.2).collect();
    let costs: Vec<f64> = split.iter().map(|row| row.3).collect();
    let most: Vec<Option<f64>> = split.iter().map(|row| row.4).collect();
    let params = [many(&seqs), many(&zoos), many(&satisfactions), many(&costs), many(&most)];
    client.execute_typed(SPLIT, &params).await?;
    Ok(seqs)
}

const DECISION: &str = "SELECT a.seq, a.time, k.route, k.reason, k.chosen, a.propensity, a.satisfaction, a.cost, a.estimated_tokens, \
     k.audit_rate, k.audited, z.key, z.tenant, (SELECT t.trace_id FROM traces t WHERE t.seq = a.seq), \
     nullif(k.model, k.chosen) FROM archive a JOIN archive_kinds k ON k.number = a.kind LEFT JOIN zoos z ON z.number = k.zoo \
     WHERE a.id = $1";

/// A decision of the archive, as far as it is kept.
pub(super) async fn decision(view: &View, id: DecisionId) -> Result<Option<StoredDecision>, StoreError> {
    let rows = view.rows(DECISION, &[one(&uuid(id))]).await?;
    rows.first().map(|row| parsed(row, view.zoos(), |row| parse::archived_decision(row, id))).transpose()
}

const OUTCOME: &str = "SELECT a.seq, a.time, k.model, e.status, e.ok, e.streamed, e.attempts, a.input_tokens, a.cached_tokens, \
     a.output_tokens, a.cost_usd, a.latency_ms, a.ttft_ms, a.error FROM archive a JOIN archive_kinds k ON k.number = a.kind \
     JOIN archive_endings e ON e.number = a.ending WHERE a.id = $1";

/// How the request of a decision of the archive ended, as far as that is kept.
pub(super) async fn outcome(view: &View, id: DecisionId) -> Result<Option<OutcomeRecord>, StoreError> {
    let rows = view.rows(OUTCOME, &[one(&uuid(id))]).await?;
    rows.first().map(|row| parsed(row, view.zoos(), |row| parse::archived_outcome(row, id))).transpose()
}
