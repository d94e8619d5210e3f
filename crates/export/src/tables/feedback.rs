//! `feedback`: a row for each word on an answer.

use std::borrow::Cow;

use slarouter_core::Rater;
use slarouter_store::LoggedFeedback;

use super::table::{Table, moment, number, text};
use crate::column::Column;
use crate::column::Read::{Bool, Int, Real, Text, Time};

/// A rating or an audit.
pub(crate) struct FeedbackRow {
    pub(crate) decision_seq: u64,
    pub(crate) counted: bool,
    pub(crate) feedback: Box<LoggedFeedback>,
}

const COLUMNS: &[Column<FeedbackRow>] = &[
    Column::new("seq", Int(|row| number(row.feedback.seq))),
    Column::new("decision_seq", Int(|row| number(row.decision_seq))),
    Column::optional("time", Time(|row| moment(row.feedback.time))),
    Column::new("source", Text(|row| text(row.feedback.source.as_str()))),
    Column::optional("rater", Text(|row| rater(row.feedback.rater))),
    Column::optional("rating", Real(|row| row.feedback.rating)),
    Column::new("receipt", Text(|row| text(row.feedback.receipt.as_str()))),
    Column::new("counted", Bool(|row| Some(row.counted))),
];

static COMMENT: Column<FeedbackRow> =
    Column::optional("comment", Text(|row| row.feedback.comment.as_deref().and_then(text)));

/// The table, with the raters' own words if asked for.
pub(crate) fn feedback(comments: bool) -> Table<FeedbackRow> {
    let columns = COLUMNS.iter().chain(comments.then_some(&COMMENT)).collect();
    Table { name: "feedback", columns, size: |row| row.size() }
}

/// The hash of the rater's name that the log holds; nothing where nobody was named.
fn rater(Rater(hash): Rater) -> Option<Cow<'static, str>> {
    (hash != 0).then(|| Cow::Owned(format!("{hash:016x}")))
}

impl FeedbackRow {
    fn size(&self) -> usize {
        size_of::<Self>() + size_of::<LoggedFeedback>() + self.feedback.comment.as_ref().map_or(0, String::len)
    }
}
