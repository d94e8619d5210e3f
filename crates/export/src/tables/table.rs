//! What a table is, and how values of the log are written.

use std::borrow::Cow;
use std::sync::Arc;

use slarouter_core::Timestamp;

use crate::column::Column;

/// Where the year 10000 begins: no tool reads times beyond.
const NO_TIME: u64 = 253_402_300_800_000;

/// A table.
pub(crate) struct Table<R: 'static> {
    /// The name of its folder.
    pub(crate) name: &'static str,
    pub(crate) columns: Vec<&'static Column<R>>,
    /// About how many bytes of memory a row takes.
    pub(crate) size: fn(&R) -> usize,
}

/// A number of the log as files have it. None is so large that it does not fit.
pub(crate) fn number(seq: u64) -> Option<i64> {
    Some(seq.cast_signed())
}

/// A moment as files have it; `None` for what is none that tools can read.
pub(crate) fn moment(time: Timestamp) -> Option<i64> {
    (time.0 < NO_TIME).then(|| time.0.cast_signed())
}

pub(crate) fn text(text: &str) -> Option<Cow<'_, str>> {
    Some(Cow::Borrowed(text))
}

pub(crate) fn name(name: &Option<Arc<str>>) -> Option<Cow<'_, str>> {
    name.as_deref().map(Cow::Borrowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_no_tool_reads_are_left_out() {
        assert_eq!(moment(Timestamp(NO_TIME - 1)), Some(253_402_300_799_999));
        assert_eq!((moment(Timestamp(NO_TIME)), moment(Timestamp(u64::MAX))), (None, None));
    }
}
