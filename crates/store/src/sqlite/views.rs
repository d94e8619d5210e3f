//! What the page of a route needs beside sums.

use rusqlite::{Connection, named_params, params};
use slarouter_core::{Source, Timestamp};

use super::read;
use super::rollups;
use crate::rollup::Span;
use crate::{Configured, StoreError, TENTHS, Tenth};

/// Events of the log among which ratings are looked for.
const LOOKED_THROUGH: i64 = 100_000;
/// Ratings that are compared with what was predicted.
const COMPARED: i64 = 2_000;

/// One step in the index for each model and payer, however much there is.
const FIRST: &str = "SELECT min((SELECT r.start FROM rollups r WHERE r.span = :span AND r.grp = g.number AND r.start >= :from \
     ORDER BY r.start LIMIT 1)) FROM rollup_groups g WHERE g.route = :route";

/// With the one that was in force when the range began.
const CONFIGURED: &str = "SELECT time, spec FROM route_configs WHERE route = ?1 AND time < ?3 \
     AND seq >= coalesce((SELECT max(seq) FROM route_configs WHERE route = ?1 AND time < ?2), 0) ORDER BY seq";

/// Words in force on answers of the chosen model, newest first.
const RATED: &str = "SELECT d.satisfaction, f.rating FROM feedback f JOIN decisions d ON d.id = f.decision_id \
     WHERE f.seq > ?2 AND f.source = ?3 AND f.rating IS NOT NULL AND f.receipt <> 'expired' \
     AND d.route = ?1 AND d.reason <> 'pinned' AND d.satisfaction IS NOT NULL \
     AND NOT EXISTS (SELECT 1 FROM feedback g WHERE g.decision_id = f.decision_id AND g.rater = f.rater AND g.source = f.source \
     AND g.receipt <> 'expired' AND g.seq > f.seq) \
     AND NOT EXISTS (SELECT 1 FROM reroutes r WHERE r.decision_id = d.id) ORDER BY f.seq DESC LIMIT ?4";

/// The same of decisions that are in the archive.
const RATED_BEFORE: &str = "SELECT a.satisfaction, f.rating FROM feedback f JOIN archive a ON a.id = f.decision_id \
     JOIN archive_kinds k ON k.number = a.kind WHERE f.seq > ?2 AND f.source = ?3 AND f.rating IS NOT NULL AND f.receipt <> 'expired' \
     AND k.route = ?1 AND k.reason <> 'pinned' AND a.satisfaction IS NOT NULL AND k.model = k.chosen \
     AND NOT EXISTS (SELECT 1 FROM feedback g WHERE g.decision_id = f.decision_id AND g.rater = f.rater AND g.source = f.source \
     AND g.receipt <> 'expired' AND g.seq > f.seq) ORDER BY f.seq DESC LIMIT ?4";

/// See [`crate::Store::first`].
pub(super) fn first(connection: &Connection, route: &str, from: Timestamp) -> Result<Option<Timestamp>, StoreError> {
    let span = if from < rollups::minutes(connection)? { Span::Quarter } else { Span::Minute };
    let (span, from) = (span as i64, from.0.cast_signed());
    let mut statement = connection.prepare_cached(FIRST)?;
    let first: Option<i64> =
        statement.query_row(named_params! { ":span": span, ":from": from, ":route": route }, |row| row.get(0))?;
    Ok(first.map(|start| Timestamp(start.cast_unsigned())))
}

/// See [`crate::Store::configured`].
pub(super) fn configured(
    connection: &Connection,
    route: &str,
    (from, to): (Timestamp, Timestamp),
) -> Result<Vec<Configured>, StoreError> {
    let mut statement = connection.prepare_cached(CONFIGURED)?;
    let found = statement.query_map(params![route, from.0.cast_signed(), to.0.cast_signed()], |row| {
        Ok(Configured { time: Timestamp(row.get::<_, i64>(0)?.cast_unsigned()), spec: row.get(1)? })
    })?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// See [`crate::Store::calibration`].
pub(super) fn calibration(connection: &Connection, route: &str, source: Source) -> Result<[Tenth; TENTHS], StoreError> {
    let floor = read::last_seq(connection)?.cast_signed() - LOOKED_THROUGH;
    let (mut tenths, mut room) = ([Tenth::default(); TENTHS], COMPARED);
    for query in [RATED, RATED_BEFORE] {
        let mut statement = connection.prepare_cached(query)?;
        let mut rows = statement.query(params![route, floor, source.as_str(), room])?;
        while let Some(row) = rows.next()? {
            room -= 1;
            let (predicted, rating): (f64, f64) = (row.get(0)?, row.get(1)?);
            // What is below 0 or no number, as in a damaged row, counts as 0.
            let tenth = &mut tenths[((predicted * TENTHS as f64) as usize).min(TENTHS - 1)];
            tenth.ratings += 1;
            tenth.predicted += predicted;
            tenth.rated += rating;
        }
    }
    Ok(tenths)
}
