//! What the page of a route needs beside sums.

use slarouter_core::{Source, Timestamp};

use super::params::{bound, one, text};
use super::read;
use super::readers::View;
use super::rollups;
use super::row::cells;
use crate::rollup::Span;
use crate::{Configured, StoreError, TENTHS, Tenth};

/// Events of the log among which ratings are looked for.
const LOOKED_THROUGH: i64 = 100_000;
/// Ratings that are compared with what was predicted.
const COMPARED: i64 = 2_000;

/// One step in the index for each model and payer, however much there is.
const FIRST: &str = "SELECT min((SELECT r.start FROM rollups r WHERE r.span = $1 AND r.grp = g.number AND r.start >= $2 \
     ORDER BY r.start LIMIT 1)) FROM rollup_groups g WHERE g.route = $3";

/// With the one that was in force when the range began.
const CONFIGURED: &str = "SELECT time, spec FROM route_configs WHERE route = $1 AND time < $3 \
     AND seq >= coalesce((SELECT max(seq) FROM route_configs WHERE route = $1 AND time < $2), 0) ORDER BY seq";

/// Words in force on answers of the chosen model, newest first.
const RATED: &str = "SELECT d.satisfaction, f.rating FROM feedback f JOIN decisions d ON d.id = f.decision_id \
     WHERE f.seq > $2 AND f.source = $3 AND f.rating IS NOT NULL AND f.receipt <> 'expired' \
     AND d.route = $1 AND d.reason <> 'pinned' AND d.satisfaction IS NOT NULL \
     AND NOT EXISTS (SELECT 1 FROM feedback g WHERE g.decision_id = f.decision_id AND g.rater = f.rater AND g.source = f.source \
     AND g.receipt <> 'expired' AND g.seq > f.seq) \
     AND NOT EXISTS (SELECT 1 FROM reroutes r WHERE r.decision_id = f.decision_id) ORDER BY f.seq DESC LIMIT $4";

/// The same of decisions that are in the archive.
const RATED_BEFORE: &str = "SELECT a.satisfaction, f.rating FROM feedback f JOIN archive a ON a.id = f.decision_id \
     JOIN archive_kinds k ON k.number = a.kind WHERE f.seq > $2 AND f.source = $3 AND f.rating IS NOT NULL AND f.receipt <> 'expired' \
     AND k.route = $1 AND k.reason <> 'pinned' AND a.satisfaction IS NOT NULL AND k.model = k.chosen \
     AND NOT EXISTS (SELECT 1 FROM feedback g WHERE g.decision_id = f.decision_id AND g.rater = f.rater AND g.source = f.source \
     AND g.receipt <> 'expired' AND g.seq > f.seq) ORDER BY f.seq DESC LIMIT $4";

/// See [`crate::Store::first`].
pub(super) async fn first(view: &View, route: &str, from: Timestamp) -> Result<Option<Timestamp>, StoreError> {
    let span = if from < rollups::minutes(view).await? { Span::Quarter } else { Span::Minute };
    let row = view.row(FIRST, &[one(&(span as i64)), one(&bound(from)), one(&text(route))]).await?;
    Ok(cells(&row).next::<Option<i64>>()?.map(|start| Timestamp(start.cast_unsigned())))
}

/// See [`crate::Store::configured`].
pub(super) async fn configured(
    view: &View,
    route: &str,
    (from, to): (Timestamp, Timestamp),
) -> Result<Vec<Configured>, StoreError> {
    let rows = view.rows(CONFIGURED, &[one(&text(route)), one(&bound(from)), one(&bound(to))]).await?;
    let found = rows.iter().map(|row| {
        let mut row = cells(row);
        Ok(Configured { time: Timestamp(row.next::<i64>()?.cast_unsigned()), spec: row.next()? })
    });
    found.collect()
}

/// See [`crate::Store::calibration`].
pub(super) async fn calibration(view: &View, route: &str, source: Source) -> Result<[Tenth; TENTHS], StoreError> {
    let floor = read::last_seq(view).await?.cast_signed() - LOOKED_THROUGH;
    let (route, source) = (text(route), source.as_str());
    let (mut tenths, mut room) = ([Tenth::default(); TENTHS], COMPARED);
    for query in [RATED, RATED_BEFORE] {
        let rows = view.rows(query, &[one(&route), one(&floor), one(&source), one(&room)]).await?;
        for row in &rows {
            room -= 1;
            let mut row = cells(row);
            let (predicted, rating): (f64, f64) = (row.next()?, row.next()?);
            // What is below 0 or no number, as in a damaged row, counts as 0.
            let tenth = &mut tenths[((predicted * TENTHS as f64) as usize).min(TENTHS - 1)];
            tenth.ratings += 1;
            tenth.predicted += predicted;
            tenth.rated += rating;
        }
    }
    Ok(tenths)
}
