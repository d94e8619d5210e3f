//! Ids of the application's own, by which feedback finds the answer that it is about.

use std::fmt;
use std::sync::Arc;

use slarouter_core::{Rater, Source};

/// An id that an application has given an answer: of a message, a trace or a run. It is 1 to 128 letters, digits and characters of
/// `-_.:/+=@~`: all that the usual kinds of ids are made of, and nothing that has to be quoted anywhere.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TraceId(Arc<str>);

/// Which decision is looked for by an id of the application's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceQuery {
    /// The id.
    pub trace: TraceId,
    /// Whose decisions are looked among; `None` for those of any one tenant.
    pub tenant: Option<Arc<str>>,
    /// Decisions that this rater has a word in force on come first: it is taken back where it was given.
    pub rated_by: Option<(Source, Rater)>,
}

impl TraceId {
    /// The longest there is, in bytes.
    pub const MOST: usize = 128;

    /// The id that this text is; `None` if it is none.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/+=@~".contains(&byte);
        ((1..=Self::MOST).contains(&text.len()) && text.bytes().all(known)).then(|| Self(text.into()))
    }

    /// As it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_ids_are_taken_and_what_would_need_quotes_is_not() {
        let longest = "x".repeat(TraceId::MOST);
        for id in [
            "7",
            "4bf92f3577b34da6a3ce929d0e0e4736",
            "018f3c9e-7d1a-7c3e-9a57-0b1f6f1d2c3a",
            "run_a.b:c/d+e=@~",
            &longest,
        ] {
            assert_eq!(TraceId::new(id).map(|id| id.to_string()).as_deref(), Some(id));
        }
        for wrong in ["", " ", "a b", "a\n", "\"a\"", "é", "{{MESSAGE_ID}}", "<b>", "a,b", &format!("{longest}x")] {
            assert_eq!(TraceId::new(wrong), None, "{wrong}");
        }
    }
}
