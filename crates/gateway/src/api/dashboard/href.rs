//! The addresses of pages, with names of any kind in them.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

const NAME: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// A route's page.
pub(super) fn route(name: &str) -> String {
    format!("/dashboard/routes/{}", utf8_percent_encode(name, NAME))
}

/// A route's series over a range.
pub(super) fn series(route: &str, range: &str) -> String {
    format!("/admin/routes/{}/series?range={range}", utf8_percent_encode(route, NAME))
}

/// The list of decisions with these filters, of which empty ones are left out.
pub(super) fn decisions(filters: &[(&str, &str)]) -> String {
    let filters = filters.iter().filter(|(_, value)| !value.is_empty());
    let pairs: Vec<_> = filters.map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, NAME))).collect();
    if pairs.is_empty() {
        "/dashboard/decisions".to_owned()
    } else {
        format!("/dashboard/decisions?{}", pairs.join("&"))
    }
}
