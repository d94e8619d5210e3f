//! Rollups as tables.

mod count;
mod read;
mod write;

pub(super) use count::{count, recount};
#[cfg(test)]
pub(super) use read::{CERTIFICATES, SUMS};
pub(super) use read::{calendar, minutes, series, totals};
pub(super) use write::add;
