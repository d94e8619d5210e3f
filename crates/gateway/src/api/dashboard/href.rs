//! The addresses of pages, with names of any kind in them.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use slarouter_core::Timestamp;
use slarouter_store::Calendar;

const NAME: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// A route's page.
pub(super) fn route(name: &str) -> String {
    format!("/dashboard/routes/{}", utf8_percent_encode(name, NAME))
}

/// The report of the month that this moment is in.
pub(super) fn report(calendar: &Calendar, now: Timestamp) -> String {
    let first = calendar.date(calendar.month(now).start);
    format!("/admin/report?from={first}")
}

/// A route's series over a range.
pub(super) fn series(route: &str, range: &str) -> String {
    format!("/admin/routes/{}/series?range={range}", utf8_percent_encode(route, NAME))
}

/// Where the tables of a route are as CSV, each under its name.
pub(super) fn tables(route: &str) -> String {
    format!("/admin/routes/{}", utf8_percent_encode(route, NAME))
}

/// The list of decisions with these filters, of which empty ones are left out.
pub(super) fn decisions(filters: &[(&str, &str)]) -> String {
    query("/dashboard/decisions", filters)
}

/// The same as CSV.
pub(super) fn decisions_as_csv(filters: &[(&str, &str)]) -> String {
    query("/admin/decisions", &[&[("format", "csv")], filters].concat())
}

fn query(path: &str, pairs: &[(&str, &str)]) -> String {
    let pairs = pairs.iter().filter(|(_, value)| !value.is_empty());
    let pairs: Vec<_> = pairs.map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, NAME))).collect();
    if pairs.is_empty() { path.to_owned() } else { format!("{path}?{}", pairs.join("&")) }
}
