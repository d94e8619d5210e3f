//! Tables as CSV (RFC 4180).

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use slarouter_core::told_text;

/// The lines of a table, all of as many cells.
pub(crate) fn lines<R: IntoIterator<Item = String>>(rows: impl IntoIterator<Item = R>) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        // Memory takes what is written.
        let _ = writer.write_record(row);
    }
    writer.into_inner().unwrap_or_default()
}

/// The line that names the columns.
pub(crate) fn head<const N: usize>(names: [&str; N]) -> Vec<u8> {
    lines([names.map(str::to_owned)])
}

/// A cell with words of others.
pub(crate) fn text(words: &str) -> String {
    told_text(words).into_owned()
}

/// A cell for what may not be known.
pub(crate) fn known(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// The answer that is a table.
pub(crate) fn answer(table: impl Into<Body>) -> Response {
    let kind = (header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8"));
    let kept = (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    ([kind, kept], table.into()).into_response()
}
