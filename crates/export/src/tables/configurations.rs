//! `configs`: a row for each configuration of a route.

use slarouter_core::Timestamp;

use super::table::{Table, moment, number, text};
use crate::column::Column;
use crate::column::Read::{Int, Real, Text, Time};

/// A configuration that a route took into force.
pub(crate) struct ConfigurationRow {
    pub(crate) seq: u64,
    pub(crate) time: Timestamp,
    pub(crate) alpha: Option<f64>,
    pub(crate) sha256: String,
    pub(crate) spec: String,
}

const COLUMNS: &[Column<ConfigurationRow>] = &[
    Column::new("seq", Int(|row| number(row.seq))),
    Column::optional("time", Time(|row| moment(row.time))),
    Column::optional("alpha", Real(|row| row.alpha)),
    Column::new("sha256", Text(|row| text(&row.sha256))),
    Column::new("spec", Text(|row| text(&row.spec))),
];

/// The table.
pub(crate) fn configurations() -> Table<ConfigurationRow> {
    let size = |row: &ConfigurationRow| size_of::<ConfigurationRow>() + row.spec.len() + row.sha256.len();
    Table { name: "configs", columns: COLUMNS.iter().collect(), size }
}
