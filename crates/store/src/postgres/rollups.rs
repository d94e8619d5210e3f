//! Rollups as tables.

mod count;
mod read;
mod write;

pub(super) use count::{count, recount};
pub(super) use read::{calendar, minutes, series, totals};
pub(super) use write::{GroupNumbers, add};
