//! The steps of a series, and from when on its sums are kept.

use jiff::tz::TimeZone;
use slarouter_core::Timestamp;

use super::{
    Calendar, MINUTE_MS, MINUTES_KEPT_MS, MOST_POINTS, Point, QUARTER_MS, RouteCertificate, Selection, Span, Step,
    Totals,
};
use crate::StoreError;

/// A series before its sums are in it.
pub(crate) struct Frame {
    /// What is read for it.
    pub(crate) piece: (Span, Timestamp, Timestamp),
    points: Vec<Point>,
}

impl Frame {
    /// The steps of a range, where there are sums by the minute from `minutes` on; `None` if it has none.
    ///
    /// # Errors
    /// [`StoreError::Range`]
    pub(crate) fn new(
        selection: &Selection,
        step: Step,
        minutes: Timestamp,
        calendar: &Calendar,
    ) -> Result<Option<Self>, StoreError> {
        let span = match step {
            Step::Days(_) => Span::Day,
            Step::Minutes(step) if step % 15 == 0 => Span::Quarter,
            Step::Minutes(_) => Span::Minute,
        };
        if span == Span::Minute && selection.from < minutes {
            return Err(StoreError::Range(
                "sums by the minute are kept for 32 days: take a step of 15 minutes or days".into(),
            ));
        }
        let starts = starts(selection, step, calendar)?;
        let (Some(first), Some(last)) = (starts.first(), starts.last()) else { return Ok(None) };
        let piece = (span, *first, end(*last, step, calendar));
        let point = |start: &Timestamp| Point { start: *start, totals: Totals::default(), certificate: None };
        Ok(Some(Self { piece, points: starts.iter().map(point).collect() }))
    }

    /// Adds sums of a span that begins then.
    pub(crate) fn add(&mut self, start: Timestamp, totals: Totals) {
        let place = self.place(start);
        self.points[place].totals += totals;
    }

    /// Takes the later one of those that fall into one step.
    pub(crate) fn certify(&mut self, certificate: RouteCertificate) {
        let place = self.place(certificate.time);
        self.points[place].certificate = Some(certificate);
    }

    pub(crate) fn points(self) -> Vec<Point> {
        self.points
    }

    fn place(&self, at: Timestamp) -> usize {
        self.points.partition_point(|point| point.start <= at).saturating_sub(1)
    }
}

/// Where the steps of a range begin.
fn starts(selection: &Selection, step: Step, calendar: &Calendar) -> Result<Vec<Timestamp>, StoreError> {
    let mut at = match step {
        Step::Minutes(0 | 527_041..) | Step::Days(0 | 367..) => {
            return Err(StoreError::Range("a step must be above 0 and no longer than 366 days".into()));
        }
        Step::Minutes(minutes) => Timestamp(selection.from.0 - selection.from.0 % (minutes * MINUTE_MS)),
        Step::Days(_) => calendar.day(selection.from).start,
    };
    let mut starts = Vec::new();
    while at < selection.to {
        if starts.len() == MOST_POINTS {
            let what = format!("a series has {MOST_POINTS} points at most: take a longer step, or a shorter range");
            return Err(StoreError::Range(what));
        }
        starts.push(at);
        at = end(at, step, calendar);
    }
    Ok(starts)
}

/// Where the step that begins at `at` ends.
fn end(at: Timestamp, step: Step, calendar: &Calendar) -> Timestamp {
    match step {
        Step::Minutes(minutes) => Timestamp(at.0.saturating_add(minutes * MINUTE_MS)),
        Step::Days(days) => (0..days).fold(at, |at, _| calendar.day(at).end),
    }
}

/// Refuses a range of which no sum is kept any more, where there are sums from `since` on (all, if it is 0): zeros would say that nothing was
/// asked.
///
/// # Errors
/// [`StoreError::Gone`]
pub(crate) fn still_kept(since: i64, selection: &Selection) -> Result<(), StoreError> {
    let before = Timestamp(since.cast_unsigned());
    if since > 0 && selection.from < selection.to && selection.to <= before {
        return Err(StoreError::Gone { what: "sums", before, key: "rollups" });
    }
    Ok(())
}

/// The calendar of the time zone that the sums say.
///
/// # Errors
/// [`StoreError::Range`] if this machine does not know it.
pub(crate) fn calendar_of(zone: &str) -> Result<Calendar, StoreError> {
    if zone.is_empty() {
        return Ok(Calendar::default());
    }
    let zone = TimeZone::get(zone).map_err(|error| StoreError::Range(error.to_string()))?;
    Ok(Calendar::new(zone))
}

/// From when on there are sums by the minute, if the latest decision was made at `newest`: in whole quarters of an hour.
pub(crate) fn minutes_from(newest: Timestamp) -> Timestamp {
    Timestamp(newest.0.saturating_sub(MINUTES_KEPT_MS).next_multiple_of(QUARTER_MS))
}
