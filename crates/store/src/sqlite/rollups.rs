//! Rollups as tables.

mod count;
mod read;
mod write;

pub(super) use count::{Tally, count};
pub(super) use read::{calendar, series, totals};
pub(super) use write::add;
