//! Sums of a range, from as few rows as there can be.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use slarouter_core::{Certificate, Timestamp};
use tokio_postgres::Row as Found;

use super::super::params::{bound, one, text};
use super::super::readers::View;
use super::super::row::{Plain, cells};
use crate::StoreError;
use crate::rollup::{
    By, COLUMNS, Calendar, Frame, Group, Point, RouteCertificate, Row, Selection, Span, Step, Totals, calendar_of,
    minutes_from, pieces, still_kept,
};

pub(crate) static SUMS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT r.start, g.route, g.model, g.key, g.tenant, {} FROM rollup_groups g \
         JOIN rollups r ON r.span = $1 AND r.grp = g.number AND r.start >= $2 AND r.start < $3 \
         WHERE ($4 IS NULL OR g.route = $4) AND ($5 IS NULL OR g.model = $5) \
         AND ($6 IS NULL OR g.key = $6) AND ($7 IS NULL OR g.tenant = $7)",
        COLUMNS.join(", ")
    )
});

pub(super) const CERTIFICATES: &str = "SELECT start, alpha, requests, labels, lower, estimate, upper FROM certificates \
     WHERE span = $1 AND route = $2 AND start >= $3 AND start < $4 ORDER BY start";

/// See [`crate::Store::totals`].
pub(crate) async fn totals(view: &View, selection: &Selection, by: &[By]) -> Result<Vec<Row>, StoreError> {
    there(view, selection).await?;
    let calendar = &calendar(view).await?;
    let mut sums: BTreeMap<Vec<Arc<str>>, Totals> = BTreeMap::new();
    for piece in pieces(selection.from, selection.to, minutes(view).await?, calendar) {
        read(view, piece, selection, |start, group, totals| {
            let names = by.iter().map(|by| group.name(*by, start, calendar)).collect();
            *sums.entry(names).or_default() += totals;
        })
        .await?;
    }
    Ok(sums.into_iter().map(|(names, totals)| Row { names, totals }).collect())
}

/// See [`crate::Store::series`].
pub(crate) async fn series(view: &View, selection: &Selection, step: Step) -> Result<Vec<Point>, StoreError> {
    there(view, selection).await?;
    let calendar = calendar(view).await?;
    let minutes = minutes(view).await?;
    let Some(mut frame) = Frame::new(selection, step, minutes, &calendar)? else { return Ok(Vec::new()) };
    let piece = frame.piece;
    read(view, piece, selection, |start, _, totals| frame.add(start, totals)).await?;
    if let Some(route) = &selection.route {
        let (span, from, to) = (piece.0 as i64, bound(piece.1), bound(piece.2));
        let name = text(route);
        let params = [one(&span), one(&name), one(&from), one(&to)];
        for row in &view.rows(CERTIFICATES, &params).await? {
            frame.certify(certificate(row, route)?);
        }
    }
    Ok(frame.points())
}

/// Refuses a range of which no sum is kept any more.
async fn there(view: &View, selection: &Selection) -> Result<(), StoreError> {
    let row = view.row("SELECT rollups FROM shortened", &[]).await?;
    still_kept(cells(&row).next()?, selection)
}

/// The calendar whose days are summed.
pub(crate) async fn calendar(view: &View) -> Result<Calendar, StoreError> {
    let row = view.row("SELECT zone FROM rolled", &[]).await?;
    calendar_of(&cells(&row).next::<String>()?)
}

/// From when on there are sums by the minute: in whole quarters of an hour.
pub(crate) async fn minutes(view: &View) -> Result<Timestamp, StoreError> {
    let row = view.row("SELECT newest FROM rolled", &[]).await?;
    Ok(minutes_from(Timestamp(cells(&row).next::<i64>()?.cast_unsigned())))
}

/// Hands each row of a piece to `take`.
async fn read(
    view: &View,
    (span, from, to): (Span, Timestamp, Timestamp),
    Selection { route, model, key, tenant, .. }: &Selection,
    mut take: impl FnMut(Timestamp, Group, Totals) + Send,
) -> Result<(), StoreError> {
    let (span, from, to) = (span as i64, bound(from), bound(to));
    let name = |name: &Option<Arc<str>>| name.as_deref().map(|name| text(name).into_owned());
    let (route, model, key, tenant) = (name(route), name(model), name(key), name(tenant));
    let params = [one(&span), one(&from), one(&to), one(&route), one(&model), one(&key), one(&tenant)];
    for row in &view.rows(&SUMS, &params).await? {
        let mut row = cells(row);
        let start = Timestamp(row.next::<i64>()?.cast_unsigned());
        let group = Group { route: row.next()?, model: row.next()?, key: row.next()?, tenant: row.next()? };
        take(start, group, sums(&mut row)?);
    }
    Ok(())
}

/// The sums of a row from here on.
pub(super) fn sums(row: &mut Plain<'_>) -> Result<Totals, StoreError> {
    let mut values = [0; COLUMNS.len()];
    for value in &mut values {
        *value = row.next()?;
    }
    Ok(Totals::of(values))
}

/// What a row of [`CERTIFICATES`] says of a route.
pub(super) fn certificate(row: &Found, route: &Arc<str>) -> Result<RouteCertificate, StoreError> {
    let mut row = cells(row);
    let time = Timestamp(row.next::<i64>()?.cast_unsigned());
    let alpha = row.next()?;
    let (requests, labels): (i64, i64) = (row.next()?, row.next()?);
    let (lower, estimate, upper) = (row.next()?, row.next()?, row.next()?);
    let (requests, labels) = (requests.cast_unsigned(), labels.cast_unsigned());
    let certificate = Certificate { requests, labels, lower, estimate, upper };
    Ok(RouteCertificate { route: route.clone(), time, alpha, certificate })
}
