//! Sums that are added to what is there.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};

use slarouter_core::Timestamp;
use tokio_postgres::Client;

use super::super::params::{Param, many, ms, one, text};
use super::super::row::cells;
use super::read::{CERTIFICATES, certificate, sums};
use crate::StoreError;
use crate::rollup::{COLUMNS, Calendar, Group, MINUTES_KEPT_MS, RouteCertificate, Span, Tally, Totals};

static ADD: LazyLock<String> = LazyLock::new(|| {
    let places: Vec<_> = (1..4 + COLUMNS.len()).map(|place| format!("${place}")).collect();
    let added: Vec<_> = COLUMNS.iter().map(|name| format!("{name} = rollups.{name} + excluded.{name}")).collect();
    format!(
        "INSERT INTO rollups (span, grp, start, {}) SELECT * FROM unnest({}) ON CONFLICT (span, grp, start) DO UPDATE SET {}",
        COLUMNS.join(", "),
        places.join(", "),
        added.join(", ")
    )
});

const GROUP: &str =
    "INSERT INTO rollup_groups (number, route, model, key, tenant) SELECT * FROM unnest($1, $2, $3, $4, $5)";

/// Of several of one span the last one stays.
const CERTIFY: &str = "INSERT INTO certificates (span, route, start, alpha, requests, labels, lower, estimate, upper) \
     SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (span, route, start) DO UPDATE SET \
     alpha = excluded.alpha, requests = excluded.requests, labels = excluded.labels, lower = excluded.lower, \
     estimate = excluded.estimate, upper = excluded.upper";

/// The numbers of what sums are of. Only one process adds to them.
#[derive(Default)]
pub(crate) struct GroupNumbers {
    known: HashMap<Group, i64>,
    last: i64,
}

impl GroupNumbers {
    pub(crate) async fn load(client: &Client) -> Result<Self, StoreError> {
        let mut numbers = Self::default();
        let query = "SELECT number, route, model, key, tenant FROM rollup_groups";
        for row in client.query_typed(query, &[]).await? {
            let mut row = cells(&row);
            let number = row.next()?;
            let group = Group { route: row.next()?, model: row.next()?, key: row.next()?, tenant: row.next()? };
            numbers.known.insert(group, number);
            numbers.last = numbers.last.max(number);
        }
        Ok(numbers)
    }

    /// The number of a group, which goes to `new` if it has none yet.
    fn number(&mut self, group: &Group, new: &mut Vec<(i64, Group)>) -> i64 {
        if let Some(number) = self.known.get(group) {
            return *number;
        }
        self.last += 1;
        new.push((self.last, group.clone()));
        self.known.insert(group.clone(), self.last);
        self.last
    }
}

/// Adds what was counted, unless it was counted from another event than the next: then it is there already.
pub(crate) async fn add(client: &Client, tally: &Tally, groups: &mut GroupNumbers) -> Result<(), StoreError> {
    let row = client.query_typed_one("SELECT seq, zone, newest FROM rolled FOR UPDATE", &[]).await?;
    let mut row = cells(&row);
    let (seq, zone, newest): (i64, String, i64) = (row.next()?, row.next()?, row.next()?);
    if seq.cast_unsigned() != tally.from {
        return Ok(());
    }
    let calendar = &tally.calendar;
    if zone != calendar.name() {
        sum_days(client, calendar).await?;
    }
    add_tally(client, tally, groups).await?;
    certify(client, calendar, &Span::ALL, &tally.certificates).await?;
    let held = Timestamp(newest.cast_unsigned());
    let newest = tally.newest().map_or(held, |newest| newest.max(held));
    if calendar.day(newest) != calendar.day(held) {
        forget_minutes(client, newest).await?;
    }
    let (seq, zone, newest) = (tally.to.cast_signed(), text(calendar.name()), ms(newest));
    let update = "UPDATE rolled SET seq = $1, zone = $2, newest = $3";
    client.execute_typed(update, &[one(&seq), one(&zone), one(&newest)]).await?;
    Ok(())
}

