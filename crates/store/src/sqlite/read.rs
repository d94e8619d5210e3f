//! Queries.

use std::sync::Arc;

use slarouter_core::{AuditDraw, Decision, DecisionId, Rater, Rating, Reason, Receipt, Source, Timestamp};
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};
use sqlx::{Row, SqliteExecutor};

use crate::{Counts, DecisionRecord, Event, Failed, OutcomeRecord, Rated, Snapshot, StoreError, StoredDecision};

/// The id as it is stored: 16 bytes, big end first, so that ids sort by time.
pub(super) fn blob(id: DecisionId) -> Vec<u8> {
    id.0.to_be_bytes().to_vec()
}

pub(super) async fn last_seq(connection: &mut SqliteConnection) -> Result<u64, sqlx::Error> {
    let last: i64 = sqlx::query_scalar(
        "SELECT MAX(coalesce((SELECT MAX(seq) FROM route_configs), 0), coalesce((SELECT MAX(seq) FROM decisions), 0), \
         coalesce((SELECT MAX(seq) FROM reroutes), 0), coalesce((SELECT MAX(seq) FROM outcomes), 0), \
         coalesce((SELECT MAX(seq) FROM feedback), 0))",
    )
    .fetch_one(connection)
    .await?;
    Ok(last as u64)
}

/// Reads each kind of event after `seq` within one read transaction, so that all see the same commit, and merges them.
pub(super) async fn events_after(pool: &SqlitePool, seq: u64, limit: usize) -> Result<Vec<Event>, StoreError> {
    let mut view = pool.begin().await?;
    let (after, most) = (seq as i64, limit as i64);
    let mut events = Vec::new();
    let rows = sqlx::query("SELECT * FROM route_configs WHERE seq > $1 ORDER BY seq LIMIT $2")
        .bind(after)
        .bind(most)
        .fetch_all(&mut *view)
        .await?;
    for row in &rows {
        events.push(configured(row)?);
    }
    let rows = sqlx::query("SELECT seq, id, time, route, decision FROM decisions WHERE seq > $1 ORDER BY seq LIMIT $2")
        .bind(after)
        .bind(most)
        .fetch_all(&mut *view)
        .await?;
    for row in &rows {
        events.push(decided(row)?);
    }
    let rows = sqlx::query(
        "SELECT o.*, d.route, d.reason, d.time AS decided_at, CASE WHEN NOT o.ok AND o.status <> 499 AND NOT EXISTS \
         (SELECT 1 FROM feedback f WHERE f.decision_id = d.id AND f.seq < o.seq) THEN d.decision END AS decision, \
         (SELECT r.model FROM reroutes r WHERE r.decision_id = d.id ORDER BY r.seq LIMIT 1) AS rerouted \
         FROM outcomes o JOIN decisions d ON d.id = o.decision_id WHERE o.seq > $1 ORDER BY o.seq LIMIT $2",
    )
    .bind(after)
    .bind(most)
    .fetch_all(&mut *view)
    .await?;
    for row in &rows {
        events.push(finished(row)?);
    }
    let rows = sqlx::query(
        "SELECT r.seq, r.model, d.route, d.reason, d.time AS decided_at, d.decision FROM reroutes r \
         JOIN decisions d ON d.id = r.decision_id WHERE r.seq > $1 \
         AND r.seq = (SELECT MIN(seq) FROM reroutes WHERE decision_id = d.id) \
         AND NOT EXISTS (SELECT 1 FROM feedback f WHERE f.decision_id = d.id AND f.seq < r.seq) ORDER BY r.seq LIMIT $2",
    )
    .bind(after)
    .bind(most)
    .fetch_all(&mut *view)
    .await?;
    for row in &rows {
        events.push(rerouted(row)?);
    }
    // What an account was told before the first rating of a decision holds for all its ratings.
    let rows = sqlx::query(
        "SELECT f.*, d.time AS decided_at, d.route, d.reason, d.decision, d.features, d.feature_version, coalesce((SELECT r.model \
         FROM reroutes r WHERE r.decision_id = d.id AND r.seq < f.seq ORDER BY r.seq DESC LIMIT 1), d.model) AS model, \
         (SELECT r.model FROM reroutes r WHERE r.decision_id = d.id AND r.seq < \
         (SELECT MIN(seq) FROM feedback WHERE decision_id = d.id) ORDER BY r.seq LIMIT 1) AS rerouted, \
         EXISTS (SELECT 1 FROM outcomes o WHERE o.decision_id = d.id AND NOT o.ok AND o.status <> 499 AND o.seq < \
         (SELECT MIN(seq) FROM feedback WHERE decision_id = d.id)) AS failed \
         FROM feedback f JOIN decisions d ON d.id = f.decision_id WHERE f.seq > $1 ORDER BY f.seq LIMIT $2",
    )
    .bind(after)
    .bind(most)
    .fetch_all(&mut *view)
    .await?;
    for row in &rows {
        events.push(rated(row)?);
    }
    events.sort_by_key(Event::seq);
    events.truncate(limit);
    Ok(events)
}

