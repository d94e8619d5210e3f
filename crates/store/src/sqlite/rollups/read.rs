//! Sums of a range, from as few rows as there can be.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use rusqlite::{Connection, Row as Found, named_params};
use slarouter_core::{Certificate, Timestamp};

use crate::StoreError;
use crate::rollup::{
    By, COLUMNS, Calendar, Frame, Group, Point, RouteCertificate, Row, Selection, Span, Step, Totals, calendar_of,
    minutes_from, pieces, still_kept,
};

pub(crate) static SUMS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT r.start, g.route, g.model, g.key, g.tenant, {} FROM rollup_groups g \
         JOIN rollups r ON r.span = :span AND r.grp = g.number AND r.start >= :from AND r.start < :to \
         WHERE (:route IS NULL OR g.route = :route) AND (:model IS NULL OR g.model = :model) \
         AND (:key IS NULL OR g.key = :key) AND (:tenant IS NULL OR g.tenant = :tenant)",
        COLUMNS.join(", ")
    )
});

pub(crate) const CERTIFICATES: &str = "SELECT start, alpha, requests, labels, lower, estimate, upper FROM certificates \
     WHERE span = ?1 AND route = ?2 AND start >= ?3 AND start < ?4 ORDER BY start";

/// See [`crate::Store::totals`].
pub(crate) fn totals(connection: &mut Connection, selection: &Selection, by: &[By]) -> Result<Vec<Row>, StoreError> {
    let view = connection.transaction()?;
    there(&view, selection)?;
    let calendar = &calendar(&view)?;
    let mut sums: BTreeMap<Vec<Arc<str>>, Totals> = BTreeMap::new();
    for piece in pieces(selection.from, selection.to, minutes(&view)?, calendar) {
        read(&view, piece, selection, |start, group, totals| {
            let names = by.iter().map(|by| group.name(*by, start, calendar)).collect();
            *sums.entry(names).or_default() += totals;
        })?;
    }
    Ok(sums.into_iter().map(|(names, totals)| Row { names, totals }).collect())
}

/// See [`crate::Store::series`].
pub(crate) fn series(connection: &mut Connection, selection: &Selection, step: Step) -> Result<Vec<Point>, StoreError> {
    let view = connection.transaction()?;
    there(&view, selection)?;
    let calendar = &calendar(&view)?;
    let Some(mut frame) = Frame::new(selection, step, minutes(&view)?, calendar)? else { return Ok(Vec::new()) };
    let piece = frame.piece;
    read(&view, piece, selection, |start, _, totals| frame.add(start, totals))?;
    if let Some(route) = &selection.route {
        certificates(&view, piece, route)?.into_iter().for_each(|certificate| frame.certify(certificate));
    }
    Ok(frame.points())
}

/// Refuses a range of which no sum is kept any more.
fn there(connection: &Connection, selection: &Selection) -> Result<(), StoreError> {
    still_kept(connection.query_row("SELECT rollups FROM shortened", [], |row| row.get(0))?, selection)
}

/// The calendar whose days are summed.
pub(crate) fn calendar(connection: &Connection) -> Result<Calendar, StoreError> {
    let zone: String = connection.query_row("SELECT zone FROM rolled", [], |row| row.get(0))?;
    calendar_of(&zone)
}

/// From when on there are sums by the minute: in whole quarters of an hour.
pub(crate) fn minutes(connection: &Connection) -> Result<Timestamp, StoreError> {
    let newest: i64 = connection.query_row("SELECT newest FROM rolled", [], |row| row.get(0))?;
    Ok(minutes_from(Timestamp(newest as u64)))
}

/// Hands each row of a piece to `take`.
fn read(
    connection: &Connection,
    (span, from, to): (Span, Timestamp, Timestamp),
    Selection { route, model, key, tenant, .. }: &Selection,
    mut take: impl FnMut(Timestamp, Group, Totals),
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(&SUMS)?;
    let mut rows = statement.query(named_params! {
        ":span": span as i64, ":from": stored(from), ":to": stored(to),
        ":route": route, ":model": model, ":key": key, ":tenant": tenant,
    })?;
    while let Some(row) = rows.next()? {
        let group = Group { route: row.get(1)?, model: row.get(2)?, key: row.get(3)?, tenant: row.get(4)? };
        take(Timestamp(row.get::<_, i64>(0)? as u64), group, sums(row, 5)?);
    }
    Ok(())
}

/// The sums of a row, of which the first is in this place.
pub(super) fn sums(row: &Found<'_>, first: usize) -> Result<Totals, rusqlite::Error> {
    let mut values = [0; COLUMNS.len()];
    for (place, value) in values.iter_mut().enumerate() {
        *value = row.get(first + place)?;
    }
    Ok(Totals::of(values))
}

/// The certificates of a route, in their order.
pub(super) fn certificates(
    connection: &Connection,
    (span, from, to): (Span, Timestamp, Timestamp),
    route: &Arc<str>,
) -> Result<Vec<RouteCertificate>, rusqlite::Error> {
    let mut statement = connection.prepare_cached(CERTIFICATES)?;
    let found = statement.query_map((span as i64, route, stored(from), stored(to)), |row| {
        let certificate = Certificate {
            requests: row.get::<_, i64>(2)? as u64,
            labels: row.get::<_, i64>(3)? as u64,
            lower: row.get(4)?,
            estimate: row.get(5)?,
            upper: row.get(6)?,
        };
        let time = Timestamp(row.get::<_, i64>(0)? as u64);
        Ok(RouteCertificate { route: route.clone(), time, alpha: row.get(1)?, certificate })
    })?;
    found.collect()
}

fn stored(time: Timestamp) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}