async fn add_tally(client: &Client, tally: &Tally, groups: &mut GroupNumbers) -> Result<(), StoreError> {
    let mut new = Vec::new();
    let mut rows = Vec::new();
    for ((group, span, start), totals) in tally.sums.iter().filter(|(_, totals)| **totals != Totals::default()) {
        rows.push(([*span as i64, groups.number(group, &mut new), ms(*start)], *totals));
    }
    if !new.is_empty() {
        let numbers: Vec<i64> = new.iter().map(|(number, _)| *number).collect();
        let name = |of: fn(&Group) -> &Arc<str>| -> Vec<Cow<'_, str>> {
            new.iter().map(|(_, group)| text(of(group))).collect()
        };
        let (routes, models) = (name(|group| &group.route), name(|group| &group.model));
        let (keys, tenants) = (name(|group| &group.key), name(|group| &group.tenant));
        let params = [many(&numbers), many(&routes), many(&models), many(&keys), many(&tenants)];
        client.execute_typed(GROUP, &params).await?;
    }
    add_rows(client, &rows).await
}

async fn add_rows(client: &Client, rows: &[([i64; 3], Totals)]) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut columns: Vec<Vec<i64>> = vec![Vec::with_capacity(rows.len()); 3 + COLUMNS.len()];
    for (key, totals) in rows {
        for (column, value) in columns.iter_mut().zip(key.iter().copied().chain(totals.values())) {
            column.push(value);
        }
    }
    let params: Vec<Param<'_>> = columns.iter().map(many).collect();
    client.execute_typed(&ADD, &params).await?;
    Ok(())
}

async fn certify(
    client: &Client,
    calendar: &Calendar,
    spans: &[Span],
    certificates: &[RouteCertificate],
) -> Result<(), StoreError> {
    let mut last = BTreeMap::new();
    for held in certificates {
        for span in spans {
            last.insert((*span as i64, text(&held.route), ms(span.start(held.time, calendar))), held);
        }
    }
    if last.is_empty() {
        return Ok(());
    }
    let number = |of: fn(&RouteCertificate) -> f64| -> Vec<f64> { last.values().map(|held| of(held)).collect() };
    let count =
        |of: fn(&RouteCertificate) -> u64| -> Vec<i64> { last.values().map(|held| of(held).cast_signed()).collect() };
    let spans: Vec<i64> = last.keys().map(|(span, ..)| *span).collect();
    let routes: Vec<Cow<'_, str>> = last.keys().map(|(_, route, _)| route.clone()).collect();
    let starts: Vec<i64> = last.keys().map(|(.., start)| *start).collect();
    client
        .execute_typed(
            CERTIFY,
            &[
                many(&spans),
                many(&routes),
                many(&starts),
                many(&number(|held| held.alpha)),
                many(&count(|held| held.certificate.requests)),
                many(&count(|held| held.certificate.labels)),
                many(&number(|held| held.certificate.lower)),
                many(&number(|held| held.certificate.estimate)),
                many(&number(|held| held.certificate.upper)),
            ],
        )
        .await?;
    Ok(())
}

/// Sums the days of another time zone, from the quarters of an hour.
async fn sum_days(client: &Client, calendar: &Calendar) -> Result<(), StoreError> {
    client.batch_execute("DELETE FROM rollups WHERE span = 2; DELETE FROM certificates WHERE span = 2").await?;
    let quarters = format!("SELECT start, grp, {} FROM rollups WHERE span = 1", COLUMNS.join(", "));
    let mut days: BTreeMap<[i64; 3], Totals> = BTreeMap::new();
    for row in client.query_typed(&quarters, &[]).await? {
        let mut row = cells(&row);
        let start = Span::Day.start(Timestamp(row.next::<i64>()?.cast_unsigned()), calendar);
        let key = [Span::Day as i64, row.next()?, ms(start)];
        *days.entry(key).or_default() += sums(&mut row)?;
    }
    add_rows(client, &days.into_iter().collect::<Vec<_>>()).await?;
    for row in client.query_typed("SELECT DISTINCT route FROM certificates WHERE span = 1", &[]).await? {
        let route: Arc<str> = cells(&row).next()?;
        let name = text(&route);
        let (span, from, to) = (Span::Quarter as i64, 0_i64, i64::MAX);
        let params = [one(&span), one(&name), one(&from), one(&to)];
        let held = client.query_typed(CERTIFICATES, &params).await?;
        let held: Vec<_> = held.iter().map(|row| certificate(row, &route)).collect::<Result<_, _>>()?;
        certify(client, calendar, &[Span::Day], &held).await?;
    }
    Ok(())
}

async fn forget_minutes(client: &Client, newest: Timestamp) -> Result<(), StoreError> {
    let before = ms(Timestamp(newest.0.saturating_sub(MINUTES_KEPT_MS)));
    client.execute_typed("DELETE FROM rollups WHERE span = 0 AND start < $1", &[one(&before)]).await?;
    client.execute_typed("DELETE FROM certificates WHERE span = 0 AND start < $1", &[one(&before)]).await?;
    Ok(())
}