pub(crate) async fn snapshots(reader: impl SqliteExecutor<'_>) -> Result<Vec<Snapshot>, StoreError> {
    let rows =
        sqlx::query("SELECT route, seq, time, state FROM snapshots WHERE seq = (SELECT MAX(seq) FROM snapshots)")
            .fetch_all(reader)
            .await?;
    let snapshot = |row: &SqliteRow| -> Result<Snapshot, StoreError> {
        let route: String = row.try_get("route")?;
        Ok(Snapshot { route: route.into(), seq: seq(row)?, time: time(row, "time")?, state: row.try_get("state")? })
    };
    rows.iter().map(snapshot).collect()
}

pub(super) async fn decision(pool: &SqlitePool, id: DecisionId) -> Result<Option<StoredDecision>, StoreError> {
    let row = sqlx::query(
        "SELECT d.*, (SELECT r.model FROM reroutes r WHERE r.decision_id = d.id ORDER BY r.seq DESC LIMIT 1) \
         AS rerouted FROM decisions d WHERE d.id = $1",
    )
    .bind(blob(id))
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let record = DecisionRecord {
        id,
        time: time(&row, "time")?,
        route: text(&row, "route")?,
        decision: decision_of(&row)?,
        features: features(&row)?,
        feature_version: row.try_get("feature_version")?,
        input_tokens: row.try_get("input_tokens")?,
        state_seq: row.try_get::<i64, _>("state_seq")? as u64,
        prompt: row.try_get("prompt")?,
        audit: AuditDraw { rate: row.try_get("audit_rate")?, drawn: row.try_get("audit_drawn")? },
    };
    let rerouted: Option<String> = row.try_get("rerouted")?;
    Ok(Some(StoredDecision { seq: seq(&row)?, record, rerouted: rerouted.map(Into::into) }))
}

pub(super) async fn counts(pool: &SqlitePool) -> Result<Counts, StoreError> {
    let row = sqlx::query(
        "SELECT (SELECT COUNT(*) FROM decisions) AS decisions, (SELECT COUNT(*) FROM outcomes) AS outcomes, \
         (SELECT COUNT(*) FROM feedback) AS feedback",
    )
    .fetch_one(pool)
    .await?;
    let count = |name: &str| row.try_get::<i64, _>(name).map(|count| count as u64);
    Ok(Counts { decisions: count("decisions")?, outcomes: count("outcomes")?, feedback: count("feedback")? })
}

fn configured(row: &SqliteRow) -> Result<Event, StoreError> {
    Ok(Event::Configured {
        seq: seq(row)?,
        time: time(row, "time")?,
        route: text(row, "route")?,
        spec: row.try_get("spec")?,
    })
}

fn decided(row: &SqliteRow) -> Result<Event, StoreError> {
    Ok(Event::Decided {
        seq: seq(row)?,
        time: time(row, "time")?,
        id: id(row, "id")?,
        route: text(row, "route")?,
        decision: decision_of(row)?,
    })
}

fn finished(row: &SqliteRow) -> Result<Event, StoreError> {
    let outcome = OutcomeRecord {
        decision: id(row, "decision_id")?,
        time: time(row, "time")?,
        model: text(row, "model")?,
        status: row.try_get("status")?,
        ok: row.try_get("ok")?,
        streamed: row.try_get("streamed")?,
        attempts: row.try_get("attempts")?,
        input_tokens: row.try_get("input_tokens")?,
        cached_tokens: row.try_get("cached_tokens")?,
        cache_write_tokens: row.try_get("cache_write_tokens")?,
        output_tokens: row.try_get("output_tokens")?,
        reasoning_tokens: row.try_get("reasoning_tokens")?,
        cost: row.try_get("cost")?,
        latency_ms: row.try_get("latency_ms")?,
        ttft_ms: row.try_get("ttft_ms")?,
        error: row.try_get("error")?,
    };
    let decision: Option<String> = row.try_get("decision")?;
    let failed = match decision {
        Some(_) => Some(Failed { decided_at: time(row, "decided_at")?, predicted: predicted(row)? }),
        None => None,
    };
    Ok(Event::Finished { seq: seq(row)?, route: text(row, "route")?, reason: reason(row)?, outcome, failed })
}

