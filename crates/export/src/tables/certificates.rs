//! `certificates`: a row for each span of time at whose end something could be promised of a route.

use slarouter_store::SpanCertificate;

use super::table::{Table, moment, number, text};
use crate::column::Column;
use crate::column::Read::{Int, Real, Text, Time};

/// The last certificate of a span.
pub(crate) struct CertificateRow(pub(crate) SpanCertificate);

const COLUMNS: &[Column<CertificateRow>] = &[
    Column::new("span", Text(|row| text(row.0.span.as_str()))),
    Column::optional("start", Time(|row| moment(row.0.certificate.time))),
    Column::new("alpha", Real(|row| Some(row.0.certificate.alpha))),
    Column::new("requests", Int(|row| number(row.0.certificate.certificate.requests))),
    Column::new("labels", Int(|row| number(row.0.certificate.certificate.labels))),
    Column::new("lower", Real(|row| Some(row.0.certificate.certificate.lower))),
    Column::new("estimate", Real(|row| Some(row.0.certificate.certificate.estimate))),
    Column::new("upper", Real(|row| Some(row.0.certificate.certificate.upper))),
];

/// The table.
pub(crate) fn certificates() -> Table<CertificateRow> {
    Table { name: "certificates", columns: COLUMNS.iter().collect(), size: |_| size_of::<CertificateRow>() }
}
