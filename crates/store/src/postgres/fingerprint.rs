//! The rows of the log for its hash, as SQLite has them: with the columns in the order of its tables.

use super::params::one;
use super::readers::View;
use super::row::cells;
use crate::StoreError;
use crate::fingerprint::{Fingerprint, TABLES};

/// The columns of a table, in SQLite's order.
fn columns(table: &str) -> &'static [&'static str] {
    match table {
        "route_configs" => &["seq", "time", "route", "spec"],
        "decisions" => &[
            "seq",
            "id",
            "time",
            "route",
            "reason",
            "model",
            "propensity",
            "decision",
            "features",
            "feature_version",
            "input_tokens",
            "state_seq",
            "prompt",
            "audit_rate",
            "audit_drawn",
            "zoo",
            "candidates",
            "satisfaction",
            "cost",
            "most_expensive",
        ],
        "reroutes" => &["seq", "decision_id", "model"],
        "outcomes" => &[
            "seq",
            "decision_id",
            "time",
            "model",
            "status",
            "ok",
            "streamed",
            "attempts",
            "input_tokens",
            "cached_tokens",
            "cache_write_tokens",
            "output_tokens",
            "reasoning_tokens",
            "cost",
            "latency_ms",
            "ttft_ms",
            "error",
        ],
        "rollbacks" => &["seq", "time", "until"],
        "feedback" => &["seq", "decision_id", "time", "source", "rater", "rating", "receipt", "comment"],
        _ => &["number", "models", "fallback", "key", "tenant"],
    }
}

/// A hash that begins with what is gone.
pub(super) async fn begin(view: &View) -> Result<Fingerprint, StoreError> {
    let row = view.row("SELECT seq FROM shortened", &[]).await?;
    Ok(Fingerprint::begin(cells(&row).next()?))
}

/// Takes the events after `from` up to `to` in, table after table: with other steps it would be another hash.
pub(super) async fn take(
    mut fingerprint: Fingerprint,
    view: &View,
    from: u64,
    to: u64,
) -> Result<Fingerprint, StoreError> {
    for table in TABLES {
        fingerprint.table(table);
        let columns = columns(table);
        let query = format!("SELECT {} FROM {table} WHERE seq > $1 AND seq <= $2 ORDER BY seq", columns.join(", "));
        for row in view.rows(&query, &[one(&from.cast_signed()), one(&to.cast_signed())]).await? {
            fingerprint.row(&row, columns.iter().copied())?;
        }
    }
    Ok(fingerprint)
}

/// The zoos that the decisions name by their numbers, and the end.
pub(super) async fn finish(mut fingerprint: Fingerprint, view: &View) -> Result<[u8; 32], StoreError> {
    let columns = columns("zoos");
    let query = format!("SELECT {} FROM zoos WHERE number <= $1 ORDER BY number", columns.join(", "));
    for row in view.rows(&query, &[one(&fingerprint.last_zoo())]).await? {
        fingerprint.row(&row, columns.iter().copied())?;
    }
    Ok(fingerprint.finish())
}
