//! States as people see them: a word, a mark and a colour that mean the same, as colour alone tells not everybody anything.

use slarouter_core::Status;

/// A state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Badge {
    /// The word.
    pub word: &'static str,
    /// The class of its colours: `good`, `calm`, `warn`, `bad` or `none`.
    pub tone: &'static str,
    /// The mark: a path in a square of 14.
    pub glyph: &'static str,
}

const TICK: &str = "M2.5 7.5 5.5 10.5 11.5 4";
const HALF: &str = "M2 7h10M7 4v6";
const RISE: &str = "M7 2 12.5 12H1.5ZM7 6v2.5";
const CROSS: &str = "M3 3l8 8M11 3l-8 8";
const BAR: &str = "M2.5 7h9";
const DOTS: &str = "M2.5 7h.01M7 7h.01M11.5 7h.01";

impl Badge {
    /// All is well.
    #[must_use]
    pub fn good(word: &'static str) -> Self {
        Self { word, tone: "good", glyph: TICK }
    }

    /// Nothing to do, nothing proven.
    #[must_use]
    pub fn calm(word: &'static str) -> Self {
        Self { word, tone: "calm", glyph: HALF }
    }

    /// To be looked at.
    #[must_use]
    pub fn warn(word: &'static str) -> Self {
        Self { word, tone: "warn", glyph: RISE }
    }

    /// Something is wrong.
    #[must_use]
    pub fn bad(word: &'static str) -> Self {
        Self { word, tone: "bad", glyph: CROSS }
    }

    /// Nothing is known.
    #[must_use]
    pub fn none(word: &'static str) -> Self {
        Self { word, tone: "none", glyph: DOTS }
    }

    /// How an SLA stands; `None` where its policy promises nothing.
    #[must_use]
    pub fn of(status: Option<Status>) -> Self {
        match status {
            Some(Status::Holds) => Self::good("holds"),
            Some(Status::Unproven) => Self::calm("unproven"),
            Some(Status::AtRisk) => Self::warn("at risk"),
            Some(Status::Broken) => Self::bad("broken"),
            Some(Status::Unreachable) => Self { glyph: BAR, ..Self::bad("unreachable") },
            Some(Status::Insufficient) => Self::none("not enough evidence"),
            None => Self::none("promises nothing"),
        }
    }
}
