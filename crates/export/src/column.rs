//! Columns of a table: a name, and how their values are read from a row.

use std::borrow::Cow;

/// A column.
pub(crate) struct Column<R: 'static> {
    pub(crate) name: &'static str,
    /// It has a value in every row.
    pub(crate) required: bool,
    pub(crate) read: Read<R>,
}

/// How a column's values are read, and so of which type they are.
pub(crate) enum Read<R: 'static> {
    Bool(fn(&R) -> Option<bool>),
    Int(fn(&R) -> Option<i64>),
    Real(fn(&R) -> Option<f64>),
    /// Always there, and perhaps empty.
    Reals(for<'a> fn(&'a R) -> &'a [f32]),
    Text(for<'a> fn(&'a R) -> Option<Cow<'a, str>>),
    /// Milliseconds since 1970 in UTC.
    Time(fn(&R) -> Option<i64>),
}

impl<R> Column<R> {
    /// One that has a value in every row.
    pub(crate) const fn new(name: &'static str, read: Read<R>) -> Self {
        Self { name, required: true, read }
    }

    /// One that may have none.
    pub(crate) const fn optional(name: &'static str, read: Read<R>) -> Self {
        Self { name, required: false, read }
    }

    /// The type of its values, as the manifest says it.
    pub(crate) fn kind(&self) -> &'static str {
        match self.read {
            Read::Bool(_) => "bool",
            Read::Int(_) => "int64",
            Read::Real(_) => "float64",
            Read::Reals(_) => "list<float32>",
            Read::Text(_) => "text",
            Read::Time(_) => "timestamp[ms, UTC]",
        }
    }
}