fn rerouted(row: &SqliteRow) -> Result<Event, StoreError> {
    let decision = decision_of(row)?;
    let old = decision.choice().satisfaction;
    Ok(Event::Rerouted {
        seq: seq(row)?,
        route: text(row, "route")?,
        reason: reason(row)?,
        decided_at: time(row, "decided_at")?,
        old,
        new: decision.candidate(&text(row, "model")?).map_or(old, |candidate| candidate.satisfaction),
    })
}

/// What was predicted of the model in `rerouted`, or else of the chosen one.
fn predicted(row: &SqliteRow) -> Result<f64, StoreError> {
    let decision = decision_of(row)?;
    let model: Option<String> = row.try_get("rerouted")?;
    let candidate = model.and_then(|model| decision.candidate(&model));
    Ok(candidate.unwrap_or_else(|| decision.choice()).satisfaction)
}

fn rated(row: &SqliteRow) -> Result<Event, StoreError> {
    let rating: Option<f64> = row.try_get("rating")?;
    let receipt: String = row.try_get("receipt")?;
    let source: String = row.try_get("source")?;
    let rated = Rated {
        decision: id(row, "decision_id")?,
        decided_at: time(row, "decided_at")?,
        model: text(row, "model")?,
        reason: reason(row)?,
        features: features(row)?,
        feature_version: row.try_get("feature_version")?,
        predicted: predicted(row)?,
        failed: row.try_get("failed")?,
        source: Source::parse(&source).ok_or_else(|| damaged(row, "unknown source of a rating"))?,
        rater: Rater(row.try_get::<i64, _>("rater")?.cast_unsigned()),
        rating: rating.map(Rating::new).transpose().map_err(|error| damaged(row, &error.to_string()))?,
        receipt: Receipt::parse(&receipt).ok_or_else(|| damaged(row, "unknown receipt"))?,
    };
    Ok(Event::Rated { seq: seq(row)?, time: time(row, "time")?, route: text(row, "route")?, rated })
}

fn seq(row: &SqliteRow) -> Result<u64, StoreError> {
    Ok(row.try_get::<i64, _>("seq")? as u64)
}

pub(super) fn time(row: &SqliteRow, name: &str) -> Result<Timestamp, StoreError> {
    Ok(Timestamp(row.try_get::<i64, _>(name)? as u64))
}

pub(super) fn text(row: &SqliteRow, name: &str) -> Result<Arc<str>, StoreError> {
    Ok(row.try_get::<String, _>(name)?.into())
}

pub(super) fn id(row: &SqliteRow, name: &str) -> Result<DecisionId, StoreError> {
    let bytes: Vec<u8> = row.try_get(name)?;
    let bytes = bytes.try_into().map_err(|_| damaged(row, "an id that is not 16 bytes"))?;
    Ok(DecisionId(u128::from_be_bytes(bytes)))
}

fn reason(row: &SqliteRow) -> Result<Reason, StoreError> {
    let word: String = row.try_get("reason")?;
    Reason::parse(&word).ok_or_else(|| damaged(row, "unknown reason"))
}

fn decision_of(row: &SqliteRow) -> Result<Decision, StoreError> {
    let json: String = row.try_get("decision")?;
    serde_json::from_str(&json).map_err(|error| damaged(row, &error.to_string()))
}

fn features(row: &SqliteRow) -> Result<Vec<f32>, StoreError> {
    let bytes: Vec<u8> = row.try_get("features")?;
    let (values, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(damaged(row, "features that are not 4-byte numbers"));
    }
    Ok(values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
}

fn damaged(row: &SqliteRow, what: &str) -> StoreError {
    StoreError::Row { seq: seq(row).unwrap_or(0), what: what.to_owned() }
}
