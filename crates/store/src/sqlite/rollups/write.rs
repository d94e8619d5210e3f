//! Sums that are added to what is there.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use rusqlite::{Connection, params, params_from_iter};
use slarouter_core::Timestamp;

use super::read::{certificates, sums};
use crate::rollup::{COLUMNS, Calendar, Group, MINUTES_KEPT_MS, RouteCertificate, Span, Tally, Totals};

static ADD: LazyLock<String> = LazyLock::new(|| {
    let places: Vec<_> = (4..4 + COLUMNS.len()).map(|place| format!("?{place}")).collect();
    let added: Vec<_> = COLUMNS.iter().map(|name| format!("{name} = {name} + excluded.{name}")).collect();
    format!(
        "INSERT INTO rollups (span, grp, start, {}) VALUES (?1, ?2, ?3, {}) ON CONFLICT DO UPDATE SET {}",
        COLUMNS.join(", "),
        places.join(", "),
        added.join(", ")
    )
});

const CERTIFY: &str = "INSERT OR REPLACE INTO certificates (span, route, start, alpha, requests, labels, lower, estimate, upper) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";

/// Adds what was counted, unless it was counted from another event than the next: then it is there already.
pub(crate) fn add(connection: &Connection, tally: &Tally) -> Result<(), rusqlite::Error> {
    let (seq, zone, newest): (i64, String, i64) =
        connection
            .query_row("SELECT seq, zone, newest FROM rolled", [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    if seq as u64 != tally.from {
        return Ok(());
    }
    let calendar = &tally.calendar;
    if zone != calendar.name() {
        sum_days(connection, calendar)?;
    }
    add_sums(connection, tally)?;
    certify(connection, calendar, &Span::ALL, &tally.certificates)?;
    let held = Timestamp(newest as u64);
    let newest = tally.newest().map_or(held, |newest| newest.max(held));
    if calendar.day(newest) != calendar.day(held) {
        forget_minutes(connection, newest)?;
    }
    connection.execute(
        "UPDATE rolled SET seq = ?1, zone = ?2, newest = ?3",
        params![tally.to as i64, calendar.name(), newest.0 as i64],
    )?;
    Ok(())
}

fn add_sums(connection: &Connection, tally: &Tally) -> Result<(), rusqlite::Error> {
    let mut statement = connection.prepare_cached(&ADD)?;
    let mut numbers = HashMap::new();
    for ((group, span, start), totals) in tally.sums.iter().filter(|(_, totals)| **totals != Totals::default()) {
        let number = match numbers.get(group) {
            Some(number) => *number,
            None => *numbers.entry(group).or_insert(number(connection, group)?),
        };
        let key = [*span as i64, number, start.0 as i64];
        statement.execute(params_from_iter(key.into_iter().chain(totals.values())))?;
    }
    Ok(())
}

fn number(connection: &Connection, Group { route, model, key, tenant }: &Group) -> Result<i64, rusqlite::Error> {
    let names = [route, model, key, tenant];
    connection
        .prepare_cached(
            "INSERT INTO rollup_groups (route, model, key, tenant) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
        )?
        .execute(names)?;
    connection
        .prepare_cached(
            "SELECT number FROM rollup_groups WHERE route = ?1 AND model = ?2 AND key = ?3 AND tenant = ?4",
        )?
        .query_row(names, |row| row.get(0))
}

fn certify(
    connection: &Connection,
    calendar: &Calendar,
    spans: &[Span],
    certificates: &[RouteCertificate],
) -> Result<(), rusqlite::Error> {
    let mut statement = connection.prepare_cached(CERTIFY)?;
    for RouteCertificate { route, time, alpha, certificate } in certificates {
        let (requests, labels) = (certificate.requests as i64, certificate.labels as i64);
        for span in spans {
            let start = span.start(*time, calendar).0 as i64;
            let (lower, estimate, upper) = (certificate.lower, certificate.estimate, certificate.upper);
            statement.execute(params![*span as i64, route, start, alpha, requests, labels, lower, estimate, upper])?;
        }
    }
    Ok(())
}

/// Sums the days of another time zone, from the quarters of an hour.
fn sum_days(connection: &Connection, calendar: &Calendar) -> Result<(), rusqlite::Error> {
    connection.execute_batch("DELETE FROM rollups WHERE span = 2; DELETE FROM certificates WHERE span = 2")?;
    let quarters = format!("SELECT start, grp, {} FROM rollups WHERE span = 1", COLUMNS.join(", "));
    let (mut quarters, mut add) = (connection.prepare(&quarters)?, connection.prepare_cached(&ADD)?);
    let mut rows = quarters.query([])?;
    while let Some(row) = rows.next()? {
        let start = Span::Day.start(Timestamp(row.get::<_, i64>(0)? as u64), calendar);
        let key = [Span::Day as i64, row.get(1)?, start.0 as i64];
        add.execute(params_from_iter(key.into_iter().chain(sums(row, 2)?.values())))?;
    }
    let mut routes = connection.prepare("SELECT DISTINCT route FROM certificates WHERE span = 1")?;
    let routes: Vec<Arc<str>> = routes.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for route in routes {
        let quarters = certificates(connection, (Span::Quarter, Timestamp(0), Timestamp(u64::MAX)), &route)?;
        certify(connection, calendar, &[Span::Day], &quarters)?;
    }
    Ok(())
}

fn forget_minutes(connection: &Connection, newest: Timestamp) -> Result<(), rusqlite::Error> {
    let before = newest.0.saturating_sub(MINUTES_KEPT_MS) as i64;
    connection.execute(
        "DELETE FROM rollups WHERE span = 0 AND grp IN (SELECT number FROM rollup_groups) AND start < ?1",
        [before],
    )?;
    connection.execute("DELETE FROM certificates WHERE span = 0 AND start < ?1", [before])?;
    Ok(())
}
